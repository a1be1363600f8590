// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterScheduler
import ArbiterSimulator
import ArbiterWorkloads
import Testing

/// A machine whose every bit of result is known.
struct KnownMachine: Sendable, CustomTestStringConvertible {
  let name: String
  let fingerprint: UInt64
  let configuration: SimulationConfiguration
  var testDescription: String { name }

  init(_ name: String, _ fingerprint: UInt64, _ configuration: SimulationConfiguration) {
    self.name = name
    self.fingerprint = fingerprint
    self.configuration = configuration
  }

  func run() throws -> UInt64 {
    var simulation = try Simulation(configuration)
    simulation.run(for: .microseconds(150))
    simulation.beginMeasurement()
    simulation.run(for: .microseconds(850))
    simulation.run(for: .microseconds(1003))
    #expect(simulation.violations() == [])
    return Fingerprint(of: simulation).value
  }

  private static func interleaved(
    _ configuration: SimulationConfiguration, modules: Int
  ) -> SimulationConfiguration {
    var configuration = configuration
    configuration.moduleCount = modules
    return configuration
  }

  /// Threads that do different things at different times, one of them without a gate.
  private static var phased: SimulationConfiguration {
    var plan = machine(threads: 6, scheme: delay(400, per: .block, from: .previous))
    plan.saturation = .microseconds(300)
    plan.moduleCount = 2
    plan.threads[1].phases.append(ThreadPhase(start: .microseconds(400), workload: nil))
    plan.threads[1].phases.append(
      ThreadPhase(start: .microseconds(900), workload: Workload(pattern: .random)))
    plan.threads[2] = ThreadPlan(
      Workload(store: .storeWriteBack, readShare: 0.3, think: .nanoseconds(77)), isGated: false)
    plan.threads[3] = ThreadPlan(Workload(store: .storePlain, accessBytes: 128, readShare: 0.5))
    return plan
  }

  private static var stalling: DeviceProfile {
    profile {
      $0.stallPeriodNanoseconds = 300_000
      $0.stallNanoseconds = 40_000
      $0.victimRule = .leastRecent
    }
  }

  static var all: [KnownMachine] {
    let fenced = Workload(accessBytes: 256, fence: .every(bytes: 1024))
    let halves = Workload(
      pattern: .halves, accessBytes: 128, fence: .every(bytes: 128), regionBytes: 96 * 256)
    let loads = Workload(pattern: .random, accessBytes: 256, readShare: 1)
    return [
      KnownMachine("1 thread", 0x3F0D_2328_D52F_BCD1, machine(threads: 1)),
      KnownMachine("26 threads", 0xC5AE_6EE0_79B3_F55C, machine(threads: 26)),
      KnownMachine(
        "block delay", 0x5EA6_53EC_2F1B_B863, machine(threads: 26, scheme: delay(3000, per: .block))
      ),
      KnownMachine("access delay", 0x75D9_2959_63EC_F238, machine(threads: 26, scheme: delay(744))),
      KnownMachine(
        "block fence", 0x877C_83AA_9BE6_8BB2,
        machine(threads: 12, scheme: .fixed(GateSettings(isFencedAtBlocks: true)))),
      KnownMachine("fences", 0xD71C_3796_81F7_D506, machine(fenced, threads: 16)),
      KnownMachine("halves", 0x7E95_0948_8B37_1ED7, machine(halves, threads: 1)),
      KnownMachine("loads", 0xF98B_2F49_4A72_1DCF, machine(loads, threads: 12)),
      KnownMachine(
        "lock", 0x2700_F9AD_B03A_E785, machine(threads: 20, scheme: .lock(LockParameters()))),
      KnownMachine(
        "delegation", 0x66B9_13A4_1BD1_1C3E,
        machine(fenced, threads: 20, scheme: .delegation(DelegationParameters()))),
      KnownMachine(
        "six modules", 0x2585_C9FE_BD33_31CC, interleaved(machine(threads: 23), modules: 6)),
      KnownMachine("phases", 0x5797_80AF_C757_E3C9, phased),
      KnownMachine("stalls", 0xAAF6_959B_B5F9_4DEC, machine(threads: 9, profile: stalling)),
      KnownMachine(
        "first in, in order", 0x71DB_6D12_9B93_BB2C,
        machine(
          Workload(pattern: .random), threads: 9,
          profile: profile {
            $0.victimRule = .firstIn
            $0.releaseOrder = .inOrder
          })),
    ]
  }
}

@Suite("Repeatability")
struct FingerprintTests {
  /// Fails when a change moves results.
  ///
  /// A change that means to move them puts the numbers that the failure prints into
  /// `KnownMachine.all` and says so in the change log.
  @Test(arguments: KnownMachine.all)
  func `a known machine gives the known bits`(known: KnownMachine) throws {
    let fingerprint = try known.run()
    #expect(
      fingerprint == known.fingerprint,
      "\(known.name): now 0x\(String(fingerprint, radix: 16, uppercase: true))")
  }

  @Test(arguments: KnownMachine.all)
  func `the same seed gives the same bits and another seed others`(known: KnownMachine) throws {
    var other = known.configuration
    other.seed = 2
    #expect(try known.run() == known.run())
    #expect(try KnownMachine("", 0, other).run() != known.run())
  }
}
