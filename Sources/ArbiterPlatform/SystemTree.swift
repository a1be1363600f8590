// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Reads the small text files by which the kernel describes the machine (/sys and /proc).
///
/// Everything below a root that tests replace. A file or folder that is missing or unreadable is
/// nil or empty, never an error: what a machine does not have it does not describe.
public struct SystemTree: Sendable {
  /// The folder under which `sys` and `proc` lie.
  public let root: String

  /// Makes a reader of the tree under a folder.
  public init(root: String = "/") {
    self.root = root.hasSuffix("/") ? String(root.dropLast()) : root
  }

  /// Longest file that is read, in bytes.
  private static let textBytesMax = 1 << 20

  /// The text of a file without white space at its ends; nil where it cannot be read.
  public func text(_ path: String) -> String? {
    contents(path, bytesMax: Self.textBytesMax)
  }

  /// Reads a file that may be long, such as a process's memory map, up to 64 MiB.
  ///
  /// - Returns: The text without white space at its ends; nil where the file cannot be read.
  public func wholeText(_ path: String) -> String? {
    contents(path, bytesMax: 64 << 20)
  }

  private func contents(_ path: String, bytesMax: Int) -> String? {
    let descriptor = unsafe open(root + path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while bytes.count < bytesMax {
      // SAFETY: the kernel writes at most the capacity that it is told.
      let count = unsafe chunk.withUnsafeMutableBytes { room in
        unsafe read(descriptor, room.baseAddress, room.count)
      }
      if count < 0 { return nil }
      if count == 0 { break }
      bytes.append(contentsOf: chunk.prefix(count))
    }
    return Self.trimmed(String(decoding: bytes, as: UTF8.self))
  }

  /// The whole number that a file holds, decimal or with 0x; nil for anything else.
  public func number(_ path: String) -> Int? {
    guard let text = text(path) else { return nil }
    if text.hasPrefix("0x") { return Int(text.dropFirst(2), radix: 16) }
    return Int(text)
  }

  /// The names in a folder, sorted with numbers in order; empty where there is no such folder.
  public func entries(_ path: String) -> [String] {
    guard let folder = unsafe opendir(root + path) else { return [] }
    defer { unsafe closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      // SAFETY: d_name is a zero-terminated text that lives until the next readdir.
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted { Self.sortKey($0) < Self.sortKey($1) }
  }

  /// What a symbolic link points to, as it is written in the link; nil where it is none.
  public func linkTarget(_ path: String) -> String? {
    var buffer = [CChar](repeating: 0, count: 4096)
    // SAFETY: the kernel writes at most the capacity that it is told.
    let count = unsafe readlink(root + path, &buffer, buffer.count)
    guard count > 0 else { return nil }
    return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The last part of what a symbolic link points to; nil where it is none.
  public func linkTargetName(_ path: String) -> String? {
    linkTarget(path)?.split(separator: "/").last.map(String.init)
  }

  /// Writes a text to a file that exists, as the kernel's switches want it.
  ///
  /// - Throws: ``PlatformError`` where the file cannot be written.
  public func write(_ text: String, to path: String) throws(PlatformError) {
    let descriptor = unsafe open(root + path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw PlatformError(errorNumber: errno, path: root + path, action: "open the switch")
    }
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    // SAFETY: the kernel reads at most the count that it is told.
    let count = unsafe bytes.withUnsafeBytes {
      unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
    }
    guard count == bytes.count else {
      throw PlatformError(errorNumber: errno, path: root + path, action: "write \(text)")
    }
  }

  static func trimmed(_ text: String) -> String {
    let characters = text.drop { $0.isWhitespace }
    guard let last = characters.lastIndex(where: { !$0.isWhitespace }) else { return "" }
    return String(characters[...last])
  }

  /// Reads a list such as `0-3,8` into its numbers; parts that are no number are left out.
  public static func numbers(inList list: String) -> [Int] {
    var numbers: [Int] = []
    for part in list.split(separator: ",") {
      let ends = part.split(separator: "-").compactMap { Int(trimmed(String($0))) }
      if ends.count == 1 { numbers.append(ends[0]) }
      if ends.count == 2, ends[0] <= ends[1], ends[1] - ends[0] < 1 << 16 {
        numbers.append(contentsOf: ends[0]...ends[1])
      }
    }
    return numbers
  }

  /// Whether a name is a prefix and a number, as region0.
  static func isNumbered(_ name: String, _ prefix: String) -> Bool {
    let digits = name.dropFirst(prefix.count)
    return name.hasPrefix(prefix) && !digits.isEmpty
      && digits.allSatisfy { $0.isASCII && $0.isNumber }
  }

  /// A key that puts `node10` after `node9`.
  private static func sortKey(_ name: String) -> String {
    var key = ""
    var digits = ""
    for character in name + "\u{0}" {
      if character.isASCII, character.isNumber {
        digits.append(character)
      } else {
        key += String(repeating: "0", count: digits.isEmpty ? 0 : max(0, 12 - digits.count))
        key += digits
        digits = ""
        key.append(character)
      }
    }
    return key
  }
}
