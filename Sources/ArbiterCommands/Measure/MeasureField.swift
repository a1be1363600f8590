// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterWorkloads

// One list drives JSON, CSV and `arbiter explain`.

extension SummaryField where Subject == MeasuredPoint {
  private static func latency(
    _ name: String, _ meaning: String, _ read: @escaping @Sendable (AccessLatency) -> Double?
  ) -> SummaryField {
    figure("latency_ns_\(name)", meaning) { $0.latency(read)?.median }
  }

  private static func missing(
    _ name: String, _ meaning: String, _ read: @escaping @Sendable (Subject) -> Figure<Double>
  ) -> SummaryField {
    figure(name, meaning) { read($0).value }
  }

  /// What a measured point has.
  static let all: [SummaryField] = [
    .init("measured", "What was looked at: latency or bandwidth.") {
      .string($0.point.aspect.rawValue)
    },
    .init("kind", "Loads (read), non-temporal stores (nt), stores with write-back (clwb), mixed.") {
      .string($0.point.kind.rawValue)
    },
    .init("pattern", "Order of addresses; a chain is loads that wait for one another.") {
      .string($0.point.workload.pattern.rawValue)
    },
    .init("threads", "Threads at once.") { .integer(Int64($0.point.threadCount)) },
    .init("access_bytes", "Bytes of each access.") {
      .integer(Int64($0.point.workload.accessBytes))
    },
    .init("region_bytes", "Bytes that each thread visits: the working set of a chain.") {
      .integer(Int64($0.point.workload.regionBytes))
    },
    .init("read_share", "Share of accesses that load.") { .number($0.point.workload.readShare) },
    .init("repetitions", "How often the point was measured.") { .integer(Int64($0.runs.count)) },
    figure("measured_seconds", "Seconds of all its measurements together.") { $0.seconds },
    figure("bandwidth_bytes_per_second", "Bytes moved per second: the median of repetitions.") {
      $0.bandwidth?.median
    },
    figure("bandwidth_bytes_per_second_min", "Bytes moved per second in the slowest repetition.") {
      $0.bandwidth?.range.lowerBound
    },
    figure("bandwidth_bytes_per_second_max", "Bytes moved per second in the fastest repetition.") {
      $0.bandwidth?.range.upperBound
    },
    latency("mean", "Mean time of accesses timed together, the middle one of such groups.") {
      $0.mean
    },
    latency("p50", "Median time of an access, timed alone; median of repetitions.") { $0.p50 },
    figure("latency_ns_p50_min", "The smallest median of a repetition.") {
      $0.latency { $0.p50 }?.range.lowerBound
    },
    figure("latency_ns_p50_max", "The largest median of a repetition.") {
      $0.latency { $0.p50 }?.range.upperBound
    },
    latency("p90", "90th percentile of the time of an access, timed alone.") { $0.p90 },
    latency("p99", "99th percentile of the time of an access, timed alone.") { $0.p99 },
    latency("p999", "99.9th percentile of the time of an access, timed alone.") { $0.p999 },
    latency("max", "The longest time of an access, timed alone.") { $0.max },
    .init("latency_samples_count", "Accesses that were timed alone, in all repetitions.") {
      let counts = $0.runs.compactMap { $0.latency?.sampleCount }
      return counts.isEmpty ? .null : .unsigned(counts.reduce(0, +))
    },
    missing("cpu_seconds_per_gib_process", "CPU time of the measuring process per GiB moved.") {
      $0.processSecondsPerGiB
    },
    missing(
      "cpu_seconds_per_gib_system",
      "CPU time of the whole machine per GiB moved: user, nice, system, irq and softirq, no steal."
    ) { $0.systemSecondsPerGiB },
    figure(
      "cpu_seconds_per_gib_system_error",
      "How far the system's CPU time per GiB may be off: a tick of each processor per repetition."
    ) { point in
      let moved = point.runs.reduce(0) { $0 + $1.movedBytes } / 1_073_741_824
      guard point.systemSecondsPerGiB.value != nil, moved > 0 else { return nil }
      let ticks = point.runs.count * MachineTopology.read().logicalProcessorCount
      return Double(ticks) / Double(ProcessorTime.ticksPerSecond) / moved
    },
    missing("stolen_seconds", "Seconds in which the host ran somebody else (steal).") {
      $0.stolenSeconds
    },
  ]

  /// The reasons of figures that are missing, by their names.
  static func reasons(of point: MeasuredPoint) -> [JSONValue.Member] {
    [
      ("cpu_seconds_per_gib_process", point.processSecondsPerGiB),
      ("cpu_seconds_per_gib_system", point.systemSecondsPerGiB),
      ("stolen_seconds", point.stolenSeconds),
    ].compactMap { name, figure in figure.reason.map { .init(name, .string($0)) } }
      + latencyReasons(of: point) + bandwidthReasons(of: point)
  }

  private static func bandwidthReasons(of point: MeasuredPoint) -> [JSONValue.Member] {
    guard point.bandwidth == nil else { return [] }
    return all.filter { $0.name.hasPrefix("bandwidth_") }.map {
      .init($0.name, .string("no byte was moved in the time of a measurement"))
    }
  }

  private static func latencyReasons(of point: MeasuredPoint) -> [JSONValue.Member] {
    let missing = all.filter { $0.name.hasPrefix("latency_") && $0.value(point) == .null }
    let reason =
      point.point.aspect == .bandwidth
      ? "bandwidth was measured" : "such accesses are shorter than the clock can tell"
    return missing.map { .init($0.name, .string(reason)) }
  }
}

extension MeasuredPoint {
  /// The point as a member of the document.
  var json: JSONValue {
    .object(
      SummaryField<MeasuredPoint>.all.map { .init($0.name, $0.value(self)) }
        + [.unavailable(SummaryField<MeasuredPoint>.reasons(of: self))])
  }
}

extension MeasureFindings {
  /// Names of the document that belong to no point.
  static let glossary: [(String, String)] = [
    ("target", "What was measured: place or profile, file system, bytes, instruction."),
    ("clock_ns_subtracted", "What two readings of the clock take; subtracted from latencies."),
    ("clock_ns_subtracted_with_fence", "The clock's time with the fence for stores."),
    ("memory_bytes", "Bytes of memory that were used."),
    ("is_model", "Whether figures are the model's, in virtual time."),
    ("calibrations", "The fewest threads within 5 % of the best bandwidth, by store instruction."),
    ("calibration_file", "Where the calibrations were stored; null where they were not."),
    ("curve", "Bandwidth by threads, from which a calibration was read."),
    ("files", "The same bytes by raw access, mmap, system calls and O_DIRECT."),
    ("arm", "The way to a file's bytes."),
    ("work", "What was done to the file: read, write, or write durably."),
    ("warnings", "What may have spoiled the figures."),
    ("stolen_share", "Share of the processors' time that the host gave to somebody else."),
    ("allows_turbo", "Whether clocks may rise above the rated one; null where unknown."),
    ("frequency_governors", "Who chooses the processors' clocks."),
    ("unavailable", "Why figures of the same object are null, by their names."),
  ]
}
