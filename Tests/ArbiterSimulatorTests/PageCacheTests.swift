// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterSimulator
import ArbiterWorkloads
import Testing

/// A small device with a page cache: fast enough that short runs see many evictions.
private func cached(
  pages: Int = 64, ways: Int = 8, _ change: (inout DeviceProfile) -> Void = { _ in }
) -> DeviceProfile {
  profile {
    $0.pageCachePages = pages
    $0.pageCacheWays = ways
    $0.pageFillsMax = 16
    $0.mediaUnits = 8
    $0.mediaReadNanoseconds = 400
    $0.mediaWriteNanoseconds = 2000
    change(&$0)
  }
}

@Suite("Page cache")
struct PageCacheTests {
  @Test func `a set drops its least recently used page`() {
    // One set, so that every page competes.
    var cache = PageCache(profile: cached(pages: 4, ways: 4))
    for page: UInt64 in 0..<4 {
      #expect(cache.lookup(page) == .absent)
      guard let victim = cache.chooseVictim(for: page) else {
        Issue.record("no place for page \(page)")
        return
      }
      #expect(!victim.isDirty)
      _ = cache.replace(victim.slot, with: page)
      #expect(cache.lookup(page) == .pending(slot: victim.slot))
      #expect(cache.complete(victim.slot) == -1)
      #expect(cache.lookup(page) == .ready(slot: victim.slot))
    }
    guard case .ready(let slot) = cache.lookup(0) else {
      Issue.record("page 0 left an empty cache")
      return
    }
    cache.touch(slot)
    guard case .ready(let second) = cache.lookup(1) else {
      Issue.record("page 1 left an empty cache")
      return
    }
    #expect(cache.chooseVictim(for: 9)?.slot == second)
  }

  @Test func `a pending page is no victim and a set of them has none`() {
    var cache = PageCache(profile: cached(pages: 2, ways: 2))
    for page: UInt64 in 0..<2 {
      guard let victim = cache.chooseVictim(for: page) else { break }
      _ = cache.replace(victim.slot, with: page)
    }
    #expect(cache.pendingCount == 2)
    #expect(cache.chooseVictim(for: 7) == nil)
  }

  @Test func `lines merge into a pending page and leave together`() {
    var cache = PageCache(profile: cached(pages: 1, ways: 1))
    _ = cache.replace(0, with: 5)
    for line in [0, 63, 7, 7] { cache.write(line: line, into: 0) }
    #expect(cache.dirtyLines == 3)
    #expect(cache.overwrittenLines == 1)
    _ = cache.complete(0)
    #expect(cache.chooseVictim(for: 6)?.isDirty == true)
    let old = cache.replace(0, with: 6)
    #expect(old.page == 5)
    #expect(old.mask == 0x8000_0000_0000_0081 as UInt64)
    #expect(cache.dirtyLines == 0)
  }

  @Test func `waiting loads come back in the opposite order of their arrival`() {
    var cache = PageCache(profile: cached(pages: 1, ways: 1))
    _ = cache.replace(0, with: 5)
    #expect(cache.addWaiter(3, to: 0) == -1)
    #expect(cache.addWaiter(8, to: 0) == 3)
    #expect(cache.complete(0) == 8)
    #expect(cache.pendingCount == 0)
  }

  @Test func `a page costs 32 bytes, so that the whole of a real cache can be modelled`() {
    #expect(MemoryLayout<PageCache.Entry>.stride == 32)
    #expect(PageCache(profile: cached(pages: 100_000, ways: 16)).pageCount == 100_000)
  }
}

@Suite("Device with a page cache")
struct PageDeviceTests {
  @Test(arguments: 0..<24)
  func `nothing is lost whatever threads do to it`(seed: UInt64) throws {
    var random = SeededRandom(seed: seed, stream: 7)
    let stores: [Operation] = [
      .storeNonTemporal, .storeWriteBack, .storeWriteBackCached, .storePlain,
    ]
    let device = cached(pages: 1 << (2 + random.below(6)), ways: 1 << random.below(5)) {
      $0.pageFillsMax = 1 + random.below(16)
      $0.evictionQueueBlocks = 1 + random.below(4)
      $0.mediaUnits = 1 + random.below(8)
      $0.readPendingQueueLines = 1 + random.below(32)
    }
    var plan = machine(threads: 1 + random.below(12), profile: device, seed: seed)
    plan.moduleCount = 1 + random.below(3)
    for index in plan.threads.indices {
      plan.threads[index] = ThreadPlan(
        Workload(
          pattern: random.below(2) == 0 ? .sequential : .random,
          store: stores[random.below(stores.count)], accessBytes: 64 << random.below(5),
          fence: random.below(2) == 0 ? .never : .every(bytes: 1024),
          regionBytes: 4096 << random.below(6), readShare: Double(random.below(5)) / 4))
    }
    var simulation = try Simulation(plan)
    for _ in 0..<8 {
      simulation.run(for: .microseconds(97))
      #expect(simulation.violations() == [])
    }
    #expect(simulation.threadBytes().allSatisfy { $0 > 0 }, "a thread never moved a byte")
  }

  @Test func `equal runs give equal figures`() throws {
    func run() throws -> RunResult {
      let mixed = Workload(pattern: .random, regionBytes: 1 << 20, readShare: 0.5)
      return try measure(machine(mixed, threads: 6, profile: cached()))
    }
    #expect(try run() == run())
  }

  @Test func `a footprint that fits is written once, however long the run`() throws {
    let fits = Workload(pattern: .random, regionBytes: 64 << 10)
    let warm = try measure(machine(fits, threads: 1, profile: cached()))
    #expect(warm.writeAmplification == 0)
    #expect(warm.mediaReadBandwidth == 0)
    let spills = Workload(pattern: .random, regionBytes: 4 << 20)
    let cold = try measure(machine(spills, threads: 1, profile: cached()))
    // 1,024 pages in 64 places: nearly every line costs a whole page.
    #expect(try #require(cold.writeAmplification) > 50)
  }

  @Test func `media traffic is counted in whole pages`() throws {
    let whole = Workload(accessBytes: 4096, regionBytes: 4 << 20)
    let run = try measure(machine(whole, threads: 1, profile: cached()))
    #expect(abs(try #require(run.writeAmplification) - 1) < 0.02)
    // Every page is read before it is written: the device cannot know that it will be filled.
    let readPerWrite = run.mediaReadBandwidth.map { $0 / run.effectiveBandwidth } ?? 0
    #expect(abs(readPerWrite - 1) < 0.02)
  }
}

@Suite("Shared cores and full blocks")
struct CoreShareTests {
  private func bandwidth(cores: Int, threads: Int) throws -> Double {
    let fenced = Workload(accessBytes: 1024, fence: .every(bytes: 1024))
    var plan = machine(fenced, threads: threads, profile: profile { $0.physicalCores = cores })
    plan.moduleCount = 6
    return try measure(plan).effectiveBandwidth
  }

  @Test func `threads that have a core each are not slowed by the number of cores`() throws {
    #expect(try bandwidth(cores: 4, threads: 4) == bandwidth(cores: 0, threads: 4))
    #expect(try bandwidth(cores: 64, threads: 2) == bandwidth(cores: 0, threads: 2))
  }

  @Test func `threads that share a core have half a window each`() throws {
    let alone = try bandwidth(cores: 4, threads: 4)
    let shared = try bandwidth(cores: 2, threads: 4)
    // Sixteen lines take four windows of five instead of two of ten.
    #expect(shared < 0.75 * alone)
    let some = try bandwidth(cores: 3, threads: 4)
    #expect(some > shared && some < alone)
  }

  @Test func `a core of many threads leaves each a line at least`() throws {
    #expect(try bandwidth(cores: 1, threads: 26) > 0)
  }

  @Test func `a full block that is written again reaches the medium only where it is eager`() throws
  {
    let hot = Workload(accessBytes: 256, regionBytes: 2048)
    func amplification(_ eager: Int) throws -> Double {
      let device = profile { $0.eagerFullBlocks = eager }
      return try measure(machine(hot, threads: 1, profile: device)).writeAmplification ?? -1
    }
    #expect(try amplification(0) == 0)
    #expect(try amplification(1) > 0.3)
  }
}
