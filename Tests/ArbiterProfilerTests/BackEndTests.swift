// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterProfiler
import Testing

@Suite("Back-ends and what they measure")
struct BackEndTests {
  @Test("Only costs are times, and no two back-ends measure the same")
  func measures() {
    #expect(BackEnd.allCases.filter { $0.measure.unit == "nanoseconds" } == [.timer])
    #expect(Set(BackEnd.allCases.map(\.measure)).count == BackEnd.allCases.count)
  }

  @Test("The share of resolved samples is unknown before the first one")
  func shares() {
    var losses = SamplingLosses()
    #expect(losses.resolvedShare == nil)
    losses.sampleCount = 4
    losses.resolvedCount = 3
    #expect(losses.resolvedShare == 0.75)
  }
}
