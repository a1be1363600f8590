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
      KnownMachine("1 thread", 0x9AA9_350E_5376_C512, machine(threads: 1)),
      KnownMachine("26 threads", 0xA629_CD3F_7C5A_D107, machine(threads: 26)),
      KnownMachine(
        "block delay", 0x6C56_6C3F_EC21_DAD2, machine(threads: 26, scheme: delay(3000, per: .block))
      ),
      KnownMachine("access delay", 0xD7C8_20EE_ADEA_D292, machine(threads: 26, scheme: delay(744))),
      KnownMachine(
        "block fence", 0xDA1F_1117_E6DE_35D9,
        machine(threads: 12, scheme: .fixed(GateSettings(isFencedAtBlocks: true)))),
      KnownMachine("fences", 0xB016_0987_D9D3_7B1C, machine(fenced, threads: 16)),
      KnownMachine("halves", 0xE69B_1BAC_9DA7_E8A9, machine(halves, threads: 1)),
      KnownMachine("loads", 0xF98B_2F49_4A72_1DCF, machine(loads, threads: 12)),
      KnownMachine(
        "lock", 0x1F1E_4733_F975_24AF, machine(threads: 20, scheme: .lock(LockParameters()))),
      KnownMachine(
        "delegation", 0xAA3A_C66F_5104_9BCD,
        machine(fenced, threads: 20, scheme: .delegation(DelegationParameters()))),
      KnownMachine(
        "six modules", 0xAD1F_9789_5C60_27BB, interleaved(machine(threads: 23), modules: 6)),
      KnownMachine("phases", 0x6ECA_B685_7F4A_1805, phased),
      KnownMachine("stalls", 0xEF83_1FFD_FDBE_131B, machine(threads: 9, profile: stalling)),
      KnownMachine(
        "first in, in order", 0xBD50_1F5A_69B2_3A48,
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
