// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterMemory

/// What a real run writes into a cache line, so that every line can be told to be whole and right.
///
/// Words 0-3 are seed, thread, sequence number and byte offset of the line; word 4 is a check word
/// over them and words 5-7 follow from it, so that every byte of the line is checked.
@frozen
public struct LineStamp: Sendable, Hashable {
  /// The seed of the run.
  public var seed: UInt64
  /// The thread that wrote.
  public var thread: UInt64
  /// Which access of the thread it was, from 1.
  public var sequence: UInt64
  /// Byte offset of the line in the region.
  public var offset: UInt64

  /// Makes a stamp.
  @inlinable @inline(__always)
  public init(seed: UInt64, thread: UInt64, sequence: UInt64, offset: UInt64) {
    self.seed = seed
    self.thread = thread
    self.sequence = sequence
    self.offset = offset
  }

  /// The line that carries the stamp.
  @inlinable @inline(__always)
  public var line: CacheLine {
    var check = seed ^ sequence &* 0x9E37_79B9_7F4A_7C15
    check = (check ^ check >> 29 ^ thread) &* 0xBF58_476D_1CE4_E5B9
    check = (check ^ check >> 32 ^ offset) &* 0x94D0_49BB_1331_11EB
    check ^= check >> 31
    return CacheLine(
      words: SIMD8(
        seed, thread, sequence, offset, check, ~check, check &+ sequence, check ^ offset))
  }

  /// Reads the stamp of a line; nil where the check word or its relatives do not fit.
  public init?(_ line: CacheLine) {
    self.init(
      seed: line.words[0], thread: line.words[1], sequence: line.words[2], offset: line.words[3])
    if self.line != line { return nil }
  }
}
