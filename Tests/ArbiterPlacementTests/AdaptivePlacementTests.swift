// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterPlacement
import ArbiterTestSupport
import Testing

/// 8 GiB of which a quarter fits into fast memory, as in HeMem's GUPS made small.
private func program(_ pattern: Pattern, seed: UInt64 = ProcessSeed.value) -> VirtualProgram {
  VirtualProgram(chunks: 4096, fastChunks: 1024, pattern: pattern, seed: seed)
}

@Suite struct `arbiter's policy finds what is hot` {
  @Test func `a hot range within ten seconds of a cold start`() {
    var program = program(.hotRange(first: 2000, count: 512))
    var policy = AdaptivePlacement()
    program.run(&policy, for: 10)
    #expect(program.fastShare(ofChunks: 2000..<2512) >= 0.95, "seed \(ProcessSeed.value)")
    #expect(program.largestFastBytes <= program.tiers.fastBytes)
    // Migrations were worth it, by its own account.
    #expect(policy.earnedNanoseconds > policy.spentNanoseconds)
  }

  @Test func `a hot range again within ten seconds after it moved whole`() {
    var program = program(.hotRange(first: 2000, count: 512))
    var policy = AdaptivePlacement()
    program.run(&policy, for: 12)
    program.pattern = .hotRange(first: 3000, count: 512)
    program.run(&policy, for: 10)
    #expect(program.fastShare(ofChunks: 3000..<3512) >= 0.95, "seed \(ProcessSeed.value)")
  }

  @Test func `a hot range of which a quarter moved, even when it had long been stable`() {
    var program = program(.hotRange(first: 2000, count: 512))
    var policy = AdaptivePlacement()
    program.run(&policy, for: 30)
    #expect(policy.samplingPeriodNanoseconds > policy.parameters.periodNanoseconds)
    program.pattern = .hotRange(first: 2128, count: 512)
    program.run(&policy, for: 10)
    #expect(program.fastShare(ofChunks: 2128..<2640) >= 0.95, "seed \(ProcessSeed.value)")
  }

  @Test func `a range that is eight times as hot as the rest, to the last chunks`() {
    var program = VirtualProgram(
      chunks: 4096, fastChunks: 1024, pattern: .warmRange(first: 2000, count: 512),
      seed: ProcessSeed.value, slowLoad: 215, fastLoad: 101)
    var policy = AdaptivePlacement()
    program.run(&policy, for: 10)
    #expect(program.fastShare(ofChunks: 2000..<2512) >= 0.95, "seed \(ProcessSeed.value)")
  }

  @Test func `a range of a program that gets few of its processors' time`() {
    var program = VirtualProgram(
      chunks: 4096, fastChunks: 1024, pattern: .warmRange(first: 2000, count: 512),
      seed: ProcessSeed.value, slowLoad: 215, fastLoad: 101)
    program.threads = 0.5
    var policy = AdaptivePlacement()
    program.run(&policy, for: 30)
    #expect(program.fastShare(ofChunks: 2000..<2512) >= 0.85, "seed \(ProcessSeed.value)")
  }

  @Test func `scattered islands that show in half of the samples`() {
    var random = SeededRandom(seed: ProcessSeed.value, stream: 3)
    var hot: Set<Int> = []
    while hot.count < 8192 { hot.insert(random.below(65_536)) }
    var program = VirtualProgram(
      chunks: 1024, fastChunks: 256, pattern: .warmIslands(hot.sorted()), seed: ProcessSeed.value,
      slowLoad: 215, fastLoad: 101)
    var policy = AdaptivePlacement()
    var shortest = Int64.max
    for _ in 0..<30 {
      program.run(&policy, for: 1)
      shortest = min(shortest, policy.samplingPeriodNanoseconds)
    }
    #expect(shortest == policy.parameters.periodNanosecondsMin)
    #expect(program.fastShare(of: hot) >= 0.85, "seed \(ProcessSeed.value)")
    #expect(program.largestFastBytes <= program.tiers.fastBytes)
  }

  @Test func `islands that are scattered over all chunks`() {
    var random = SeededRandom(seed: ProcessSeed.value, stream: 3)
    var hot: Set<Int> = []
    while hot.count < 8192 { hot.insert(random.below(65_536)) }
    // 2 GiB, of which 256 MiB are hot and 512 MiB fit.
    var program = VirtualProgram(
      chunks: 1024, fastChunks: 256, pattern: .hotIslands(hot.sorted()), seed: ProcessSeed.value)
    var policy = AdaptivePlacement()
    program.run(&policy, for: 20)
    #expect(program.fastShare(of: hot) >= 0.9, "seed \(ProcessSeed.value)")
    #expect(program.largestFastBytes <= program.tiers.fastBytes)
  }

  @Test func `chunks of scattered islands, whole, where nothing smaller moves`() {
    // Eight hot islands in each fifth chunk, by themselves half of the fast tier's size.
    let hot = (0..<1024).filter { $0 % 5 == 3 }.flatMap { chunk in
      (0..<8).map { chunk * 64 + $0 * 8 + chunk % 8 }
    }
    var program = VirtualProgram(
      chunks: 1024, fastChunks: 256, pattern: .hotIslands(hot), seed: ProcessSeed.value)
    program.moveUnit = .chunk
    var policy = AdaptivePlacement()
    program.run(&policy, for: 20)
    #expect(program.partMoves == 0)
    #expect(program.fastShare(of: hot) >= 0.9, "seed \(ProcessSeed.value)")
    #expect(program.largestFastBytes <= program.tiers.fastBytes)
  }

  @Test func `one chunk that takes nearly all`() {
    var program = program(.hotRange(first: 2000, count: 1))
    var policy = AdaptivePlacement()
    program.run(&policy, for: 10)
    #expect(program.fastShare(ofChunks: 2000..<2001) == 1)
    // And of the others, all alike, none has to make room for another one of them.
    #expect(program.moves <= 64)
  }

  @Test func `a hot range beside a stream through everything`() {
    var program = program(.hotAndSequential(first: 2000, count: 512, accessesPerChunk: 16_000))
    var policy = AdaptivePlacement()
    program.run(&policy, for: 20)
    #expect(program.fastShare(ofChunks: 2000..<2512) >= 0.9, "seed \(ProcessSeed.value)")
  }
}

@Suite struct `arbiter's policy leaves alone what does not pay` {
  /// Work done, relative to leaving everything where it was touched first.
  private func gain(_ pattern: Pattern, chunks: Int = 4096, seconds: Double) -> Double {
    var managed = VirtualProgram(
      chunks: chunks, fastChunks: chunks / 4, pattern: pattern, seed: ProcessSeed.value)
    var unmanaged = managed
    var policy = AdaptivePlacement()
    var firstTouch = FirstTouchPlacement()
    managed.run(&policy, for: seconds)
    unmanaged.run(&firstTouch, for: seconds)
    return managed.work / unmanaged.work
  }

  @Test(arguments: [64, 4096])
  func `even use`(_ chunks: Int) {
    var program = VirtualProgram(
      chunks: chunks, fastChunks: chunks / 4, pattern: .uniform, seed: ProcessSeed.value)
    var policy = AdaptivePlacement()
    program.run(&policy, for: 40)
    // Chance moves something now and then; the stake bounds what that may cost.
    let seconds = 40e9
    #expect(
      policy.spentNanoseconds - policy.earnedNanoseconds
        <= policy.parameters.stakeNanoseconds * 2 + policy.parameters.allowance * seconds)
    #expect(program.bytesMoved <= program.tiers.fastBytes / 2, "seed \(ProcessSeed.value)")
    #expect(policy.samplingPeriodNanoseconds == policy.parameters.periodNanosecondsMax)
  }

  @Test(arguments: [1600.0, 16_000, 400_000])
  func `sequential passes`(_ accessesPerChunk: Double) {
    let gain = gain(.sequential(accessesPerChunk: accessesPerChunk), seconds: 30)
    #expect(gain >= 0.97, "seed \(ProcessSeed.value)")
  }

  @Test func `a hot range of which only a third fits`() {
    #expect(gain(.hotRange(first: 0, count: 3000), seconds: 30) >= 0.97)
  }

  @Test func `ranges that take turns too fast to follow`() {
    let pattern = Pattern.turns(firsts: [2000, 3000, 100, 1500], count: 512, accesses: 2e7)
    #expect(gain(pattern, seconds: 30) >= 0.97)
  }

  @Test func `memory that fits`() {
    var program = VirtualProgram(
      chunks: 256, fastChunks: 256, pattern: .hotRange(first: 10, count: 20),
      seed: ProcessSeed.value)
    var policy = AdaptivePlacement()
    program.run(&policy, for: 1)
    #expect(policy.samplingPeriodNanoseconds == policy.parameters.periodNanosecondsMax)
    program.run(&policy, for: 20)
    #expect(program.moves == 0)
  }

  @Test func `tiers of the same speed`() {
    var program = VirtualProgram(
      chunks: 256, fastChunks: 64, pattern: .hotRange(first: 100, count: 20),
      seed: ProcessSeed.value, slowLoad: 80, fastLoad: 80)
    var policy = AdaptivePlacement()
    program.run(&policy, for: 10)
    #expect(program.moves == 0)
  }
}

@Suite struct `arbiter's policy samples no more than it needs` {
  @Test func `seldom while nothing changes, often at once when it does`() {
    var program = program(.hotRange(first: 2000, count: 512))
    var policy = AdaptivePlacement()
    #expect(policy.samplingPeriodNanoseconds == policy.parameters.periodNanoseconds)
    program.run(&policy, for: 50)
    #expect(policy.samplingPeriodNanoseconds == policy.parameters.periodNanosecondsMax)
    program.pattern = .hotRange(first: 100, count: 512)
    program.run(&policy, for: 1)
    #expect(policy.samplingPeriodNanoseconds <= policy.parameters.periodNanoseconds)
  }

  @Test func `its memory is at most three thousandths of a chunk`() {
    #expect(AdaptivePlacement.bytesPerChunk * 1000 <= 3 * TierUnit.chunkBytes)
  }
}
