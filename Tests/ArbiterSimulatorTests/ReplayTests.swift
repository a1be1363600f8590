// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterScheduler
import ArbiterSimulator
import ArbiterWorkloads
import Synchronization
import Testing

/// What the threads of a machine do for a while, as a recorded program.
private func recording(
  of configuration: SimulationConfiguration, for span: TimeSpan
) throws -> (program: RecordedProgram, result: ArbiterDevice.RunResult) {
  var simulation = try Simulation(configuration)
  var events = [[TraceEvent]](repeating: [], count: configuration.threads.count)
  simulation.startRecording { thread, event in
    var event = event
    event.region = UInt8(thread)
    events[thread].append(event)
  }
  simulation.run(for: span)
  simulation.finishRecording()
  let program = RecordedProgram(
    regions: events.indices.map {
      TraceRegion(number: UInt8($0), name: "", byteCount: 64 << 20)
    },
    threads: events.enumerated().map { number, events in
      RecordedThread(number: UInt32(number), source: .workload, events)
    })
  return (program, simulation.result())
}

private func replay(
  _ plans: [RecordedPlan], like configuration: SimulationConfiguration
) -> SimulationConfiguration {
  var configuration = configuration
  configuration.threads = plans.map { ThreadPlan($0) }
  return configuration
}

@Suite("Replay")
struct ReplayTests {
  /// Scenarios whose replay must come out as they did.
  static let scenarios: [(name: String, workload: Workload)] = [
    ("sequential", Workload()),
    ("random blocks", Workload(pattern: .random, accessBytes: 256)),
    ("clwb", Workload(store: .storeWriteBack)),
    ("fenced", Workload(accessBytes: 256, fence: .every(bytes: 1024))),
    ("mixed", Workload(pattern: .random, accessBytes: 256, readShare: 0.3)),
    ("plain", Workload(store: .storePlain)),
    ("thinking", Workload(accessBytes: 128, think: .nanoseconds(777))),
  ]

  @Test(arguments: scenarios)
  func `the replay of 26 recorded threads has the amplification of what was recorded`(
    scenario: (name: String, workload: Workload)
  ) throws {
    let original = machine(scenario.workload, threads: 26)
    let recorded = try recording(of: original, for: .milliseconds(4))
    var simulation = try Simulation(replay(recorded.program.plans(), like: original))
    simulation.run(for: .seconds(1))
    let isFinished = simulation.isFinished
    #expect(isFinished && simulation.violations() == [])
    let result = simulation.result()
    let before = try #require(recorded.result.writeAmplification)
    let after = try #require(result.writeAmplification)
    print("replay of \(scenario.name): WA \(before) recorded, \(after) replayed")
    #expect(abs(after / before - 1) < 0.03, "\(scenario.name): \(before) became \(after)")
    // What the program did is the same to the byte, but for what was under way when it was cut off.
    let bytes = Double(recorded.result.programWriteBytes)
    #expect(abs(Double(result.programWriteBytes) / bytes - 1) < 0.001)
    #expect(abs(result.seconds / recorded.result.seconds - 1) < 0.05)
  }

  @Test func `other seeds of clones give the amplification of as many recorded threads`() throws {
    let two = try recording(of: machine(threads: 2), for: .milliseconds(3)).program
    let reference = try measure(machine(threads: 26), warmUp: .zero, span: .milliseconds(3))
    let wanted = try #require(reference.writeAmplification)
    for seed in (0..<3).map({ baseSeed &+ $0 }) {
      let configuration = replay(
        two.plans(threadCount: 26, seed: seed), like: machine(threads: 26, seed: seed))
      let found = try measure(configuration, warmUp: .zero, span: .milliseconds(3))
      let amplification = try #require(found.writeAmplification)
      #expect(abs(amplification / wanted - 1) < 0.03, "repeat with ARBITER_SEED=\(seed)")
    }
  }

  @Test func `a replay repeats to the bit, however it is cut into pieces`() throws {
    let program = try recording(of: machine(threads: 3), for: .microseconds(300)).program
    let configuration = replay(program.plans(threadCount: 7), like: machine(threads: 7))
    var whole = try Simulation(configuration)
    var pieces = try Simulation(configuration)
    whole.run(for: .seconds(1))
    while !pieces.isFinished { pieces.run(for: .microseconds(7)) }
    #expect(Fingerprint(of: whole).value == Fingerprint(of: pieces).value)
    let end = whole.now
    #expect(pieces.now == end && end < .milliseconds(10))
    // Time stands still from then on.
    whole.run(for: .seconds(1))
    #expect(whole.now == end)
  }

  @Test func `recorded threads and endless ones do not share a machine`() throws {
    let program = try recording(of: machine(threads: 1), for: .microseconds(10)).program
    var configuration = machine(threads: 1)
    configuration.threads += program.plans().map { ThreadPlan($0) }
    #expect(throws: SimulationError.self) { _ = try Simulation(configuration) }
  }
}

/// Hears of registrations.
private final class Registrations: Sendable {
  let counts = Mutex<[Int]>([])
}

/// A controller that only listens.
private struct Listener: Controller {
  let registrations: Registrations
  let settings = GateSettings.open
  let phase = "listening"

  mutating func step(snapshot: CounterSnapshot, activity: GateActivity) -> GateSettings {
    registrations.counts.withLock { $0.append(activity.registeredCount) }
    return settings
  }

  mutating func registrationChanged(registeredCount: Int) -> GateSettings {
    registrations.counts.withLock { $0.append(registeredCount) }
    return settings
  }
}

@Suite("Threads that end")
struct EndingTests {
  /// Threads that store ever more lines, the last with a fence.
  private func plans(_ lineCounts: [Int]) -> [RecordedPlan] {
    RecordedProgram(
      regions: [TraceRegion(number: 0, name: "", byteCount: 1 << 24)],
      threads: lineCounts.enumerated().map { number, lines in
        RecordedThread(
          number: UInt32(number), source: .workload,
          [
            TraceEvent(
              .storeNonTemporal, offset: UInt64(number) << 20, length: 64, count: UInt32(lines),
              stride: 64),
            TraceEvent(.fence, length: 0),
          ])
      }
    ).plans()
  }

  @Test func `the controller hears at once of threads that end`() throws {
    let registrations = Registrations()
    var configuration = machine(
      threads: 1,
      scheme: .controlled(Listener(registrations: registrations), period: .milliseconds(100)))
    configuration.threads = plans([10, 100, 1000, 5000]).map { ThreadPlan($0) }
    var simulation = try Simulation(configuration)
    simulation.run(for: .seconds(1))
    let isFinished = simulation.isFinished
    #expect(isFinished)
    #expect(registrations.counts.withLock { $0 } == [4, 3, 2, 1, 0])
  }

  @Test func `a thread that ends gives its permit to whoever waits`() throws {
    // A span of 1 MiB that no thread fills: only its end frees the permit.
    let lock = LockParameters(permitCount: 1, spanBytes: 1 << 20)
    var configuration = machine(threads: 1, scheme: .lock(lock))
    configuration.threads = plans([7, 5, 900, 1, 30]).map { ThreadPlan($0) }
    var simulation = try Simulation(configuration)
    simulation.run(for: .seconds(1))
    let isFinished = simulation.isFinished
    #expect(isFinished && simulation.violations() == [])
    #expect(simulation.snapshot().imcWriteBytes == (7 + 5 + 900 + 1 + 30) * 64)
  }

  @Test func `threads that have ended occupy no processor`() throws {
    var configuration = machine(threads: 1)
    configuration.threads = plans([1, 20_000]).map { ThreadPlan($0) }
    var simulation = try Simulation(configuration)
    simulation.run(for: .seconds(1))
    let result = simulation.result()
    let gibibytes = Double(result.programWriteBytes) / 1_073_741_824
    let busy = try #require(result.cpuSecondsPerGiB) * gibibytes
    #expect(busy > result.seconds * 0.999 && busy < result.seconds * 1.01)
  }
}

@Suite("Random recorded programs")
struct RandomReplayTests {
  static let seeds = (0..<UInt64(isLong ? 20_000 : 200)).map { baseSeed &+ $0 }

  private static func events(_ random: inout SeededRandom) -> [TraceEvent] {
    let operations: [TraceOperation] = [
      .storeNonTemporal, .storeWrittenBack, .store, .flush, .load, .fence,
    ]
    let used = (0..<1 + random.below(6)).map { _ in operations[random.below(operations.count)] }
    var time: UInt64 = 0
    return (0..<1 + random.below(120)).map { _ in
      let operation = used[random.below(used.count)]
      time += UInt64(random.below([2, 400, 9000][random.below(3)]))
      let start = time
      time += UInt64(random.below(300))
      guard operation != .fence else {
        return TraceEvent(.fence, length: 0, startNanoseconds: start)
      }
      let count = random.below(4) == 0 ? 1 + random.below(20) : 1
      return TraceEvent(
        operation, offset: UInt64(65_536 + random.below(8192)),
        length: UInt32(1 + random.below([8, 64, 2000][random.below(3)])), count: UInt32(count),
        stride: count == 1 ? 0 : Int32([-64, 8, 64, 256, 320][random.below(5)]),
        isFenced: operation != .load && random.below(5) == 0, startNanoseconds: start,
        spanNanoseconds: UInt32(time - start))
    }
  }

  /// Lines that the rules of combining leave of what the plans store past or through the cache.
  private func storedLines(_ plans: [RecordedPlan]) -> (direct: UInt64, plain: UInt64) {
    var (direct, plain): (UInt64, UInt64) = (0, 0)
    for plan in plans {
      var stream = RecordedStream(plan, cachedLineCount: 512)
      while let access = stream.next() {
        let lines = UInt64(access.count) * UInt64(access.length) / 64
        switch access.operation {
        case .storeNonTemporal, .storeWriteBack, .storeWriteBackCached: direct += lines
        case .storePlain, .storePlainCached: plain += lines
        case .load, .writeBack, .fence: break
        }
      }
    }
    return (direct, plain)
  }

  @Test(arguments: [0, 1])
  func `every stored line is accepted as often as the rules say, under every scheme`(
    half: Int
  ) throws {
    for seed in Self.seeds where Int(seed & 1) == half {
      let hint: Comment = "repeat with ARBITER_SEED=\(seed)"
      var random = SeededRandom(seed: seed, stream: 5)
      var swarm = Swarm(seed: seed)
      var configuration = swarm.configuration()
      let program = RecordedProgram(
        regions: [TraceRegion(number: 0, name: "", byteCount: 1 << 20)],
        threads: (0..<1 + random.below(6)).map { number in
          let last = TraceEvent(.fence, length: 0)
          return RecordedThread(
            number: UInt32(number), source: TraceSource.allCases[random.below(4)],
            Self.events(&random) + [last])
        })
      let plans = program.plans(
        threadCount: 1 + random.below(14), thinkScale: [0, 1, 3.5][random.below(3)], seed: seed)
      configuration.threads = plans.map { ThreadPlan($0, isGated: random.below(5) > 0) }
      var simulation = try Simulation(configuration)
      simulation.run(for: .seconds(2))
      let isFinished = simulation.isFinished
      #expect(isFinished, "a thread waits for ever; \(hint)")
      #expect(simulation.violations() == [], hint)
      let stored = storedLines(plans)
      let accepted = try #require(simulation.snapshot().imcWriteBytes) / 64
      if stored.plain == 0 {
        #expect(accepted == stored.direct, hint)
      } else {
        // Plain stores to a line that stays are one; a store with a flush may take one along.
        #expect(accepted <= stored.direct + stored.plain, hint)
      }
      #expect(simulation.result().programWriteBytes == (stored.direct + stored.plain) * 64, hint)
      let replayed = simulation.replayCounts
      let counts = try #require(replayed)
      #expect(counts.outsideCount == 0, hint)
      #expect(counts.recordedThreadCount + counts.cloneCount == plans.count, hint)
    }
  }
}
