// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterPlacement
import ArbiterTestSupport
import Testing

/// A small machine that does random things to a policy and checks every decision.
private struct Ordeal {
  var policy: any PlacementPolicy
  var random: SeededRandom
  var table = ChunkTable()
  var tiers: TierPair
  var time: Int64 = 0
  var nextAddress = 0
  /// Decisions whose outcome has not been told.
  var open: [Migration] = []
  var decisions = 0
  var failures: [String] = []
  var moveUnit = MoveUnit.island
  let everythingSucceeds: Bool

  init(_ name: String, seed: UInt64, everythingSucceeds: Bool) {
    policy = PlacementPolicies.named(name, seed: seed) ?? FirstTouchPlacement()
    random = SeededRandom(seed: seed, stream: 11)
    self.everythingSucceeds = everythingSucceeds
    tiers = VirtualProgram(chunks: 1, fastChunks: 24, pattern: .uniform, seed: 1).tiers
    for _ in 0..<64 { insert() }
  }

  mutating func insert() {
    var chunk = ManagedChunk(
      process: 1, address: UInt64(nextAddress * TierUnit.chunkBytes), slowIslands: [])
    nextAddress += 1
    if random.below(4) == 0 { chunk.presentIslands = IslandSet(rawValue: random.next()) }
    // As back-ends do: fast while there is room.
    if used + chunk.presentIslands.bytes > tiers.fastBytes { chunk.slowIslands = .all }
    chunk.isMovable = random.below(8) != 0
    table.insert(chunk)
  }

  /// Bytes in fast memory once everything that is open has been done.
  var used: Int {
    var copy = table
    for migration in open { Self.apply(migration, to: &copy) }
    return copy.fastBytes
  }

  static func apply(_ migration: Migration, to table: inout ChunkTable) {
    guard var chunk = table[Int(migration.chunk)] else { return }
    if migration.destination == .fast {
      chunk.slowIslands.subtract(migration.islands)
    } else {
      chunk.slowIslands.formUnion(migration.islands)
    }
    table[Int(migration.chunk)] = chunk
  }

  mutating func sample() {
    for _ in 0..<random.below(400) {
      // A third of the chunks gets most samples; some numbers are not in use.
      let chunk = random.below(3) == 0 ? random.below(table.capacity + 2) : random.below(22) + 30
      policy.record(
        TierSample(
          chunk: Int32(chunk), island: UInt8(random.below(64)), isStore: random.below(3) == 0,
          weight: random.below(50) == 0 ? 0 : 1e6))
      if random.below(2) == 0 { policy.recordAccessed(chunk: chunk) }
    }
    if random.below(4) == 0 {
      policy.recordIdle(
        chunk: random.below(table.capacity), islands: IslandSet(rawValue: random.next()),
        forNanoseconds: Int64(random.below(5)) * 1_000_000_000)
    }
  }

  mutating func step() {
    time += policy.stepNanoseconds
    var migrations: [Migration] = []
    policy.step(
      PlacementView(
        timeNanoseconds: time, chunks: table, tiers: tiers,
        samplingPeriodNanoseconds: policy.samplingPeriodNanoseconds, moveUnit: moveUnit),
      into: &migrations)
    decisions += migrations.count
    let before = used
    for migration in migrations { check(migration) }
    if everythingSucceeds, used > max(before, tiers.fastBytes) {
      failures.append("\(used) bytes fast of \(tiers.fastBytes), \(before) before")
    }
  }

  mutating func check(_ migration: Migration) {
    defer { open.append(migration) }
    guard let chunk = table[Int(migration.chunk)] else {
      failures.append("a decision on a number that is not in use")
      return
    }
    if !chunk.isMovable { failures.append("a decision on a chunk that is not movable") }
    if migration.islands.isEmpty { failures.append("a decision on nothing") }
    if !migration.islands.isSubset(of: chunk.presentIslands) {
      failures.append("a decision on islands without memory")
    }
    let isThere =
      migration.destination == .fast
      ? !migration.islands.isSubset(of: chunk.slowIslands)
      : !migration.islands.isDisjoint(with: chunk.slowIslands)
    if isThere { failures.append("a decision on islands that are there already") }
    let movable =
      migration.destination == .fast
      ? chunk.presentIslands.intersection(chunk.slowIslands)
      : chunk.presentIslands.subtracting(chunk.slowIslands)
    if moveUnit == .chunk, migration.islands != movable {
      failures.append("a decision on a part of a chunk that moves whole")
    }
    if open.contains(where: { $0.chunk == migration.chunk }) {
      failures.append("a second decision before the first one's outcome")
    }
  }

  /// Tells outcomes, oldest first; some are left for later.
  mutating func finish() {
    while !open.isEmpty, random.below(16) != 0 {
      let migration = open.removeFirst()
      var status = MigrationOutcome.Status.moved
      if !everythingSucceeds, random.below(4) == 0 {
        status = MigrationOutcome.Status.allCases.randomElement(using: &random) ?? .stale
      }
      if status == .moved { Self.apply(migration, to: &table) }
      policy.complete(
        MigrationOutcome(migration, status: status, bytesCopied: migration.islands.bytes))
    }
  }

  /// Chunks come, go and change.
  mutating func disturb() {
    let index = random.below(table.capacity)
    let isOpen = open.contains { $0.chunk == Int32(index) }
    switch random.below(6) {
    case 0 where !isOpen && table[index] != nil:
      table.remove(index)
      policy.forget(chunk: index)
    case 1:
      insert()
    case 2 where !isOpen:
      if let chunk = table[index] { table[index]?.isMovable = !chunk.isMovable }
    default:
      break
    }
  }
}

@Suite struct `every policy` {
  @Test(arguments: PlacementPolicies.names, [true, false])
  func `decides within its bounds, whatever happens`(_ name: String, _ succeeds: Bool) {
    ordeal(name, succeeds, unit: .island)
  }

  @Test(arguments: PlacementPolicies.names)
  func `decides on whole chunks where nothing smaller moves`(_ name: String) {
    ordeal(name, true, unit: .chunk)
  }

  private func ordeal(_ name: String, _ succeeds: Bool, unit: MoveUnit) {
    var decisions = 0
    for round in 0..<6 {
      let seed = ProcessSeed.value &+ UInt64(round)
      var ordeal = Ordeal(name, seed: seed, everythingSucceeds: succeeds)
      ordeal.moveUnit = unit
      for _ in 0..<150 {
        ordeal.sample()
        ordeal.step()
        ordeal.finish()
        ordeal.disturb()
      }
      decisions += ordeal.decisions
      #expect(ordeal.failures.isEmpty, "seed \(seed): \(ordeal.failures.first ?? "")")
    }
    // All but the one that never moves anything must have been put to the test.
    #expect((decisions > 0) == (name != "first-touch"))
  }

  @Test(arguments: PlacementPolicies.names)
  func `decides the same when asked the same`(_ name: String) {
    var first = Ordeal(name, seed: ProcessSeed.value, everythingSucceeds: false)
    var second = Ordeal(name, seed: ProcessSeed.value, everythingSucceeds: false)
    for _ in 0..<60 {
      for _ in 0..<1 {
        first.sample()
        first.step()
        second.sample()
        second.step()
      }
      #expect(first.open == second.open)
      first.finish()
      second.finish()
    }
  }

  @Test func `has the name that it is made by`() {
    for name in PlacementPolicies.names {
      #expect(PlacementPolicies.named(name)?.name == name)
    }
    #expect(PlacementPolicies.named("none") == nil)
  }

  @Test(arguments: PlacementPolicies.names)
  func `takes a session without any memory`(_ name: String) {
    guard var policy = PlacementPolicies.named(name) else {
      Issue.record("no policy \(name)")
      return
    }
    let tiers = VirtualProgram(chunks: 1, fastChunks: 1, pattern: .uniform, seed: 1).tiers
    var migrations: [Migration] = []
    for time in 1...20 as ClosedRange<Int64> {
      policy.step(
        PlacementView(
          timeNanoseconds: time * 1_000_000_000, chunks: ChunkTable(), tiers: tiers,
          samplingPeriodNanoseconds: 1_000_000), into: &migrations)
    }
    policy.forget(chunk: 5)
    #expect(migrations.isEmpty)
  }
}

/// What may happen in a second of a very small machine.
private enum Happening: CaseIterable {
  case nothing, heatOfFast, heatOfSlow, heatOfOther, silence, refusal, departure, lock
}

extension Ordeal {
  /// A machine with one chunk in fast memory, where no more fits, and two others that may become
  /// hot; and for a policy that learns from all chunks together, many that nobody touches.
  fileprivate init(small name: String) {
    self.init(name, seed: 1, everythingSucceeds: true)
    table = ChunkTable()
    tiers.fastBytes = TierUnit.chunkBytes
    for number in 0..<(name == "arbiter" ? 256 : 3) {
      table.insert(
        ManagedChunk(
          process: 1, address: UInt64(number) << 21, slowIslands: number == 0 ? [] : .all))
    }
  }

  /// How long one thing happens: long enough for the policy to be sure of it.
  private var eventNanoseconds: Int64 {
    switch policy.name {
    case "arbiter", "scan": 3_000_000_000
    default: 1_500_000_000
    }
  }

  /// Lives through some seconds in which one thing happens.
  fileprivate mutating func live(_ happening: Happening) {
    let isOpen = open.contains { $0.chunk == 1 }
    switch happening {
    case .departure where !isOpen && table[1] != nil:
      table.remove(1)
      policy.forget(chunk: 1)
    case .departure where table[1] == nil:
      nextAddress += 1
      table.insert(
        ManagedChunk(
          process: 1, address: UInt64(nextAddress + 100) << 21, slowIslands: .all))
    case .lock:
      if let chunk = table[2] { table[2]?.isMovable = !chunk.isMovable }
    default: break
    }
    let end = time + eventNanoseconds
    while time < end {
      heat(happening)
      step()
      if happening == .silence { continue }
      for migration in open {
        let status: MigrationOutcome.Status = happening == .refusal ? .busy : .moved
        if status == .moved { Self.apply(migration, to: &table) }
        policy.complete(
          MigrationOutcome(migration, status: status, bytesCopied: migration.islands.bytes))
      }
      open.removeAll()
    }
  }

  /// A sample each four milliseconds, most of them of one chunk.
  private mutating func heat(_ happening: Happening) {
    let hot: Int32
    switch happening {
    case .nothing: return
    case .heatOfFast, .departure, .lock: hot = 0
    case .heatOfSlow, .silence, .refusal: hot = 1
    case .heatOfOther: hot = 2
    }
    for _ in 0..<max(1, policy.stepNanoseconds / 4_000_000) {
      let chunk = random.below(10) == 0 ? Int32(random.below(3)) : hot
      policy.record(
        TierSample(
          chunk: chunk, island: UInt8(random.below(64)), isStore: random.below(3) == 0,
          weight: 4e6))
      // Between two scans everything is touched now and then: bits tell of what is hot alone.
      if chunk == hot { policy.recordAccessed(chunk: Int(chunk)) }
    }
  }

  /// Walks through all courses of so many events that begin as this machine stands.
  fileprivate func walk(_ depth: Int, _ course: [Happening], _ found: inout Walk) {
    guard depth > 0, found.failure == nil else { return }
    for happening in Happening.allCases {
      var next = self
      next.live(happening)
      found.courses += 1
      found.decisions += next.decisions - decisions
      if let failure = next.failures.first {
        found.failure = "\(failure) after \(course + [happening])"
        return
      }
      next.walk(depth - 1, course + [happening], &found)
    }
  }
}

/// What a walk through all courses of events met.
private struct Walk {
  var courses = 0
  var decisions = 0
  var failure: String?
}

@Suite struct `every policy, in every course of a few events` {
  @Test(arguments: PlacementPolicies.names)
  func `decides within its bounds on a few chunks`(_ name: String) {
    var machine = Ordeal(small: name)
    // So that nothing is new any more.
    machine.live(.nothing)
    machine.live(.heatOfFast)
    let depth = Shell.succeeds(#"test -n "${ARBITER_LONG-}""#) ? 4 : 3
    var found = Walk()
    machine.walk(depth, [], &found)
    #expect(found.failure == nil)
    #expect(
      found.courses
        == (1...depth).reduce(0) { sum, length in
          sum + (0..<length).reduce(1) { product, _ in product * Happening.allCases.count }
        })
    #expect((found.decisions > 0) == (name != "first-touch"))
  }
}
