// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlatform
import ArbiterTestSupport
import Testing

/// A tree of processors with cpufreq.
private func frequencyTree(
  governors: [String] = ["performance", "performance"], kilohertz: [Int] = [2_500_000, 2_500_000],
  throttles: [Int] = [0, 0], packageThrottles: [Int] = [0, 0], noTurbo: Int? = 1
) -> TemporaryFolder {
  let folder = TemporaryFolder()
  let base = "sys/devices/system/cpu"
  folder.put("\(base)/online", "0-\(governors.count - 1)")
  for (number, governor) in governors.enumerated() {
    let frequency = "\(base)/cpu\(number)/cpufreq"
    folder.put("\(frequency)/scaling_driver", "intel_pstate")
    folder.put("\(frequency)/scaling_governor", governor)
    folder.put("\(frequency)/scaling_min_freq", "1000000")
    folder.put("\(frequency)/scaling_max_freq", "3900000")
    folder.put("\(frequency)/scaling_cur_freq", "\(kilohertz[number])")
    let heat = "\(base)/cpu\(number)/thermal_throttle"
    folder.put("\(heat)/core_throttle_count", "\(throttles[number])")
    folder.put("\(heat)/package_throttle_count", "\(packageThrottles[number])")
  }
  if let noTurbo { folder.put("\(base)/intel_pstate/no_turbo", "\(noTurbo)") }
  return folder
}

private func state(_ folder: borrowing TemporaryFolder) throws -> FrequencyState {
  try #require(FrequencyState.read(from: SystemTree(root: folder.path)).value)
}

@Suite("Clock rates of processors")
struct FrequencyStateTests {
  @Test func `everything that sysfs tells is read`() throws {
    let state = try state(frequencyTree(kilohertz: [2_500_000, 1_200_000], throttles: [3, 4]))
    #expect(state.governors == ["performance"] && state.drivers == ["intel_pstate"])
    #expect(state.allowsTurbo == false)
    #expect(state.currentKilohertz == 1_200_000...2_500_000)
    #expect(state.processors.map(\.coreThrottleCount) == [3, 4])
    #expect(state.processors.map(\.minimumKilohertz) == [1_000_000, 1_000_000])
    #expect(state.processors.map(\.maximumKilohertz) == [3_900_000, 3_900_000])
    #expect(state.findings().isEmpty && state.findings(since: state).isEmpty)
  }

  @Test func `a machine that tells nothing is unavailable, with the reason`() {
    let folder = TemporaryFolder()
    folder.put("sys/devices/system/cpu/online", "0-1")
    let reading = FrequencyState.read(from: SystemTree(root: folder.path))
    #expect(reading.value == nil)
    #expect(reading.reason?.contains("(cpufreq), as in most virtual machines") == true)
  }

  @Test func `a governor that is not performance is named with the remedy`() throws {
    let state = try state(frequencyTree(governors: ["powersave", "performance"]))
    #expect(
      state.findings() == [
        "The frequency governor of 1 processor is powersave, not performance: set it with "
          + "cpupower frequency-set -g performance."
      ])
  }

  @Test func `turbo is found by either switch`() throws {
    let intel = try state(frequencyTree(noTurbo: 0))
    #expect(intel.allowsTurbo == true)
    #expect(
      intel.findings().first?.hasSuffix(
        "write 1 to /sys/devices/system/cpu/intel_pstate/no_turbo while measuring.") == true)
    let folder = frequencyTree(noTurbo: nil)
    #expect(try state(folder).allowsTurbo == nil)
    folder.put("sys/devices/system/cpu/cpufreq/boost", "1")
    let boost = try state(folder)
    #expect(boost.allowsTurbo == true)
    #expect(
      boost.findings().first?.hasSuffix(
        "write 0 to /sys/devices/system/cpu/cpufreq/boost while "
          + "measuring.") == true)
  }

  @Test func `a clock that moved by more than five per cent is told, one that moved less is not`()
    throws
  {
    let before = try state(frequencyTree(kilohertz: [2_500_000, 2_000_000]))
    let near = try state(frequencyTree(kilohertz: [2_600_000, 1_910_000]))
    #expect(near.findings(since: before).isEmpty)
    let far = try state(frequencyTree(kilohertz: [2_500_000, 1_600_000]))
    #expect(
      far.findings(since: before) == [
        "The clock of 1 processor moved by more than 5 % on the way, most that of processor 1: "
          + "2.0 GHz before, 1.6 GHz after (-20 %)."
      ])
    let up = try state(frequencyTree(kilohertz: [3_500_000, 2_200_000]))
    #expect(
      up.findings(since: before).first?.contains("2.5 GHz before, 3.5 GHz after (+40 %)") == true)
  }

  @Test func `heat on the way is told, heat before is not`() throws {
    let before = try state(frequencyTree(throttles: [5, 5], packageThrottles: [9, 9]))
    let after = try state(frequencyTree(throttles: [5, 8], packageThrottles: [10, 10]))
    #expect(
      after.findings(since: before) == [
        "Heat has slowed a core of the processor 3 times on the way (processor 1): cool the "
          + "machine and measure again.",
        "Heat has slowed a package of the processor once on the way (processor 0): cool the "
          + "machine and measure again.",
      ])
    #expect(before.findings().isEmpty && after.findings(since: after).isEmpty)
  }

  @Test func `switches that were moved on the way are told`() throws {
    let before = try state(frequencyTree(governors: ["powersave", "powersave"], noTurbo: 0))
    let after = try state(frequencyTree())
    #expect(
      after.findings(since: before) == [
        "Turbo was switched off on the way: measure again.",
        "The governor was changed on the way: measure again.",
      ])
  }

  @Test func `this machine is read or unavailable with a reason`() {
    let reading = FrequencyState.read()
    #expect((reading.value == nil) == (reading.reason != nil))
    if let state = reading.value { #expect(!state.processors.isEmpty || state.allowsTurbo != nil) }
  }
}
