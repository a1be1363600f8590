// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterPlacement
import ArbiterTestSupport
import Testing

/// A program that allocates a chunk five times a second while some of its older ones are hot.
private struct GrowingProgram {
  static let fastChunks = 64
  var table = ChunkTable()
  var tiers = VirtualProgram(
    chunks: 1, fastChunks: fastChunks, pattern: .uniform, seed: 1
  ).tiers
  var random = SeededRandom(seed: ProcessSeed.value, stream: 31)
  var time: Int64 = 0
  /// How many of the chunks that were allocated in the end came to lie in fast memory.
  var fastCount = 0
  var newCount = 0
  /// Hot chunks that were sent away.
  var hotSentAway = 0
  private var used: Int { table.fastBytes }

  init() { for _ in 0..<48 { allocate() } }

  /// Fast while there is room, as back-ends do; tells how much that took.
  @discardableResult
  mutating func allocate() -> Int {
    let isFast = used + TierUnit.chunkBytes <= tiers.fastBytes
    table.insert(
      ManagedChunk(
        process: 1, address: UInt64(table.capacity) << 21, slowIslands: isFast ? [] : .all))
    newCount += 1
    if isFast { fastCount += 1 }
    return isFast ? TierUnit.chunkBytes : 0
  }

  /// Runs with chunks 0 to 15 hot; `period` is that of allocations, in steps.
  mutating func run(_ policy: inout some PlacementPolicy, steps: Int, allocatesEvery period: Int?) {
    for step in 0..<steps {
      var newBytes = 0
      if let period, step % period == 0 { newBytes = allocate() }
      for _ in 0..<100 {
        let chunk = random.below(20) == 0 ? random.below(table.capacity) : random.below(16)
        policy.record(
          TierSample(
            chunk: Int32(chunk), island: UInt8(random.below(64)), isStore: false, weight: 1e6))
      }
      // However often the policy would like to be asked: what the program does takes its time.
      time += 100_000_000
      var migrations: [Migration] = []
      policy.step(
        PlacementView(
          timeNanoseconds: time, chunks: table, tiers: tiers, samplingPeriodNanoseconds: 1_000_000,
          newFastBytes: newBytes), into: &migrations)
      for migration in migrations { carryOut(migration, &policy) }
    }
  }

  private mutating func carryOut(_ migration: Migration, _ policy: inout some PlacementPolicy) {
    let number = Int(migration.chunk)
    if migration.destination == .fast {
      table[number]?.slowIslands.subtract(migration.islands)
    } else {
      table[number]?.slowIslands.formUnion(migration.islands)
      if number < 16 { hotSentAway += 1 }
    }
    policy.complete(
      MigrationOutcome(migration, status: .moved, bytesCopied: migration.islands.bytes))
  }
}

@Suite struct `room for what is allocated next` {
  @Test func `is made ahead of need while memory grows, by what is cold`() {
    var managed = GrowingProgram()
    var unmanaged = managed
    var policy = AdaptivePlacement()
    var firstTouch = FirstTouchPlacement()
    managed.run(&policy, steps: 40, allocatesEvery: nil)
    unmanaged.run(&firstTouch, steps: 40, allocatesEvery: nil)
    managed.run(&policy, steps: 100, allocatesEvery: 2)
    unmanaged.run(&firstTouch, steps: 100, allocatesEvery: 2)
    // 98 chunks in the end, of which 64 fit.
    #expect(unmanaged.fastCount == GrowingProgram.fastChunks)
    #expect(managed.fastCount >= 94, "seed \(ProcessSeed.value)")
    #expect(managed.hotSentAway == 0, "seed \(ProcessSeed.value)")
  }

  @Test func `is not made while memory does not grow`() {
    var program = GrowingProgram()
    for _ in 0..<16 { program.allocate() }
    var policy = AdaptivePlacement()
    program.run(&policy, steps: 100, allocatesEvery: nil)
    #expect(program.table.fastBytes == program.tiers.fastBytes)
  }
}
