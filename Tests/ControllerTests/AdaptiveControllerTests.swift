// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterScheduler
import Testing

@Suite("Decisions of the adaptive controller")
struct AdaptiveControllerTests {
  /// A load on which the scheme pays, and a controller that has found out.
  private func engaged(
    writers: Int = 26
  ) -> (load: SyntheticLoad, controller: AdaptiveController) {
    var load = SyntheticLoad(writers: writers, amplification: 4)
    load.gain = 2
    var controller = Bench.adaptive
    // Once it eases, the averages have settled.
    for _ in 0..<40 where controller.phase != "eased" { _ = load.step(&controller) }
    return (load, controller)
  }

  @Test func `a trial that pays engages`() {
    var load = SyntheticLoad(writers: 26, amplification: 4)
    load.gain = 2
    var controller = Bench.adaptive
    var phases: [String] = []
    for _ in 0..<5 {
      _ = load.step(&controller)
      phases.append(controller.phase)
    }
    #expect(phases == ["open", "trial", "trial", "engaged", "engaged"])
    #expect(controller.settings.isFencedAtBlocks)
    #expect(controller.settings.anchor == .previous)
  }

  @Test func `the spacing is the writers' share of what the medium writes`() {
    let (load, controller) = engaged()
    let media = load.openRate * load.gain * load.amplification
    let neutral = 26 * 256 / media * 1e9
    let headroom = AdaptiveController.Tuning().easedHeadroom
    #expect(abs(controller.settings.delayNanoseconds / (neutral * headroom) - 1) < 1e-2)
  }

  @Test func `easing that costs bandwidth ends at once`() {
    var (load, controller) = engaged()
    #expect(controller.phase == "eased")
    let eased = controller.settings.delayNanoseconds
    load.gain = 1.9
    _ = load.step(&controller)
    #expect(controller.phase == "engaged")
    #expect(controller.settings.delayNanoseconds < eased)
  }

  @Test func `without counters the gates are open`() {
    var load = SyntheticLoad(writers: 26, amplification: 4)
    var controller = Bench.adaptive
    for period in 0..<100 {
      load.pass(controller.settings)
      let blind = CounterSnapshot.unavailable(atNanoseconds: Int64(period) * 1_000_000)
      #expect(controller.step(snapshot: blind, activity: load.activity) == .open)
    }
    for count in [0, 1, 2, 26, 4] {
      #expect(controller.registrationChanged(registeredCount: count) == .open)
    }
  }

  @Test func `counters that are lost open the gates at once, and nobody's coming closes them`() {
    var (load, controller) = engaged()
    load.pass(controller.settings)
    let blind = CounterSnapshot.unavailable(atNanoseconds: load.snapshot.timeNanoseconds)
    #expect(controller.step(snapshot: blind, activity: load.activity) == .open)
    #expect(controller.registrationChanged(registeredCount: 1) == .open)
    #expect(controller.registrationChanged(registeredCount: 26) == .open)
  }

  @Test func `a source that loses sight of the medium opens the gates`() {
    var (load, controller) = engaged()
    load.loseMediaCounters()
    for _ in 0..<10 { #expect(load.step(&controller) == .open) }
  }

  @Test func `a source that never saw the medium leaves the gates open`() {
    var load = SyntheticLoad(writers: 26, amplification: 4)
    load.loseMediaCounters()
    var controller = Bench.adaptive
    for _ in 0..<100 { #expect(load.step(&controller) == .open) }
  }

  @Test(arguments: [false, true])
  func `periods without a write are no reason to act`(isEngaged: Bool) {
    var (load, controller) =
      isEngaged ? engaged() : (SyntheticLoad(writers: 26, amplification: 4), Bench.adaptive)
    load.openRate = 0
    load.idleRate = 512_000
    for _ in 0..<100 {
      let settings = load.step(&controller)
      #expect((0...100_000).contains(settings.delayNanoseconds))
      if !isEngaged { #expect(settings == .open) }
    }
  }

  @Test func `a reset of the counters changes nothing`() {
    var (load, controller) = engaged()
    let before = controller.settings
    load.resetCounters()
    // The period in which the counters fell says nothing; the next one is an ordinary period again.
    #expect(load.step(&controller) == before)
    for _ in 0..<20 {
      _ = load.step(&controller)
      #expect(["engaged", "eased"].contains(controller.phase))
    }
  }

  @Test func `gates that take their counts with them when they leave are no reset`() {
    var (load, controller) = engaged()
    for writers in [13, 26] {
      load.writers = writers
      load.pass(controller.settings)
      var activity = load.activity
      activity.storedBytes /= 2
      let settings = controller.step(snapshot: load.snapshot, activity: activity)
      #expect((0...100_000).contains(settings.delayNanoseconds))
    }
  }

  /// A controller that looks more often than its source counts: two looks with news, one without.
  @Test func `a look that brings no news is no drop of the rate`() {
    var (load, controller) = engaged()
    var shown = load.snapshot
    for look in 0..<45 {
      load.pass(controller.settings)
      if look % 3 != 2 { shown = load.snapshot }
      _ = controller.step(snapshot: shown, activity: load.activity)
      #expect(["engaged", "eased"].contains(controller.phase), "look \(look)")
    }
  }

  @Test func `the writes of an idle medium are not amplification`() {
    var load = SyntheticLoad(writers: 0, amplification: 1)
    load.openRate = 0
    load.idleRate = 100e6
    var controller = Bench.adaptive
    for _ in 0..<5 { _ = load.step(&controller) }
    load.writers = 26
    load.openRate = 1e9
    for _ in 0..<100 { #expect(load.step(&controller) == .open) }
    // A controller that never saw the medium idle cannot know.
    var other = Bench.adaptive
    for _ in 0..<2 { _ = load.step(&other) }
    #expect(other.phase == "trial")
  }

  @Test func `amplification of next to no traffic is unavailable`() {
    var load = SyntheticLoad(writers: 26, amplification: 4)
    load.openRate = 15e6
    var controller = Bench.adaptive
    for _ in 0..<100 { #expect(load.step(&controller) == .open) }
    load.openRate = 17e6
    for _ in 0..<2 { _ = load.step(&controller) }
    #expect(controller.phase == "trial")
  }

  @Test func `one writer passes an open gate`() {
    var lonely = SyntheticLoad(writers: 1, amplification: 4)
    var fresh = Bench.adaptive
    for _ in 0..<100 { #expect(lonely.step(&fresh) == .open) }
    var (load, controller) = engaged()
    load.writers = 1
    #expect(load.step(&controller) == .open)
  }

  @Test func `the spacing follows registrations at once`() {
    var (_, controller) = engaged()
    let whole = controller.settings.delayNanoseconds
    let half = controller.registrationChanged(registeredCount: 13).delayNanoseconds
    let tuning = AdaptiveController.Tuning()
    // Other writers are pressed first, whatever the former ones had come to.
    let pressed = whole * tuning.headroom / tuning.easedHeadroom
    #expect(abs(half / pressed - 0.5) < 1e-2)
    let double = controller.registrationChanged(registeredCount: 52).delayNanoseconds
    #expect(abs(double / half - 4) < 1e-9)
    #expect(controller.registrationChanged(registeredCount: 1) == .open)
  }

  @Test func `writers that return find the spacing that they left`() {
    var (load, controller) = engaged()
    let whole = controller.settings
    #expect(controller.registrationChanged(registeredCount: 1) == .open)
    load.writers = 1
    load.openRate = 50e6
    for _ in 0..<40 { #expect(load.step(&controller) == .open) }
    for count in 2...26 { _ = controller.registrationChanged(registeredCount: count) }
    #expect(controller.phase == "engaged")
    #expect(abs(controller.settings.delayNanoseconds / whole.delayNanoseconds - 1) < 5e-2)
  }

  @Test func `a spacing that no longer pays is dropped`() {
    var (load, controller) = engaged()
    load.gain = 0.5
    var periods = 0
    while controller.phase != "open" && periods < 20 {
      _ = load.step(&controller)
      periods += 1
    }
    #expect(controller.phase == "open")
    #expect(periods <= 6, "it took \(periods) periods")
  }

  @Test func `one good period is chance and no gain`() {
    var load = SyntheticLoad(writers: 26, amplification: 4)
    var controller = Bench.adaptive
    for gain in [1.0, 1.0, 1.1, 0.9, 1.0] {
      load.gain = gain
      _ = load.step(&controller)
      #expect(controller.phase != "engaged")
    }
    #expect(controller.phase == "open")
  }

  /// The number of periods that each stay in the state open lasted.
  private func staysOpen(
    _ load: inout SyntheticLoad, _ controller: inout AdaptiveController, periods: Int
  ) -> [Int] {
    var stays: [Int] = []
    var length = 0
    for _ in 0..<periods {
      _ = load.step(&controller)
      if controller.phase == "open" {
        length += 1
      } else if length > 0 {
        stays.append(length)
        length = 0
      }
    }
    return stays
  }

  @Test func `a trial that does not pay is repeated ever more rarely`() {
    var load = SyntheticLoad(writers: 26, amplification: 4)
    var controller = Bench.adaptive
    // The first snapshot is no period, and the next one starts the first trial.
    let stays = staysOpen(&load, &controller, periods: 13_000)
    #expect(stays == [1, 50, 100, 200, 400, 800, 1600, 3200, 3200, 3200])
  }

  @Test func `a load that looks different is tried at once`() {
    var load = SyntheticLoad(writers: 26, amplification: 4)
    var controller = Bench.adaptive
    for _ in 0..<10 { _ = load.step(&controller) }
    #expect(controller.phase == "open")
    load.amplification = 2
    _ = load.step(&controller)
    #expect(controller.phase == "trial")
  }

  @Test func `a load that always looks different is not tried all the time`() {
    var load = SyntheticLoad(writers: 26, amplification: 4)
    load.gain = 0.7
    var controller = Bench.adaptive
    var random = SeededRandom(seed: Bench.seed)
    var shut = 0
    for _ in 0..<10_007 {
      load.writers = random.below(2) == 0 ? 16 : 26
      if load.step(&controller) != .open { shut += 1 }
    }
    // 3 % of the time at a loss of 30 % is the one per cent that a load may lose.
    let share = Double(shut) / 10_007
    check(
      "a load that does not pay, 16 or 26 writers",
      [.atMost(3.3, "periods under a gate", share * 100, unit: "%")])
  }

  @Test func `equal observations lead to equal settings`() {
    func settings() -> [GateSettings] {
      var load = SyntheticLoad(writers: 26, amplification: 3)
      var controller = Bench.adaptive
      var random = SeededRandom(seed: Bench.seed)
      return (0..<1009).map { _ in
        load.gain = 1 + Double(random.below(1000)) / 1000
        load.writers = 1 + random.below(64)
        return load.step(&controller)
      }
    }
    let first = settings()
    #expect(first == settings())
    #expect(Set(first).count > 100)
  }
}
