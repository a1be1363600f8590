// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import CArbiter
internal import Glibc
internal import Synchronization

/// A place in a program from where it changed a region.
///
/// Kept as return addresses, by the C library's unwinder: the one of the Swift runtime reads images
/// in memory without asking whether they are there, and now and then crashes. What the addresses
/// stand for is looked up only where a report needs it.
public struct CallSite: Sendable {
  /// What has been looked up, for all copies of a place.
  private final class Finding: Sendable {
    let location = Mutex<String??>(nil)
  }

  private let addresses: [UInt]
  private let finding = Finding()

  /// A place of which nothing is known.
  init() { addresses = [] }

  /// The place of whoever called.
  init(here depth: Int) {
    var frames = [UInt](repeating: 0, count: depth)
    // SAFETY: the function writes at most the room that it is told.
    let count = unsafe arb_return_addresses(&frames, Int32(depth))
    addresses = Array(frames.prefix(Int(count)))
  }

  /// File and line; nil where the program carries no debug information or addr2line(1), of
  /// binutils, is not installed.
  ///
  /// The innermost place outside the access layer and this module.
  ///
  /// - Complexity: The first time reads the program's debug information: some seconds for a large
  ///   one.
  public var location: String? {
    finding.location.withLock { known in
      if let known { return known }
      let found = Self.lines(of: addresses).first { !Self.isHidden($0) }.map(Self.short)
      known = .some(found)
      return found
    }
  }

  private static func isHidden(_ line: Substring) -> Bool {
    let parts = line.split(separator: "/")
    // What a macro has generated has no line that anybody could look up, and `??` none at all.
    return line.hasPrefix("?") || line.hasPrefix("<") || line.hasSuffix(":?")
      || line.hasSuffix(":0") || parts.contains("ArbiterMemory") || parts.contains("CArbiter")
      || parts.contains("ArbiterCrashTesting") || parts.contains("swift-generated-sources")
  }

  private static func short(_ line: Substring) -> String {
    // A discriminator may follow the number.
    let place = line.split(separator: " ").first ?? line
    return place.split(separator: "/").suffix(2).joined(separator: "/")
  }

  /// FILE:LINE of each address and of what is inlined there, innermost first.
  private static func lines(of addresses: [UInt]) -> [Substring] {
    var lines: [Substring] = []
    let images = images()
    var rest = addresses[...]
    while let address = rest.first {
      guard let image = images.last(where: { $0.range.contains(address) }) else {
        rest.removeFirst()
        continue
      }
      let own = rest.prefix { image.range.contains($0) }
      rest = rest.dropFirst(own.count)
      // A return address lies behind the call.
      let offsets = own.map { "0x" + String($0 - image.range.lowerBound - 1, radix: 16) }
      lines += output(of: ["addr2line", "-i", "-e", image.path] + offsets)
    }
    return lines
  }

  /// The files that are mapped, each from its first byte to its last.
  private static func images() -> [(path: String, range: Range<UInt>)] {
    var found: [String: Range<UInt>] = [:]
    for line in (SystemTree().text("/proc/self/maps") ?? "").split(separator: "\n") {
      let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
      // The rest of a line begins with the spaces that fill up its column.
      guard let name = fields.last?.drop(while: { $0 == " " }), name.first == "/" else { continue }
      let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
      guard ends.count == 2, ends[0] < ends[1] else { continue }
      let path = String(name)
      let known = found[path] ?? ends[0]..<ends[1]
      found[path] = min(known.lowerBound, ends[0])..<max(known.upperBound, ends[1])
    }
    return found.map { (path: $0.key, range: $0.value) }
  }

  /// What a program prints; nothing where it cannot be run.
  private static func output(of words: [String]) -> [Substring] {
    let quoted = words.map { "'" + $0.replacing("'", with: "'\\''") + "'" }
    let line = quoted.joined(separator: " ") + " 2>/dev/null"
    // SAFETY: the stream is read and closed here; the buffer is as long as is said.
    guard let stream = unsafe popen(line, "r") else { return [] }
    defer { _ = unsafe pclose(stream) }
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = unsafe fread(&buffer, 1, buffer.count, stream)
      if count == 0 { break }
      text += buffer.prefix(count)
    }
    return String(decoding: text, as: UTF8.self).split(separator: "\n")
      .map { Substring($0.split(separator: " ", omittingEmptySubsequences: true).first ?? $0) }
  }
}
