// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlacement

/// A run of a stream in Memory Mode.
///
/// The shares of hits go towards those of a cache that has settled, each at the pace at which its
/// own lines and those that displace them come. A miss reads the line from slow memory after it
/// looked for it in fast memory, and writes it there; a line that was stored to goes back to slow
/// memory, as one random write unless a pass displaces it.
struct MemoryModeRun {
  private static let pageBytes = 4096

  private let machine: TierMachine
  private var stream: any TierStream
  private let size: TierStreamSize
  private let cache: MemoryModeCache
  private var hits: [Double] = []
  private var settled: [Double] = []
  private var version: Int?
  /// Streams that change all the time settle to the same figures as long as their parts are alike.
  private var isSequentialOnly = false

  init(machine: TierMachine, stream: any TierStream, size: TierStreamSize) {
    self.machine = machine
    self.stream = stream
    self.size = size
    cache = MemoryModeCache(fastBytes: machine.fastBytes)
  }

  mutating func outcome(limit: Double, progress: (Double) -> Bool) -> TierOutcome {
    let quantum = Double(TierSimulation.quantumNanoseconds) * 1e-9
    var outcome = TierOutcome()
    var recorder = CourseRecorder(quantaPerPoint: TierSimulation.quantaPerPoint)
    var (done, seconds) = (0.0, 0.0)
    var rate = Double(machine.threads) / machine.slow.timing.loadNanoseconds * 1e9
    while done < size.accesses, seconds < limit {
      let mix = stream.mix(done: done, next: max(1, rate * quantum))
      settle(mix)
      let costs = zip(mix.parts, hits).map { cost($0, hitShare: $1) }
      let flow = TierFlow(costs, threads: Double(machine.threads), fastFree: 1, slowFree: 1)
      rate = flow.accessesPerSecond
      let accesses = min(
        rate * quantum, size.accesses - done, max(1, mix.accessesLeft.rounded(.up)))
      let part = accesses / (rate * quantum)
      done += accesses
      seconds += quantum * part
      outcome.programWriteBytes += flow.slowWriteBytesPerSecond * quantum * part
      recorder.add(
        &outcome, accesses: accesses, hits: accesses * flow.hitShare, seconds: seconds, mix: mix,
        costs: costs, movedBytes: 0)
      approach(mix, accesses: accesses)
      if !progress(done / size.accesses) { break }
    }
    outcome.isComplete = done >= size.accesses
    outcome.accesses = done
    outcome.seconds = seconds
    recorder.finish(&outcome)
    return outcome
  }

  /// Finds what the cache will settle to when the mix is another one.
  private mutating func settle(_ mix: AccessMix) {
    guard mix.version != version else { return }
    version = mix.version
    let isSequential = mix.parts.allSatisfy(\.isSequential)
    // The window of a pass moves on with every mix; the pass is the same.
    if isSequential && isSequentialOnly { return }
    isSequentialOnly = isSequential
    settled = cache.hitShares(mix, chunkCount: stream.chunkCount)
    // At first, and where the program turns to other data, the cache holds a part of everything.
    let footprint = Double(size.footprintBytes / Self.pageBytes)
    let anything = min(1, cache.slotCount / footprint)
    hits = settled.map { min($0, anything) }
  }

  private mutating func approach(_ mix: AccessMix, accesses: Double) {
    let lines = cache.slotCount * 64
    for (index, part) in mix.parts.enumerated() {
      let own = part.isSequential ? part.passBytes / 64 : part.lineCount
      let pace = part.share / Double(max(1, own)) + 1 / lines
      hits[index] += (settled[index] - hits[index]) * (1 - PortableMath.exp(-pace * accesses))
    }
  }

  /// The cost of a part of whose accesses a share hits.
  private func cost(_ part: AccessPart, hitShare: Double) -> PartCost {
    var cost = PartCost(part, fastShare: hitShare, on: machine)
    let (sequential, stores) = (part.isSequential, part.storeShare)
    let misses = 1 - hitShare
    let dirty =
      stores > 0 ? MemoryModeCache.dirtyShare(hitShare: hitShare, storeShare: stores) : 0
    let fast = machine.fast
    // A store finds its line in fast memory, where the miss has put it.
    cost.slowNanoseconds =
      fast.nanoseconds(isSequential: sequential, storeShare: stores)
      + machine.slow.nanoseconds(isSequential: sequential, storeShare: 0)
    cost.fastSeconds =
      fast.seconds(isSequential: sequential, storeShare: stores)
      + misses * (1 + dirty) * 64 / fast.timing.writeBytesPerSecond
    // A pass displaces the lines of a page in their order, which the module's buffer combines.
    let block = machine.slow.bytes(isSequential: sequential)
    cost.slowSeconds =
      misses
      * (machine.slow.bytes(isSequential: sequential) / machine.slow.timing.readBytesPerSecond
        + dirty * block / machine.slow.timing.writeBytesPerSecond)
    cost.slowWriteBytes = misses * dirty * block
    return cost
  }
}

extension AccessPart {
  /// Lines that the part touches.
  var lineCount: Int { masks.reduce(0) { $0 + $1.nonzeroBitCount } * (32 << 10) / 64 }
}
