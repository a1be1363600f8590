// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterProfiler
internal import ArbiterReport

/// What is told of the samples of tasks: how many there were, and how many of them were lost.
enum SamplingMetrics {
  private static let samples = MetricFamily(
    "arbiter_sampling_samples", .counter,
    help: "Samples that were taken of tasks without gates.")
  private static let resolved = MetricFamily(
    "arbiter_sampling_resolved_samples", .counter,
    help: "Samples whose access could be told; the others are in no figure of a task.")
  private static let lost = MetricFamily(
    "arbiter_sampling_lost_samples", .counter,
    help: "Samples that the kernel dropped because nobody took them in time.")
  private static let throttles = MetricFamily(
    "arbiter_sampling_throttles", .counter,
    help: "Times at which the kernel held sampling back.")

  private static let counts: [(MetricFamily, any KeyPath<SamplingLosses, UInt64> & Sendable)] = [
    (samples, \.sampleCount), (resolved, \.resolvedCount), (lost, \.lostCount),
    (throttles, \.throttleCount),
  ]

  static func add(_ sampling: Figure<WatchedSampling>, to collector: inout MetricsCollector) {
    for (family, count) in counts {
      switch sampling {
      case .known(let known):
        collector.add(
          MetricValue(known.losses[keyPath: count]), to: family,
          [
            MetricLabel("source", known.backEnd.rawValue),
            MetricLabel("memory", known.memory.rawValue),
          ])
      case .unavailable(let reason):
        collector.add(Figure<UInt64>.unavailable(reason), to: family, of: .machine)
      }
    }
  }
}
