// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement
internal import ArbiterPlatform
internal import CArbiterTier

/// What the manager knows of one seat: a process image whose memory is managed.
struct FileSeat {
  /// An entry of the seat's table.
  struct Entry {
    /// What the entry stands for; 0 while it is not in use.
    var generation: UInt64 = 0
    /// The chunk's number in the manager's table.
    var number: Int = -1
  }

  /// A request that nobody has answered yet.
  struct Pending {
    var migration: Migration
    var entry: Int
    var generation: UInt64
  }

  let process: Int32
  let startTicks: UInt64
  let generation: UInt64
  var entries: [Entry] = []
  var pending: [UInt64: Pending] = [:]
  var counts = ArbTierCounts()
  var remarkCount: UInt32 = 0
  /// Why nothing of it moves, for good.
  var pin: String?
  var isFrozen = false
  /// Whether its process is gone.
  var isLeft = false

  init(_ words: ArbTierSeatWords) {
    process = words.process
    startTicks = words.start_ticks
    generation = words.generation
  }

  /// Whether the words are still of this process image.
  func isSame(_ words: ArbTierSeatWords) -> Bool {
    process == words.process && generation == words.generation && startTicks == words.start_ticks
  }

  /// Whether its process is gone, or its number another's by now.
  func isGone(from tree: SystemTree) -> Bool {
    guard let status = ProcessStatus.read(ofProcess: process, from: tree) else { return true }
    return status.hasEnded || (startTicks != 0 && status.startTicks != startTicks)
  }
}

extension ArbTierCounts {
  /// Adds the sums of another seat.
  mutating func add(_ other: ArbTierCounts) {
    promotions &+= other.promotions
    demotions &+= other.demotions
    bytes_to_fast &+= other.bytes_to_fast
    bytes_to_slow &+= other.bytes_to_slow
    stalls &+= other.stalls
    stall_ns &+= other.stall_ns
    stall_ns_max = max(stall_ns_max, other.stall_ns_max)
    cpu_ns &+= other.cpu_ns
    placing_ns &+= other.placing_ns
    forks &+= other.forks
    homes &+= other.homes
    placed_slow &+= other.placed_slow
  }
}
