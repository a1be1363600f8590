// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterPlacement

/// A place in the memory of a virtual program.
struct Place {
  var chunk: Int
  var island: Int
}

/// Where a program's accesses go.
enum Pattern {
  /// All chunks alike.
  case uniform
  /// 90 % of accesses go to a range of chunks, 10 % to all of them.
  case hotRange(first: Int, count: Int)
  /// 90 % of accesses go to these islands (chunk * 64 + island), 10 % to all of them.
  case hotIslands([Int])
  /// The same where only half of the accesses that take time are to what is hot: a processor's cache
  /// hides the others.
  case warmRange(first: Int, count: Int)
  case warmIslands([Int])
  /// One chunk after the other, round and round; each takes so many accesses.
  case sequential(accessesPerChunk: Double)
  /// Half the accesses go to a range of chunks, half run through all chunks in sequence.
  case hotAndSequential(first: Int, count: Int, accessesPerChunk: Double)
  /// Ranges of hot chunks that follow each other after so many seconds.
  case phases(firsts: [Int], count: Int, seconds: Double)

  /// The same, after so many accesses.
  case turns(firsts: [Int], count: Int, accesses: Double)

  func draw(
    chunks: Int, seconds: Double, accesses: Double, from random: inout SeededRandom
  ) -> Place {
    let island = random.below(64)
    let anywhere = Place(chunk: random.below(chunks), island: island)
    let isHot = random.below(10) != 0
    switch self {
    case .uniform:
      return anywhere
    case .hotRange(let first, let count):
      return isHot ? Place(chunk: first + random.below(count), island: island) : anywhere
    case .hotIslands(let islands):
      guard isHot else { return anywhere }
      let drawn = islands[random.below(islands.count)]
      return Place(chunk: drawn / 64, island: drawn % 64)
    case .warmRange(let first, let count):
      return random.below(2) == 0
        ? Place(chunk: first + random.below(count), island: island) : anywhere
    case .warmIslands(let islands):
      let drawn = islands[random.below(islands.count)]
      return random.below(2) == 0 ? Place(chunk: drawn / 64, island: drawn % 64) : anywhere
    case .sequential(let accessesPerChunk):
      let position = accesses / accessesPerChunk
      return Place(
        chunk: Int(position) % chunks, island: Int((position - position.rounded(.down)) * 64))
    case .hotAndSequential(let first, let count, let accessesPerChunk):
      if random.below(2) == 0 { return Place(chunk: first + random.below(count), island: island) }
      return Pattern.sequential(accessesPerChunk: accessesPerChunk)
        .draw(chunks: chunks, seconds: seconds, accesses: accesses, from: &random)
    case .turns(let firsts, let count, let length):
      let first = firsts[Int(accesses / length) % firsts.count]
      return Pattern.hotRange(first: first, count: count)
        .draw(chunks: chunks, seconds: seconds, accesses: accesses, from: &random)
    case .phases(let firsts, let count, let duration):
      let first = firsts[Int(seconds / duration) % firsts.count]
      return Pattern.hotRange(first: first, count: count)
        .draw(chunks: chunks, seconds: seconds, accesses: accesses, from: &random)
    }
  }
}

/// A program in virtual time: sampled by a timer, its memory placed by a policy.
///
/// A sample is taken after equal times of a thread, so that a place in slow memory is met more
/// often than one in fast memory, as much as its latency is longer.
struct VirtualProgram {
  var chunks = 4096
  var fastChunks = 1024
  var pattern = Pattern.uniform
  var threads = 2.0
  /// Samples that could be decoded to an address.
  var addressShare = 0.7
  var storeShare = 0.3
  var tiers: TierPair
  var table = ChunkTable()
  var seconds = 0.0
  /// Accesses done.
  var work = 0.0
  var bytesMoved = 0
  var moves = 0
  /// The least that moves by itself.
  var moveUnit = MoveUnit.island
  /// Decisions on a part of what a chunk has in a tier.
  var partMoves = 0
  /// The share of the last step's accesses that went to fast memory.
  var hitShare = 0.0
  private(set) var fastBytes = 0
  private(set) var largestFastBytes = 0
  private var meanLatency = 100.0
  private var numbers: [Int] = []
  private var random: SeededRandom

  init(
    chunks: Int, fastChunks: Int, pattern: Pattern, seed: UInt64, slowLoad: Double = 300,
    fastLoad: Double = 80
  ) {
    self.chunks = chunks
    self.fastChunks = fastChunks
    self.pattern = pattern
    random = SeededRandom(seed: seed, stream: 7)
    tiers = TierPair(
      fastBytes: fastChunks * TierUnit.chunkBytes,
      fast: TierTiming(
        loadNanoseconds: fastLoad, storeNanoseconds: fastLoad, readBytesPerSecond: 12e9,
        writeBytesPerSecond: 8e9),
      slow: TierTiming(
        loadNanoseconds: slowLoad, storeNanoseconds: slowLoad, readBytesPerSecond: 6e9,
        writeBytesPerSecond: 2e9),
      migrationNanoseconds: 30_000)
    for index in 0..<chunks {
      let chunk = ManagedChunk(
        process: 1, address: UInt64(index * TierUnit.chunkBytes),
        slowIslands: index < fastChunks ? [] : .all)
      numbers.append(table.insert(chunk))
      fastBytes += chunk.fastBytes
    }
  }

  /// The share of these islands that lies in fast memory.
  func fastShare(of islands: some Collection<Int>) -> Double {
    var fast = 0
    for island in islands where isFast(Place(chunk: island / 64, island: island % 64)) { fast += 1 }
    return Double(fast) / Double(max(1, islands.count))
  }

  func fastShare(ofChunks range: Range<Int>) -> Double {
    fastShare(of: range.lowerBound * 64..<range.upperBound * 64)
  }

  private func isFast(_ place: Place) -> Bool {
    guard let chunk = table[numbers[place.chunk]] else { return false }
    return chunk.slowIslands.rawValue >> UInt64(place.island) & 1 == 0
  }

  /// Runs for a time under a policy; steps are the policy's.
  mutating func run(_ policy: inout some PlacementPolicy, for duration: Double) {
    let end = seconds + duration
    while seconds < end - 1e-9 {
      let step = Double(policy.stepNanoseconds) / 1e9
      let period = policy.samplingPeriodNanoseconds
      access(&policy, for: step, period: period)
      seconds += step
      var migrations: [Migration] = []
      policy.step(
        PlacementView(
          timeNanoseconds: Int64((seconds * 1e9).rounded()), chunks: table, tiers: tiers,
          samplingPeriodNanoseconds: period, moveUnit: moveUnit), into: &migrations)
      for migration in migrations { carryOut(migration, &policy) }
    }
  }

  /// Nanoseconds that the last step's migrations took, which the program lacks in the next one.
  private var taken = 0.0

  /// Runs in parts of a step: where a program goes through memory in sequence it would otherwise be
  /// judged in fast memory by the speed that it had in slow memory.
  private mutating func access(
    _ policy: inout some PlacementPolicy, for step: Double, period: Int64
  ) {
    let parts = 50
    var (draws, hits) = (0, 0)
    for part in 0..<parts {
      let start = seconds + step * Double(part) / Double(parts)
      let (drawn, hit) = accessPart(
        &policy, from: start, for: step / Double(parts), period: period)
      draws += drawn
      hits += hit
    }
    hitShare = Double(hits) / Double(draws)
  }

  /// Returns the accesses that were drawn, and those of them that met fast memory.
  private mutating func accessPart(
    _ policy: inout some PlacementPolicy, from start: Double, for step: Double, period: Int64
  ) -> (draws: Int, hits: Int) {
    let wanted = threads * step * 1e9 / Double(period) * addressShare
    let chance = wanted - wanted.rounded(.down)
    let count = Int(wanted) + (Double(random.below(1 << 20)) < chance * 1_048_576 ? 1 : 0)
    let fastLatency = tiers.fast.loadNanoseconds
    let slowLatency = tiers.slow.loadNanoseconds
    var draws = 0
    var hits = 0
    var kept = 0
    // At least so many draws, to know the mean latency.
    while kept < count || draws < 16 {
      // Each draw stands for as many accesses; each sample for as much time.
      let part = min(1, Double(kept) / Double(max(1, count)))
      let place = pattern.draw(
        chunks: chunks, seconds: start + step * part,
        accesses: work + threads * step * 1e9 * part / meanLatency, from: &random)
      let isFast = isFast(place)
      draws += 1
      if isFast { hits += 1 }
      if isFast, Double(random.below(1 << 20)) > fastLatency / slowLatency * 1_048_576 { continue }
      if kept < count {
        let isStore = Double(random.below(1 << 20)) < storeShare * 1_048_576
        policy.record(
          TierSample(
            chunk: Int32(numbers[place.chunk]), island: UInt8(place.island), isStore: isStore,
            weight: Float(period)))
      }
      kept += 1
    }
    let share = Double(hits) / Double(draws)
    meanLatency = share * fastLatency + (1 - share) * slowLatency
    let time = threads * step * 1e9
    let lost = min(taken, time)
    taken -= lost
    work += (time - lost) / meanLatency
    return (draws, hits)
  }

  private mutating func carryOut(_ migration: Migration, _ policy: inout some PlacementPolicy) {
    guard var chunk = table[Int(migration.chunk)] else { return }
    let source = migration.destination == .fast ? tiers.slow : tiers.fast
    let target = migration.destination == .fast ? tiers.fast : tiers.slow
    let speed = min(source.readBytesPerSecond, target.writeBytesPerSecond, 5e9)
    let whole =
      migration.destination == .fast
      ? chunk.slowIslands : IslandSet.all.subtracting(chunk.slowIslands)
    if !whole.isSubset(of: migration.islands) { partMoves += 1 }
    let moving = moveUnit == .chunk ? whole : migration.islands.intersection(whole)
    let cost = tiers.migrationNanoseconds + Double(moving.bytes) / speed * 1e9
    if migration.destination == .fast {
      chunk.slowIslands.subtract(moving)
    } else {
      chunk.slowIslands.formUnion(moving)
    }
    table[Int(migration.chunk)] = chunk
    taken += cost
    bytesMoved += moving.bytes
    moves += 1
    fastBytes += migration.destination == .fast ? moving.bytes : -moving.bytes
    largestFastBytes = max(largestFastBytes, fastBytes)
    policy.complete(
      MigrationOutcome(
        migration, status: .moved, bytesCopied: moving.bytes, cpuNanoseconds: Int64(cost)))
  }
}
