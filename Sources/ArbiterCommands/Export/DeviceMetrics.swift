// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterMetrics
internal import ArbiterProfiler
internal import ArbiterReport

/// The last two snapshots of a device's counters that differ in time.
///
/// A source may refresh its counts less often than they are read; two readings of one refreshment
/// are one snapshot.
struct DeviceHistory: Sendable {
  private(set) var earlier: CounterSnapshot?
  private(set) var latest: CounterSnapshot?

  mutating func take(_ snapshot: CounterSnapshot) {
    guard snapshot.timeNanoseconds != latest?.timeNanoseconds || snapshot.source != latest?.source
    else { return }
    earlier = latest
    latest = snapshot
  }

  /// What happened between the two, or why that cannot be said.
  var interval: Figure<CounterDelta> {
    guard let earlier, let latest else {
      return .unavailable("it takes two readings and there is one so far")
    }
    guard earlier.source == latest.source else {
      return .unavailable("the source of the counters has changed since the reading before")
    }
    return Figure(
      CounterDelta(from: earlier, to: latest),
      otherwise: "the counters were reset since the reading before")
  }
}

/// What is told of a device.
enum DeviceMetrics {
  private typealias Counter = (
    family: MetricFamily, value: @Sendable (CounterSnapshot) -> UInt64?
  )

  private static let counters: [Counter] = [
    (
      bytes("imc_write", "Bytes that the memory controllers sent to be written."),
      { $0.imcWriteBytes }
    ),
    (bytes("imc_read", "Bytes that the memory controllers asked to read."), { $0.imcReadBytes }),
    (bytes("media_write", "Bytes that the medium wrote."), { $0.mediaWriteBytes }),
    (bytes("media_read", "Bytes that the medium read."), { $0.mediaReadBytes }),
  ]

  private static func bytes(_ name: String, _ help: String) -> MetricFamily {
    MetricFamily("arbiter_device_\(name)_bytes", .counter, unit: "bytes", help: help)
  }

  private static let writeAmplification = MetricFamily(
    "arbiter_device_write_amplification_ratio", .gauge, unit: "ratio",
    help: "Media write bytes by iMC write bytes, between the last two readings.")
  private static let readAmplification = MetricFamily(
    "arbiter_device_read_amplification_ratio", .gauge, unit: "ratio",
    help: "Media read bytes by iMC read bytes, between the last two readings.")
  private static let delay = MetricFamily(
    "arbiter_device_gate_delay_seconds", .gauge, unit: "seconds",
    help: "Time that each gate waits before an access, as the controller has set it.")
  private static let gates = MetricFamily(
    "arbiter_device_gates", .gauge, help: "Gates of running threads that are attached.")

  static func add(
    _ device: WatchedDevice, _ history: DeviceHistory, to collector: inout MetricsCollector
  ) {
    let subject = MetricsCollector.Subject.device(device.name)
    let source = device.counters.source
    let name = MetricLabel("device", device.name)
    let labels = [name, MetricLabel("source", source.rawValue)]
    let absence =
      device.reasonForAbsence
      ?? (source == .unavailable
        ? "nothing on this machine counts it" : "the source '\(source.rawValue)' does not see it")
    for counter in counters {
      collector.add(
        Figure(counter.value(device.counters), otherwise: absence), to: counter.family, labels,
        of: subject)
    }
    let seen = device.counters
    let seesReads = seen.imcReadBytes != nil && seen.mediaReadBytes != nil
    collector.add(
      ratio(
        history, isSeen: seen.seesAmplification, absence, "written",
        { $0.writeAmplification() }),
      to: writeAmplification, labels, of: subject)
    collector.add(
      ratio(history, isSeen: seesReads, absence, "read", { $0.readAmplification }),
      to: readAmplification, labels, of: subject)
    collector.add(device.delayNanoseconds.map { $0 / 1e9 }, to: delay, [name], of: subject)
    collector.add(device.gateCount.map { UInt64(max(0, $0)) }, to: gates, [name], of: subject)
  }

  /// Names the figures that a machine without slow memory does not have.
  static func addAbsence(to collector: inout MetricsCollector) {
    let families = counters.map(\.family) + [writeAmplification, readAmplification]
    for family in families {
      collector.add(
        Figure<Double>.unavailable("this machine shows no slow memory"), to: family, of: .machine)
    }
  }

  private static func ratio(
    _ history: DeviceHistory, isSeen: Bool, _ absence: String, _ done: String,
    _ ratio: (CounterDelta) -> Double?
  ) -> Figure<Double> {
    guard isSeen else { return .unavailable(absence) }
    switch history.interval {
    case .unavailable(let reason): return .unavailable(reason)
    case .known(let interval):
      return Figure(
        ratio(interval), otherwise: "nothing was \(done) between the last two readings")
    }
  }
}
