// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterSimulator
import ArbiterWorkloads
import Testing

@Suite("Core cache")
struct CoreCacheTests {
  @Test(arguments: [1, 2, 3, 16, 511, 512])
  func `the cache holds what a plain set holds`(capacity: Int) {
    var random = SeededRandom(seed: baseSeed, stream: UInt64(capacity))
    var cache = CoreCache(capacity: capacity)
    var reference: Set<UInt64> = []
    // Addresses that differ in few bits, as lines of one region do.
    func line() -> UInt64 { UInt64(random.below(capacity * 2 + 3)) << 14 | UInt64(random.below(2)) }
    for step in 0..<20_011 {
      let line = line()
      #expect((cache.holding(of: line) == .dirty) == reference.contains(line))
      if reference.contains(line) {
        if random.below(3) == 0 {
          cache.remove(line)
          reference.remove(line)
        }
      } else if cache.isFull {
        let victim = cache.replace(at: random.below(cache.count), by: line)
        #expect(reference.remove(victim) != nil)
        reference.insert(line)
      } else {
        cache.insert(line)
        reference.insert(line)
      }
      #expect(cache.count == reference.count && cache.count <= capacity)
      if step % 499 == 0 { #expect(cache.violations(0) == []) }
    }
    for line in reference { #expect(cache.holding(of: line) == .dirty) }
  }

  @Test func `a line that is flushed on its way does not stay`() {
    var cache = CoreCache(capacity: 4)
    #expect(!cache.isInUse && cache.holding(of: 64) == .absent)
    cache.beginFill(64)
    cache.beginFill(128)
    #expect(cache.isInUse && cache.holding(of: 64) == .filling)
    cache.flushAfterFill(64)
    cache.flushAfterFill(64, isStore: true)
    cache.joinFill(128)
    let fills = [cache.endFill(64), cache.endFill(128), cache.endFill(192)]
    #expect(fills.map { $0?.isFlushed } == [true, false, nil])
    #expect(fills.map { $0?.joinedWriteBackCount } == [1, 0, nil])
    #expect(fills.map { $0?.joinedPlainCount } == [0, 1, nil])
    #expect(cache.holding(of: 64) == .absent)
  }
}

/// What one thread does, for sure and in order.
private func run(
  _ events: [TraceEvent], source: TraceSource = .hooks,
  profile: DeviceProfile = profile { $0.coreJitterRatio = 0 }
) throws -> (counters: CounterSnapshot, result: ArbiterDevice.RunResult) {
  let program = RecordedProgram(
    regions: [TraceRegion(number: 0, name: "", byteCount: 1 << 24)],
    threads: [RecordedThread(number: 0, source: source, events)])
  let configuration = SimulationConfiguration(
    profile: profile, threads: program.plans().map { ThreadPlan($0) })
  var simulation = try Simulation(configuration)
  simulation.run(for: .seconds(1))
  let isFinished = simulation.isFinished
  #expect(isFinished && simulation.violations() == [])
  return (simulation.snapshot(), simulation.result())
}

@Suite("Plain stores and flushes")
struct FlushTests {
  private func event(_ operation: TraceOperation, _ line: Int, count: Int = 1) -> TraceEvent {
    TraceEvent(
      operation, offset: UInt64(line * 64), length: 64, count: UInt32(count),
      stride: count > 1 ? 64 : 0)
  }
  private let fence = TraceEvent(.fence, length: 0)
  /// Time for fills to come, which no program can see.
  private func pause(_ nanoseconds: UInt64) -> TraceEvent {
    TraceEvent(.fence, length: 0, startNanoseconds: nanoseconds)
  }

  @Test func `stores that stay in the cache read their lines once and write nothing`() throws {
    let lines = event(.store, 0, count: 100)
    let counters = try run([lines, fence, lines, fence, lines, fence]).counters
    #expect(counters.imcWriteBytes == 0 && counters.imcReadBytes == 100 * 64)
  }

  @Test func `a flush writes each dirty line once, without a read, and clean ones not at all`()
    throws
  {
    let store = event(.store, 0, count: 100)
    let flush = event(.flush, 0, count: 200)
    let counters = try run([store, fence, flush, fence, flush, fence]).counters
    #expect(counters.imcWriteBytes == 100 * 64 && counters.imcReadBytes == 100 * 64)
    let clean = try run([flush, fence]).counters
    #expect(clean.imcWriteBytes == 0 && clean.imcReadBytes == 0)
  }

  @Test func `a flush of a line that is not there yet is not lost`() throws {
    // Every line is flushed right behind its store, long before the read has come back.
    let events = (0..<50).flatMap { [event(.store, $0), event(.flush, $0)] } + [fence]
    let counters = try run(events).counters
    #expect(counters.imcWriteBytes == 50 * 64 && counters.imcReadBytes == 50 * 64)
  }

  @Test func `a line that was flushed is read again before the next store`() throws {
    let pair = [event(.store, 7), fence, event(.flush, 7), fence]
    let counters = try run(pair + pair + pair).counters
    #expect(counters.imcWriteBytes == 3 * 64 && counters.imcReadBytes == 3 * 64)
  }

  @Test func `a store with a flush finds its line in the cache`() throws {
    let counters = try run([event(.store, 0), fence, event(.storeWrittenBack, 0), fence]).counters
    #expect(counters.imcWriteBytes == 64 && counters.imcReadBytes == 64)
    let alone = try run([event(.storeWrittenBack, 0), fence]).counters
    #expect(alone.imcWriteBytes == 64 && alone.imcReadBytes == 64)
  }

  @Test func `loads that the cache holds do not reach the module`() throws {
    let store = event(.store, 0, count: 40)
    let load = event(.load, 0, count: 60)
    let counters = try run([store, fence, load, fence]).counters
    #expect(counters.imcReadBytes == 60 * 64 && counters.imcWriteBytes == 0)
    // And a store to what was loaded reads nothing more.
    let again = try run([load, fence, store, fence, event(.flush, 0, count: 60), fence]).counters
    #expect(again.imcReadBytes == 60 * 64 && again.imcWriteBytes == 40 * 64)
  }

  @Test func `a full cache evicts, and what it held is written once`() throws {
    let small = profile {
      $0.cacheLinesPerThread = 8
      $0.coreJitterRatio = 0
    }
    let store = event(.store, 0, count: 100)
    let flush = event(.flush, 0, count: 100)
    let evicted = try run([store, fence], profile: small).counters
    #expect(evicted.imcWriteBytes == 92 * 64)
    let whole = try run([store, fence, flush, fence], profile: small).counters
    #expect(whole.imcWriteBytes == 100 * 64 && whole.imcReadBytes == 100 * 64)
  }

  @Test func `only bytes that were stored count as stored`() throws {
    let result = try run([event(.store, 0, count: 9), fence, event(.flush, 0, count: 9), fence])
      .result
    #expect(result.programWriteBytes == 9 * 64 && result.requestCount == 9)
    #expect(result.cacheAmplification == 1)
  }
}
