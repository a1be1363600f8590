// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice

/// Which points are measured and in which order; whoever executes them decides nothing.
public struct MeasurementPlan: Sendable, Hashable {
  /// What a plan is made from.
  public struct Terms: Sendable, Hashable {
    /// Bytes of memory that are used.
    public var regionBytes = 256 << 20
    /// Numbers of threads whose bandwidth is measured, ascending.
    public var threadCounts = [1, 2]
    /// Sizes of accesses, ascending.
    public var sizes = [64, 256, 1024, 4096]
    /// Share of loads in a mixture.
    public var readShare = 0.5
    /// What is looked at.
    public var aspects = Set(MeasurementPoint.Aspect.allCases)
    /// Whether nothing is stored.
    public var isReadOnly = false
    /// Bytes of each access where the number of threads is varied: a block of the medium.
    public var accessBytes = 256
    /// How often every point is measured; at least 1.
    public var repetitionCount = 3

    /// Makes the terms of a plan for two threads and 256 MiB.
    public init() {}

    /// The least region in which every point of the plan has room.
    public var regionBytesMin: Int {
      max(
        1 << 16, (threadCounts.max() ?? 1) * max(accessBytes, sizes.max() ?? 64))
    }
  }

  /// One measurement of one point.
  public struct Step: Sendable, Hashable {
    /// Index of the point.
    public let point: Int
    /// Which measurement of the point it is, from 0.
    public let repetition: Int
  }

  /// The points, each once.
  public let points: [MeasurementPoint]
  /// How often every point is measured.
  public let repetitionCount: Int

  /// Makes the plan that the terms ask for.
  ///
  /// - Precondition: The region is at least ``Terms/regionBytesMin`` and sizes are whole lines.
  public init(_ terms: Terms) {
    precondition(terms.regionBytes >= terms.regionBytesMin, "a region too small for its points")
    var points: [MeasurementPoint] = []
    if terms.aspects.contains(.latency) { points += Self.latencyPoints(terms) }
    if terms.aspects.contains(.bandwidth) { points += Self.bandwidthPoints(terms) }
    var seen: Set<MeasurementPoint> = []
    self.points = points.filter { seen.insert($0).inserted && !(terms.isReadOnly && $0.writes) }
    repetitionCount = max(1, terms.repetitionCount)
  }

  /// Every measurement in the order in which it is made.
  ///
  /// Whole rounds, so that a spell of noise meets all points alike; each round begins at another
  /// point, so that none always follows the same neighbour's warm caches first.
  public var steps: [Step] {
    guard !points.isEmpty else { return [] }
    return (0..<repetitionCount).flatMap { round in
      let start = round * points.count / repetitionCount
      return points.indices.map { Step(point: (start + $0) % points.count, repetition: round) }
    }
  }

  /// Working sets of dependent loads: a factor of 16 apart, powers of two, and the whole region.
  public static func workingSets(upTo regionBytes: Int) -> [Int] {
    var sets: [Int] = []
    var bytes = 16 << 10
    while bytes <= regionBytes {
      sets.append(bytes)
      bytes *= 16
    }
    // A chain without gaps needs a power of two of lines.
    let largest = 1 << (Int.bitWidth - 1 - regionBytes.leadingZeroBitCount)
    if let last = sets.last, largest > last { sets.append(largest) }
    return sets
  }

  private static func latencyPoints(_ terms: Terms) -> [MeasurementPoint] {
    workingSets(upTo: terms.regionBytes).map { .dependentRead(workingSetBytes: $0) }
      + [Operation.storeNonTemporal, .storeWriteBack].flatMap { store in
        terms.sizes.map { .persist(bytes: $0, by: store, regionBytes: terms.regionBytes) }
      }
  }

  private static func bandwidthPoints(_ terms: Terms) -> [MeasurementPoint] {
    let byThreads = MeasurementPoint.Kind.allCases.flatMap { kind in
      terms.threadCounts.map { count in
        MeasurementPoint.bandwidth(
          kind, .sequential, accessBytes: terms.accessBytes, threadCount: count,
          regionBytes: terms.regionBytes, readShare: terms.readShare)
      }
    }
    let bySize = [MeasurementPoint.Kind.read, .nt, .clwb].flatMap { kind in
      [Pattern.sequential, .random].flatMap { pattern in
        terms.sizes.map { size in
          MeasurementPoint.bandwidth(
            kind, pattern, accessBytes: size, threadCount: terms.threadCounts.first ?? 1,
            regionBytes: terms.regionBytes)
        }
      }
    }
    return byThreads + bySize
  }
}
