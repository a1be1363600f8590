// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterScheduler
import ArbiterSimulator
import ArbiterWorkloads
import Testing

// Without jitter and contention every rate has a closed form; the model must meet it exactly.
// Default profile: store issue 15 ns, store return 138 ns, fence 29 ns, load issue 3 ns, load
// return 149 ns, media write 449 ns and read 155 ns on each of 4 units, 25 and 64 ns more without a
// translation, which tests that do not ask for it leave out.

@Suite("Exact times")
struct TightnessTests {
  private static let exact = profile {
    $0.coreJitterRatio = 0
    $0.mediaJitterRatio = 0
    $0.translationBlocks = 0
  }

  private func exact(_ change: (inout DeviceProfile) -> Void) -> DeviceProfile {
    var profile = Self.exact
    change(&profile)
    return profile
  }

  private func translated(_ change: (inout DeviceProfile) -> Void) -> DeviceProfile {
    exact {
      $0.translationBlocks = 4096
      change(&$0)
    }
  }

  /// Expects that one thread moves a line every `period` nanoseconds, to the line.
  private func expectPeriod(
    _ period: Double, _ workload: Workload = Workload(), _ profile: DeviceProfile = exact,
    scheme: SimulatedScheme = .fixed(.open)
  ) throws {
    let result = try measure(
      machine(workload, threads: 1, profile: profile, scheme: scheme),
      warmUp: .microseconds(50), span: .nanoseconds(period * 10_007))
    #expect(abs(Int(result.requestCount) - 10_007) <= 1, "\(result.requestCount) lines")
  }

  @Test func `a fence after every line costs return and fence`() throws {
    try expectPeriod(138 + 29, Workload(fence: .every(bytes: 64)))
  }

  @Test func `a fence waits for issue where that takes longer than the return`() throws {
    try expectPeriod(
      15 + 29, Workload(fence: .every(bytes: 64)), exact { $0.storeReturnNanoseconds = 3 })
  }

  @Test func `one window entry moves a line per return time`() throws {
    try expectPeriod(138, Workload(), exact { $0.storeWindowLines = 1 })
  }

  @Test func `two window entries move two lines per return time`() throws {
    try expectPeriod(69, Workload(), exact { $0.storeWindowLines = 2 })
  }

  @Test func `thinking adds to the issue of a line`() throws {
    try expectPeriod(15 + 1009, Workload(think: .nanoseconds(1009)))
  }

  @Test func `a delay from arrival adds to the issue of a line`() throws {
    try expectPeriod(1009 + 15, scheme: delay(1009))
  }

  @Test func `a delay from the previous line is the distance between lines`() throws {
    try expectPeriod(1009, scheme: delay(1009, from: .previous))
  }

  @Test func `a delay per block adds once to four lines`() throws {
    // 4007 ns for four lines that are issued 15 ns apart.
    try expectPeriod((4007 + 60) / 4, scheme: delay(4007, per: .block))
  }

  @Test func `a delay per block from the previous block is the distance between blocks`() throws {
    try expectPeriod(4008 / 4, scheme: delay(4008, per: .block, from: .previous))
  }

  @Test func `the longest delay bounds every delay`() throws {
    var configuration = machine(threads: 1, profile: Self.exact, scheme: delay(1_000_000))
    configuration.maximumDelay = .nanoseconds(985)
    let result = try measure(configuration, warmUp: .microseconds(50), span: .microseconds(1000))
    #expect(result.requestCount == 1000)
    #expect(result.delayNanosecondsMean == 985)
  }

  @Test func `jitter takes no delay beyond its bound`() throws {
    let jittery = exact { $0.coreJitterRatio = 0.9 }
    var configuration = machine(threads: 1, profile: jittery, scheme: delay(1_000_000))
    configuration.maximumDelay = .nanoseconds(1000)
    let result = try measure(configuration, warmUp: .microseconds(50), span: .microseconds(2000))
    // Half of the draws would lie above the bound; the others spread evenly down to a tenth of it.
    #expect(result.delayNanosecondsMean < 1000 && result.delayNanosecondsMean > 700)
    #expect(result.latencyNanoseconds.map { $0.max <= 1000 + 138 + 29 } == true)
  }

  @Test func `a load that misses costs the medium and the way back`() throws {
    let loads = Workload(pattern: .random, regionBytes: 1 << 40, readShare: 1)
    try expectPeriod(155 + 149, loads, exact { $0.loadWindowLines = 1 })
    try expectPeriod(155 + 149 + 64, loads, translated { $0.loadWindowLines = 1 })
  }

  @Test func `loads of one block read it once`() throws {
    let loads = Workload(readShare: 1)
    try expectPeriod((155 + 4 * 149) / 4, loads, exact { $0.loadWindowLines = 1 })
  }

  @Test(arguments: [1, 2, 3])
  func `sequential stores get what the medium writes`(threads: Int) throws {
    // In order, so that no block is written twice.
    let result = try measure(
      machine(threads: threads, profile: translated { $0.releaseOrder = .inOrder }))
    // One block of 16 is the first of its translation.
    let write = (449 + 25.0 / 16) * 1e-9
    #expect(abs(result.effectiveBandwidth / (4 * 256 / write) - 1) < 0.002)
    #expect(abs((result.writeAmplification ?? 0) - 1) < 0.002)
  }

  @Test(arguments: [1, 8, 26])
  func `random lines get a quarter of it and amplify by exactly four`(threads: Int) throws {
    let random = Workload(pattern: .random, regionBytes: 1 << 34)
    let result = try measure(machine(random, threads: threads, profile: translated { _ in }))
    #expect(abs(result.effectiveBandwidth / (4 * 64 / 474e-9) - 1) < 0.002)
    #expect(abs((result.writeAmplification ?? 0) - 4) < 0.002)
  }

  @Test func `a medium that stalls a tenth of the time loses a tenth`() throws {
    let stalling = exact {
      $0.releaseOrder = .inOrder
      $0.stallPeriodNanoseconds = 500_000
      $0.stallNanoseconds = 50_000
    }
    let result = try measure(machine(threads: 2, profile: stalling), span: .milliseconds(5))
    // Jobs that began before a stall go on, so that a little less than a tenth is lost.
    #expect(abs(result.effectiveBandwidth / (4 * 256 / 449e-9) - 0.9) < 0.004)
  }

  @Test func `the module accepts an empty queue's worth at once and then at its own pace`() throws {
    var simulation = try Simulation(machine(threads: 26, profile: Self.exact))
    simulation.run(for: .milliseconds(2))
    // Program bytes run ahead of accepted bytes by at most the windows and the access at hand.
    let stored = simulation.threadBytes().reduce(0, +)
    let accepted = simulation.snapshot().imcWriteBytes ?? 0
    #expect(stored <= accepted + 26 * 64 * 10)
    #expect(stored >= accepted)
    #expect(simulation.result().cacheAmplification.map { abs($0 - 1) < 0.02 } == true)
  }
}
