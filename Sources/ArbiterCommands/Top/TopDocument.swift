// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterMetrics
internal import ArbiterProfiler
internal import ArbiterReport
internal import ArbiterTiering

extension WatchField where Subject == WatchInterval {
  /// What belongs to the machine.
  static let all: [WatchField] = [
    .number("interval_seconds", "Seconds since the reading before.") { $0.seconds },
    .number("cpu_busy_ratio", "CPU time that was spent, as a share of all processors' time.") {
      $0.busyShare
    },
    .number("cpu_steal_ratio", "Time in which the host ran somebody else, as the same share.") {
      $0.stolenShare
    },
    .number("cpu_seconds_per_gib", "CPU time of all processors for each GiB moved.") {
      $0.cpuSecondsPerGiB
    },
  ]
}

extension WatchField where Subject == DeviceInterval {
  /// What belongs to a device.
  static let all: [WatchField] =
    [
      .text("device", "The interleave set or other slow memory.") { $0.device.name },
      .text("counter_source", "Where the figures of the device come from.") {
        $0.device.counters.source.rawValue
      },
    ]
    + [
      counter("imc_write", "memory controller wrote") { $0.imcWriteBytes },
      counter("imc_read", "memory controller read") { $0.imcReadBytes },
      counter("media_write", "medium wrote") { $0.mediaWriteBytes },
      counter("media_read", "medium read") { $0.mediaReadBytes },
    ] + rates

  private static func counter(
    _ name: String, _ what: String, _ read: @escaping @Sendable (CounterSnapshot) -> UInt64?
  ) -> WatchField {
    count("\(name)_bytes", "Bytes that the \(what) since its counters began.") { row in
      Figure(
        read(row.device.counters),
        otherwise: row.device.reasonForAbsence
          ?? "the source \(row.device.counters.source.rawValue) does not see it")
    }
  }

  private static let rates: [WatchField] = [
    .number("imc_write_bytes_per_second", "Bytes per second that the memory controller wrote.") {
      $0.imcWriteRate
    },
    .number("imc_read_bytes_per_second", "Bytes per second that the memory controller read.") {
      $0.imcReadRate
    },
    .number("media_write_bytes_per_second", "Bytes per second that the medium wrote.") {
      $0.mediaWriteRate
    },
    .number("media_read_bytes_per_second", "Bytes per second that the medium read.") {
      $0.mediaReadRate
    },
    .number("write_amplification_ratio", "Media write bytes divided by iMC write bytes.") {
      $0.writeAmplification
    },
    .number("read_amplification_ratio", "Media read bytes divided by iMC read bytes.") {
      $0.readAmplification
    },
    .number(
      "equivalent_write_bytes_per_second",
      "Media writes and a third of the media reads, per second."
    ) { $0.equivalentWriteRate },
    .number("cpu_seconds_per_gib", "CPU time of all processors for each GiB moved.") {
      $0.cpuSecondsPerGiB
    },
    .number("delay_ns_now", "The delay in force.") { $0.device.delayNanoseconds },
    .init("gates", "Gates that are attached.") {
      $0.device.gateCount.map { .integer(Int64($0)) }
    },
  ]
}

extension WatchField where Subject == Figure<WatchedSampling> {
  /// What belongs to the sampling of tasks.
  static let all: [WatchField] = [
    .init("back_end", "How accesses were seen: pebs, timer, faults or gates.") {
      $0.map { .string($0.backEnd.rawValue) }
    },
    .init("sampled_memory", "Which memory samples of tasks are about: slow, or all without any.") {
      $0.map { .string($0.memory.rawValue) }
    },
    .count("samples_count", "Samples that were taken.") { $0.map(\.losses.sampleCount) },
    .count("resolved_count", "Samples whose access could be told.") {
      $0.map(\.losses.resolvedCount)
    },
    .number("resolved_share", "The share of samples whose access could be told.") { sampling in
      guard let known = sampling.value else { return sampling.map { _ in 0 } }
      return Figure(known.losses.resolvedShare, otherwise: "nothing was sampled yet")
    },
    .count("lost_count", "Samples that the kernel dropped because nobody took them in time.") {
      $0.map(\.losses.lostCount)
    },
    .count("throttle_count", "Times at which the kernel held sampling back.") {
      $0.map(\.losses.throttleCount)
    },
  ]
}

extension WatchField where Subject == TaskInterval {
  /// What belongs to a task.
  static let all: [WatchField] = identity + figures + shares

  private static let identity: [WatchField] = [
    .init("process", "The kernel's number of the process.") {
      .known(.integer(Int64($0.task.process)))
    },
    .count("start_ticks", "When the process started, in clock ticks since the machine did.") {
      .known($0.task.startTicks)
    },
    .text("command", "The name of the program, as the kernel tells it.") { $0.task.command },
    .init("back_end", "What measured the stores: gates, pebs, timer or faults.") {
      Figure($0.task.backEnd.map { .string($0.rawValue) }, otherwise: "nothing measures its stores")
    },
    .init("measure", "What the figures of stores are.") {
      Figure(
        $0.task.backEnd.map { .string($0.measure.rawValue) },
        otherwise: "nothing measures its stores")
    },
    .count("mapped_bytes", "Bytes of slow memory that the process maps.") { $0.task.mappedBytes },
  ]

  private static let figures: [WatchField] =
    estimate(
      "written_bytes", "Bytes stored since the task was first seen.",
      error: "One standard deviation of that; 0 where bytes were counted."
    ) { bytes($0.task.written, $0.task) }
    + estimate(
      "write_bytes_per_second", "Bytes stored in a second.",
      error: "One standard deviation of that rate."
    ) { bytes($0.writeRate, $0.task) }
    + estimate(
      "read_bytes", "Bytes loaded since the task was first seen.",
      error: "One standard deviation of that."
    ) { bytes($0.task.read, $0.task) }
    + estimate(
      "store_cost_ns", "Time-weighted cost of stores since the task was first seen.",
      error: "One standard deviation of that."
    ) { cost($0.task.written, $0.task) }
    + estimate(
      "store_cost_ns_per_second", "Time-weighted cost of stores in a second.",
      error: "One standard deviation of that rate."
    ) { cost($0.writeRate, $0.task) }
    + estimate(
      "load_cost_ns", "CPU time of samples at loads since the task was first seen.",
      error: "One standard deviation of that."
    ) { cost($0.task.read, $0.task) }

  private static let shares: [WatchField] = [
    .number("share_ratio", "The part in what all tasks stored that are measured alike.") {
      $0.share
    },
    .number("delayed_ns", "Time that gates made the task's threads wait.") {
      $0.task.delayedNanoseconds
    },
    .number("delay_ratio", "That time as a share of the interval; 1 is all of one thread's.") {
      $0.delayShare
    },
    .number("cpu_seconds", "CPU time of the process.") {
      $0.task.cpuNanoseconds.map { Double($0) / 1e9 }
    },
    .number("cpu_ratio", "That time as a share of the interval; 1 is one processor's.") {
      $0.cpuShare
    },
  ]

  private static func bytes(_ figure: Figure<Estimate>, _ task: WatchedTask) -> Figure<Estimate> {
    task.backEnd?.measure == .timeWeightedStoreCost
      ? .unavailable("the timer measures time and counts no bytes") : figure
  }

  private static func cost(_ figure: Figure<Estimate>, _ task: WatchedTask) -> Figure<Estimate> {
    if task.backEnd == nil { return figure.value == nil ? figure : .unavailable("nobody measures") }
    return task.backEnd?.measure == .timeWeightedStoreCost
      ? figure : .unavailable("only the timer measures it")
  }
}

/// Frames as documents and rows.
enum TopDocument {
  /// One frame on one line of JSON.
  static func json(_ view: TopView, frame: Int, unixSeconds: Double, command: [String]) -> String {
    let interval = view.interval
    func list<Subject>(_ fields: [WatchField<Subject>], _ subjects: [Subject]) -> JSONValue {
      .array(subjects.map { WatchField<Subject>.object(fields, $0) })
    }
    let host: [JSONValue.Member] = [
      .init("name", .string(view.place.host)),
      .init("processors_count", .integer(Int64(view.place.processorCount))),
    ]
    let machine = WatchField<WatchInterval>.object(WatchField<WatchInterval>.all, interval)
    let sampling = WatchField<Figure<WatchedSampling>>.object(
      WatchField<Figure<WatchedSampling>>.all, interval.reading.sampling)
    return JSONValue.object(
      JSONValue.Member.heading(schema: "arbiter-top/1", command: command) + [
        .init("host", .object(host)), .init("frame", .integer(Int64(frame))),
        .init("unix_seconds", .number(unixSeconds)), .init("machine", machine),
        .init("devices", list(WatchField<DeviceInterval>.all, interval.devices)),
        .init("tasks", list(WatchField<TaskInterval>.all, interval.tasks)),
        .init("tiers", list(WatchField<TierNote>.all, view.tiers)),
        .init("sampling", sampling),
        .init("blind_spots", .array(interval.reading.blindSpots.map { .string($0) })),
      ]
    ).line + "\n"
  }

  private static var names: [String] {
    var known: Set<String> = []
    return
      (WatchField<WatchInterval>.all.map(\.name) + WatchField<DeviceInterval>.all.map(\.name)
      + WatchField<TaskInterval>.all.map(\.name)
      + WatchField<TierNote>.all.map(\.name)
      + WatchField<Figure<WatchedSampling>>.all.map(\.name)).filter { known.insert($0).inserted }
  }

  /// The first line of CSV.
  static var csvHeader: String { CSV.row(["row", "frame", "unix_seconds"] + names) }

  /// One frame as rows: of the machine, each device, task and session of tiers, and the sampling.
  static func csv(_ view: TopView, frame: Int, unixSeconds: Double) -> String {
    func row<Subject>(_ kind: String, _ fields: [WatchField<Subject>], _ subject: Subject) -> String
    {
      CSV.row(
        [kind, String(frame), CSV.field(.number(unixSeconds))]
          + names.map { name in
            fields.first { $0.name == name }.map { CSV.field($0.read(subject).value ?? .null) }
              ?? ""
          })
    }
    let interval = view.interval
    return row("machine", WatchField<WatchInterval>.all, interval)
      + interval.devices.map { row("device", WatchField<DeviceInterval>.all, $0) }.joined()
      + interval.tasks.map { row("task", WatchField<TaskInterval>.all, $0) }.joined()
      + view.tiers.map { row("tier", WatchField<TierNote>.all, $0) }.joined()
      + row("sampling", WatchField<Figure<WatchedSampling>>.all, interval.reading.sampling)
  }

  /// Every name with its meaning.
  static var glossary: [(String, String)] {
    WatchField<WatchInterval>.all.map { ($0.name, $0.meaning) }
      + WatchField<DeviceInterval>.all.map { ($0.name, $0.meaning) }
      + WatchField<TaskInterval>.all.map { ($0.name, $0.meaning) }
      + WatchField<Figure<WatchedSampling>>.all.map { ($0.name, $0.meaning) }
  }
}
