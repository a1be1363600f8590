// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlacement
import Testing

/// HeMem's policy over some pages, one pass at a time.
private struct Passes {
  var policy: HeMemPlacement
  var table = ChunkTable()
  let fastChunks: Int
  private var time: Int64 = 0

  /// Pages in fast memory first, then slow ones; each as if it had been there for long.
  init(_ parameters: HeMemParameters, fast: Int, slow: Int, room fastChunks: Int) {
    policy = HeMemPlacement(parameters)
    self.fastChunks = fastChunks
    for number in 0..<(fast + slow) {
      let islands: IslandSet = number < fast ? [] : .all
      table.insert(
        ManagedChunk(
          process: 1, address: UInt64(number) << 21, slowIslands: islands))
    }
  }

  mutating func loads(_ page: Int, _ count: Int) { samples(page, count, isStore: false) }
  mutating func stores(_ page: Int, _ count: Int) { samples(page, count, isStore: true) }

  private mutating func samples(_ page: Int, _ count: Int, isStore: Bool) {
    for _ in 0..<count {
      policy.record(TierSample(chunk: Int32(page), island: 0, isStore: isStore, weight: 1))
    }
  }

  /// Decides once; everything that is decided succeeds.
  mutating func pass() -> [Migration] {
    time += policy.stepNanoseconds
    var tiers = VirtualProgram(chunks: 1, fastChunks: 1, pattern: .uniform, seed: 1).tiers
    tiers.fastBytes = fastChunks * TierUnit.chunkBytes
    var migrations: [Migration] = []
    policy.step(
      PlacementView(
        timeNanoseconds: time, chunks: table, tiers: tiers, samplingPeriodNanoseconds: 1_000_000),
      into: &migrations)
    for migration in migrations {
      let number = Int(migration.chunk)
      if migration.destination == .fast {
        table[number]?.slowIslands.subtract(migration.islands)
      } else {
        table[number]?.slowIslands.formUnion(migration.islands)
      }
      policy.complete(MigrationOutcome(migration, status: .moved))
    }
    return migrations
  }
}

@Suite struct `HeMem's policy` {
  @Test(arguments: [(HeMemParameters.paper, 8, 4), (.release, 4, 4)])
  func `takes a page as hot from its number of samples on, and not before`(
    _ parameters: HeMemParameters, _ loads: Int, _ stores: Int
  ) {
    var passes = Passes(parameters, fast: 0, slow: 3, room: 8)
    #expect(passes.pass().isEmpty)
    passes.loads(0, loads - 1)
    passes.stores(1, stores - 1)
    #expect(passes.pass().isEmpty)
    passes.loads(0, 1)
    passes.stores(1, 1)
    let migrations = passes.pass()
    #expect(migrations.map(\.chunk) == [0, 1])
    #expect(migrations.allSatisfy { $0.destination == .fast && $0.reason == .hot })
    #expect(migrations.allSatisfy { $0.islands == .all })
    #expect(passes.pass().isEmpty)
  }

  @Test(arguments: [(HeMemParameters.paper, 6), (.release, 3)])
  func `halves what pages have when one of them has too much`(
    _ parameters: HeMemParameters, _ loads: Int
  ) {
    var passes = Passes(parameters, fast: 1, slow: 1, room: 8)
    _ = passes.pass()
    passes.loads(1, loads)
    // Up to the threshold nothing cools: what is missing would make the page hot.
    passes.loads(0, parameters.coolingThreshold)
    var warm = passes
    warm.loads(1, parameters.hotReads - loads)
    #expect(warm.pass().map(\.chunk) == [1])
    passes.loads(0, 1)
    passes.loads(1, parameters.hotReads - loads)
    #expect(passes.pass().isEmpty)
    passes.loads(1, parameters.hotReads)
    #expect(passes.pass().map(\.chunk) == [1])
  }

  @Test func `in its release cools one counter and forgets the other`() {
    for isDefective in [true, false] {
      var parameters = HeMemParameters.release
      parameters.coolsOneCounter = isDefective
      var passes = Passes(parameters, fast: 1, slow: 1, room: 8)
      _ = passes.pass()
      passes.stores(1, 3)
      passes.loads(0, parameters.coolingThreshold + 1)
      passes.loads(1, 1)
      passes.stores(1, 1)
      #expect(passes.pass().map(\.chunk) == (isDefective ? [1] : []))
    }
  }

  @Test func `in the paper keeps room free, in the release makes it when it is needed`() {
    for (parameters, isAhead) in [(HeMemParameters.paper, true), (.release, false)] {
      var passes = Passes(parameters, fast: 2, slow: 1, room: 2)
      let ahead = passes.pass()
      #expect(ahead.map(\.reason) == (isAhead ? [.reserve] : []))
      #expect(ahead.map(\.chunk) == (isAhead ? [0] : []))
      passes.loads(2, 8)
      let later = passes.pass()
      // The oldest cold page goes for the hot one.
      #expect(later.last?.chunk == 2 && later.last?.reason == .hot)
      if !isAhead { #expect(later.first?.chunk == 0 && later.first?.reason == .exchange) }
      #expect(passes.table.fastBytes <= 2 * TierUnit.chunkBytes)
    }
  }

  @Test func `moves no more in a pass than it may, the oldest first`() {
    var parameters = HeMemParameters.paper
    parameters.bytesPerPass = 2 * TierUnit.chunkBytes
    var passes = Passes(parameters, fast: 0, slow: 5, room: 8)
    _ = passes.pass()
    for page in [3, 1, 4, 0, 2] { passes.loads(page, 8) }
    #expect(passes.pass().map(\.chunk) == [3, 1])
    #expect(passes.pass().map(\.chunk) == [4, 0])
    #expect(passes.pass().map(\.chunk) == [2])
  }

  @Test func `does not exchange what is hot for what is hot`() {
    var passes = Passes(.release, fast: 2, slow: 1, room: 2)
    _ = passes.pass()
    for page in 0..<3 { passes.loads(page, 4) }
    #expect(passes.pass().isEmpty)
  }
}
