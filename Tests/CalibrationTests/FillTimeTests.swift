// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterProfiles
import ArbiterSimulator
import ArbiterWorkloads
import Testing

// A second look at the measurements: over all published groups of threads, modules and kinds of
// store, amplification depends almost only on the time that a thread needs to fill a block, that is
// 3 × 64 B at the thread's own rate (our analysis of the data of Yang et al., FAST'20). A model
// that amplifies for the wrong reason would not lie on this curve.

@Suite("Time to fill a block")
struct FillTimeTests {
  private struct Group {
    let threads: Int
    let fill: Double
    let amplification: Double
  }

  private func group(threads: Int, modules: Int, store: Operation) throws -> Group {
    let profile = try ProfileLibrary.embedded.profile(named: ProfileLibrary.defaultName)
    var configuration = SimulationConfiguration(
      profile: profile,
      threads: Array(repeating: ThreadPlan(Workload(store: store)), count: threads))
    configuration.moduleCount = modules
    var simulation = try Simulation(configuration)
    simulation.run(for: .milliseconds(1))
    simulation.beginMeasurement()
    simulation.run(for: .milliseconds(3))
    let result = simulation.result()
    let fill = 192 * Double(threads) / (result.effectiveBandwidth / 1e9)
    return Group(threads: threads, fill: fill, amplification: result.writeAmplification ?? 0)
  }

  /// The published bands, widened by 0.15 as amplification is elsewhere.
  private static let bands: [(fill: ClosedRange<Double>, amplification: ClosedRange<Double>)] = [
    (0...220, 1.01...1.04), (256...350, 1.03...1.12), (440...540, 1.10...1.23),
    (600...715, 1.25...1.25), (1000...1100, 1.45...1.56), (2000...2200, 1.88...1.88),
  ]

  @Test func `amplification follows the time that a thread needs to fill a block`() throws {
    var groups: [Group] = []
    for threads in [1, 2, 3, 4, 5, 6, 8, 10, 12] {
      groups.append(try group(threads: threads, modules: 1, store: .storeNonTemporal))
    }
    for threads in [1, 2, 4] {
      groups.append(try group(threads: threads, modules: 6, store: .storeNonTemporal))
    }
    groups.sort { $0.fill < $1.fill }
    var judged = 0
    for group in groups {
      print("  fill \(fixed(group.fill, 1)) ns  WA \(fixed(group.amplification, 2))")
      for band in Self.bands where band.fill.contains(group.fill) {
        judged += 1
        let allowed =
          (band.amplification.lowerBound - 0.15)...(band.amplification.upperBound + 0.15)
        #expect(allowed.contains(group.amplification), "fill time \(group.fill) ns")
      }
    }
    #expect(judged >= 5)
  }
}
