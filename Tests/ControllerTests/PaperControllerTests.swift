// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterScheduler
import ArbiterSimulator
import Testing

@Suite("The paper's controller")
struct PaperControllerTests {
  @Test(arguments: [16, 20, 26])
  func `averaged over its swings it loses next to nothing`(threads: Int) throws {
    let peak = try Bench.peak()
    var run = Run(threads: Bench.crowd(threads)).under(.controlled(Bench.paper))
    run.periods = 400
    let outcome = try run.measured()
    var reference = run.baseline
    reference.periods = 40
    let baseline = try reference.measured().result.effectiveBandwidth
    let gain = (outcome.result.effectiveBandwidth / baseline - 1) * 100
    let delays = outcome.samples.map(\.settings.delayNanoseconds)
    let delayMax = delays.max() ?? .infinity
    check(
      "arbiter-paper, \(threads) writers, 400 periods",
      [
        .share(0.95, "of baseline", outcome.result.effectiveBandwidth / baseline),
        .atMost(100_000, "longest delay", delayMax, unit: " ns", digits: 0),
      ],
      note: "gain \(gain.text())%, the paper says 47% at 26 threads; "
        + "\((outcome.result.effectiveBandwidth / peak * 100).text())% of peak")
    // A loop that never acts would pass the bounds above.
    #expect(delayMax > 0)
  }

  @Test func `its delay decays with no more threads than the threshold`() {
    var load = SyntheticLoad(writers: 26, amplification: 4)
    var controller = Bench.paper
    for _ in 0..<40 { _ = load.step(&controller) }
    var delay = controller.settings.delayNanoseconds
    #expect(delay > 1000)
    load.writers = 4
    while delay > 0 {
      let next = load.step(&controller).delayNanoseconds
      #expect(next <= delay / 2)
      delay = next
    }
    #expect(controller.settings == GateSettings(point: .access))
  }

  @Test func `its delay stops at the maximum`() {
    var load = SyntheticLoad(writers: 26, amplification: 4)
    var controller = PaperController(maximumDelay: .microseconds(2))
    for _ in 0..<100 { #expect(load.step(&controller).delayNanoseconds <= 2000) }
    #expect(controller.settings.delayNanoseconds == 2000)
  }
}
