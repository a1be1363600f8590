// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCalibration
import ArbiterDevice
import ArbiterProfiles
import Testing

@Suite("Trends", .serialized)
struct TrendTests {
  @Test(arguments: CalibrationTrend.all)
  func `the model shows a published trend`(trend: CalibrationTrend) throws {
    let profile = try ProfileLibrary.embedded.profile(named: trend.profileName)
    for seed: UInt64 in [1, 2] {
      let outcome = trend.run(on: profile, seed: seed)
      if seed == 1 {
        print("\(trend.number). \(trend.title) (\(trend.source); \(trend.profileName))")
        for figure in outcome.figures {
          print("  \(figure.label): \(fixed(figure.value, 2)) \(figure.unit)")
        }
      }
      #expect(outcome.holds, "\(trend.number): \(trend.claim)")
    }
  }

  /// Devices that lack a trend, so that the trends are seen to be able to fail.
  private static let others: [(trend: Int, change: @Sendable (inout DeviceProfile) -> Void)] = [
    (91, { $0.mediaReadNanoseconds = 4000 }),
    (92, { $0.mediaReadNanoseconds = 100 }),
    (93, { $0.linkNanoseconds = 30 }),
    (95, { $0.pageCacheWays = 1 }),
  ]

  @Test(arguments: [0, 1, 2, 3])
  func `another device does not show the trend`(place: Int) throws {
    let other = Self.others[place]
    let trend = try #require(CalibrationTrend.all.first { $0.number == other.trend })
    var profile = try ProfileLibrary.embedded.profile(named: trend.profileName)
    other.change(&profile)
    #expect(!trend.run(on: profile, seed: 1).holds)
  }

  @Test func `no trend shares its number with a target`() {
    let numbers = CalibrationTrend.all.map(\.number)
    #expect(Set(numbers).count == numbers.count)
    #expect(CalibrationTarget.all.allSatisfy { !numbers.contains($0.number) })
  }

  @Test func `a profile is marked as trend only where only trends judge it`() throws {
    for name in ProfileLibrary.embedded.names {
      let profile = try ProfileLibrary.embedded.profile(named: name)
      let hasTargets = CalibrationTarget.all.contains { $0.profileName == name }
      #expect(hasTargets == (profile.calibration == .values), "\(name)")
    }
  }
}
