// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterMetrics
import ArbiterPlacement
import ArbiterPlatform
import ArbiterProfiler
import ArbiterTestSupport
import ArbiterTiering
import CArbiterTier
import Glibc
import Testing

/// A session whose program writes over the page that both map.
private struct MadProgram: ~Copyable {
  static let chunk = UInt64(TierUnit.chunkBytes)
  let folder = TemporaryFolder()
  let backEnd: FileBackEnd
  let manager: TierManager
  let program: FakeProgram
  var random: SeededRandom
  private var generation: UInt64 = 0

  init(policy: String, seed: UInt64) throws {
    guard let policy = PlacementPolicies.named(policy, seed: seed) else {
      throw CancellationError()
    }
    let configuration = TierConfiguration(
      fastBytes: 32 << 20, slow: .path(folder.path), policy: policy)
    backEnd = try FileBackEnd(
      fastBytes: 32 << 20, path: folder.path, slowBytes: 64 << 20, options: 0)
    manager = TierManager(
      configuration,
      probe: TierProbe(backEnd: .file, tracker: .timer, slowTiming: .cxl), backEnd: backEnd)
    program = FakeProgram(joining: backEnd.page)
    random = SeededRandom(seed: seed, stream: 21)
  }

  /// Some chunks as a program in its right mind has them, so that there is something to move.
  mutating func behave() {
    program.rejoin()
    for entry in 0..<32 where random.below(4) == 0 {
      generation += 1
      program.put(
        entry, address: UInt64(entry + 1 + random.below(2)) * Self.chunk,
        slow: random.next(), generation: generation)
    }
  }

  mutating func live(rounds: Int) {
    for round in 0..<rounds {
      if round % 3 == 0 { behave() }
      manager.step()
      if random.below(2) == 0 { program.workBlindly(&random) }
      program.scribble(count: 1 + random.below(40), with: &random)
      let wait = manager.step()
      precondition(wait >= 500_000, "the manager spins")
      if round % 50 == 0 { tell() }
      usleep(1000)
    }
    tell()
    manager.finish()
    tell()
  }

  private func tell() {
    let reading = manager.reading
    let note = TierNote(process: 1, startTicks: 1, program: "mad", reading: reading).text
    precondition(TierNote(text: note) != nil, "the note cannot be read: \(note)")
    for remark in manager.takeRemarks() {
      precondition(remark.unicodeScalars.allSatisfy { $0.value >= 32 }, "a remark of controls")
    }
  }
}

@Suite(.serialized) struct `a manager whose program has gone mad` {
  /// The machine's words for a run that repeats: the seed stands in the failure.
  private static func live(_ policy: String, seed: UInt64) {
    do {
      var mad = try MadProgram(policy: policy, seed: seed)
      mad.live(rounds: 400)
    } catch {
      preconditionFailure("\(error)")
    }
  }

  @Test func `survives what stands on the page, moving at random`() async {
    print("seed \(ProcessSeed.value)")
    await #expect(processExitsWith: .success, "seed \(ProcessSeed.value)") {
      for round in 0..<4 { Self.live("random", seed: ProcessSeed.value &+ UInt64(round)) }
    }
  }

  @Test func `survives what stands on the page, moving what is hot`() async {
    await #expect(processExitsWith: .success, "seed \(ProcessSeed.value)") {
      Self.live("arbiter", seed: ProcessSeed.value)
    }
  }
}
