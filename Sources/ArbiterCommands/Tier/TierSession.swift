// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterProfiler
internal import ArbiterReport
internal import ArbiterRuntime
internal import ArbiterTiering

/// The sessions of `arbiter tier` that live, as `top` and `export` find them.
enum TierSession {
  /// The folder where sessions of this user leave their notes.
  static var folder: String {
    FoundPages.folder(
      chosen: Console.environment("ARBITER_RUNTIME_DIR"),
      runtimeFolder: Console.environment("XDG_RUNTIME_DIR"))
  }

  /// The notes of living sessions.
  static func notes() -> [TierNote] { TierNote.read(in: folder) }

  /// What stands in a note beside the reading, with meanings.
  static let glossary: [(String, String)] = WatchField<TierNote>.all.map { ($0.name, $0.meaning) }
}

extension WatchField where Subject == TierNote {
  /// A session as others see it.
  static let all: [WatchField] =
    [
      .init("session_process", "The process of arbiter tier, which is not the program's.") {
        .known(.integer(Int64($0.process)))
      },
      .text("program", "The program's name.") { $0.program },
    ]
    + WatchField<TierReading>.all.map { field in
      WatchField(field.name, field.meaning) { field.read($0.reading) }
    }
}
