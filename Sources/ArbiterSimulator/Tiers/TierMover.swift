// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement

/// How migrations are carried out.
public struct TierMechanism: Sendable, Hashable {
  /// Threads that copy at once, or as many as a device copies like.
  public var copyThreads: Int
  /// Whether a device copies, and no processor.
  public var copiesByDevice: Bool
  /// Threads that never sleep.
  public var spinningThreads: Int
  /// Whether loads of islands on their way to fast memory wait as stores do.
  public var promotionHoldsLoads: Bool
  /// Islands side by side that are copied, and held, at once.
  public var pieceIslands: Int
  /// Whether the policy waits until its decisions are carried out before it decides again.
  public var isSynchronous: Bool

  /// Makes a mechanism.
  public init(
    copyThreads: Int, copiesByDevice: Bool = false, spinningThreads: Int,
    promotionHoldsLoads: Bool, pieceIslands: Int, isSynchronous: Bool
  ) {
    self.copyThreads = copyThreads
    self.copiesByDevice = copiesByDevice
    self.spinningThreads = spinningThreads
    self.promotionHoldsLoads = promotionHoldsLoads
    self.pieceIslands = pieceIslands
    self.isSynchronous = isSynchronous
  }

  /// Arbiter's file back-end: one mover, and what is promoted is unmapped meanwhile.
  public static let arbiter = TierMechanism(
    copyThreads: 1, spinningThreads: 0, promotionHoldsLoads: true, pieceIslands: 32,
    isSynchronous: false)
  /// HeMem's: a DMA engine (I/OAT) copies what is protected against stores, and the policy thread,
  /// which spins as the sampling thread does, waits for it.
  ///
  /// The engine is taken to be as fast as the four threads that copy where there is none, and to
  /// cost nothing: the paper's way, and the release's unless it is built otherwise.
  public static let hemem = TierMechanism(
    copyThreads: 4, copiesByDevice: true, spinningThreads: 2, promotionHoldsLoads: false,
    pieceIslands: TierUnit.islandsPerChunk, isSynchronous: true)
}

/// Carries out decisions one after the other, at the speed of the copy.
struct TierMover {
  /// A migration that ran during a quantum.
  struct Hold {
    let chunk: Int
    let islands: UInt64
    let nanoseconds: Double
    let holdsLoads: Bool
    let outcomeIndex: Int

    /// How long one thread waits on average, and the chance that it does at all.
    ///
    /// With accesses at rate r a copy of length t costs a thread t - (1 - e^(-r t)) / r.
    func wait(accessesPerNanosecond rate: Double) -> (nanoseconds: Double, share: Double) {
      let met = rate * nanoseconds
      let share = 1 - PortableMath.exp(-met)
      // For few accesses the difference is below the precision of its terms.
      return (met < 1e-4 ? nanoseconds * met / 2 : nanoseconds * (1 - share / met), share)
    }
  }

  /// Decisions that may wait; more are refused.
  static let queueLengthMax = 4096

  let machine: TierMachine
  let mechanism: TierMechanism
  /// The islands of each chunk that lie in slow memory.
  private(set) var slow: [UInt64] = []
  /// The islands of each chunk that have memory.
  private var present: [UInt64] = []
  private(set) var fastBytes = 0
  private(set) var promotedBytes = 0
  private(set) var demotedBytes = 0
  private(set) var migrationCount = 0
  /// Counts changes of the placement.
  private(set) var version = 0
  private var queue: [Migration] = []
  private var head = 0
  /// Time of the mover that is left from the quantum before, negative where a copy still runs.
  private var budget = 0.0

  /// Begins with memory that was populated in the order of its numbers.
  init(machine: TierMachine, mechanism: TierMechanism, chunkCount: Int) {
    self.machine = machine
    self.mechanism = mechanism
    for chunk in 0..<chunkCount { populate(chunk, islands: .max) }
  }

  /// Puts new islands of a chunk where there is room, in fast memory first.
  ///
  /// - Returns: The bytes of fast memory that they took.
  @discardableResult
  mutating func populate(_ chunk: Int, islands: UInt64) -> Int {
    while slow.count <= chunk {
      slow.append(0)
      present.append(0)
    }
    let new = islands & ~present[chunk]
    let bytes = IslandSet(rawValue: new).bytes
    let isFast = fastBytes + bytes <= machine.fastBytes
    present[chunk] |= new
    if isFast { fastBytes += bytes } else { slow[chunk] |= new }
    version += 1
    return isFast ? bytes : 0
  }

  /// Frees what islands of a chunk that are gone had.
  mutating func release(_ chunk: Int, keeping islands: UInt64 = 0) {
    guard slow.indices.contains(chunk) else { return }
    let gone = present[chunk] & ~islands
    fastBytes -= IslandSet(rawValue: gone & ~slow[chunk]).bytes
    present[chunk] &= islands
    slow[chunk] &= islands
    version += 1
  }

  var isIdle: Bool { head == queue.count }

  /// Queues a decision; tells whether there was room.
  mutating func submit(_ migration: Migration) -> Bool {
    if isIdle {
      queue.removeAll(keepingCapacity: true)
      head = 0
    }
    guard queue.count - head < Self.queueLengthMax else { return false }
    queue.append(migration)
    return true
  }

  /// Bytes per second of a copy: what the copying threads do, or half of a medium.
  func copyBytesPerSecond(to tier: Tier) -> Double {
    let (from, to) = (machine.memory(tier.other).timing, machine.memory(tier).timing)
    return min(
      machine.copyBytesPerSecond * Double(mechanism.copyThreads), from.readBytesPerSecond / 2,
      to.writeBytesPerSecond / 2)
  }

  /// Processors that moving and deciding take while a share of the time is spent on copies.
  func processors(copying share: Double) -> Double {
    let copying = mechanism.copiesByDevice ? 0 : mechanism.copyThreads
    return Double(mechanism.spinningThreads) + Double(copying) * min(1, share)
  }

  /// What a quantum's migrations came to.
  struct Progress {
    var outcomes: [MigrationOutcome] = []
    var holds: [Hold] = []
    var promotedBytes = 0
    var demotedBytes = 0
  }

  /// Works for some nanoseconds.
  mutating func run(nanoseconds: Double) -> Progress {
    var progress = Progress()
    budget = min(budget + nanoseconds, nanoseconds)
    while budget > 0, head < queue.count {
      let migration = queue[head]
      head += 1
      carryOut(migration, &progress)
    }
    return progress
  }

  private mutating func carryOut(_ migration: Migration, _ progress: inout Progress) {
    let chunk = Int(migration.chunk)
    let isPromotion = migration.destination == .fast
    let there = slow.indices.contains(chunk) ? slow[chunk] : 0
    let known = present.indices.contains(chunk) ? present[chunk] : 0
    let islands = migration.islands.rawValue & known & (isPromotion ? there : ~there)
    let bytes = IslandSet(rawValue: islands).bytes
    guard bytes > 0 else {
      progress.outcomes.append(MigrationOutcome(migration, status: .stale))
      return
    }
    guard !isPromotion || fastBytes + bytes <= machine.fastBytes else {
      progress.outcomes.append(MigrationOutcome(migration, status: .full))
      return
    }
    // Who comes to a piece waits for that piece alone.
    var pieces: [UInt64] = []
    IslandSet(rawValue: islands).forEachRun { run in
      for first in stride(from: run.lowerBound, to: run.upperBound, by: mechanism.pieceIslands) {
        let end = min(first + mechanism.pieceIslands, run.upperBound)
        pieces.append((UInt64.max >> UInt64(64 - (end - first))) << UInt64(first))
      }
    }
    let perByte = 1e9 / copyBytesPerSecond(to: migration.destination)
    func nanoseconds(_ piece: UInt64) -> Double {
      Double(IslandSet(rawValue: piece).bytes) * perByte + machine.migrationNanoseconds
    }
    let lasted = pieces.reduce(0) { $0 + nanoseconds($1) }
    budget -= lasted
    slow[chunk] ^= islands
    version += 1
    migrationCount += 1
    if isPromotion {
      fastBytes += bytes
      promotedBytes += bytes
      progress.promotedBytes += bytes
    } else {
      fastBytes -= bytes
      demotedBytes += bytes
      progress.demotedBytes += bytes
    }
    for piece in pieces {
      progress.holds.append(
        Hold(
          chunk: chunk, islands: piece, nanoseconds: nanoseconds(piece),
          holdsLoads: isPromotion && mechanism.promotionHoldsLoads,
          outcomeIndex: progress.outcomes.count))
    }
    progress.outcomes.append(
      MigrationOutcome(
        migration, status: .moved, bytesCopied: bytes,
        protectedNanoseconds: Int64(pieces.map(nanoseconds).max() ?? 0),
        cpuNanoseconds: mechanism.copiesByDevice
          ? 0 : Int64(lasted) * Int64(mechanism.copyThreads)))
  }
}
