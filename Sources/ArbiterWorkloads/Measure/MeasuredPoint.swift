// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterMetrics

/// How long single accesses took.
public struct AccessLatency: Sendable, Hashable {
  /// Accesses that were timed one by one.
  public var sampleCount: UInt64
  /// The mean of accesses that were timed many at a time, of groups the middle one; nil where that
  /// was not done.
  public var mean: Double?
  /// The median of those timed one by one, in nanoseconds, as all that follow; nil where it is
  /// below what the clock can tell from nothing.
  public var p50: Double?
  /// Nine in ten were not slower; nil as ``p50``.
  public var p90: Double?
  /// 99 in a hundred were not slower; nil as ``p50``.
  public var p99: Double?
  /// 999 in a thousand were not slower; nil as ``p50``.
  public var p999: Double?
  /// The slowest.
  public var max: Double

  /// Reads a histogram; nil where nothing was recorded.
  ///
  /// - Parameters:
  ///   - counts: What was recorded, in any unit.
  ///   - mean: The mean of accesses that were timed together, in nanoseconds.
  ///   - resolution: What the clock cannot tell from nothing, in nanoseconds.
  ///   - nanoseconds: What a recorded value is in nanoseconds.
  public init?(
    _ counts: borrowing Histogram, mean: Double? = nil, resolution: Double = 0,
    nanoseconds: (UInt64) -> Double
  ) {
    guard counts.count > 0 else { return nil }
    func quantile(_ share: Double, _ counts: borrowing Histogram) -> Double? {
      counts.quantile(share).map(nanoseconds).flatMap { $0 < resolution ? nil : $0 }
    }
    sampleCount = counts.count
    self.mean = mean
    p50 = quantile(0.5, counts)
    p90 = quantile(0.9, counts)
    p99 = quantile(0.99, counts)
    p999 = quantile(0.999, counts)
    max = nanoseconds(counts.maximum)
  }
}

/// What one measurement of one point showed.
public struct MeasuredRun: Sendable, Hashable {
  /// Length of the measuring window, real or virtual.
  public var seconds: Double
  /// Bytes that were loaded in it.
  public var readBytes: Double
  /// Bytes that were stored in it.
  public var writtenBytes: Double
  /// Latencies of accesses; nil where bandwidth was measured.
  public var latency: AccessLatency?
  /// CPU time of the process that moved bytes, in seconds.
  public var processCPUSeconds: Figure<Double>
  /// CPU time that the whole machine spent, in seconds; whole ticks of the kernel.
  public var systemCPUSeconds: Figure<Double>
  /// Time in which the host ran somebody else, in seconds.
  public var stolenSeconds: Figure<Double>

  /// Makes a run.
  public init(
    seconds: Double, readBytes: Double, writtenBytes: Double, latency: AccessLatency? = nil,
    processCPUSeconds: Figure<Double>, systemCPUSeconds: Figure<Double>,
    stolenSeconds: Figure<Double>
  ) {
    self.seconds = seconds
    self.readBytes = readBytes
    self.writtenBytes = writtenBytes
    self.latency = latency
    self.processCPUSeconds = processCPUSeconds
    self.systemCPUSeconds = systemCPUSeconds
    self.stolenSeconds = stolenSeconds
  }

  /// Bytes that were moved.
  public var movedBytes: Double { readBytes + writtenBytes }

  /// Bytes moved per second; nil where no thread came to move any.
  public var bandwidth: Double? {
    seconds > 0 && movedBytes > 0 ? movedBytes / seconds : nil
  }
}

/// A figure that was measured several times: the middle and how far apart they lie.
public struct Spread: Sendable, Hashable {
  /// The median.
  public let median: Double
  /// The smallest and the largest.
  public let range: ClosedRange<Double>

  /// Makes a spread; nil of no samples.
  public init?(_ samples: [Double]) {
    guard let median = Statistics.median(samples), let low = samples.min(),
      let high = samples.max()
    else { return nil }
    self.median = median
    range = low...high
  }
}

/// A point with every measurement of it.
public struct MeasuredPoint: Sendable, Hashable {
  /// What was measured.
  public let point: MeasurementPoint
  /// The measurements, in the order of their rounds; at least one.
  public var runs: [MeasuredRun]

  /// Makes a point.
  public init(_ point: MeasurementPoint, runs: [MeasuredRun]) {
    self.point = point
    self.runs = runs
  }

  /// Bytes moved per second, of the runs that moved any; nil where none did.
  public var bandwidth: Spread? { Spread(runs.compactMap(\.bandwidth)) }

  /// A figure of the latency, over the runs.
  public func latency(_ read: (AccessLatency) -> Double?) -> Spread? {
    Spread(runs.compactMap { $0.latency.flatMap(read) })
  }

  /// CPU seconds of the process for each GiB that it moved, over all runs together.
  public var processSecondsPerGiB: Figure<Double> { perGiB(\.processCPUSeconds) }

  /// CPU seconds of the whole machine for each GiB moved, over all runs together.
  public var systemSecondsPerGiB: Figure<Double> { perGiB(\.systemCPUSeconds) }

  /// Seconds in which the host ran somebody else, over all runs together.
  public var stolenSeconds: Figure<Double> { total(\.stolenSeconds) }

  /// Seconds of all measuring windows together.
  public var seconds: Double { runs.reduce(0) { $0 + $1.seconds } }

  private func total(_ part: KeyPath<MeasuredRun, Figure<Double>>) -> Figure<Double> {
    var sum = 0.0
    for run in runs {
      switch run[keyPath: part] {
      case .known(let value): sum += value
      case .unavailable(let reason): return .unavailable(reason)
      }
    }
    return runs.isEmpty ? .unavailable("nothing was measured") : .known(sum)
  }

  private func perGiB(_ part: KeyPath<MeasuredRun, Figure<Double>>) -> Figure<Double> {
    let gibibytes = runs.reduce(0) { $0 + $1.movedBytes } / 1_073_741_824
    guard gibibytes > 0 else { return .unavailable("nothing was moved") }
    return total(part).map { $0 / gibibytes }
  }
}

/// Whoever executes a plan: real threads or the model.
public protocol MeasurementExecutor {
  /// Measures one point once.
  ///
  /// - Parameters:
  ///   - point: What is measured.
  ///   - repetition: Which measurement of the point it is, from 0.
  ///   - isCancelled: Asked from time to time; true ends the measurement early.
  /// - Returns: What was seen; nil where it was ended early.
  /// - Throws: What the executor cannot do.
  func measure(
    _ point: MeasurementPoint, repetition: Int, isCancelled: () -> Bool
  ) throws -> MeasuredRun?
}
