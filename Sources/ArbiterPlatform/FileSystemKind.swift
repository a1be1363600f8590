// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiter
internal import Glibc

/// What holds a path, as far as mapping it is concerned.
public enum FileSystemKind: Sendable, Hashable, CustomStringConvertible {
  /// DRAM: mapping works, nothing survives.
  case tmpfs
  /// A file system that maps this file directly (fsdax).
  case dax(String)
  /// A file system behind the page cache.
  case cached(String)
  /// A character device of directly mapped memory.
  case deviceDax(String)

  /// Tells what holds a path that exists.
  ///
  /// - Throws: ``PlatformError`` where the path cannot be examined.
  public static func of(
    path: String, tree: SystemTree = SystemTree()
  ) throws(PlatformError) -> FileSystemKind {
    let numbers = unsafe arb_file_device_numbers(path)
    if numbers >= 0 {
      let (major, minor) = (numbers >> 32, numbers & 0xFFFF_FFFF)
      if tree.linkTargetName("/sys/dev/char/\(major):\(minor)/subsystem") == "dax" {
        return .deviceDax(tree.linkTargetName("/sys/dev/char/\(major):\(minor)") ?? "dax")
      }
    }
    let magic = unsafe arb_filesystem_magic(path)
    guard magic >= 0 else {
      throw PlatformError(
        errorNumber: Int32(truncatingIfNeeded: -magic), path: path, action: "examine the path")
    }
    if magic == 0x0102_1994 { return .tmpfs }
    let name = names[magic] ?? "file system 0x\(String(magic, radix: 16))"
    let isDirect = unsafe arb_file_is_dax(path)
    return isDirect == 1 ? .dax(name) : .cached(name)
  }

  /// Magic numbers of linux/magic.h.
  private static let names: [Int64: String] = [
    0xEF53: "ext4", 0x5846_5342: "xfs", 0x9123_683E: "btrfs", 0x794C_7630: "overlay",
    0x9584_58F6: "hugetlbfs", 0x8584_58F6: "ramfs", 0x6969: "nfs", 0x0102_1997: "9p",
    0x6573_5546: "fuse", 0x2FC1_2FC1: "zfs",
  ]

  /// Whether stores reach the medium without the page cache.
  public var isDirect: Bool {
    switch self {
    case .dax, .deviceDax: true
    case .tmpfs, .cached: false
    }
  }

  /// The kind in a few words.
  public var description: String {
    switch self {
    case .tmpfs: "tmpfs (DRAM)"
    case .dax(let name): "\(name) with DAX"
    case .cached(let name): "\(name) without DAX"
    case .deviceDax(let name): "device-DAX \(name)"
    }
  }
}

/// A mounted file system on which files can be mapped directly.
public struct DaxMount: Sendable, Hashable {
  /// The block device.
  public var device: String
  /// Where it is mounted.
  public var folder: String
  /// ext4, xfs or another.
  public var fileSystem: String

  /// Makes a mount.
  public init(device: String, folder: String, fileSystem: String) {
    self.device = device
    self.folder = folder
    self.fileSystem = fileSystem
  }

  /// The mounts whose options name DAX (`dax`, `dax=always`, `dax=inode`).
  public static func read(from tree: SystemTree = SystemTree()) -> [DaxMount] {
    var mounts: [DaxMount] = []
    for line in (tree.text("/proc/self/mounts") ?? "").split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count >= 4 else { continue }
      let options = words[3].split(separator: ",")
      guard options.contains(where: { $0 == "dax" || $0 == "dax=always" || $0 == "dax=inode" })
      else { continue }
      mounts.append(
        DaxMount(
          device: String(words[0]), folder: unescaped(words[1]), fileSystem: String(words[2])))
    }
    return mounts
  }

  /// Undoes the octal escapes (\040 for a space) of the mount table.
  private static func unescaped(_ word: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(word.utf8)[...]
    while let byte = rest.first {
      if byte == UInt8(ascii: "\\"), rest.count >= 4,
        let value = UInt8(String(decoding: rest.dropFirst().prefix(3), as: UTF8.self), radix: 8)
      {
        bytes.append(value)
        rest = rest.dropFirst(4)
      } else {
        bytes.append(byte)
        rest = rest.dropFirst()
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
