// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Random access to the bytes of a file.
///
/// The tool reads with `pread`, tests read from memory.
public struct TraceBytes: Sendable {
  /// Size of the file.
  public let byteCount: UInt64

  private let read: @Sendable (UInt64, Int) throws(TraceError) -> [UInt8]

  /// Makes access from a function that returns `count` bytes from `offset`.
  ///
  /// It is asked for bytes inside the file only. Fewer bytes than asked for mean that the file has
  /// become shorter meanwhile.
  public init(
    byteCount: UInt64,
    read: @escaping @Sendable (_ offset: UInt64, _ count: Int) throws(TraceError) -> [UInt8]
  ) {
    self.byteCount = byteCount
    self.read = read
  }

  /// Makes access to bytes in memory.
  public init(_ bytes: [UInt8]) {
    self.init(byteCount: UInt64(bytes.count)) { (offset, count) throws(TraceError) in
      Array(bytes[Int(offset)..<Int(offset) + count])
    }
  }

  /// Returns at most `count` bytes from `offset`: fewer only where the file ends.
  func bytes(at offset: UInt64, count: Int) throws(TraceError) -> [UInt8] {
    guard offset < byteCount, count > 0 else { return [] }
    let wanted = Int(min(UInt64(count), byteCount - offset))
    let found = try read(offset, wanted)
    guard found.count == wanted else {
      throw TraceError(
        .inputOutput, offset: offset,
        reason: "\(found.count) of \(wanted) bytes could be read: the file has become shorter",
        nextStep: "leave the file alone while it is read")
    }
    return found
  }
}
