// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterSimulator
import ArbiterWorkloads
import Testing

@Suite("Translation")
struct TranslationTests {
  @Test(arguments: [(1, 1), (7, 3), (64, 16), (96, 16)])
  func `every set gives up its least recent block`(blocks: Int, ways: Int) {
    let cache = TranslationCache(blocks: blocks, ways: ways)
    var sets = 1
    while sets * 2 * ways <= blocks { sets *= 2 }
    // The blocks of each set, the latest used last.
    var reference: [[UInt64]] = Array(repeating: [], count: sets)
    var random = SeededRandom(seed: 11)
    for _ in 0..<5003 {
      let block = UInt64(random.below(blocks * 2 + 1))
      let set = Int(block) % sets
      let place = reference[set].firstIndex(of: block)
      let isAtHand = cache.use(mediaBlock: block * 16 + UInt64(random.below(16)))
      #expect(isAtHand == (place != nil))
      if let place { reference[set].remove(at: place) }
      reference[set].append(block)
      if reference[set].count > ways { reference[set].removeFirst() }
    }
  }

  @Test func `a module without a cache always has the translation`() {
    let cache = TranslationCache(blocks: 0, ways: 16)
    for block in 0..<1000 {
      let isAtHand = cache.use(mediaBlock: UInt64(block) << 20)
      #expect(isAtHand)
    }
  }

  /// Mean latency of dependent loads of 64 B, in nanoseconds.
  private func latency(
    _ profile: DeviceProfile, region: Int, pattern: Pattern = .chain
  ) throws -> Double {
    let chase = Workload(
      pattern: pattern, regionBytes: region, readShare: 1, isDependent: true)
    let run = try measure(
      machine(chase, threads: 1, profile: profile), warmUp: .milliseconds(20),
      span: .milliseconds(10))
    return 64e9 / (run.imcReadBandwidth ?? 1)
  }

  @Test func `dependent loads show the latency of the level that holds the region`() throws {
    let module = profile {
      $0.coreJitterRatio = 0
      $0.mediaJitterRatio = 0
    }
    let hit = module.loadReturnNanoseconds
    let miss = hit + module.mediaReadNanoseconds
    #expect(abs(try latency(module, region: 8192) - hit) < 0.5)
    #expect(abs(try latency(module, region: 8 << 20) - miss) < 1.5)
    // A quarter of 64 MiB is translated at hand.
    let far = try latency(module, region: 64 << 20)
    #expect(abs(far - miss - 0.75 * module.translationReadNanoseconds) < 2)
    // Three of four sequential loads find their block in the read buffer.
    let sequential = try latency(module, region: 8 << 20, pattern: .sequential)
    #expect(abs(sequential - (3 * hit + miss) / 4) < 1.5)
  }

  @Test func `a wider window of loads leaves dependent ones as slow as they are`() throws {
    let narrow = try latency(profile { $0.loadWindowLines = 1 }, region: 1 << 20)
    let wide = try latency(profile { $0.loadWindowLines = 16 }, region: 1 << 20)
    #expect(abs(narrow / wide - 1) < 0.001)
  }

  @Test func `stores that miss their translation keep the medium busy longer`() throws {
    func bandwidth(region: Int) throws -> Double {
      try measure(machine(Workload(pattern: .random, regionBytes: region), threads: 2))
        .effectiveBandwidth
    }
    let module = profile()
    let slower =
      module.mediaWriteNanoseconds
      / (module.mediaWriteNanoseconds + module.translationWriteNanoseconds)
    let ratio = try bandwidth(region: 1 << 30) / bandwidth(region: 4 << 20)
    #expect(abs(ratio / slower - 1) < 0.02)
  }

  @Test func `the link between sockets bounds all stores together`() throws {
    let remote = profile { $0.socketLinkNanoseconds = 20 }
    var configuration = machine(threads: 6, profile: remote)
    configuration.moduleCount = 6
    #expect(abs(try measure(configuration).effectiveBandwidth / 3.2e9 - 1) < 0.02)
  }

  @Test(arguments: [1, 4, 16])
  func `the medium does its turn of writes before a load goes first`(turn: Int) throws {
    // One reader that always waits, beside writers that always wait.
    let chase = Workload(
      pattern: .chain, regionBytes: 8 << 20, readShare: 1, isDependent: true)
    var configuration = machine(
      Workload(pattern: .random), threads: 4,
      profile: profile {
        $0.mediaTurnBlocks = turn
        $0.loadReturnNanoseconds = 0
      })
    configuration.threads.append(ThreadPlan(chase))
    let run = try measure(configuration)
    let reads = (run.imcReadBandwidth ?? 0) / 64
    let writes = (run.mediaWriteBandwidth ?? 0) / 256
    // A load is a media read three times out of four or more, and each of them waits for a turn.
    #expect(writes / reads > 0.7 * Double(turn))
  }
}
