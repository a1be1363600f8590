// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What slow memory is made of.
public enum SlowMemory: Sendable, Hashable, CustomStringConvertible {
  /// The memory of a NUMA node: CXL memory, or persistent memory as system RAM.
  case node(Int)
  /// A file, a directory in which one is made, or a device-DAX device.
  case path(String)

  /// Reads `node:N` or a path; nil for a text that is neither.
  ///
  /// A file whose name begins with `node:` is written as `./node:...`.
  public init?(_ text: String) {
    let prefix = "node:"
    if text.hasPrefix(prefix) {
      guard let number = Int(text.dropFirst(prefix.count)), 0..<1024 ~= number else { return nil }
      self = .node(number)
    } else if text.isEmpty || text.utf8.contains(0) {
      return nil
    } else {
      self = .path(text)
    }
  }

  /// As the command line has it.
  public var description: String {
    switch self {
    case .node(let number): "node:\(number)"
    case .path(let path): path
    }
  }
}
