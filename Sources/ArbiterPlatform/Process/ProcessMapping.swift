// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// One line of a process's memory map.
public struct ProcessMapping: Sendable, Hashable {
  /// Its addresses.
  public var addresses: Range<UInt64>
  /// Whether it may be read; what may not is a guard, or only reserved.
  public var isReadable = true
  /// Whether it may be written.
  public var isWritable: Bool
  /// Whether others that map the same see what is stored.
  public var isShared: Bool
  /// Where in the file it begins.
  public var fileOffset: UInt64
  /// The device of the file; 0:0 without one.
  public var deviceMajor: UInt32
  /// The device of the file; 0:0 without one.
  public var deviceMinor: UInt32
  /// The file's number on its device; 0 without a file.
  public var inode: UInt64
  /// The file's path, a name in brackets such as `[heap]`, or nothing.
  ///
  /// What the kernel adds to paths of removed files stays: ` (deleted)`.
  public var name: String

  /// Makes a mapping, as somebody else than the map tells of it.
  public init(
    addresses: Range<UInt64>, isWritable: Bool, isShared: Bool, fileOffset: UInt64,
    deviceMajor: UInt32, deviceMinor: UInt32, inode: UInt64, name: String
  ) {
    self.addresses = addresses
    self.isWritable = isWritable
    self.isShared = isShared
    self.fileOffset = fileOffset
    self.deviceMajor = deviceMajor
    self.deviceMinor = deviceMinor
    self.inode = inode
    self.name = name
  }

  /// Reads the map of a process.
  ///
  /// - Returns: Its mappings by rising address; nil where it is gone or may not be looked into.
  public static func read(
    ofProcess process: Int32, from tree: SystemTree = SystemTree()
  ) -> [ProcessMapping]? {
    tree.wholeText("/proc/\(process)/maps").map { text in
      text.split(separator: "\n").compactMap { ProcessMapping(line: $0) }
    }
  }

  /// Reads one line; nil where it is none.
  package init?(line: Substring) {
    let words = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
    guard words.count >= 5 else { return nil }
    let ends = words[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
    let numbers = words[3].split(separator: ":").compactMap { UInt32($0, radix: 16) }
    let flags = Array(words[1].utf8)
    guard ends.count == 2, ends[0] < ends[1], numbers.count == 2, flags.count == 4,
      let offset = UInt64(words[2], radix: 16), let inode = UInt64(words[4])
    else { return nil }
    addresses = ends[0]..<ends[1]
    isReadable = flags[0] == UInt8(ascii: "r")
    isWritable = flags[1] == UInt8(ascii: "w")
    isShared = flags[3] == UInt8(ascii: "s")
    fileOffset = offset
    (deviceMajor, deviceMinor) = (numbers[0], numbers[1])
    self.inode = inode
    name = words.count > 5 ? String(words[5].drop { $0 == " " }) : ""
  }
}
