// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice

/// What a controller makes of one period of counters.
public struct PeriodView: Sendable, Hashable {
  /// Length of the period in seconds.
  public var seconds: Double
  /// iMC write bytes per second; nil where unavailable.
  public var effectiveBandwidth: Double?
  /// Media write bytes per second without idle writes; nil where unavailable.
  public var mediaBandwidth: Double?
  /// Media read bytes per second; nil where unavailable.
  public var mediaReadBandwidth: Double?
  /// Write amplification; nil where unavailable or the traffic lies below the floor.
  public var writeAmplification: Double?
}

/// Turns cumulative snapshots into periods: subtracts idle writes, refuses what says nothing.
///
/// A module that nobody uses still counts media writes, so the ratio of two small numbers would be
/// anything. The idle rate is learned from periods with next to no traffic, and below
/// ``trafficFloorBytesPerSecond`` amplification is unavailable.
public struct CounterTracker: Sendable {
  /// iMC write bytes per second below which write amplification is unavailable.
  public let trafficFloorBytesPerSecond: Double

  private var last: CounterSnapshot?
  private var idleBytesPerSecond: Double

  /// Makes a tracker that has seen nothing.
  ///
  /// - Parameters:
  ///   - trafficFloorBytesPerSecond: See the property; 16 MB/s is below 1 % of one module's peak.
  ///   - idleMediaWriteBytesPerSecond: What is known of the idle rate beforehand.
  public init(
    trafficFloorBytesPerSecond: Double = 16e6, idleMediaWriteBytesPerSecond: Double = 0
  ) {
    self.trafficFloorBytesPerSecond = trafficFloorBytesPerSecond
    idleBytesPerSecond = idleMediaWriteBytesPerSecond
  }

  /// Takes in a snapshot.
  ///
  /// - Returns: The period since the one before; nil for the first, for one that brings nothing new
  ///   and for one after a reset of the counters.
  public mutating func add(_ snapshot: CounterSnapshot) -> PeriodView? {
    defer { if snapshot.source != .unavailable { last = snapshot } }
    guard let last, snapshot.source != .unavailable,
      // Clocks that are further apart than a clock can count belong to different machines.
      !snapshot.timeNanoseconds.subtractingReportingOverflow(last.timeNanoseconds).overflow,
      let raw = CounterDelta(from: last, to: snapshot)
    else { return nil }
    if let imc = raw.effectiveBandwidth, let media = raw.mediaWriteBandwidth, imc < 1e6 {
      idleBytesPerSecond = media
    }
    guard
      let delta = CounterDelta(
        from: last, to: snapshot, idleMediaWriteBytesPerSecond: idleBytesPerSecond)
    else { return nil }
    return PeriodView(
      seconds: delta.seconds, effectiveBandwidth: delta.effectiveBandwidth,
      mediaBandwidth: delta.mediaWriteBandwidth,
      mediaReadBandwidth: delta.mediaReadBytes.map { $0 / delta.seconds },
      writeAmplification: delta.writeAmplification(aboveBytesPerSecond: trafficFloorBytesPerSecond))
  }
}
