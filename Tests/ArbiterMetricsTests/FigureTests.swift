// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import Testing

@Suite("Figures and estimates")
struct FigureTests {
  @Test("A missing figure keeps its reason through every step")
  func reasons() {
    let missing = Figure<Int>(nil, otherwise: "nobody counts")
    #expect(missing.value == nil)
    #expect(missing.map { $0 + 1 }.reason == "nobody counts")
    #expect(Figure(3, otherwise: "unused").map { $0 + 1 } == .known(4))
    #expect(Figure(0, otherwise: "unused") != .unavailable("0"))
  }

  @Test("Errors of independent estimates add in squares")
  func errors() {
    let sum = Estimate(10, standardError: 3) + Estimate(30, standardError: 4)
    #expect(sum == Estimate(40, standardError: 5))
    #expect(sum.relativeError == 0.125)
    #expect(Estimate.exact(0).relativeError == nil)
  }
}
