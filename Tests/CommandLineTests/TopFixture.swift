// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCommands
import ArbiterDevice
import ArbiterMetrics
import ArbiterPlatform
import ArbiterProfiler

/// A machine as `arbiter top` may see it.
enum TopFixture {
  static func screen(
    columns: Int, rows: Int, state: TopState = TopState(), isFirst: Bool = false,
    isBare: Bool = false
  ) -> String {
    let view =
      isBare ? view(deviceCount: 0, taskCount: 0, isFirst: isFirst) : view(isFirst: isFirst)
    return TopScreen.render(view, state, columns: columns, rows: rows).joined(separator: "\n")
  }

  static func view(
    deviceCount: Int = 2, taskCount: Int = 3, isFirst: Bool = false, command: String = "writer"
  ) -> TopView {
    var tracker = WatchTracker()
    var interval = tracker.add(reading(0, deviceCount, taskCount, command))
    if !isFirst { interval = tracker.add(reading(1, deviceCount, taskCount, command)) }
    return TopView(
      place: TopPlace(host: "mica", processorCount: 4), clock: "14:05:59", interval: interval)
  }

  private static func reading(
    _ second: Int, _ deviceCount: Int, _ taskCount: Int, _ command: String
  ) -> WatchReading {
    let ticks = UInt64(second) * ProcessorTime.ticksPerSecond
    return WatchReading(
      timeNanoseconds: Int64(second) * 1_000_000_000,
      processorTime: .known(
        ProcessorTime(
          user: ticks, nice: 0, system: 0, idle: 3 * ticks, waitingForDisk: 0, interrupts: 0,
          softInterrupts: 0, stolen: 0)),
      devices: (0..<deviceCount).map { device($0, second) },
      tasks: (0..<taskCount).map { task($0, second, command) },
      blindSpots: deviceCount == 0 ? ["This machine shows no slow memory."] : [])
  }

  private static func device(_ index: Int, _ second: Int) -> WatchedDevice {
    let unit = UInt64(second) << 30
    let seesMedia = index % 2 == 0
    return WatchedDevice(
      name: "region\(index)",
      counters: CounterSnapshot(
        timeNanoseconds: Int64(second) * 1_000_000_000,
        source: seesMedia ? .module : .memoryController, imcWriteBytes: unit,
        imcReadBytes: unit, mediaWriteBytes: seesMedia ? 4 * unit : nil,
        mediaReadBytes: seesMedia ? 2 * unit : nil),
      reasonForAbsence: seesMedia ? nil : "memory controllers do not see the medium",
      delayNanoseconds: seesMedia ? .known(740) : .unavailable("no run gates it"),
      gateCount: seesMedia ? .known(3) : .unavailable("no run gates it"))
  }

  private static func task(_ index: Int, _ second: Int, _ command: String) -> WatchedTask {
    let isGated = index % 3 != 2
    let written = Double(second * (3 - index) * 100_000_000)
    return WatchedTask(
      process: Int32(4711 + index), startTicks: 9, command: isGated ? command : "reader",
      mappedBytes: .known(UInt64(index + 1) << 30),
      written: isGated
        ? .known(.exact(written)) : .unavailable("only stores under arbiter run are counted"),
      read: .unavailable("gates count no loads"), backEnd: isGated ? .gates : nil,
      delayedNanoseconds: isGated
        ? .known(Double(second) * 1e8) : .unavailable("it passes no gate"),
      cpuNanoseconds: .known(UInt64(second * (index + 1)) * 150_000_000))
  }
}
