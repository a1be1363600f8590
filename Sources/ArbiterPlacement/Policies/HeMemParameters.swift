// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// The constants of HeMem, and which of its release's defects are played.
///
/// The two sets differ: the thresholds that the release ships with are not those of the paper.
/// Source: the paper (Raybuck et al., SOSP 2021) by notes of others, and the released code of
/// November 2021.
public struct HeMemParameters: Sendable, Hashable {
  /// Name in reports.
  public var name: String
  /// Events from one sample to the next, of each of three kinds: loads served by fast memory,
  /// loads served by slow memory, stores.
  public var eventsPerSample: Int
  /// Samples of loads from which a page is hot.
  public var hotReads: Int
  /// Samples of stores from which a page is hot.
  public var hotWrites: Int
  /// A counter above this starts cooling: all counters are halved.
  public var coolingThreshold: Int
  /// Nanoseconds from one pass of the policy to the next.
  public var passNanoseconds: Int64
  /// Bytes that one pass moves at most.
  public var bytesPerPass: Int
  /// Pages of each hot list that a pass cools.
  public var coolingPagesPerPass: Int
  /// Share of the fast tier that is kept free.
  public var reserveShare: Double
  /// Cooling halves only the counter that is counted up, but takes the page as cooled.
  public var coolsOneCounter: Bool
  /// The page is judged before its counter is cooled.
  public var judgesBeforeCooling: Bool

  /// As the paper has it: 8 reads, 4 writes, cooling at 18, one sample in 5,000 events, 10 ms,
  /// 10 GB/s, and 1 GB of its 128 GB kept free.
  public static let paper = HeMemParameters(
    name: "hemem-paper", eventsPerSample: 5_000, hotReads: 8, hotWrites: 4, coolingThreshold: 18,
    passNanoseconds: 10_000_000, bytesPerPass: 100_000_000, coolingPagesPerPass: 8192,
    reserveShare: 1.0 / 128, coolsOneCounter: false, judgesBeforeCooling: false)

  /// As released: 4, 4 and 10, one sample in 19,997 events, 10 GiB in each pass, nothing kept free,
  /// and its defects.
  ///
  /// Its passes follow each other without pause. Every 10 ms is often enough here: no more
  /// happens in between than some samples, and its two threads' CPU time is not played.
  public static let release = HeMemParameters(
    name: "hemem-release", eventsPerSample: 19_997, hotReads: 4, hotWrites: 4,
    coolingThreshold: 10, passNanoseconds: 10_000_000, bytesPerPass: 10 << 30,
    coolingPagesPerPass: 8192, reserveShare: 0, coolsOneCounter: true, judgesBeforeCooling: true)

  /// Makes a set.
  public init(
    name: String, eventsPerSample: Int, hotReads: Int, hotWrites: Int, coolingThreshold: Int,
    passNanoseconds: Int64, bytesPerPass: Int, coolingPagesPerPass: Int, reserveShare: Double,
    coolsOneCounter: Bool, judgesBeforeCooling: Bool
  ) {
    self.name = name
    self.eventsPerSample = eventsPerSample
    self.hotReads = hotReads
    self.hotWrites = hotWrites
    self.coolingThreshold = coolingThreshold
    self.passNanoseconds = passNanoseconds
    self.bytesPerPass = bytesPerPass
    self.coolingPagesPerPass = coolingPagesPerPass
    self.reserveShare = reserveShare
    self.coolsOneCounter = coolsOneCounter
    self.judgesBeforeCooling = judgesBeforeCooling
  }
}
