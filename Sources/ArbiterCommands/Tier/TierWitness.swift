// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement
internal import ArbiterTiering

/// Hands what a session sees and does to a recording and to a heat map.
final class TierWitness: TierObserver {
  /// The heat map; nil where nobody wants one.
  var heat: TierHeat?
  /// The recording; nil where nobody wants one.
  var recording: TierRecordingFile?

  private var periodNanoseconds: Int64 = 0

  init() {}

  func appeared(_ number: Int, _ chunk: ManagedChunk, time: Int64) {
    heat?.place(number, chunk)
    recording?.append(TierEvent(at: time, .chunk(number: number, chunk)))
  }

  func changed(_ number: Int, _ chunk: ManagedChunk, time: Int64) {
    appeared(number, chunk, time: time)
  }

  func vanished(_ number: Int, time: Int64) {
    heat?.place(number, nil)
    recording?.append(TierEvent(at: time, .gone(number: number)))
  }

  func sampled(_ sample: TierSample, process: Int32, address: UInt64, time: Int64) {
    heat?.add(sample, process: process, address: address, time: time)
    recording?.append(TierEvent(at: time, .sample(sample)))
  }

  func decided(_ migration: Migration, of chunk: ManagedChunk, time: Int64) {
    recording?.append(TierEvent(at: time, .decision(migration)))
  }

  func completed(_ outcome: MigrationOutcome, of chunk: ManagedChunk?, time: Int64) {
    heat?.place(Int(outcome.migration.chunk), chunk)
    recording?.append(TierEvent(at: time, .outcome(outcome)))
  }

  /// Notes the period in force, where it has changed.
  func note(period nanoseconds: Int64, time: Int64) {
    guard nanoseconds != periodNanoseconds else { return }
    periodNanoseconds = nanoseconds
    recording?.append(TierEvent(at: time, .period(nanoseconds: nanoseconds)))
  }

  /// Writes the end of the recording.
  func end(time: Int64) {
    recording?.append(TierEvent(at: time, .end))
    recording?.flush()
  }
}
