// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterPersistence
import ArbiterScheduler
import ArbiterSimulator
import ArbiterWorkloads
import Testing

/// What fences promise, worked out from the program's side alone: stores issued and fences done.
private struct FencePromises {
  /// Of each line: how many stores a fence has covered, and the youngest of them.
  private(set) var covered: [UInt64: (count: Int, last: Int)] = [:]
  private(set) var fenceCount = 0
  private var open: [Int: [UInt64: (count: Int, last: Int)]] = [:]

  init(_ events: some Sequence<TracedEvent>, domain: PersistenceDomain) {
    var sequence = 0
    for event in events {
      switch event.kind {
      case .issued, .executed:
        sequence += 1
        // Nothing orders plain stores on their way out of the caches.
        if event.operation == .storePlain, domain == .adr { continue }
        let before = open[event.thread]?[event.programAddress]?.count ?? 0
        open[event.thread, default: [:]][event.programAddress] = (before + 1, sequence)
      case .fenced:
        fenceCount += 1
        for (address, stores) in open.removeValue(forKey: event.thread) ?? [:] {
          let before = covered[address] ?? (0, 0)
          covered[address] = (before.count + stores.count, max(before.last, stores.last))
        }
      default: break
      }
    }
  }
}

@Suite("What survives in the model")
struct SurvivingImageTests {
  /// What a series of crashes has met, so that a test of nothing would show.
  private struct Tally {
    var fences = 0
    var lost: [PersistenceDomain: Int] = [:]
    var schemes: Set<String> = []
  }

  private func schemeName(_ scheme: SimulatedScheme) -> String {
    switch scheme {
    case .fixed: "fixed"
    case .lock: "lock"
    case .delegation: "delegation"
    case .controlled: "controlled"
    }
  }

  /// Cuts the power of one random machine at random moments.
  private func crash(_ seed: UInt64, _ tally: inout Tally) throws {
    var swarm = Swarm(seed: seed)
    let configuration = swarm.configuration()
    let hint: Comment = "repeat with ARBITER_SEED=\(seed)"
    var simulation = try Simulation(configuration)
    simulation.recordPersistence()
    simulation.run(for: .microseconds(60))
    let count = simulation.persistenceEventCount
    tally.schemes.insert(schemeName(configuration.scheme))
    var random = SeededRandom(seed: seed, stream: 5)
    var previous: [PersistenceDomain: SurvivingImage] = [:]
    let moments = [random.below(count + 1), random.below(count + 1), count].sorted()
    for moment in moments {
      var images: [PersistenceDomain: SurvivingImage] = [:]
      for domain in PersistenceDomain.allCases {
        let image = simulation.survivingImage(in: domain, afterEvents: moment)
        images[domain] = image
        let promises = FencePromises(simulation.trace.prefix(moment), domain: domain)
        check(image, promises, hint)
        tally.fences += promises.fenceCount
        tally.lost[domain, default: 0] += image.issuedCount - image.survivedCount
        if let before = previous[domain] { checkProgress(from: before, to: image, hint) }
        previous[domain] = image
      }
      if let adr = images[.adr], let eadr = images[.eadr] {
        let isIncluded = zip(adr.lines, eadr.lines).allSatisfy { adr, eadr in
          adr.address == eadr.address && adr.survivedCount <= eadr.survivedCount
            && (adr.lastSurvivor ?? 0) <= (eadr.lastSurvivor ?? 0)
        }
        #expect(isIncluded && adr.lines.count == eadr.lines.count, hint)
      }
    }
  }

  private func check(_ image: SurvivingImage, _ promises: FencePromises, _ hint: Comment) {
    var kept = 0
    for line in image.lines {
      let isPossible =
        line.survivedCount <= line.issuedCount && (line.lastSurvivor ?? 0) <= line.lastIssued
        && (line.survivedCount == 0) == (line.lastSurvivor == nil)
      #expect(isPossible, "\(line); \(hint)")
      guard let promised = promises.covered[line.address] else { continue }
      kept += 1
      let isKept =
        line.survivedCount >= promised.count && (line.lastSurvivor ?? 0) >= promised.last
      #expect(isKept, "a fence promised \(promised) of \(line); \(hint)")
    }
    #expect(kept == promises.covered.count, "a line that a fence covers is missing; \(hint)")
  }

  private func checkProgress(
    from before: SurvivingImage, to after: SurvivingImage, _ hint: Comment
  ) {
    let later = Dictionary(uniqueKeysWithValues: after.lines.map { ($0.address, $0) })
    let isKept = before.lines.allSatisfy { line in
      guard let now = later[line.address] else { return false }
      return now.survivedCount >= line.survivedCount
        && (now.lastSurvivor ?? 0) >= (line.lastSurvivor ?? 0)
    }
    #expect(isKept, "what has survived is lost later; \(hint)")
  }

  @Test func `fences hold and nothing comes from nowhere, whenever the power goes`() throws {
    var tally = Tally()
    for seed in SwarmTests.seeds.prefix(isLong ? 6000 : 300) { try crash(seed, &tally) }
    #expect(tally.fences > 10_000)
    #expect(tally.lost[.adr, default: 0] > 10_000 && tally.lost[.eadr, default: 0] > 1000)
    #expect(tally.schemes == ["fixed", "lock", "delegation"])
  }

  @Test func `under a controller fences hold as well`() throws {
    let fenced = Workload(fence: .every(bytes: 256))
    let controller = AdaptiveController(maximumDelay: .microseconds(5))
    var simulation = try Simulation(
      machine(
        fenced, threads: 8, scheme: .controlled(controller, period: .microseconds(10))))
    simulation.recordPersistence()
    simulation.run(for: .microseconds(200))
    for moment in stride(from: 0, through: simulation.persistenceEventCount, by: 997) {
      let image = simulation.survivingImage(in: .adr, afterEvents: moment)
      check(image, FencePromises(simulation.trace.prefix(moment), domain: .adr), "at \(moment)")
    }
  }

  @Test func `a fence of a thread waits for what workers store for it`() throws {
    let fenced = Workload(
      accessBytes: 192, fence: .every(bytes: 384), regionBytes: 192 * 100_003)
    var simulation = try Simulation(
      machine(
        fenced, threads: 6,
        scheme: .delegation(DelegationParameters(ringCount: 2, slotCount: 8))))
    simulation.recordPersistence()
    simulation.run(for: .microseconds(100))
    var requested: [Int: Int] = [:]
    var executed: [Int: Int] = [:]
    var fences = 0
    for event in simulation.trace {
      switch event.kind {
      case .requested: requested[event.thread, default: 0] += 3
      case .executed: executed[event.thread, default: 0] += 1
      case .fenced:
        fences += 1
        #expect(requested[event.thread] == executed[event.thread])
      default: break
      }
    }
    #expect(fences > 50)
  }

  /// A random program of one thread on a few lines, and after each of its fences the number of the
  /// last store to each line that the fences cover.
  private func flushingProgram(
    _ random: inout SeededRandom
  ) -> (events: [TraceEvent], promises: [[UInt64: Int]]) {
    var events: [TraceEvent] = []
    var promises: [[UInt64: Int]] = []
    var stored: [UInt64: Int] = [:]
    var flushed: [UInt64: Int] = [:]
    var covered: [UInt64: Int] = [:]
    var sequence = 0
    var last: UInt64?
    for _ in 0..<120 {
      // Two stores to one line in a row would be one.
      let line = (0..<UInt64(6)).filter { $0 != last }[random.below(last == nil ? 6 : 5)] * 64
      let choices: [TraceOperation] = [.store, .store, .storeWrittenBack, .flush, .fence]
      let operation = choices[random.below(choices.count)]
      last = operation == .fence ? nil : line / 64
      guard operation != .fence else {
        events.append(TraceEvent(.fence, length: 0))
        covered.merge(flushed) { max($0, $1) }
        promises.append(covered)
        continue
      }
      events.append(TraceEvent(operation, offset: line, length: 64))
      if operation != .flush {
        sequence += 1
        stored[line] = sequence
      }
      if operation != .store, let store = stored[line] { flushed[line] = store }
    }
    return (events, promises)
  }

  @Test func `what a program flushes and fences survives`() throws {
    var coveredCount = 0
    var lostCount = 0
    for stream in UInt64(0)..<(isLong ? 4000 : 200) {
      var random = SeededRandom(seed: baseSeed, stream: stream)
      let (events, promises) = flushingProgram(&random)
      let program = RecordedProgram(
        regions: [TraceRegion(number: 0, name: "", byteCount: 1 << 20)],
        threads: [RecordedThread(number: 0, source: .hooks, events)])
      let small = profile { $0.cacheLinesPerThread = random.below(2) == 0 ? 3 : 64 }
      var simulation = try Simulation(
        SimulationConfiguration(
          profile: small, threads: program.plans().map { ThreadPlan($0) }))
      simulation.recordPersistence()
      simulation.run(for: .milliseconds(1))
      let fences = simulation.trace.indices.filter { simulation.trace[$0].kind == .fenced }
      #expect(fences.count == promises.count, "stream \(stream)")
      for (event, promise) in zip(fences, promises) {
        for domain in PersistenceDomain.allCases {
          let image = simulation.survivingImage(in: domain, afterEvents: event + 1)
          lostCount += image.issuedCount - image.survivedCount
          for (line, last) in promise {
            coveredCount += 1
            let found = image.lines.first { $0.address % 4096 == line }
            #expect(
              (found?.lastSurvivor ?? 0) >= last,
              "store \(last) to \(line) is lost in \(domain); seed \(baseSeed), \(stream)")
          }
        }
      }
    }
    #expect(coveredCount > 1000 && lostCount > 100)
  }

  @Test func `stores in a window are lost where caches survive, if they pass the cache`() throws {
    for (store, survives) in [
      (ArbiterDevice.Operation.storeNonTemporal, false), (.storeWriteBackCached, true),
    ] {
      var simulation = try Simulation(machine(Workload(store: store), threads: 9))
      simulation.recordPersistence()
      simulation.run(for: .microseconds(20))
      // Look right after each issue, when the youngest store is still in its window.
      var lost = 0
      for moment in 1...min(4000, simulation.persistenceEventCount) {
        let image = simulation.survivingImage(in: .eadr, afterEvents: moment)
        if simulation.trace[moment - 1].kind == .issued { continue }
        lost += image.issuedCount - image.survivedCount
      }
      #expect((lost == 0) == survives, "\(store): \(lost)")
    }
  }

  @Test func `a record of persistence changes nothing`() throws {
    for seed in SwarmTests.seeds.prefix(40) {
      var swarm = Swarm(seed: seed)
      let configuration = swarm.configuration()
      var plain = try Simulation(configuration)
      var recorded = try Simulation(configuration)
      recorded.recordPersistence()
      plain.run(for: .microseconds(100))
      recorded.run(for: .microseconds(100))
      #expect(
        Fingerprint(of: plain).value == Fingerprint(of: recorded).value,
        "repeat with ARBITER_SEED=\(seed)")
      #expect(plain.persistenceEventCount == 0)
    }
  }
}
