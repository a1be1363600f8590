// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What a conversion did, and what could not come along.
public struct ConversionTally: Sendable, Hashable {
  /// Something that the other format cannot say.
  public enum Loss: String, Sendable, Hashable, CaseIterable {
    /// Instruction fetches of lackey.
    case instructionFetches
    /// Messages of valgrind among lackey's lines.
    case messages
    /// Accesses outside the range that was asked for.
    case outsideRange
    /// Accesses in more parts of the address space than a recording has regions.
    case beyondRegions
    /// A last line without a newline, which VANS does not see either.
    case unterminatedLine
    /// Fences, which VANS has none of.
    case fences
    /// Fences after each access of a run.
    case fencedAccesses
    /// Write-backs of lines: their stores have been written already.
    case flushes
    /// Stores to the cache, which became writes at once.
    case cachedStores
    /// Accesses that are not whole lines, which became the lines that they touch.
    case partLines
    /// Times, which an order other than that of time does not keep.
    case times
  }

  /// Lines of text that were read or written.
  public internal(set) var lineCount: UInt64 = 0
  /// Events of the recording that were written or read.
  public internal(set) var eventCount: UInt64 = 0
  /// How often each loss occurred.
  public private(set) var losses: [Loss: UInt64] = [:]

  mutating func count(_ loss: Loss, _ count: UInt64 = 1) {
    losses[loss, default: 0] &+= count
  }

  /// A sentence for each loss that occurred, in the order of ``Loss``.
  public var sentences: [String] {
    Loss.allCases.compactMap { loss in losses[loss].map { Self.sentence(loss, $0) } }
  }

  private static func sentence(_ loss: Loss, _ count: UInt64) -> String {
    switch loss {
    case .instructionFetches: "Left out: \(count) instruction fetches."
    case .messages: "Left out: \(count) lines that are messages of valgrind."
    case .outsideRange: "Left out: \(count) accesses not wholly inside --range."
    case .beyondRegions:
      "Left out: \(count) accesses in parts of the address space beyond the first 256."
    case .unterminatedLine: "Left out: the last line, which lacks its newline; so does VANS."
    case .fences: "Left out: \(count) fences, which VANS does not have."
    case .fencedAccesses: "Left out: the fences after each access of \(count) runs."
    case .flushes: "Left out: \(count) write-backs (flushes): their stores are writes already."
    case .cachedStores: "Changed: \(count) runs of stores to the cache became writes at once."
    case .partLines:
      "Changed: \(count) runs of accesses that are no whole lines became whole lines."
    case .times: "Left out: all times; only --interleave=time keeps them."
    }
  }
}
