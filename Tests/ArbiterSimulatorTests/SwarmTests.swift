// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterScheduler
import ArbiterSimulator
import ArbiterWorkloads
import Glibc
import Testing

/// A setting of the test run, as `./test` sets it.
func environment(_ name: String) -> String? {
  guard let text = unsafe getenv(name) else { return nil }
  return unsafe String(cString: text)
}

/// Where random tests start; ARBITER_SEED repeats a failure.
let baseSeed = environment("ARBITER_SEED").flatMap { UInt64($0) } ?? 20_260

/// Whether there is time for bigger sweeps.
let isLong = environment("ARBITER_LONG") != nil

@Suite("Random machines")
struct SwarmTests {
  static let seeds = (0..<UInt64(isLong ? 60_000 : 3000)).map { baseSeed &+ $0 }

  /// Runs one random machine in uneven steps and checks everything that must always hold.
  private func check(_ seed: UInt64) throws {
    var swarm = Swarm(seed: seed)
    let configuration = swarm.configuration()
    let hint: Comment = "repeat with ARBITER_SEED=\(seed)"
    var simulation = try Simulation(configuration)
    let end = TimeSpan.microseconds(400)
    var lastCounters = simulation.snapshot()
    var lastEvents: UInt64 = 0
    for share in [0.0007, 0.1, 0.35, 0.5493] {
      simulation.run(for: .microseconds(400 * share))
      #expect(simulation.violations() == [], hint)
      let counters = simulation.snapshot()
      #expect(CounterDelta(from: lastCounters, to: counters) != nil, hint)
      // A thread that span in place without letting time pass would show here.
      let microseconds = Double(simulation.now.picoseconds) / 1e6
      let components = Double(configuration.threads.count + 2 * configuration.moduleCount + 5)
      let eventsMax = 1000 * components * microseconds + 1000
      #expect(Double(simulation.eventCount) < eventsMax, "too many events; \(hint)")
      lastCounters = counters
      lastEvents = simulation.eventCount
    }
    #expect(simulation.now == end, hint)
    let everActive = configuration.threads.contains { $0.phases.allSatisfy { $0.workload != nil } }
    #expect(!everActive || lastEvents > 0, hint)
    try checkConservation(simulation, configuration, hint)
    checkProgress(&simulation, configuration, hint)
  }

  /// Bytes are neither made nor lost between the program, the memory controller and the medium.
  private func checkConservation(
    _ simulation: borrowing Simulation, _ configuration: SimulationConfiguration, _ hint: Comment
  ) throws {
    let result = simulation.result()
    let counters = simulation.snapshot()
    let accepted = try #require(counters.imcWriteBytes)
    let threads = UInt64(configuration.threads.count)
    let profile = configuration.profile
    // Issued or requested, and not accepted yet: in windows, rings and unfinished accesses.
    let window = UInt64(max(profile.storeWindowLines, profile.writeBackWindowLines))
    let access = UInt64(
      configuration.threads.flatMap(\.phases).compactMap { $0.workload?.accessBytes }.max() ?? 64)
    var hidden = (threads + 5) * (window * 64 + access)
    if case .delegation(let parameters) = configuration.scheme {
      hidden += UInt64(parameters.ringCount * (parameters.slotCount + 1)) * access
    }
    let cached = (threads + 5) * UInt64(profile.cacheLinesPerThread) * 64
    #expect(accepted <= result.programWriteBytes + (threads + 5) * access, hint)
    // Plain stores to a line that its cache holds are one store to the module, however many.
    let isPlain = configuration.threads.contains {
      $0.phases.contains { $0.workload?.store == .storePlain }
    }
    #expect(isPlain || accepted + hidden + cached >= result.programWriteBytes, hint)
    // A block that goes to the medium carries 1 to 4 lines that were accepted.
    let seconds = Double(simulation.now.picoseconds) / 1e12
    let idle = profile.idleMediaWritesPerSecond * Double(configuration.moduleCount) * seconds
    let blocks = try #require(counters.mediaWriteBytes) / 256 - UInt64(idle)
    #expect(blocks * 64 <= accepted, hint)
  }

  /// Nobody waits for ever: every thread that never pauses moves something sooner or later.
  private func checkProgress(
    _ simulation: inout Simulation, _ configuration: SimulationConfiguration, _ hint: Comment
  ) {
    let restless = configuration.threads.indices.filter {
      configuration.threads[$0].phases.allSatisfy { $0.workload != nil }
    }
    // Many threads before a slow module may need a while, and one permit that is held for 8 KiB
    // while its holder mostly loads goes round 27 threads in some 40 ms; but not for ever.
    for _ in 0..<200 {
      let bytes = simulation.threadBytes()
      if restless.allSatisfy({ bytes[$0] > 0 }) { return }
      simulation.run(for: .milliseconds(1))
    }
    let bytes = simulation.threadBytes()
    for index in restless { #expect(bytes[index] > 0, "thread \(index) never moved; \(hint)") }
  }

  @Test(arguments: [0, 1])
  func `nothing is lost, nobody starves and time passes`(half: Int) throws {
    for seed in Self.seeds where Int(seed & 1) == half { try check(seed) }
  }

  @Test func `random machines repeat to the bit`() throws {
    for seed in Self.seeds.prefix(60) {
      var swarm = Swarm(seed: seed)
      let configuration = swarm.configuration()
      let hint: Comment = "repeat with ARBITER_SEED=\(seed)"
      #expect(try fingerprint(configuration) == fingerprint(configuration), hint)
    }
  }

  @Test func `how a run is cut into pieces changes nothing`() throws {
    for seed in Self.seeds.prefix(60) {
      var swarm = Swarm(seed: seed)
      let configuration = swarm.configuration()
      var whole = try Simulation(configuration)
      var pieces = try Simulation(configuration)
      whole.run(for: .microseconds(210))
      for _ in 0..<30 { pieces.run(for: .microseconds(7)) }
      #expect(
        Fingerprint(of: whole).value == Fingerprint(of: pieces).value,
        "repeat with ARBITER_SEED=\(seed)")
    }
  }

  private func fingerprint(_ configuration: SimulationConfiguration) throws -> UInt64 {
    var simulation = try Simulation(configuration)
    simulation.run(for: .microseconds(150))
    return Fingerprint(of: simulation).value
  }
}
