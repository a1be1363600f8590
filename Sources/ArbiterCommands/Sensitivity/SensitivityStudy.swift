// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCalibration
internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterProfiles

/// A profile, everything that is plausible instead of it, and the runs that tell them apart.
struct SensitivityStudy: Sendable {
  typealias Runs = [ConclusionCase: RunResult]

  /// One case on one variant.
  struct Job: Sendable {
    /// The place among the variants; nil for the profile itself.
    let variant: Int?
    let place: ConclusionCase
  }

  let profile: DeviceProfile
  let ranges: [PlausibleRange]
  let variants: [ProfileVariant]
  let seed: UInt64

  /// Lays out the variants of a profile.
  ///
  /// - Parameters:
  ///   - resolved: The profile.
  ///   - keys: The parameters that are moved; empty for all with a plausible range.
  ///   - drawCount: Variants in which all of them are drawn at random from their ranges.
  ///   - seed: The source of all randomness.
  init(_ resolved: ResolvedProfile, keys: [String], drawCount: Int, seed: UInt64) {
    profile = resolved.profile
    let ranges = resolved.plausible.filter { keys.isEmpty || keys.contains($0.key) }
    self.ranges = ranges
    self.seed = seed
    var random = SeededRandom(seed: seed, stream: 11)
    let base = resolved.profile
    variants =
      ranges.flatMap { Self.steps(of: $0, in: base) }
      + (0..<drawCount).map { Self.draw(number: $0 + 1, ranges, in: base, &random) }
  }

  /// Both ends and the middle, without the profile's own value.
  private static func steps(of range: PlausibleRange, in base: DeviceProfile) -> [ProfileVariant] {
    guard let parameter = ProfileParameter.all.first(where: { $0.key == range.key }) else {
      return []
    }
    let (low, high) = (range.range.lowerBound, range.range.upperBound)
    let middle = parameter.isWhole ? ((low + high) / 2).rounded(.down) : (low + high) / 2
    var values: [Double] = []
    for value in [low, middle, high] where value != parameter.get(base) && value != values.last {
      values.append(value)
    }
    return values.map {
      ProfileVariant(
        key: range.key, value: $0, name: "\(range.key) = \(plain($0))",
        profile: range.setting($0, in: base))
    }
  }

  private static func draw(
    number: Int, _ ranges: [PlausibleRange], in base: DeviceProfile, _ random: inout SeededRandom
  ) -> ProfileVariant {
    var profile = base
    // What moves others along comes last, so that it moves what was drawn for them.
    for range in ranges.sorted(by: { $0.scaledKeys.count < $1.scaledKeys.count }) {
      let isWhole = ProfileParameter.all.contains { $0.key == range.key && $0.isWhole }
      let share = Double(random.next() >> 11) / 9_007_199_254_740_992
      let value = range.range.lowerBound + share * (range.range.upperBound - range.range.lowerBound)
      profile = range.setting(isWhole ? value.rounded() : value, in: profile)
    }
    return ProfileVariant(key: nil, value: nil, name: "joint draw \(number)", profile: profile)
  }

  /// The work: every case of the profile itself, then of every variant.
  var jobs: [Job] {
    let places = ([nil] + variants.indices.map(Optional.some))
    return places.flatMap { variant in
      ConclusionCase.all.map { Job(variant: variant, place: $0) }
    }
  }

  func run(_ job: Job) throws -> RunResult {
    try job.place.run(on: job.variant.map { variants[$0].profile } ?? profile, seed: seed)
  }

  /// Sorts the results of ``jobs``, which an interrupt may have left incomplete, by variant.
  func findings(_ results: [RunResult?]) -> SensitivityFindings? {
    var base: Runs = [:]
    var runs = Array(repeating: Runs(), count: variants.count)
    for (job, result) in zip(jobs, results) {
      guard let result else { continue }
      if let variant = job.variant {
        runs[variant][job.place] = result
      } else {
        base[job.place] = result
      }
    }
    let count = ConclusionCase.all.count
    guard base.count == count else { return nil }
    let whole = zip(variants, runs).filter { $0.1.count == count }.map {
      (variant: $0.0, runs: $0.1)
    }
    return SensitivityFindings(profile: profile, ranges: ranges, base: base, variants: whole)
  }
}
