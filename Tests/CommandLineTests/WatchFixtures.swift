// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCommands
import ArbiterDevice
import ArbiterMetrics
import ArbiterPlatform
import ArbiterProfiler
import ArbiterReport

/// Readings as a machine with slow memory would give them.
enum WatchFixture {
  /// A reading at a second.
  static func reading(
    second: Int64, devices: [WatchedDevice] = [], tasks: [WatchedTask] = [],
    blindSpots: [String] = []
  ) -> WatchReading {
    WatchReading(
      timeNanoseconds: second * 1_000_000_000,
      processorTime: .known(
        ProcessorTime(
          user: 1_000, nice: 20, system: 300, idle: 4_000, waitingForDisk: 50, interrupts: 6,
          softInterrupts: 7, stolen: 8)),
      devices: devices, tasks: tasks, blindSpots: blindSpots)
  }

  /// A device of the module's own counters, which see everything.
  static func module(second: Int64, imc: UInt64, media: UInt64) -> WatchedDevice {
    WatchedDevice(
      name: "region0",
      counters: CounterSnapshot(
        timeNanoseconds: second * 1_000_000_000, source: .module, imcWriteBytes: imc,
        imcReadBytes: imc * 3, mediaWriteBytes: media, mediaReadBytes: media * 3),
      reasonForAbsence: nil, delayNanoseconds: .known(1_500), gateCount: .known(12))
  }

  /// A device of which the medium is not seen.
  static func controller(second: Int64, imc: UInt64) -> WatchedDevice {
    WatchedDevice(
      name: "region1",
      counters: CounterSnapshot(
        timeNanoseconds: second * 1_000_000_000, source: .memoryController, imcWriteBytes: imc),
      reasonForAbsence: "the processor does not see the medium",
      delayNanoseconds: .unavailable("no run gates it"), gateCount: .unavailable("no run gates it"))
  }

  /// A task that passes gates.
  static func gated(
    _ process: Int32, started: UInt64 = 1, command: String = "server", written: Double,
    cpu: UInt64 = 0
  ) -> WatchedTask {
    WatchedTask(
      process: process, startTicks: started, command: command, mappedBytes: .known(1 << 40),
      written: .known(.exact(written)), read: .unavailable("gates count no loads"),
      backEnd: .gates, delayedNanoseconds: .known(written / 2), cpuNanoseconds: .known(cpu))
  }

  /// A task that a back-end samples.
  static func sampled(_ process: Int32, by backEnd: BackEnd) -> WatchedTask {
    WatchedTask(
      process: process, startTicks: 1, command: "a\"b\\c", mappedBytes: .unavailable("denied"),
      written: .known(Estimate(2e9, standardError: 1e8)),
      read: .known(Estimate(5e9, standardError: 3e8)), backEnd: backEnd,
      delayedNanoseconds: .unavailable("no gate"), cpuNanoseconds: .unavailable("gone"))
  }
}

/// Metrics of readings, one after the other, read back from their text.
struct WatchedMetrics {
  private var metrics: WatchMetrics
  private var count: UInt64 = 0

  init(tasksMax: Int = 100) {
    metrics = WatchMetrics(tasksMax: tasksMax)
  }

  /// Both forms are read; that of OpenMetrics is returned.
  mutating func read(_ reading: WatchReading) throws -> MetricsText {
    count += 1
    let families = metrics.families(
      of: reading, .init(count: count, unixSeconds: 1.5e9, durationSeconds: 0.25))
    let page = MetricsPage(families, readNanoseconds: 0)
    _ = try MetricsText(page.text(.text, nowNanoseconds: nil), .text)
    return try MetricsText(page.text(.openMetrics, nowNanoseconds: 2_500_000_000), .openMetrics)
  }
}
