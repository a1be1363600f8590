// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCommands
import ArbiterDevice
import ArbiterMetrics
import ArbiterPlatform
import ArbiterProfiler
import ArbiterReport
import Testing

@Suite("Export: metrics of a reading")
struct WatchMetricsTests {
  @Test func `counts are told as they are, in base units`() throws {
    var watched = WatchedMetrics()
    let text = try watched.read(
      WatchFixture.reading(
        second: 1, devices: [WatchFixture.module(second: 1, imc: 1_009, media: 2_018)],
        tasks: [WatchFixture.gated(23, written: 1_000_003, cpu: 1_500_000_000)]))
    let device = ["device": "region0", "source": "module"]
    #expect(text.value("arbiter_device_imc_write_bytes_total", device) == 1_009)
    #expect(text.value("arbiter_device_imc_read_bytes_total", device) == 3_027)
    #expect(text.value("arbiter_device_media_write_bytes_total", device) == 2_018)
    #expect(text.value("arbiter_device_media_read_bytes_total", device) == 6_054)
    #expect(text.value("arbiter_device_gate_delay_seconds", ["device": "region0"]) == 1.5e-6)
    #expect(text.value("arbiter_device_gates", ["device": "region0"]) == 12)
    let task = ["process": "23", "command": "server"]
    let written = text.samples("arbiter_task_written_bytes_total")
    #expect(written.map(\.labels) == [task.merging(["source": "gates"]) { $1 }])
    #expect(written.map(\.value) == [1_000_003])
    #expect(text.value("arbiter_task_cpu_seconds_total", task) == 1.5)
    #expect(text.value("arbiter_task_mapped_bytes", task) == 1_099_511_627_776)
    let ticks = Double(ProcessorTime.ticksPerSecond)
    #expect(text.value("arbiter_machine_cpu_seconds_total", ["mode": "user"]) == 1_000 / ticks)
    #expect(text.value("arbiter_machine_cpu_seconds_total", ["mode": "steal"]) == 8 / ticks)
    #expect(text.value("arbiter_readings_total") == 1)
    #expect(text.value("arbiter_reading_age_seconds") == 2.5)
    #expect(text.value("arbiter_tasks", ["state": "named"]) == 1)
  }

  @Test func `amplification is that of the last interval`() throws {
    var watched = WatchedMetrics()
    var texts: [MetricsText] = []
    for (second, imc, media) in [(1, 1_000, 9_000), (2, 3_000, 15_000), (3, 7_000, 17_000)] {
      let device = WatchFixture.module(
        second: Int64(second), imc: UInt64(imc), media: UInt64(media))
      texts.append(
        try watched.read(WatchFixture.reading(second: Int64(second), devices: [device])))
    }
    let name = "arbiter_device_write_amplification_ratio"
    #expect(texts.map { $0.value(name) } == [nil, 3, 0.5])
    #expect(reason(of: name, in: texts[0]) == "it takes two readings and there is one so far")
    #expect(reason(of: name, in: texts[1]) == nil)
    #expect(texts[2].value("arbiter_device_read_amplification_ratio") == 0.5)
  }

  @Test func `counters that are refreshed less often keep their last amplification`() throws {
    var watched = WatchedMetrics()
    let name = "arbiter_device_write_amplification_ratio"
    for (second, counted, imc) in [(1, 1, 1_000), (2, 2, 3_000), (3, 2, 3_000)] {
      let device = WatchFixture.module(
        second: Int64(counted), imc: UInt64(imc), media: UInt64(imc) * 2)
      let text = try watched.read(WatchFixture.reading(second: Int64(second), devices: [device]))
      #expect(text.value(name) == (second == 1 ? nil : 2))
    }
  }

  @Test(arguments: [
    (UInt64(3_000), CounterSource.module, "nothing was written between the last two readings"),
    (2_000, .module, "the counters were reset since the reading before"),
    (4_000, .model, "the source of the counters has changed since the reading before"),
  ])
  func `amplification that cannot be told has a reason`(
    imc: UInt64, source: CounterSource, expected: String
  ) throws {
    var watched = WatchedMetrics()
    let first = WatchFixture.module(second: 1, imc: 3_000, media: 3_000)
    var second = WatchFixture.module(second: 2, imc: imc, media: 3_000)
    second.counters.source = source
    _ = try watched.read(WatchFixture.reading(second: 1, devices: [first]))
    let text = try watched.read(WatchFixture.reading(second: 2, devices: [second]))
    let name = "arbiter_device_write_amplification_ratio"
    #expect(text.samples(name).isEmpty)
    #expect(reason(of: name, in: text) == expected)
  }

  @Test func `what a source cannot see is left out and named with its reason`() throws {
    var watched = WatchedMetrics()
    let text = try watched.read(
      WatchFixture.reading(
        second: 1, devices: [WatchFixture.controller(second: 1, imc: 77)],
        tasks: [WatchFixture.gated(5, written: 1)],
        blindSpots: ["Of 17 runs, 3.5% are lost.", "Of 18 runs, 4.5% are lost."]))
    #expect(text.value("arbiter_device_imc_write_bytes_total") == 77)
    for name in [
      "arbiter_device_imc_read_bytes_total", "arbiter_device_media_write_bytes_total",
      "arbiter_device_media_read_bytes_total", "arbiter_device_write_amplification_ratio",
    ] {
      #expect(text.samples(name).isEmpty)
      #expect(reason(of: name, in: text) == "the processor does not see the medium")
    }
    #expect(reason(of: "arbiter_device_gates", in: text) == "no run gates it")
    let loads = text.samples("arbiter_unavailable_info").filter {
      $0.labels["figure"] == "arbiter_task_read_bytes_total"
    }
    #expect(loads.map { $0.labels["process"] } == ["5"])
    #expect(loads.map { $0.labels["reason"] } == ["gates count no loads"])
    // Numbers in labels would be new series for ever.
    let spots = text.samples("arbiter_blind_spot_info").map { $0.labels["sentence"] }
    #expect(spots == ["Of N runs, N are lost."])
  }

  @Test func `a machine without slow memory says so of every figure of a device`() throws {
    var watched = WatchedMetrics()
    var reading = WatchFixture.reading(second: 1)
    reading.processorTime = .unavailable("/proc is not mounted")
    let text = try watched.read(reading)
    let name = "arbiter_device_media_write_bytes_total"
    #expect(reason(of: name, in: text) == "this machine shows no slow memory")
    #expect(
      reason(of: "arbiter_machine_cpu_seconds_total", in: text) == "/proc is not mounted")
    #expect(text.samples("arbiter_machine_cpu_seconds_total").isEmpty)
  }

  @Test func `figures of different measures never share a name`() throws {
    for (backEnd, name, value) in [
      (BackEnd.pebs, "arbiter_task_written_bytes_total", 2e9),
      (.timer, "arbiter_task_write_cost_seconds_total", 2),
      (.faults, "arbiter_task_write_first_touch_bytes_total", 2e9),
    ] {
      var watched = WatchedMetrics()
      let text = try watched.read(
        WatchFixture.reading(second: 1, tasks: [WatchFixture.sampled(9, by: backEnd)]))
      let writes = text.families.flatMap(\.samples).filter {
        $0.name.hasPrefix("arbiter_task_writ") && $0.name.hasSuffix("_total")
      }
      #expect(writes.map(\.name) == [name])
      #expect(writes.map(\.value) == [value])
      #expect(
        writes.first?.labels == [
          "process": "9", "command": "a\"b\\c", "source": backEnd.rawValue,
        ])
    }
  }

  @Test func `an estimate is told with its standard error`() throws {
    var watched = WatchedMetrics()
    let text = try watched.read(
      WatchFixture.reading(
        second: 1,
        tasks: [WatchFixture.sampled(9, by: .timer), WatchFixture.gated(3, written: 5)]))
    #expect(text.value("arbiter_task_write_cost_standard_error_seconds") == 0.1)
    #expect(text.value("arbiter_task_read_cost_standard_error_seconds") == 0.3)
    // What is counted has none.
    #expect(text.samples("arbiter_task_written_standard_error_bytes").isEmpty)
  }

  @Test(arguments: [Double.nan, .infinity])
  func `a source's nonsense is unavailable`(number: Double) throws {
    var watched = WatchedMetrics()
    var device = WatchFixture.module(second: 1, imc: 1, media: 1)
    device.delayNanoseconds = .known(number)
    let text = try watched.read(
      WatchFixture.reading(
        second: 1, devices: [device], tasks: [WatchFixture.gated(3, written: number)]))
    for name in ["arbiter_device_gate_delay_seconds", "arbiter_task_written_bytes_total"] {
      #expect(text.samples(name).isEmpty)
      #expect(reason(of: name, in: text) == "its source gave no finite number")
    }
  }

  /// The only reason that is given for the lack of a figure; nil where it is not lacking.
  private func reason(of figure: String, in text: MetricsText) -> String? {
    let found = text.samples("arbiter_unavailable_info").filter { $0.labels["figure"] == figure }
    return found.count == 1 ? found.first?.labels["reason"] : nil
  }
}

@Suite("Export: tasks with names of their own")
struct TaskRosterTests {
  private func written(_ text: MetricsText) -> [String: Double] {
    Dictionary(
      uniqueKeysWithValues: text.samples("arbiter_task_written_bytes_total").map {
        ($0.labels["process"] ?? "", $0.value)
      })
  }

  @Test func `at most as many tasks as asked for have series, the rest is one`() throws {
    var watched = WatchedMetrics(tasksMax: 2)
    for round in 1...4 {
      let tasks = (1...50).map { process in
        WatchFixture.gated(Int32(process), written: Double(process * 1_000 * round))
      }
      let text = try watched.read(WatchFixture.reading(second: Int64(round), tasks: tasks))
      var expected = ["50": 50_000.0 * Double(round), "49": 49_000 * Double(round)]
      // Of others, what they did since they were first seen.
      if round > 1 { expected["other"] = Double((1...48).reduce(0, +) * 1_000 * (round - 1)) }
      #expect(written(text) == expected)
      #expect(text.value("arbiter_tasks", ["state": "named"]) == 2)
      #expect(text.value("arbiter_tasks", ["state": "other"]) == 48)
    }
  }

  @Test func `what others did never shrinks when one of them gets a name or ends`() throws {
    var watched = WatchedMetrics(tasksMax: 1)
    func round(_ second: Int64, _ tasks: [(Int32, Double)]) throws -> [String: Double] {
      written(
        try watched.read(
          WatchFixture.reading(
            second: second, tasks: tasks.map { WatchFixture.gated($0.0, written: $0.1) })))
    }
    #expect(try round(1, [(1, 900), (2, 500), (3, 100)]) == ["1": 900])
    #expect(try round(2, [(1, 901), (2, 510), (3, 107)]) == ["1": 901, "other": 17])
    // The first one ends and another takes its place.
    #expect(try round(3, [(2, 520), (3, 108)]) == ["2": 520, "other": 28])
    #expect(try round(4, [(2, 530)]) == ["2": 530, "other": 28])
  }

  @Test func `a task keeps its name however others outrank it, until it is idle for long`() throws {
    var watched = WatchedMetrics(tasksMax: 1)
    func round(_ second: Int64, _ first: Double, _ second2: Double) throws -> Set<String> {
      let tasks = [WatchFixture.gated(1, written: first), WatchFixture.gated(2, written: second2)]
      let text = try watched.read(WatchFixture.reading(second: second, tasks: tasks))
      return Set(written(text).keys).subtracting(["other"])
    }
    #expect(try round(1, 10, 0) == ["1"])
    #expect(try round(200, 11, 1_000_000) == ["1"])
    #expect(try round(500, 11, 2_000_000) == ["1"])
    #expect(try round(501, 11, 3_000_000) == ["2"])
  }

  @Test func `a process number that is used again is another task`() throws {
    var watched = WatchedMetrics(tasksMax: 10)
    let old = WatchFixture.gated(7, started: 1, command: "old", written: 900)
    let new = WatchFixture.gated(7, started: 5, command: "new", written: 3)
    _ = try watched.read(WatchFixture.reading(second: 1, tasks: [old]))
    let text = try watched.read(WatchFixture.reading(second: 2, tasks: [old, new]))
    #expect(text.value("arbiter_task_written_bytes_total", ["command": "new"]) == 3)
    #expect(text.samples("arbiter_task_written_bytes_total").count == 1)
  }

  @Test func `without names all tasks are one`() throws {
    var watched = WatchedMetrics(tasksMax: 0)
    for round in 1...3 {
      let task = WatchFixture.gated(7, written: Double(round) * 100, cpu: UInt64(round) << 30)
      let text = try watched.read(WatchFixture.reading(second: Int64(round), tasks: [task]))
      #expect(written(text) == (round == 1 ? [:] : ["other": Double(round - 1) * 100]))
    }
  }
}
