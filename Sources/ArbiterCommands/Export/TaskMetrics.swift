// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterProfiler
internal import ArbiterReport

/// What is told of a task.
///
/// Figures of different measures bear different names, as they must not be added or compared:
/// bytes, time-weighted cost, first touches.
enum TaskMetrics {
  /// The families of one measure, for one direction.
  private struct Access {
    var total: MetricFamily
    /// nil where the measure is counted and not estimated.
    var error: MetricFamily?
    /// By what the back-end's figures are divided to give the family's unit.
    var divisor: Double

    init(_ name: String, unit: String, divisor: Double = 1, isEstimate: Bool, help: String) {
      total = MetricFamily("arbiter_task_\(name)_\(unit)", .counter, unit: unit, help: help)
      error =
        isEstimate
        ? MetricFamily(
          "arbiter_task_\(name)_standard_error_\(unit)", .gauge, unit: unit,
          help: "One standard deviation of arbiter_task_\(name)_\(unit)_total, which is estimated.")
        : nil
      self.divisor = divisor
    }
  }

  private static let writtenBytes = Access(
    "written", unit: "bytes", isEstimate: true,
    help:
      "Bytes that the process stored to slow memory, or to all where there is none, by what the "
      + "source sees.")
  private static let readBytes = Access(
    "read", unit: "bytes", isEstimate: true,
    help:
      "Bytes that the process loaded from slow memory, or from all where there is none, by what "
      + "the source sees.")
  private static let writeCost = Access(
    "write_cost", unit: "seconds", divisor: 1e9, isEstimate: true,
    help: "Time that the process spent at stores: a cost that ranks, and no count of stores.")
  private static let readCost = Access(
    "read_cost", unit: "seconds", divisor: 1e9, isEstimate: true,
    help: "Time that the process spent at loads: a cost that ranks, and no count of loads.")
  private static let writeTouches = Access(
    "write_first_touch", unit: "bytes", isEstimate: false,
    help: "Bytes of pages that the process touched for the first time by writing.")
  private static let readTouches = Access(
    "read_first_touch", unit: "bytes", isEstimate: false,
    help: "Bytes of pages that the process touched for the first time by reading.")

  private static let mapped = MetricFamily(
    "arbiter_task_mapped_bytes", .gauge, unit: "bytes",
    help: "Bytes of slow memory that the process maps.")
  private static let delayed = MetricFamily(
    "arbiter_task_gate_delay_seconds", .counter, unit: "seconds",
    help: "Time that gates made the process wait.")
  private static let cpu = MetricFamily(
    "arbiter_task_cpu_seconds", .counter, unit: "seconds", help: "CPU time of the process.")

  /// How many tasks there are.
  static let count = MetricFamily(
    "arbiter_tasks", .gauge,
    help: "Tasks that use slow memory: named ones, and others that are told as one.")

  private static func accesses(_ backEnd: BackEnd?) -> (written: Access, read: Access) {
    switch backEnd?.measure {
    case .accessedBytes?, .storedBytes?, nil: (writtenBytes, readBytes)
    case .timeWeightedStoreCost?: (writeCost, readCost)
    case .firstTouches?: (writeTouches, readTouches)
    }
  }

  static func add(_ task: WatchedTask, to collector: inout MetricsCollector) {
    let number = String(task.process)
    let subject = MetricsCollector.Subject.process(number)
    let labels = [MetricLabel("process", number), MetricLabel("command", task.command)]
    let sourced = labels + [MetricLabel("source", source(task.backEnd))]
    let accesses = accesses(task.backEnd)
    for (figure, access) in [(task.written, accesses.written), (task.read, accesses.read)] {
      collector.add(
        figure.map { $0.value / access.divisor }, to: access.total, sourced, of: subject)
      if let error = access.error, let estimate = figure.value, estimate.standardError > 0,
        let value = MetricValue(estimate.standardError / access.divisor)
      {
        collector.add(value, to: error, sourced)
      }
    }
    collector.add(task.mappedBytes, to: mapped, labels, of: subject)
    collector.add(task.delayedNanoseconds.map { $0 / 1e9 }, to: delayed, labels, of: subject)
    collector.add(task.cpuNanoseconds.map { Double($0) / 1e9 }, to: cpu, labels, of: subject)
  }

  /// Tells what tasks without a name did; nothing of figures that none of them had.
  static func addOthers(
    _ others: [BackEnd?: TaskRoster.Totals], to collector: inout MetricsCollector
  ) {
    let labels = [MetricLabel("process", "other"), MetricLabel("command", "other")]
    var waited: Double?
    var spent: Double?
    for (backEnd, totals) in others.sorted(by: { source($0.key) < source($1.key) }) {
      let sourced = labels + [MetricLabel("source", source(backEnd))]
      let accesses = accesses(backEnd)
      for (sum, access) in [(totals.written, accesses.written), (totals.read, accesses.read)] {
        guard let value = sum.flatMap({ MetricValue($0 / access.divisor) }) else { continue }
        collector.add(value, to: access.total, sourced)
      }
      if let delay = totals.delayed { waited = (waited ?? 0) + delay }
      if let time = totals.cpu { spent = (spent ?? 0) + time }
    }
    for (sum, family) in [(waited, delayed), (spent, cpu)] {
      guard let value = sum.flatMap({ MetricValue($0 / 1e9) }) else { continue }
      collector.add(value, to: family, labels)
    }
  }

  private static func source(_ backEnd: BackEnd?) -> String { backEnd?.rawValue ?? "unknown" }
}
