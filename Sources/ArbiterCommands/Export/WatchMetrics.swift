// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterMetrics
internal import ArbiterPlatform
package import ArbiterProfiler
package import ArbiterReport
package import ArbiterTiering

/// Makes metrics of readings, one after the other.
///
/// Counts are told as they are, cumulative; only amplification is a gauge of the last interval,
/// as it says nothing over the life of a machine. What else is a rate or a ratio is left to the
/// server that collects (the ready rules of `Documentation/prometheus/arbiter-alerts.yml`).
package struct WatchMetrics: Sendable {
  /// Facts of the sampler about a reading.
  package struct ReadingFacts: Sendable, Hashable {
    /// Readings since the exporter started, this one included.
    package var count: UInt64
    /// When it was taken, in seconds since 1970.
    package var unixSeconds: Double
    /// How long taking it took, in seconds.
    package var durationSeconds: Double

    /// Makes facts.
    package init(count: UInt64, unixSeconds: Double, durationSeconds: Double) {
      self.count = count
      self.unixSeconds = unixSeconds
      self.durationSeconds = durationSeconds
    }
  }

  private var devices: [String: DeviceHistory] = [:]
  private var roster: TaskRoster

  /// Makes metrics of no reading yet.
  ///
  /// - Parameter tasksMax: How many tasks get series of their own; at least 0.
  package init(tasksMax: Int) {
    roster = TaskRoster(namedMax: tasksMax)
  }

  /// Makes the metrics of a reading, and of sessions of `arbiter tier`.
  package mutating func families(
    of reading: WatchReading, tiers: [TierNote] = [], _ facts: ReadingFacts
  ) -> [MetricFamily] {
    var collector = MetricsCollector()
    Self.addExporter(facts, to: &collector)
    Self.addMachine(reading, to: &collector)
    var seen: Set<String> = []
    for device in reading.devices where seen.insert(device.name).inserted {
      var history = devices[device.name] ?? DeviceHistory()
      history.take(device.counters)
      devices[device.name] = history
      DeviceMetrics.add(device, history, to: &collector)
    }
    devices = devices.filter { seen.contains($0.key) }
    if seen.isEmpty { DeviceMetrics.addAbsence(to: &collector) }
    let told = roster.divide(reading.tasks, atNanoseconds: reading.timeNanoseconds)
    for task in told.named { TaskMetrics.add(task, to: &collector) }
    TaskMetrics.addOthers(roster.others, to: &collector)
    let states = [("named", told.named.count), ("other", told.otherCount)]
    for (state, count) in states {
      collector.add(
        MetricValue(UInt64(count)), to: TaskMetrics.count, [MetricLabel("state", state)])
    }
    SamplingMetrics.add(reading.sampling, to: &collector)
    for note in tiers { TierMetrics.add(note, to: &collector) }
    for sentence in Set(reading.blindSpots.map(MetricsCollector.stable)).sorted() {
      collector.add(
        MetricValue(UInt64(1)), to: Self.blindSpot, [MetricLabel("sentence", sentence)])
    }
    return collector.result
  }

  // MARK: - The exporter and the machine

  private static let build = MetricFamily(
    "arbiter_build", .info, help: "The version of Arbiter that tells these metrics.")
  private static let readings = MetricFamily(
    "arbiter_readings", .counter, help: "Readings of all counters since the exporter started.")
  private static let readAt = MetricFamily(
    "arbiter_reading_timestamp_seconds", .gauge, unit: "seconds",
    help: "When the figures were read, in seconds since 1970.")
  private static let duration = MetricFamily(
    "arbiter_reading_duration_seconds", .gauge, unit: "seconds",
    help: "How long reading the figures took.")
  private static let processorTime = MetricFamily(
    "arbiter_machine_cpu_seconds", .counter, unit: "seconds",
    help: "Time of all processors since the machine started, by what it went into (/proc/stat); "
      + "steal was spent by nobody here.")
  private static let blindSpot = MetricFamily(
    "arbiter_blind_spot", .info,
    help: "What cannot be seen on this machine, as a sentence that names the remedy.")

  /// The age of the reading, which only who asks can know.
  package static func age(seconds: Double) -> MetricFamily {
    var family = MetricFamily(
      "arbiter_reading_age_seconds", .gauge, unit: "seconds",
      help: "How long ago the figures were read, when they were asked for.")
    if let value = MetricValue(max(0, seconds)) { family.add(value) }
    return family
  }

  private static func addExporter(_ facts: ReadingFacts, to collector: inout MetricsCollector) {
    collector.add(
      MetricValue(UInt64(1)), to: build, [MetricLabel("version", Version.text)])
    collector.add(MetricValue(facts.count), to: readings)
    collector.add(.known(facts.unixSeconds), to: readAt, of: .machine)
    collector.add(.known(facts.durationSeconds), to: duration, of: .machine)
  }

  private static func addMachine(_ reading: WatchReading, to collector: inout MetricsCollector) {
    let modes: [(String, KeyPath<ProcessorTime, UInt64>)] = [
      ("user", \.user), ("nice", \.nice), ("system", \.system), ("idle", \.idle),
      ("iowait", \.waitingForDisk), ("irq", \.interrupts), ("softirq", \.softInterrupts),
      ("steal", \.stolen),
    ]
    for (name, ticks) in modes {
      let seconds = reading.processorTime.map {
        Double($0[keyPath: ticks]) / Double(ProcessorTime.ticksPerSecond)
      }
      collector.add(seconds, to: processorTime, [MetricLabel("mode", name)], of: .machine)
    }
  }
}
