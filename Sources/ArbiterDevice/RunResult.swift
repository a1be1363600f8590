// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Latencies from entering the gate, delay included, until the store is accepted.
public struct LatencySummary: Sendable, Hashable {
  /// The median, in nanoseconds.
  public var p50: Double
  /// The 99th percentile, in nanoseconds.
  public var p99: Double
  /// The 99.9th percentile, in nanoseconds.
  public var p999: Double
  /// The largest, in nanoseconds.
  public var max: Double

  /// Makes a summary.
  public init(p50: Double, p99: Double, p999: Double, max: Double) {
    self.p50 = p50
    self.p99 = p99
    self.p999 = p999
    self.max = max
  }
}

/// What one run of one scheme measured, virtual or real, over its measuring window.
///
/// A figure that the run's counter source cannot see is nil.
public struct RunResult: Sendable, Hashable {
  /// Where the device figures come from.
  public var counterSource: CounterSource
  /// Length of the measuring window in seconds of the executor's own clock (virtual or real).
  public var seconds: Double
  /// Threads that wrote.
  public var threadCount: Int
  /// Modules of the interleave set.
  public var moduleCount: Int
  /// Bytes that the program stored.
  public var programWriteBytes: UInt64
  /// Cache lines that the program stored or loaded.
  public var requestCount: UInt64
  /// Effective bandwidth: iMC write bytes per second; where nothing counts them, program bytes.
  public var effectiveBandwidth: Double
  /// Media write bytes per second.
  public var mediaWriteBandwidth: Double?
  /// Media read bytes per second.
  public var mediaReadBandwidth: Double?
  /// iMC read bytes per second.
  public var imcReadBandwidth: Double?
  /// Media writes + media reads ÷ 3, bytes per second.
  public var equivalentWriteBandwidth: Double?
  /// Media write bytes ÷ iMC write bytes.
  public var writeAmplification: Double?
  /// Media read bytes ÷ iMC read bytes.
  public var readAmplification: Double?
  /// iMC write bytes ÷ program bytes.
  public var cacheAmplification: Double?
  /// Latency from gate entry to acceptance; nil where no store was accepted.
  public var latencyNanoseconds: LatencySummary?
  /// Mean delay per access, in nanoseconds.
  public var delayNanosecondsMean: Double
  /// CPU time of all threads ÷ GiB moved; a spinning delay counts.
  public var cpuSecondsPerGiB: Double?
  /// Jain's index over the threads' bytes; nil where nothing was moved.
  public var fairness: Double?

  /// Makes a result with the given window and nothing measured.
  public init(counterSource: CounterSource, seconds: Double, threadCount: Int, moduleCount: Int) {
    self.counterSource = counterSource
    self.seconds = seconds
    self.threadCount = threadCount
    self.moduleCount = moduleCount
    programWriteBytes = 0
    requestCount = 0
    effectiveBandwidth = 0
    delayNanosecondsMean = 0
  }
}
