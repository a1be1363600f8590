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
  /// Whether the kernel says so, and not only the number of a process that stands on the page.
  var isSurelyLeft = false

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
  /// The same, none larger than a sum of a session can be: whatever a program wrote there, what is
  /// reckoned with it stays a number.
  var credible: ArbTierCounts {
    let most = UInt64(1) << 56
    return ArbTierCounts(
      promotions: min(promotions, most), demotions: min(demotions, most),
      bytes_to_fast: min(bytes_to_fast, most), bytes_to_slow: min(bytes_to_slow, most),
      stalls: min(stalls, most), stall_ns: min(stall_ns, most),
      stall_ns_max: min(stall_ns_max, most), cpu_ns: min(cpu_ns, most),
      placing_ns: min(placing_ns, most), forks: min(forks, most),
      homes: min(homes, most), placed_slow: min(placed_slow, most))
  }

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

extension MigrationOutcome {
  /// What a migration takes at most, whatever is told of it: an hour, and more stalls than threads.
  private static let nanosecondsMax: UInt64 = 3_600_000_000_000
  private static let stallCountMax: UInt32 = 1 << 24

  /// What a mover tells of a migration, as far as it can be.
  init(_ told: ArbTierOutcome, of migration: Migration) {
    let status: MigrationOutcome.Status =
      switch told.status {
      case ARB_TIER_MOVED.rawValue: .moved
      case ARB_TIER_STALE.rawValue: .stale
      case ARB_TIER_BUSY.rawValue: .busy
      case ARB_TIER_FULL.rawValue: .full
      default: .failed
      }
    self.init(
      migration, status: status,
      bytesCopied: Int(min(told.bytes_copied, UInt64(TierUnit.chunkBytes))),
      protectedNanoseconds: Int64(min(told.protected_ns, Self.nanosecondsMax)),
      cpuNanoseconds: Int64(min(told.cpu_ns, Self.nanosecondsMax)),
      stallCount: Int(min(told.stall_count, Self.stallCountMax)))
  }
}
