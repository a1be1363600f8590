// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Where the figures of a snapshot come from.
public enum CounterSource: String, Sendable, Hashable, CaseIterable {
  /// The modelled module; virtual time.
  case model
  /// The module's own counters.
  case module
  /// The processor's memory-controller events; media bytes are unavailable.
  case memoryController = "memory-controller"
  /// Estimated from a sample of the gates' own writes.
  case estimate
  /// Nothing on this machine counts.
  case unavailable
}

/// Cumulative counters of one module, or the sum over an interleave set, at one instant.
///
/// A figure that the source cannot see is nil: unavailable is never zero.
public struct CounterSnapshot: Sendable, Hashable {
  /// When the counters were read, in nanoseconds of the source's clock.
  public var timeNanoseconds: Int64
  /// Where the figures come from.
  public var source: CounterSource
  /// Bytes the processor's memory controller sent to be written.
  public var imcWriteBytes: UInt64?
  /// Bytes the processor's memory controller asked to read.
  public var imcReadBytes: UInt64?
  /// Bytes the medium wrote, idle writes included.
  public var mediaWriteBytes: UInt64?
  /// Bytes the medium read.
  public var mediaReadBytes: UInt64?

  /// Makes a snapshot.
  public init(
    timeNanoseconds: Int64, source: CounterSource, imcWriteBytes: UInt64? = nil,
    imcReadBytes: UInt64? = nil, mediaWriteBytes: UInt64? = nil, mediaReadBytes: UInt64? = nil
  ) {
    self.timeNanoseconds = timeNanoseconds
    self.source = source
    self.imcWriteBytes = imcWriteBytes
    self.imcReadBytes = imcReadBytes
    self.mediaWriteBytes = mediaWriteBytes
    self.mediaReadBytes = mediaReadBytes
  }

  /// Whether the source sees both sides of a write, so that amplification can be known at all.
  public var seesAmplification: Bool {
    source != .unavailable && imcWriteBytes != nil && mediaWriteBytes != nil
  }

  /// A snapshot of a machine that counts nothing.
  public static func unavailable(atNanoseconds time: Int64) -> CounterSnapshot {
    CounterSnapshot(timeNanoseconds: time, source: .unavailable)
  }
}

/// What happened between two snapshots of one source.
///
/// Rates are bytes per second of the source's clock.
public struct CounterDelta: Sendable, Hashable {
  /// The time between the snapshots, in seconds; above 0.
  public let seconds: Double
  /// Bytes the memory controller wrote.
  public let imcWriteBytes: Double?
  /// Bytes the memory controller read.
  public let imcReadBytes: Double?
  /// Bytes the medium wrote, without the idle writes that were named.
  public let mediaWriteBytes: Double?
  /// Bytes the medium read.
  public let mediaReadBytes: Double?

  /// Makes the difference of two snapshots, less what the medium writes when nobody asks it to.
  ///
  /// Fails where no time has passed or a counter ran backwards (a reset).
  ///
  /// - Parameters:
  ///   - first: The earlier snapshot.
  ///   - last: The later snapshot, of the same source.
  ///   - idleMediaWriteBytesPerSecond: What an idle medium writes; at least 0.
  public init?(
    from first: CounterSnapshot, to last: CounterSnapshot,
    idleMediaWriteBytesPerSecond: Double = 0
  ) {
    let nanoseconds = last.timeNanoseconds - first.timeNanoseconds
    guard nanoseconds > 0 else { return nil }
    let elapsed = Double(nanoseconds) / 1e9
    seconds = elapsed
    guard let imcWrites = Self.difference(first.imcWriteBytes, last.imcWriteBytes),
      let imcReads = Self.difference(first.imcReadBytes, last.imcReadBytes),
      let mediaWrites = Self.difference(first.mediaWriteBytes, last.mediaWriteBytes),
      let mediaReads = Self.difference(first.mediaReadBytes, last.mediaReadBytes)
    else { return nil }
    imcWriteBytes = imcWrites
    imcReadBytes = imcReads
    mediaWriteBytes = mediaWrites.map { max(0, $0 - idleMediaWriteBytesPerSecond * elapsed) }
    mediaReadBytes = mediaReads
  }

  /// The growth of one counter: nil where it ran backwards, a nil figure where it is unavailable.
  private static func difference(_ before: UInt64?, _ after: UInt64?) -> Double?? {
    guard let before, let after else { return .some(nil) }
    return after >= before ? .some(Double(after - before)) : nil
  }

  /// Write amplification: media write bytes ÷ iMC write bytes.
  ///
  /// - Parameter floor: iMC write bytes per second below which the ratio says nothing.
  /// - Returns: nil where a counter is unavailable or the traffic lies below the floor.
  public func writeAmplification(aboveBytesPerSecond floor: Double = 0) -> Double? {
    guard let imcWriteBytes, let mediaWriteBytes, imcWriteBytes > 0,
      imcWriteBytes / seconds >= floor
    else { return nil }
    return mediaWriteBytes / imcWriteBytes
  }

  /// Read amplification: media read bytes ÷ iMC read bytes; nil where unavailable or unread.
  public var readAmplification: Double? {
    guard let imcReadBytes, let mediaReadBytes, imcReadBytes > 0 else { return nil }
    return mediaReadBytes / imcReadBytes
  }

  /// Effective bandwidth: iMC write bytes per second.
  public var effectiveBandwidth: Double? { imcWriteBytes.map { $0 / seconds } }

  /// Media write bytes per second.
  public var mediaWriteBandwidth: Double? { mediaWriteBytes.map { $0 / seconds } }

  /// Equivalent write bytes per second: media writes + media reads ÷ 3 (the Arbiter paper, III-A).
  public var equivalentWriteBandwidth: Double? {
    guard let mediaWriteBytes, let mediaReadBytes else { return nil }
    return (mediaWriteBytes + mediaReadBytes / 3) / seconds
  }
}
