// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterCore
public import ArbiterDevice

/// The endless stream of accesses of one thread.
///
/// Holds one of the generators of `Generators/`; a new generator is one file there and one case
/// here. Deterministic: the same workload, region and random source give the same stream.
public struct AccessStream: Sendable {
  private enum Generator: Sendable {
    case sequential(SequentialGenerator)
    case random(RandomGenerator)
    case halves(HalvesGenerator)
    case chain(ChainGenerator)
  }

  private var generator: Generator
  private let store: Operation
  private let fence: FenceRule
  private let accessBytes: UInt32
  private let think: Int64
  private let isDependent: Bool
  /// Loads per 2^32 accesses.
  private let readThreshold: UInt64

  /// Makes the stream of a workload in the region that starts at `base`.
  ///
  /// - Precondition: the workload has no ``Workload/problem``.
  public init(_ workload: Workload, base: UInt64, random: inout SeededRandom) {
    precondition(workload.problem == nil, workload.problem ?? "")
    store = workload.store
    fence = workload.fence
    accessBytes = UInt32(workload.accessBytes)
    think = workload.think.picoseconds
    isDependent = workload.isDependent
    readThreshold = UInt64(workload.readShare * 4_294_967_296)
    switch workload.pattern {
    case .sequential:
      generator = .sequential(SequentialGenerator(workload, base: base, random: &random))
    case .random:
      generator = .random(RandomGenerator(workload, base: base))
    case .halves, .halvesBack:
      generator = .halves(HalvesGenerator(workload, base: base))
    case .chain:
      generator = .chain(ChainGenerator(workload, base: base))
    }
  }

  /// Returns the next run of accesses.
  ///
  /// - Complexity: O(1), no allocation.
  public mutating func next(_ random: inout SeededRandom) -> Access {
    // A run may be long only where every access of it is of one kind.
    let limit: UInt32 = readThreshold == 0 || readThreshold == 1 << 32 ? 64 : 1
    let isLoad = readThreshold > 0 && (random.next() >> 32) < readThreshold
    let place: AccessPlace
    switch generator {
    case .sequential(var sequential):
      place = sequential.next(limit: limit)
      generator = .sequential(sequential)
    case .random(let uniform):
      place = uniform.next(&random)
    case .halves(var halves):
      place = halves.next(limit: limit)
      generator = .halves(halves)
    case .chain(var chain):
      place = chain.next()
      generator = .chain(chain)
    }
    return Access(
      operation: isLoad ? .load : store, address: place.address, length: accessBytes,
      count: place.count, stride: place.stride, fence: fence, thinkPicoseconds: think,
      isDependent: isDependent)
  }
}

/// Where a run of accesses lies: what a generator produces.
struct AccessPlace {
  var address: UInt64
  var count: UInt32
  var stride: UInt32
}
