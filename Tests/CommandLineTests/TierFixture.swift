// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCommands
import ArbiterMetrics
import ArbiterPlatform
import ArbiterTiering
import Testing

/// A session of tiering in which everything is known.
enum TierFixture {
  static func note(program: String = "redis-server") throws -> TierNote {
    try #require(
      TierNote(
        text: """
          arbiter-tier-note 1
          process 4800
          start_ticks 77
          program \(program)
          time_ns 10000000000
          back_end file
          policy arbiter
          tracker timer
          sampling_period_ns 1000000
          fast_capacity_bytes 2147483648
          fast_bytes 2000000000
          slow_bytes 6000000000
          metadata_bytes 8000000
          managed_samples 9000
          samples 10000
          lost_samples 3
          promotions 700
          demotions 400
          promoted_bytes 1468006400
          demoted_bytes 838860800
          tracker_ns 90000000
          fast_hits 0.75 0.005
          recent_fast_hits 0.95 0.01
          refused_busy 12
          refused_full 1
          stalls 17 3400000 410000
          mover_ns 800000000
          placing_ns 90000000
          processes 4801,4802
          end
          """))
  }

  /// The same with everything missing that may be missing.
  static func bareNote() throws -> TierNote {
    var note = try note()
    note.reading.tracker = .unavailable("kernel.perf_event_paranoid is 3")
    note.reading.fastHitShare = .unavailable("nothing was sampled")
    note.reading.recentFastHitShare = .unavailable("nothing was sampled")
    note.reading.stalls = .unavailable("the kernel does not tell them")
    note.reading.moverNanoseconds = .unavailable("the kernel moves pages")
    note.reading.timeNanoseconds = 0
    note.reading.fastBytes = 0
    note.reading.slowBytes = 0
    note.reading.refusals = [:]
    return note
  }

  static func summary(
    _ reading: TierReading?, ending: ChildProgram.Ending? = nil, remarks: [String] = []
  ) -> TierSummary {
    TierSummary(
      program: ["redis-server", "--port", "0"], process: 4801, ending: ending, wallSeconds: 10.5,
      cpuSeconds: 9.25, reading: reading, remarks: remarks)
  }
}
