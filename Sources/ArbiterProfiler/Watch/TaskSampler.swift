// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterMetrics

/// What tasks did by samples, for tasks that pass no gate.
///
/// The watcher tells it whom to follow before it asks. Belongs to one thread.
public protocol TaskSampler {
  /// What its figures are; nil while nobody is sampled.
  var backEnd: BackEnd? { get }

  /// What it samples and what became of the samples; why nobody is sampled, where nobody is.
  var sampling: Figure<WatchedSampling> { get }

  /// What it cannot see, as sentences that name the remedy.
  var blindSpots: [String] { get }

  /// How long samples may lie before ``tend()``; nil while nobody is sampled.
  var tendNanoseconds: Int64? { get }

  /// Follows these processes from now on, and no others.
  mutating func follow(_ processes: [Int32])

  /// Takes in what was sampled; never waits.
  mutating func tend()

  /// What a process stored and loaded since it was followed first.
  mutating func account(
    ofProcess process: Int32
  ) -> (
    written: Figure<Estimate>, read: Figure<Estimate>
  )
}
