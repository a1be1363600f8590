// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Islands of one chunk that might move together.
struct PlacementCandidate: Sendable {
  var chunk: Int32
  var islands: UInt64
  /// Expected heat per island, nanoseconds per second; the careful side of the estimate.
  var heat: Float
  /// What the whole chunk had lately, which ranks those of equal heat.
  var lately: Float
  /// Seconds for which it is expected to last.
  var horizonSeconds: Float = 0

  var count: Int { islands.nonzeroBitCount }
}

/// Islands of one chunk, by how many octaves of heat they are away from the cut.
struct IslandLevels {
  private var islands = SIMD4<UInt64>()
  /// Sums over the islands of a level of their shares of the chunk's heat.
  private var shares = SIMD4<Float>()

  mutating func add(_ added: UInt64, share: Float, bucketsOff: Int) {
    let level = min(islands.scalarCount - 1, bucketsOff / PlacementPlan.bucketsPerOctave)
    islands[level] |= added
    shares[level] += share * Float(added.nonzeroBitCount)
  }

  /// Calls the body with the islands of each level that has any, and their mean share.
  func forEach(_ body: (UInt64, Float) -> Void) {
    for level in islands.indices where islands[level] != 0 {
      body(islands[level], shares[level] / Float(islands[level].nonzeroBitCount))
    }
  }
}

/// What a step weighs: a histogram of heat per island, and candidates on both sides of its cut.
///
/// Buckets are quarters of octaves. The arrays are kept from step to step, so that a step does not
/// allocate.
struct PlacementPlan: Sendable {
  static let bucketCount = 256
  static let bucketsPerOctave = 4
  private(set) var islands = [Int](repeating: 0, count: bucketCount)
  private(set) var rising: [PlacementCandidate] = []
  private(set) var falling: [PlacementCandidate] = []
  private var scratch: [PlacementCandidate] = []
  /// The lowest bucket that fits into the fast tier.
  private(set) var cut = 0

  /// The bucket of a heat in nanoseconds per second and island: 0 below 1 ns, then to 2^64.
  static func bucket(_ heat: Float) -> Int {
    guard heat >= 1 else { return 0 }
    // The exponent and the two highest bits of the significand.
    return min(Int(heat.bitPattern >> 21) - Int(Float(1).bitPattern >> 21) + 1, bucketCount - 1)
  }

  mutating func clear() {
    for index in islands.indices { islands[index] = 0 }
    rising.removeAll(keepingCapacity: true)
    falling.removeAll(keepingCapacity: true)
  }

  mutating func count(_ number: Int, heat: Float) { islands[Self.bucket(heat)] += number }

  /// Finds the lowest heat of which everything fits into so many islands.
  mutating func findCut(capacity: Int) {
    var sum = 0
    cut = 0
    for bucket in islands.indices.reversed() {
      sum += islands[bucket]
      if sum > capacity {
        cut = bucket
        return
      }
    }
  }

  mutating func rise(_ candidate: PlacementCandidate) { rising.append(candidate) }

  mutating func fall(_ candidate: PlacementCandidate) { falling.append(candidate) }

  /// Orders the candidates by heat: those that rise hottest first, those that fall coldest first.
  ///
  /// Those of one group are expected to have the same heat, and most steps do not get through all
  /// of them: what they had lately decides among them, not their address.
  mutating func order() {
    Self.sort(&rising, hottestFirst: true, with: &scratch) { $0.lately }
    Self.sort(&rising, hottestFirst: true, with: &scratch) { $0.heat }
    Self.sort(&falling, hottestFirst: false, with: &scratch) { $0.lately }
    Self.sort(&falling, hottestFirst: false, with: &scratch) { $0.heat }
  }

  /// Counting sort by bucket; equal ones keep their order.
  private static func sort(
    _ list: inout [PlacementCandidate], hottestFirst: Bool,
    with scratch: inout [PlacementCandidate], by heat: (PlacementCandidate) -> Float
  ) {
    func key(_ candidate: PlacementCandidate) -> Int {
      let bucket = bucket(heat(candidate))
      return hottestFirst ? bucketCount - 1 - bucket : bucket
    }
    var starts = [Int](repeating: 0, count: bucketCount + 1)
    for candidate in list { starts[key(candidate) + 1] += 1 }
    for index in 1...bucketCount { starts[index] += starts[index - 1] }
    scratch.removeAll(keepingCapacity: true)
    scratch.append(contentsOf: list)
    for candidate in scratch {
      let place = key(candidate)
      list[starts[place]] = candidate
      starts[place] += 1
    }
  }
}
