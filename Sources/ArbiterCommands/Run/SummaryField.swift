// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterRuntime
internal import ArbiterWorkloads

/// A figure of a run's summary: its name in JSON and CSV, its meaning and how it is read.
///
/// One list drives both forms and `arbiter explain`, so that they cannot disagree.
struct SummaryField<Subject>: Sendable {
  let name: String
  let meaning: String
  let value: @Sendable (Subject) -> JSONValue

  init(_ name: String, _ meaning: String, _ value: @escaping @Sendable (Subject) -> JSONValue) {
    self.name = name
    self.meaning = meaning
    self.value = value
  }

  static func figure(
    _ name: String, _ meaning: String, _ read: @escaping @Sendable (Subject) -> Double?
  ) -> SummaryField {
    SummaryField(name, meaning) { .figure(read($0)) }
  }
}

extension SummaryField where Subject == RunSummary {
  /// What belongs to the run as a whole.
  static let all: [SummaryField] =
    [
      .init("scheme", "How writers were admitted.") { .string($0.scheme) },
      .init("scheme_reason", "Why this scheme was taken.") { .string($0.schemeReason) },
      .init(
        "writer_limit",
        "Threads that may write at once: permits under lock, workers under delegation; null under "
          + "other schemes."
      ) { $0.largestLimit.map { .integer(Int64($0.count)) } ?? .null },
      .init(
        "writer_limit_origin", "Who set the limit: an option, a calibration or the default."
      ) { .text($0.largestLimit?.origin.rawValue) },
      .init("writer_limit_reason", "Where the limit comes from, for each set.") {
        $0.limits.isEmpty ? .null : .string($0.limitSentences.joined(separator: " "))
      },
      .init("is_gated", "Whether Arbiter gated the program; without gates nothing is counted.") {
        .bool($0.isGated)
      },
      .init("controller_process", "The process that controls; null where nobody does.") {
        $0.controller.map { .integer(Int64($0)) } ?? .null
      },
      .init("process", "The kernel's number of the program's process.") {
        .integer(Int64($0.process))
      },
      .init("exit_code", "The program's exit code; null while it runs.") {
        $0.ending.map { .integer(Int64($0.code)) } ?? .null
      },
      .init("exit_signal", "The signal that ended the program; null where none did.") {
        $0.ending?.signal.map { .integer(Int64($0)) } ?? .null
      },
      figure("wall_seconds", "Seconds from the program's start to its end.") { $0.wallSeconds },
      figure("cpu_seconds", "CPU time of the program and of the children it waited for.") {
        $0.cpuSeconds
      },
      figure("cpu_seconds_per_gib", "CPU time of all threads for each GiB moved.") {
        $0.cpuSecondsPerGiB
      },
      .init(
        "outliving_gates", "Gates of threads that ran on when the program had ended."
      ) { .integer(Int64($0.outlivingCount)) },
      .init("gates", "Gates of the run: one for each thread and interleave set.") {
        .integer(Int64($0.gateCount))
      },
    ]
    + gateFields.map { field in
      SummaryField(field.name, field.meaning) { $0.isGated ? field.value($0.total) : .null }
    } + [
      figure("monitor_cpu_seconds", "CPU time of the threads that controlled.") {
        $0.isGated ? $0.monitorCPUSeconds : nil
      }
    ]

  /// The figures that gates count.
  private static let gateFields: [SummaryField<GateCounts>] = SummaryField<GateCounts>.all
}

extension SummaryField where Subject == GateCounts {
  /// What gates count, alone or together.
  static let all: [SummaryField] =
    [
      .init("stores_count", "Stores that gates let pass.") { .unsigned($0.accessCount) },
      .init("program_write_bytes", "Bytes that the program stored.") { .unsigned($0.storedBytes) },
      .init("calls_count", "Library calls that were seen.") { .unsigned($0.callTotal) },
      figure("delay_ns_mean", "Mean delay before an access.") { $0.delayMeanNanoseconds },
      figure("delay_ns_p99", "99th percentile of that delay.") {
        $0.delayNanoseconds(atShare: 0.99)
      },
      .init("fences_count", "Fences that the scheme put in.") { .unsigned($0.waits.fenceCount) },
      .init("stale_count", "Stores that did not wait because nobody controlled any more.") {
        .unsigned($0.waits.staleCount)
      },
      .init("direct_count", "Stores that went ahead without a permit or a worker.") {
        .unsigned($0.directCount)
      },
    ]
    + GateCall.allCases.flatMap { call -> [SummaryField] in
      let what = call.meaning
      let calls = SummaryField("\(call.rawValue)_calls_count", "Calls: \(what).") {
        .unsigned($0.callCount(call))
      }
      // A fence has no bytes.
      if call == .drain { return [calls] }
      return [
        calls,
        SummaryField("\(call.rawValue)_bytes", "Bytes of these calls: \(what).") {
          .unsigned($0.callBytes(call))
        },
      ]
    }
}

extension SummaryField where Subject == SetControl.Status {
  /// What belongs to an interleave set.
  static let all: [SummaryField] = [
    .init("set", "The interleave set; unknown is memory that belongs to none.") {
      .string($0.name)
    },
    .init("counter_source", "Where the figures of the device come from.") {
      .string($0.source.rawValue)
    },
    .init("counter_reason", "Why figures of the device are missing; null where none is.") {
      .text($0.reasonForAbsence)
    },
    figure("write_amplification_ratio", "Media write bytes divided by iMC write bytes.") {
      $0.writeAmplification
    },
    figure(
      "effective_bandwidth_bytes_per_second", "iMC write bytes per second: what the program gets."
    ) { $0.delta?.effectiveBandwidth },
    figure("media_write_bytes_per_second", "Bytes per second that the medium wrote.") {
      $0.delta?.mediaWriteBandwidth
    },
    figure("delay_ns_now", "The delay in force when the summary was made.") {
      $0.delayNanoseconds
    },
    .init("controller_phase", "The controller's state in one word.") {
      .text($0.phase.isEmpty ? nil : $0.phase)
    },
  ]
}

extension SummaryField where Subject == RunSummary.GateRow {
  /// What belongs to one thread's gate.
  static let all: [SummaryField] =
    [
      .init("process", "The kernel's number of the program's process.") {
        $0.process.map { .integer(Int64($0)) } ?? .null
      },
      .init("thread", "The kernel's number of the thread; null for several together.") {
        $0.thread.map { .integer(Int64($0)) } ?? .null
      },
      .init("name", "The thread's name when it first wrote.") { .string($0.name) },
      .init("set", "The interleave set; unknown is memory that belongs to none.") {
        .text($0.set)
      },
    ]
    + SummaryField<GateCounts>.all.map { field in
      SummaryField(field.name, field.meaning) { field.value($0.counts) }
    }
}

extension GateCall {
  /// What calls of the kind do, as a clause.
  var meaning: String {
    switch self {
    case .copy: "memcpy and memmove of the libraries"
    case .set: "memset of the libraries"
    case .flush: "write-back of what the program stored itself"
    case .drain: "fences that wait for write-backs"
    case .persist: "flush and drain in one"
    case .msync: "pages written back by the kernel"
    case .deep: "flush, drain or persist as far as the medium"
    }
  }
}

extension GateCounts {
  /// Library calls of all kinds.
  var callTotal: UInt64 { GateCall.allCases.reduce(0) { $0 &+ callCount($1) } }
}

/// Every name of a summary with its meaning, each once.
enum SummaryGlossary {
  static let entries: [(name: String, meaning: String)] = {
    var seen: Set<String> = Set(ResultField.all.map(\.flatName))
    let all =
      SummaryField<RunSummary>.all.map { ($0.name, $0.meaning) }
      + SummaryField<SetControl.Status>.all.map { ($0.name, $0.meaning) }
      + SummaryField<RunSummary.GateRow>.all.map { ($0.name, $0.meaning) }
      + SummaryField<RecordSummary>.all.map { ($0.name, $0.meaning) }
      + heat
      + AccountSummary.glossary
      + SummaryField<MeasuredPoint>.all.map { ($0.name, $0.meaning) }
      + MeasureFindings.glossary
      + TopDocument.glossary
      + TierSummary.glossary
      + TierFindings.glossary
    return all.filter { seen.insert($0.0).inserted }.map { (name: $0.0, meaning: $0.1) }
  }()
}
