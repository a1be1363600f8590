// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterScheduler

/// The runs beyond the table that the report needs: Figure 3(d) and the range of the gain.
struct CompareStudy: Sendable {
  /// One curve of Figure 3(d).
  struct DelayCurve: Sendable {
    let point: DelayPlace
    let start: StartState
  }

  let options: CompareOptions
  let profile: DeviceProfile

  /// Threads of the sweeps: as many as the paper has cores.
  let threads = 26

  let curves = [
    DelayCurve(point: .access, start: .clean), DelayCurve(point: .access, start: .saturated),
    DelayCurve(point: .block, start: .clean), DelayCurve(point: .block, start: .saturated),
  ]

  /// Delays per 64 B as multiples of what the medium needs for one line of every thread.
  let delayRatios = [0, 0.25, 0.5, 0.75, 0.9, 0.98, 1.02, 1.1, 1.3, 1.6, 2, 2.5, 3, 4]

  /// Store windows over which the gain is quoted.
  let windows = [6, 8, 10, 12, 16]

  /// The medium's write bandwidth, which the module reaches with one writer.
  var peakBytesPerSecond: Double {
    Double(profile.mediaUnits * profile.mediaUnitBytes) / profile.mediaWriteNanoseconds * 1e9
  }

  /// The delay per 64 B at which all threads together just occupy the medium.
  var neutralNanoseconds: Double { Double(threads) * 64 / peakBytesPerSecond * 1e9 }

  /// The runs: the curves one after the other, then baseline and arbiter for every window.
  var scenarios: [Scenario] {
    var list: [Scenario] = []
    for curve in curves {
      for ratio in delayRatios { list.append(delayed(curve, ratio)) }
    }
    for window in windows {
      for scheme in [SchemeName.baseline, .arbiter] {
        var changed = profile
        changed.storeWindowLines = window
        list.append(options.scenario(scheme, threads: threads, on: changed))
      }
    }
    return list
  }

  private func delayed(_ curve: DelayCurve, _ ratio: Double) -> Scenario {
    var scenario = options.scenario(.baseline, threads: threads, on: profile)
    let lines = curve.point == .block ? 4.0 : 1.0
    scenario.start = curve.start
    scenario.warmUp = .milliseconds(2)
    scenario.duration = .milliseconds(4)
    scenario.fixedDelay = GateSettings(
      delayNanoseconds: neutralNanoseconds * ratio * lines, point: curve.point.point)
    return scenario
  }
}
