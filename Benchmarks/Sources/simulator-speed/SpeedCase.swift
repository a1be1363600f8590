// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterProfiles
import ArbiterScheduler
import ArbiterSimulator
import ArbiterWorkloads

/// A machine whose simulation is timed.
struct SpeedCase {
  let name: String
  let configuration: SimulationConfiguration

  init(
    _ name: String, threads: Int, modules: Int = 1, workload: Workload = Workload(),
    scheme: SimulatedScheme = .fixed(.open)
  ) {
    self.name = name
    var configuration = SimulationConfiguration(
      profile: Self.profile,
      threads: Array(repeating: ThreadPlan(workload), count: threads))
    configuration.moduleCount = modules
    configuration.scheme = scheme
    self.configuration = configuration
  }

  private static let profile: DeviceProfile = {
    do {
      return try ProfileLibrary.embedded.profile(named: ProfileLibrary.defaultName)
    } catch {
      preconditionFailure("default profile: \(error)")
    }
  }()

  static let all: [SpeedCase] = [
    SpeedCase("baseline, 26 threads", threads: 26),
    SpeedCase("baseline, 1 thread", threads: 1),
    SpeedCase(
      "block delay 3us, 26 threads", threads: 26,
      scheme: .fixed(GateSettings(delayNanoseconds: 3000, point: .block))),
    SpeedCase(
      "line delay 744ns, 26 threads", threads: 26,
      scheme: .fixed(GateSettings(delayNanoseconds: 744, point: .access))),
    SpeedCase("lock, 26 threads", threads: 26, scheme: .lock(LockParameters())),
    SpeedCase("delegation, 26 threads", threads: 26, scheme: .delegation(DelegationParameters())),
    SpeedCase(
      "random 64B, 8 threads", threads: 8, workload: Workload(pattern: .random)),
    SpeedCase("six modules, 23 threads", threads: 23, modules: 6),
    SpeedCase(
      "random 256B loads, 8 threads", threads: 8,
      workload: Workload(pattern: .random, accessBytes: 256, readShare: 1)),
  ]

  /// Simulates the machine once and says what it did.
  func run(warmUp: TimeSpan, span: TimeSpan) throws -> SpeedSample {
    var simulation = try Simulation(configuration)
    simulation.isRecordingSamples = false
    simulation.run(for: warmUp)
    simulation.beginMeasurement()
    let eventsBefore = simulation.eventCount
    let clock = ContinuousClock()
    let began = clock.now
    simulation.run(for: span)
    let seconds = (clock.now - began) / .seconds(1)
    let result = simulation.result()
    return SpeedSample(
      seconds: seconds, requests: result.requestCount,
      events: simulation.eventCount - eventsBefore, hash: simulation.workHash())
  }
}

/// One timed run.
struct SpeedSample {
  let seconds: Double
  let requests: UInt64
  let events: UInt64
  /// Equal for equal work, so that a change of speed is not a change of results.
  let hash: UInt64

  var requestsPerSecond: Double { Double(requests) / seconds }
}

extension Simulation {
  /// FNV-1a over the counters and the bytes of every thread.
  borrowing func workHash() -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    func add(_ word: UInt64) {
      for shift in stride(from: UInt64(0), to: 64, by: 8) {
        hash = (hash ^ ((word >> shift) & 0xFF)) &* 0x100_0000_01B3
      }
    }
    let counters = snapshot()
    add(UInt64(counters.timeNanoseconds))
    add(counters.imcWriteBytes ?? 0)
    add(counters.imcReadBytes ?? 0)
    add(counters.mediaWriteBytes ?? 0)
    add(counters.mediaReadBytes ?? 0)
    for bytes in threadBytes() { add(bytes) }
    return hash
  }
}
