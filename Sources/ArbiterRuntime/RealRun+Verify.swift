// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterMemory
public import ArbiterPlatform

extension RealRun {
  /// A line that does not hold what was last written to it.
  public struct Mismatch: Sendable, Hashable, CustomStringConvertible {
    /// Byte offset of the line in the region.
    public var offset: Int
    /// What was last written.
    public var expected: LineStamp
    /// What is there; nil where no stamp can be read.
    public var found: LineStamp?

    /// One sentence.
    public var description: String {
      let there = found.map { "access \($0.sequence) of thread \($0.thread)" } ?? "a broken stamp"
      return "line at \(offset) holds \(there) instead of access \(expected.sequence) of thread "
        + "\(expected.thread)"
    }
  }

  /// What reading everything back has shown.
  public struct Verification: Sendable, Hashable {
    /// Lines that were written and read back.
    public var lineCount = 0
    /// Lines that do not hold what was last written to them.
    public var mismatchCount = 0
    /// The first of them.
    public var mismatches: [Mismatch] = []

    /// Whether every line is right.
    public var isClean: Bool { mismatchCount == 0 }

    /// Mismatches that are kept.
    public static let mismatchesKept = 16
  }

  /// Reads every line back that a run has written, and compares it with what was last written to
  /// it.
  ///
  /// The accesses are generated anew from the configuration, so that nothing has to be recorded
  /// during the run. Shows that the stores are right and visible, not that they would survive.
  ///
  /// - Parameters:
  ///   - outcome: What the run returned.
  ///   - region: The region as the run left it.
  /// - Returns: How many lines were compared and which are wrong.
  /// - Throws: ``PlatformError`` with `invalidArgument` where the region is not the run's.
  /// - Complexity: O(accesses + bytes); 8 bytes of memory per access-sized place of a slice.
  public func verify(
    _ outcome: Outcome, on region: borrowing MappedRegion
  ) throws(PlatformError) -> Verification {
    let slices = try configuration.slices(ofBytes: region.byteCount)
    let length = configuration.accessBytes
    var verification = Verification()
    for (thread, slice) in slices.enumerated() {
      var lastSequence = [UInt64](repeating: 0, count: slice.count / length)
      var addresses = AddressStream(
        slice: slice, accessBytes: length, pattern: configuration.pattern,
        seed: configuration.seed, thread: thread)
      var sequence: UInt64 = 0
      while sequence < outcome.threads[thread].accessCount {
        sequence += 1
        lastSequence[(addresses.next() - slice.lowerBound) / length] = sequence
      }
      for (place, sequence) in lastSequence.enumerated() where sequence != 0 {
        for line in stride(from: 0, to: length, by: 64) {
          let offset = slice.lowerBound + place * length + line
          let expected = LineStamp(
            seed: configuration.seed, thread: UInt64(thread), sequence: sequence,
            offset: UInt64(offset))
          // SAFETY: the slice lies within the region, which is borrowed.
          let found = unsafe (region.base + offset).load(as: CacheLine.self)
          verification.check(found, against: expected, line: expected.line, at: offset)
        }
      }
    }
    return verification
  }
}

extension RealRun.Verification {
  /// Compares a line with what should be there, which the expected stamp stands for.
  mutating func check(
    _ line: CacheLine, against expected: LineStamp, line right: CacheLine, at offset: Int
  ) {
    lineCount += 1
    if line == right { return }
    mismatchCount += 1
    if mismatches.count < Self.mismatchesKept {
      mismatches.append(
        RealRun.Mismatch(offset: offset, expected: expected, found: LineStamp(line)))
    }
  }
}
