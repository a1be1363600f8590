// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement

/// Knows what is accessed, and for how long, and places the best: what no policy can do better with
/// the same mover.
struct TierOracle {
  let machine: TierMachine
  private var version: Int?

  init(machine: TierMachine) { self.machine = machine }

  /// What to move now that the mix is another one; nothing while it is the same.
  ///
  /// - Complexity: O(*n* log *n*) in chunks, where the mix has changed.
  mutating func plan(
    _ mix: AccessMix, slow: [UInt64], copyBytesPerSecond: Double
  ) -> [Migration] {
    guard mix.version != version else { return [] }
    version = mix.version
    // Thread time that an island in fast memory saves until the mix changes.
    let saved = mix.parts.map { part in
      let (sequential, stores) = (part.isSequential, part.storeShare)
      return part.share * mix.accessesLeft
        * (machine.slow.nanoseconds(isSequential: sequential, storeShare: stores)
          - machine.fast.nanoseconds(isSequential: sequential, storeShare: stores))
    }
    // The least that a move costs: all threads may have to wait for the copy.
    let copy =
      Double(TierUnit.islandBytes) / copyBytesPerSecond * 1e9 * Double(machine.threads)
    let most = zip(saved, mix.parts).reduce(0) { $0 + $1.0 * $1.1.islandWeightMax }
    guard most > copy else { return [] }
    let groups = IslandGroup.groups(mix, chunkCount: slow.count, slow: slow).map { group in
      (group, gain: zip(saved, group.partWeights).reduce(0) { $0 + $1.0 * $1.1 })
    }
    return exchange(groups, slow: slow, cost: copy)
  }

  /// Exchanges the hottest of slow memory for the coldest of fast memory while it pays.
  private func exchange(
    _ groups: [(IslandGroup, gain: Double)], slow: [UInt64], cost: Double
  ) -> [Migration] {
    func isSlow(_ group: IslandGroup) -> Bool { slow[group.chunk] & group.islands != 0 }
    let hot = groups.filter { isSlow($0.0) && $0.gain > cost }
      .sorted { ($0.gain, $1.0.chunk) > ($1.gain, $0.0.chunk) }
    let cold = groups.filter { !isSlow($0.0) }
      .sorted { ($0.gain, $0.0.chunk) < ($1.gain, $1.0.chunk) }
    var free =
      machine.fastBytes - cold.reduce(0) { $0 + $1.0.islands.nonzeroBitCount }
      * TierUnit.islandBytes
    var victims = cold[...]
    var migrations: [Migration] = []
    for (group, gain) in hot {
      let bytes = group.islands.nonzeroBitCount * TierUnit.islandBytes
      var leaving: [Migration] = []
      var room = free
      while room < bytes, let victim = victims.first, gain - victim.gain > 2 * cost {
        victims.removeFirst()
        room += victim.0.islands.nonzeroBitCount * TierUnit.islandBytes
        leaving.append(
          Migration(
            chunk: Int32(victim.0.chunk), islands: IslandSet(rawValue: victim.0.islands), to: .slow,
            because: .exchange))
      }
      guard room >= bytes else { break }
      free = room - bytes
      migrations += leaving
      migrations.append(
        Migration(
          chunk: Int32(group.chunk), islands: IslandSet(rawValue: group.islands), to: .fast,
          because: .hot))
    }
    return migrations
  }
}
