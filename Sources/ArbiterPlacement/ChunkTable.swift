// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What a policy may know of one chunk.
public struct ManagedChunk: Sendable, Hashable {
  /// The process that maps it.
  public var process: Int32
  /// Its first byte; a multiple of ``TierUnit/chunkBytes``.
  public var address: UInt64
  /// The islands that lie in slow memory; the others lie in fast memory.
  public var slowIslands: IslandSet
  /// Islands that have memory behind them; those that were never touched cost nothing anywhere.
  public var presentIslands = IslandSet.all
  /// Whether it may be moved now: not where pages are locked, pinned or shared with a fork.
  public var isMovable = true

  /// Makes a chunk.
  public init(process: Int32, address: UInt64, slowIslands: IslandSet) {
    self.process = process
    self.address = address
    self.slowIslands = slowIslands
  }

  /// Bytes of fast memory behind it.
  public var fastBytes: Int { presentIslands.subtracting(slowIslands).bytes }

  /// Notes that islands were moved.
  public mutating func note(_ migration: Migration) {
    switch migration.destination {
    case .fast: slowIslands.subtract(migration.islands)
    case .slow: slowIslands.formUnion(migration.islands)
    }
  }
}

/// All chunks that are managed, under small numbers which are used again.
///
/// Costs: insertion, removal and lookup are constant on average; iteration takes all slots.
public struct ChunkTable: Sendable {
  private struct Key: Hashable {
    var process: Int32
    var address: UInt64
  }

  private var slots: [ManagedChunk?] = []
  private var places: [Key: Int] = [:]
  private var free: [Int] = []

  /// Makes an empty table.
  public init() {}

  /// Chunks in the table.
  public var count: Int { places.count }

  /// One more than the largest number in use: policies size their own arrays by it.
  public var capacity: Int { slots.count }

  /// The chunk of a number; nil where the number is not in use.
  public subscript(index: Int) -> ManagedChunk? {
    get { slots.indices.contains(index) ? slots[index] : nil }
    set {
      guard let newValue, let old = self[index] else {
        preconditionFailure("chunks are added with insert and taken away with remove")
      }
      precondition(old.process == newValue.process && old.address == newValue.address)
      slots[index] = newValue
    }
  }

  /// Adds a chunk and tells its number; the number of the old one where there was one already.
  @discardableResult
  public mutating func insert(_ chunk: ManagedChunk) -> Int {
    precondition(chunk.address % UInt64(TierUnit.chunkBytes) == 0, "a chunk that is not aligned")
    let key = Key(process: chunk.process, address: chunk.address)
    if let index = places[key] {
      slots[index] = chunk
      return index
    }
    let index = free.popLast() ?? slots.count
    if index == slots.count { slots.append(chunk) } else { slots[index] = chunk }
    places[key] = index
    return index
  }

  /// Takes a chunk away; its number may be given to another one.
  public mutating func remove(_ index: Int) {
    guard let chunk = self[index] else { return }
    places[Key(process: chunk.process, address: chunk.address)] = nil
    slots[index] = nil
    free.append(index)
  }

  /// The number of the chunk that holds an address of a process.
  public func index(process: Int32, address: UInt64) -> Int? {
    places[Key(process: process, address: address & ~UInt64(TierUnit.chunkBytes - 1))]
  }

  /// Calls the body with each chunk and its number, in order of the numbers.
  public func forEach(_ body: (Int, ManagedChunk) -> Void) {
    for (index, chunk) in slots.enumerated() {
      if let chunk { body(index, chunk) }
    }
  }

  /// Bytes of fast memory behind all chunks; costs a pass over the table.
  public var fastBytes: Int {
    var sum = 0
    forEach { _, chunk in sum += chunk.fastBytes }
    return sum
  }
}
