// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterMetrics
import ArbiterPlatform
import ArbiterProfiler
import Testing

@Suite("Watch: intervals of readings")
struct WatchTrackerTests {
  private static let gibibyte: UInt64 = 1 << 30

  /// A reading at a time of a device whose counters were read at another.
  private func reading(
    seconds: Double, busy: UInt64 = 0, idle: UInt64 = 0, stolen: UInt64 = 0,
    counters: CounterSnapshot? = nil, tasks: [WatchedTask] = []
  ) -> WatchReading {
    let devices = counters.map {
      WatchedDevice(
        name: "region0", counters: $0, reasonForAbsence: "the units see no media",
        delayNanoseconds: .known(0), gateCount: .known(0))
    }
    return WatchReading(
      timeNanoseconds: Int64(seconds * 1e9),
      processorTime: .known(
        ProcessorTime(
          user: busy, nice: 0, system: 0, idle: idle, waitingForDisk: 0, interrupts: 0,
          softInterrupts: 0, stolen: stolen)),
      devices: devices.map { [$0] } ?? [], tasks: tasks, blindSpots: [])
  }

  private func counters(
    seconds: Double, writes: UInt64?, reads: UInt64? = 0, media: UInt64? = nil,
    mediaReads: UInt64? = nil, source: CounterSource = .module
  ) -> CounterSnapshot {
    CounterSnapshot(
      timeNanoseconds: Int64(seconds * 1e9), source: source, imcWriteBytes: writes,
      imcReadBytes: reads, mediaWriteBytes: media, mediaReadBytes: mediaReads)
  }

  private func task(
    _ process: Int32, start: UInt64 = 1, written: Double?, error: Double = 0, cpu: UInt64 = 0,
    backEnd: BackEnd? = .gates
  ) -> WatchedTask {
    WatchedTask(
      process: process, startTicks: start, command: "writer", mappedBytes: .known(0),
      written: Figure(
        written.map { Estimate($0, standardError: error) }, otherwise: "nobody counts"),
      read: .unavailable("gates count no loads"), backEnd: backEnd,
      delayedNanoseconds: .known(0), cpuNanoseconds: .known(cpu))
  }

  @Test func `a first reading has no rate, and says that it takes two`() {
    var tracker = WatchTracker()
    let interval = tracker.add(
      reading(
        seconds: 5, busy: 100, counters: counters(seconds: 5, writes: 700, media: 900),
        tasks: [task(23, written: 1009)]))
    #expect(interval.seconds.reason == WatchTracker.measuring)
    #expect(interval.busyShare.reason == WatchTracker.measuring)
    #expect(interval.cpuSecondsPerGiB.reason == WatchTracker.measuring)
    #expect(interval.devices[0].imcWriteRate.reason == WatchTracker.measuring)
    #expect(interval.devices[0].writeAmplification.reason == WatchTracker.measuring)
    #expect(interval.tasks[0].writeRate.reason == WatchTracker.measuring)
    #expect(interval.tasks[0].cpuShare.reason == WatchTracker.measuring)
    #expect(interval.tasks[0].task.written.value == .exact(1009))
  }

  @Test func `rates, amplification and CPU seconds per GiB are those of a hand computation`() {
    let tick = Double(ProcessorTime.ticksPerSecond)
    let gib = Self.gibibyte
    var tracker = WatchTracker()
    _ = tracker.add(
      reading(
        seconds: 1, busy: 50, idle: 950, stolen: 7,
        counters: counters(seconds: 1, writes: gib, reads: 0, media: 3 * gib, mediaReads: 0)))
    let interval = tracker.add(
      reading(
        seconds: 3, busy: 350, idle: 1040, stolen: 17,
        counters: counters(
          seconds: 3, writes: 2 * gib, reads: gib, media: 7 * gib, mediaReads: 3 * gib)))
    let device = interval.devices[0]
    #expect(device.imcWriteRate.value == Double(gib) / 2)
    #expect(device.mediaWriteRate.value == Double(gib) * 2)
    #expect(device.writeAmplification.value == 4)
    #expect(device.readAmplification.value == 3)
    #expect(device.equivalentWriteRate.value == Double(gib) * 5 / 2)
    // 300 ticks for 2 GiB.
    let cost = 300 / tick / 2
    #expect(abs((device.cpuSecondsPerGiB.value ?? 0) - cost) < 1e-9)
    #expect(abs((interval.cpuSecondsPerGiB.value ?? 0) - cost) < 1e-9)
    #expect(interval.busyShare.value == 300.0 / 400)
    #expect(interval.stolenShare.value == 10.0 / 400)
  }

  @Test func `what a source does not see stays unavailable, and nothing is divided by nothing`() {
    var tracker = WatchTracker()
    _ = tracker.add(
      reading(
        seconds: 1, counters: counters(seconds: 1, writes: 0, source: .memoryController)))
    let device = tracker.add(
      reading(
        seconds: 2, counters: counters(seconds: 2, writes: 0, source: .memoryController))
    ).devices[0]
    #expect(device.imcWriteRate.value == 0)
    #expect(device.mediaWriteRate.reason == "the units see no media")
    #expect(device.writeAmplification.reason == "the units see no media")
    #expect(device.cpuSecondsPerGiB.reason == "nothing was moved")
  }

  @Test func `rates stand while counters are read less often, and not for ever`() {
    var tracker = WatchTracker()
    let first = counters(seconds: 1, writes: 0, media: 0)
    let second = counters(seconds: 2, writes: 4096, media: 8192)
    _ = tracker.add(reading(seconds: 1, counters: first))
    #expect(
      tracker.add(reading(seconds: 1.5, counters: first)).devices[0].imcWriteRate.reason
        == WatchTracker.measuring)
    for time in [2.0, 2.5, 4.9] {
      let device = tracker.add(reading(seconds: time, counters: second)).devices[0]
      #expect(device.imcWriteRate.value == 4096 && device.writeAmplification.value == 2)
    }
    let stale = tracker.add(reading(seconds: 5.5, counters: second)).devices[0]
    #expect(stale.imcWriteRate.reason == "its counters have not been read for 3 s")
  }

  @Test func `counters that begin anew, or come from elsewhere, make no rate`() {
    var tracker = WatchTracker()
    _ = tracker.add(reading(seconds: 1, counters: counters(seconds: 1, writes: 5000)))
    let reset = tracker.add(reading(seconds: 2, counters: counters(seconds: 2, writes: 10)))
    #expect(reset.devices[0].imcWriteRate.reason == "its counters began anew")
    let after = tracker.add(reading(seconds: 3, counters: counters(seconds: 3, writes: 33)))
    #expect(after.devices[0].imcWriteRate.value == 23)
    let other = tracker.add(
      reading(
        seconds: 4, counters: counters(seconds: 4, writes: 99, source: .memoryController)))
    #expect(other.devices[0].imcWriteRate.reason == WatchTracker.measuring)
  }

  @Test func `tasks have shares among those that are measured alike`() {
    var tracker = WatchTracker()
    _ = tracker.add(
      reading(
        seconds: 1,
        tasks: [
          task(1, written: 0), task(2, written: 100),
          task(3, written: 0, error: 3, backEnd: .timer), task(4, written: nil, backEnd: nil),
        ]))
    let tasks = tracker.add(
      reading(
        seconds: 3,
        tasks: [
          task(1, written: 800, cpu: 4_000_000_000), task(2, written: 300),
          task(3, written: 1e9, error: 5, backEnd: .timer), task(4, written: nil, backEnd: nil),
        ])
    ).tasks
    #expect(tasks[0].writeRate.value == .exact(400) && tasks[0].share.value == 0.8)
    #expect(tasks[1].writeRate.value == .exact(100) && tasks[1].share.value == 0.2)
    // Errors are those of what came since: 5 and 3 leave 4, over two seconds.
    #expect(tasks[2].writeRate.value == Estimate(5e8, standardError: 2))
    #expect(tasks[2].share.value == 1)
    #expect(tasks[3].writeRate.reason == "nobody counts" && tasks[3].share.value == nil)
    #expect(tasks[0].cpuShare.value == 2)
  }

  @Test func `another process of the same number has no rate yet`() {
    var tracker = WatchTracker()
    _ = tracker.add(reading(seconds: 1, tasks: [task(7, start: 11, written: 900)]))
    let tasks = tracker.add(reading(seconds: 2, tasks: [task(7, start: 12, written: 950)])).tasks
    #expect(tasks[0].writeRate.reason == WatchTracker.measuring)
    #expect(tasks[0].cpuShare.reason == WatchTracker.measuring)
  }
}
