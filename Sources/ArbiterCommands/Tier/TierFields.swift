// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterPlacement
internal import ArbiterReport
internal import ArbiterTiering

extension WatchField where Subject == TierReading {
  /// What belongs to a session of `arbiter tier`.
  static let all: [WatchField] = how + place + hits + moves + costs

  private static let how: [WatchField] = [
    .text("back_end", "How chunks are moved: numa or file.") { $0.backEnd.rawValue },
    .text("policy", "Who decides which chunks lie in fast memory.") { $0.policy },
    .init("tracker", "How accesses are seen: pebs or timer.") { $0.tracker.map { .string($0) } },
    .number("sampling_period_ns", "Time from one sample of a thread to the next, now.") {
      .known(Double($0.samplingPeriodNanoseconds))
    },
    .number("time_seconds", "Seconds since the session began.") {
      .known(Double($0.timeNanoseconds) / 1e9)
    },
    .init("managed_processes", "Processes whose memory is managed now.") {
      .known(.integer(Int64($0.processes.count)))
    },
  ]

  private static let place: [WatchField] = [
    .count("fast_capacity_bytes", "Fast memory that managed chunks may take.") {
      .known($0.fastCapacityBytes)
    },
    .count("fast_bytes", "Managed memory in fast memory, now or when the program was last seen.") {
      .known($0.fastBytes)
    },
    .count("slow_bytes", "Managed memory in slow memory, now or when the program was last seen.") {
      .known($0.slowBytes)
    },
    .count("metadata_bytes", "What Arbiter keeps about managed memory.") {
      .known($0.metadataBytes)
    },
    .number("metadata_ratio", "That as a share of the managed memory.") { $0.metadataShare },
  ]

  private static let hits: [WatchField] =
    estimate(
      "fast_hit_ratio", "Share of the sampled accesses that met fast memory, from the start.",
      error: "One standard deviation of that."
    ) { $0.fastHitShare }
    + estimate(
      "recent_fast_hit_ratio", "The same over the last seconds.",
      error: "One standard deviation of that."
    ) { $0.recentFastHitShare }
    + [
      .count("samples_count", "Samples that were taken.") { .known($0.sampleCount) },
      .count("managed_samples_count", "Samples of accesses to managed memory.") {
        .known($0.managedSampleCount)
      },
      .count("lost_samples_count", "Samples that the kernel dropped.") {
        .known($0.lostSampleCount)
      },
    ]

  private static let moves: [WatchField] =
    [
      .count("promotions_count", "Migrations to fast memory.") { .known($0.promotionCount) },
      .count("demotions_count", "Migrations to slow memory.") { .known($0.demotionCount) },
      .count("promoted_bytes", "Bytes that were copied to fast memory.") {
        .known($0.promotedBytes)
      },
      .count("demoted_bytes", "Bytes that were copied to slow memory.") {
        .known($0.demotedBytes)
      },
    ]
    + refused.map { status, meaning in
      .count("\(status.rawValue)_migrations_count", meaning) {
        .known($0.refusals[status] ?? 0)
      }
    }

  private static let refused: [(MigrationOutcome.Status, String)] = [
    (.stale, "Migrations of chunks that were gone or changed by then."),
    (.busy, "Migrations that pinned, locked or forked memory forbade."),
    (.full, "Migrations for which the destination had no room."),
    (.failed, "Migrations that the system refused."),
  ]

  private static let costs: [WatchField] = [
    .count("stalls_count", "Accesses that had to wait for a migration.") {
      $0.stalls.map(\.count)
    },
    .count("stall_ns_sum", "The sum of these waits, at most.") { $0.stalls.map(\.nanosecondsMax) },
    .count("stall_ns_max", "The longest of these waits.") { $0.stalls.map(\.longestNanoseconds) },
    .number("tracker_cpu_seconds", "CPU time of sampling and deciding.") {
      .known(Double($0.trackerNanoseconds) / 1e9)
    },
    .number("tracker_cpu_ratio", "That as a share of one processor's time.") {
      $0.coreShare(Double($0.trackerNanoseconds))
    },
    .number("mover_cpu_seconds", "CPU time of moving.") {
      $0.moverNanoseconds.map { Double($0) / 1e9 }
    },
    .number(
      "placing_cpu_seconds",
      "CPU time of room for what programs map: taken and given back in their own calls."
    ) {
      $0.placingNanoseconds.map { Double($0) / 1e9 }
    },
  ]
}

extension TierReading {
  /// Bytes of managed memory.
  var managedBytes: UInt64 { fastBytes &+ slowBytes }

  /// What is kept about memory, as a share of it.
  var metadataShare: Figure<Double> {
    max(managedBytes, managedBytesMax) > 0
      ? .known(Double(metadataBytes) / Double(max(managedBytes, managedBytesMax)))
      : .unavailable("no memory is managed")
  }

  /// Time as a share of one processor's, since the session began.
  func coreShare(_ nanoseconds: Double) -> Figure<Double> {
    timeNanoseconds > 0
      ? .known(nanoseconds / Double(timeNanoseconds))
      : .unavailable("the session has only just begun")
  }

  /// Migrations that did not happen, however they ended.
  var refusedCount: UInt64 { refusals.values.reduce(0, &+) }
}
