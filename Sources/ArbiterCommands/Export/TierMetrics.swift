// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterPlacement
internal import ArbiterReport
internal import ArbiterTiering

/// What is told of the sessions of `arbiter tier`.
enum TierMetrics {
  private typealias Figures = [(MetricFamily, @Sendable (TierReading) -> Figure<Double>)]

  private static let session = MetricFamily(
    "arbiter_tier_session", .info,
    help: "A session of arbiter tier: how it moves memory, who decides, and how it sees accesses.")
  private static let memory = MetricFamily(
    "arbiter_tier_memory_bytes", .gauge, unit: "bytes",
    help: "Managed memory, by the tier in which it lies.")
  private static let migrations = MetricFamily(
    "arbiter_tier_migrations", .counter,
    help: "Migrations that succeeded, by the tier to which they went.")
  private static let moved = MetricFamily(
    "arbiter_tier_migrated_bytes", .counter, unit: "bytes",
    help: "Bytes that migrations copied, by the tier to which they went.")
  private static let refused = MetricFamily(
    "arbiter_tier_refused_migrations", .counter,
    help: "Migrations that did not happen, by the reason.")

  private static let figures: Figures = [
    (
      MetricFamily(
        "arbiter_tier_fast_capacity_bytes", .gauge, unit: "bytes",
        help: "Fast memory that managed memory may take."),
      { .known(Double($0.fastCapacityBytes)) }
    ),
    (
      MetricFamily(
        "arbiter_tier_metadata_bytes", .gauge, unit: "bytes",
        help: "What Arbiter keeps about managed memory."),
      { .known(Double($0.metadataBytes)) }
    ),
    (
      MetricFamily(
        "arbiter_tier_fast_hit_ratio", .gauge, unit: "ratio",
        help: "Share of the sampled accesses of the last seconds that met fast memory."),
      { $0.recentFastHitShare.map(\.value) }
    ),
    (
      MetricFamily(
        "arbiter_tier_fast_hit_standard_error_ratio", .gauge, unit: "ratio",
        help: "One standard deviation of arbiter_tier_fast_hit_ratio."),
      { $0.recentFastHitShare.map(\.standardError) }
    ),
    (
      MetricFamily(
        "arbiter_tier_samples", .counter, help: "Samples of accesses to managed memory."),
      { .known(Double($0.managedSampleCount)) }
    ),
    (
      MetricFamily(
        "arbiter_tier_lost_samples", .counter, help: "Samples that the kernel dropped."),
      { .known(Double($0.lostSampleCount)) }
    ),
    (
      MetricFamily(
        "arbiter_tier_stalls", .counter,
        help: "Accesses of the program that had to wait for a migration."),
      { $0.stalls.map { Double($0.count) } }
    ),
    (
      MetricFamily(
        "arbiter_tier_stall_seconds", .counter, unit: "seconds",
        help: "The sum of these waits, at most."),
      { $0.stalls.map { Double($0.nanosecondsMax) / 1e9 } }
    ),
    (
      MetricFamily(
        "arbiter_tier_stall_longest_seconds", .gauge, unit: "seconds",
        help: "The longest of these waits."),
      { $0.stalls.map { Double($0.longestNanoseconds) / 1e9 } }
    ),
    (
      MetricFamily(
        "arbiter_tier_sampling_period_seconds", .gauge, unit: "seconds",
        help: "Time from one sample of a thread to the next."),
      { .known(Double($0.samplingPeriodNanoseconds) / 1e9) }
    ),
    (
      MetricFamily(
        "arbiter_tier_tracker_cpu_seconds", .counter, unit: "seconds",
        help: "CPU time of sampling and deciding."),
      { .known(Double($0.trackerNanoseconds) / 1e9) }
    ),
    (
      MetricFamily(
        "arbiter_tier_mover_cpu_seconds", .counter, unit: "seconds", help: "CPU time of moving."),
      { $0.moverNanoseconds.map { Double($0) / 1e9 } }
    ),
  ]

  static func add(_ note: TierNote, to collector: inout MetricsCollector) {
    let number = String(note.process)
    let labels = [MetricLabel("process", number), MetricLabel("program", note.program)]
    let reading = note.reading
    func label(_ tier: Tier) -> [MetricLabel] { labels + [MetricLabel("tier", tier.rawValue)] }
    collector.add(
      MetricValue(UInt64(1)), to: session,
      labels + [
        MetricLabel("back_end", reading.backEnd.rawValue), MetricLabel("policy", reading.policy),
        MetricLabel("tracker", reading.tracker.value ?? "none"),
      ])
    collector.add(MetricValue(reading.fastBytes), to: memory, label(.fast))
    collector.add(MetricValue(reading.slowBytes), to: memory, label(.slow))
    collector.add(MetricValue(reading.promotionCount), to: migrations, label(.fast))
    collector.add(MetricValue(reading.demotionCount), to: migrations, label(.slow))
    collector.add(MetricValue(reading.promotedBytes), to: moved, label(.fast))
    collector.add(MetricValue(reading.demotedBytes), to: moved, label(.slow))
    for status in MigrationOutcome.Status.allCases where status != .moved {
      collector.add(
        MetricValue(reading.refusals[status] ?? 0), to: refused,
        labels + [MetricLabel("reason", status.rawValue)])
    }
    for (family, figure) in figures {
      collector.add(figure(reading), to: family, labels, of: .process(number))
    }
  }
}
