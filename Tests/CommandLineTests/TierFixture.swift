// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCommands
import ArbiterMetrics
import ArbiterPlatform
import ArbiterTestSupport
import ArbiterTiering
import Testing

/// A session of tiering in which everything is known.
enum TierFixture {
  static func note(program: String = "redis-server") throws -> TierNote {
    try #require(
      TierNote(text: TierTexts.note(process: 4800, startTicks: 77, program: program)))
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
