// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// The order in which the stores that wait in a core's window reach the memory controller.
public enum ReleaseOrder: String, Sendable, Hashable, CaseIterable {
  /// Any waiting store may be next: what real cores do under back-pressure.
  case random
  /// The oldest first; without disorder there is no concurrent write amplification.
  case inOrder = "in-order"
}

/// Which block of the write-combining buffer makes room for a new one.
public enum VictimRule: String, Sendable, Hashable, CaseIterable {
  /// The least recently written of a few blocks drawn at random.
  case leastRecentOfRandom = "least-recent-of-random"
  /// The least recently written of all.
  case leastRecent = "least-recent"
  /// The block that was allocated first.
  case firstIn = "first-in"
}

/// How far a profile may be believed.
public enum CalibrationStanding: String, Sendable, Hashable, CaseIterable {
  /// Its figures were compared with measured figures.
  case values
  /// Only orderings and knees were compared: its figures are not forecasts.
  case trendOnly = "trend-only"

  /// What is said wherever the profile is named; empty where nothing needs to be.
  public var remark: String { self == .trendOnly ? "calibrated in trend only" : "" }
}

/// One kind of module and the cores in front of it, as numbers.
///
/// A profile is data: the files of `Profiles/` hold one each, every number beside its source. The
/// simulator reads nothing else about the machine that it models, and no controller sees it.
public struct DeviceProfile: Sendable, Hashable {
  /// The name by which the command line knows the profile.
  public var name: String
  /// One sentence on what is modelled.
  public var summary: String
  /// How far the profile may be believed.
  public var calibration = CalibrationStanding.values

  // The core.

  /// Cores that the threads run on, one each until they share; 0 where every thread has its own.
  public var physicalCores = 0
  /// Stores that a core holds on their way to the memory controller (line fill buffers).
  public var storeWindowLines = 1
  /// Stores with clwb, and plain stores, that a core holds in flight, from the read of the line on.
  public var writeBackWindowLines = 1
  /// Loads that a core holds outstanding.
  public var loadWindowLines = 1
  /// In which order a core's waiting stores are taken.
  public var releaseOrder = ReleaseOrder.random
  /// Time between two non-temporal stores of a core that nothing holds back.
  public var storeIssueNanoseconds = 1.0
  /// The same for a store with clwb.
  public var writeBackIssueNanoseconds = 1.0
  /// The same for loads.
  public var loadIssueNanoseconds = 1.0
  /// Time from the acceptance of a store until the core may use its window entry again.
  public var storeReturnNanoseconds = 0.0
  /// The same for a store with clwb.
  public var writeBackReturnNanoseconds = 0.0
  /// Time from the read of a line that a cached store misses until its write-back may begin.
  public var ownershipNanoseconds = 0.0
  /// Time a core loses to a store fence beyond the wait for its stores.
  public var fenceNanoseconds = 0.0
  /// Latency of a load that finds its block in the module's read buffer.
  public var loadReturnNanoseconds = 0.0
  /// Dirty lines of plain stores that a core's cache holds before it evicts one at random.
  public var cacheLinesPerThread = 1
  /// Relative half-width of the uniform jitter on every time of a core.
  public var coreJitterRatio = 0.0

  // The queues.

  /// Modules of an interleave set whose stores share a queue.
  public var sharedQueueModules = 1
  /// Stores of that queue that may wait for full modules before those behind them wait too.
  public var sharedQueueLines = 1
  /// Lines in the write-pending queue of a module's channel.
  public var writePendingQueueLines = 1
  /// Loads that a module works on at once.
  public var readPendingQueueLines = 1
  /// Loads that wait longest for a module, any of which may be next.
  public var loadTurnLines = 1
  /// Share of the turns in which any waiting load may be next.
  public var loadJumpRatio = 0.0
  /// Time the link to a module needs for a line.
  public var linkNanoseconds = 1.0
  /// Time that a store of any core needs on the link to the other socket; 0 without such a link.
  public var socketLinkNanoseconds = 0.0
  /// Consecutive bytes that lie on one module of an interleave set.
  public var interleaveBytes = 4096

  // The write-combining buffer.

  /// Blocks of the write-combining buffer.
  public var bufferBlocks = 2
  /// Which block makes room.
  public var victimRule = VictimRule.leastRecentOfRandom
  /// Blocks drawn for ``VictimRule/leastRecentOfRandom``.
  public var victimCandidates = 1
  /// Whether a full block is written as soon as the medium is free, 1, or only as a victim, 0.
  public var eagerFullBlocks = 1
  /// Evicted blocks that may wait for the medium outside the buffer.
  public var evictionQueueBlocks = 1

  /// Time from one write-back of blocks that are rewritten without end to the next; 0 where they
  /// are treated like others.
  public var sweepNanoseconds = 0.0

  // Wear levelling.

  /// Writes of a wear block, in a time too short to forget them, that make the module move it; 0
  /// where it never does.
  public var wearThresholdWrites = 0
  /// Time in which the count of a wear block falls by one.
  public var wearForgetNanoseconds = 1.0
  /// Bytes that wear levelling counts and moves together.
  public var wearBlockBytes = 4096
  /// How long the module stands still while a wear block moves.
  public var wearStallNanoseconds = 0.0

  // The page cache of a CXL device.

  /// Pages of 4 KiB in the device's own cache, in place of the block buffers; 0 where it has none.
  public var pageCachePages = 0
  /// Pages of a set of that cache.
  public var pageCacheWays = 1
  /// Pages that the flash may be reading, or be asked to read, at once.
  public var pageFillsMax = 1

  // The medium.

  /// Blocks that the medium reads or writes at once.
  public var mediaUnits = 1
  /// Time one unit needs to write a block.
  public var mediaWriteNanoseconds = 1.0
  /// Time one unit needs to read a block.
  public var mediaReadNanoseconds = 1.0
  /// Share of ``mediaReadNanoseconds`` that the read of a read-modify-write adds to its write.
  public var readModifyWriteChargeRatio = 0.0
  /// Relative half-width of the uniform jitter on media times.
  public var mediaJitterRatio = 0.0
  /// Blocks of the read buffer.
  public var readBufferBlocks = 1
  /// Jobs of one kind that the medium does before the other kind has its turn, where both wait.
  public var mediaTurnBlocks = 1

  // The translation.

  /// 4 KiB blocks whose translation a module keeps at hand; 0 where translation costs nothing.
  public var translationBlocks = 0
  /// Blocks of a set of the translation cache, which gives up the least recent of them.
  public var translationWays = 1
  /// Time that a read of the medium takes longer where the translation is not at hand.
  public var translationReadNanoseconds = 0.0
  /// Time that a media unit is busy longer with such a write.
  public var translationWriteNanoseconds = 0.0
  /// Media writes per second of a module that nobody uses.
  public var idleMediaWritesPerSecond = 0.0
  /// Time from the start of one stall of the whole medium to the next; 0 where it never stalls.
  public var stallPeriodNanoseconds = 0.0
  /// How long such a stall lasts.
  public var stallNanoseconds = 0.0

  /// Bytes that the medium reads or writes at once.
  public var mediaUnitBytes: Int { pageCachePages > 0 ? 4096 : 256 }

  /// The name, with what must be known beside it.
  public var label: String {
    calibration.remark.isEmpty ? name : "\(name) (\(calibration.remark))"
  }

  /// Makes a profile of a machine without size or time.
  ///
  /// Every number is the least that makes sense: what a real module has is data, and belongs into a
  /// profile file beside its source.
  public init(name: String, summary: String) {
    self.name = name
    self.summary = summary
  }
}

/// A number of a profile under the name that profile files and `--vary` use.
public struct ProfileParameter: Sendable {
  /// The key in a profile file, unit last.
  public let key: String
  /// What the number means, as one phrase.
  public let meaning: String
  /// The values that make sense; anything else is refused.
  public let range: ClosedRange<Double>
  /// Whether only whole numbers make sense.
  public let isWhole: Bool
  /// Reads the number.
  public let get: @Sendable (DeviceProfile) -> Double
  /// Sets the number.
  public let set: @Sendable (inout DeviceProfile, Double) -> Void

  private init(
    _ key: String, _ path: any WritableKeyPath<DeviceProfile, Double> & Sendable,
    _ range: ClosedRange<Double>, _ meaning: String
  ) {
    self.key = key
    self.meaning = meaning
    self.range = range
    isWhole = false
    get = { $0[keyPath: path] }
    set = { $0[keyPath: path] = $1 }
  }

  private init(
    _ key: String, _ path: any WritableKeyPath<DeviceProfile, Int> & Sendable,
    _ range: ClosedRange<Double>, _ meaning: String
  ) {
    self.key = key
    self.meaning = meaning
    self.range = range
    isWhole = true
    get = { Double($0[keyPath: path]) }
    set = { $0[keyPath: path] = Int($1) }
  }

  /// Every number of a profile.
  public static let all: [ProfileParameter] = [
    .init("physical_cores", \.physicalCores, 0...128, "cores before threads share; 0 for no limit"),
    .init("store_window_lines", \.storeWindowLines, 1...16, "stores a core holds in flight"),
    .init("clwb_window_lines", \.writeBackWindowLines, 1...16, "cached stores a core holds"),
    .init("load_window_lines", \.loadWindowLines, 1...16, "loads a core holds in flight"),
    .init("store_issue_ns", \.storeIssueNanoseconds, 0.1...10_000, "time between two nt stores"),
    .init("clwb_issue_ns", \.writeBackIssueNanoseconds, 0.1...10_000, "time between two clwb"),
    .init("load_issue_ns", \.loadIssueNanoseconds, 0.1...10_000, "time between two loads"),
    .init("store_return_ns", \.storeReturnNanoseconds, 0...100_000, "acceptance to free entry"),
    .init("clwb_return_ns", \.writeBackReturnNanoseconds, 0...100_000, "the same for clwb"),
    .init("ownership_ns", \.ownershipNanoseconds, 0...100_000, "cached store that misses"),
    .init("fence_ns", \.fenceNanoseconds, 0...100_000, "cost of a fence beyond its wait"),
    .init("load_return_ns", \.loadReturnNanoseconds, 0...100_000, "load latency on a buffer hit"),
    .init("cache_lines_per_thread", \.cacheLinesPerThread, 1...65_536, "dirty lines in a cache"),
    .init("core_jitter_ratio", \.coreJitterRatio, 0...0.95, "jitter on a core's times"),
    .init("shared_queue_modules", \.sharedQueueModules, 1...12, "modules that share a queue"),
    .init("shared_queue_lines", \.sharedQueueLines, 1...1024, "stores held for full modules"),
    .init("wpq_lines", \.writePendingQueueLines, 1...1024, "lines of the write-pending queue"),
    .init("rpq_lines", \.readPendingQueueLines, 1...1024, "loads a module works on at once"),
    .init("load_turn_lines", \.loadTurnLines, 1...4096, "waiting loads, any of which is next"),
    .init("load_jump_ratio", \.loadJumpRatio, 0...1, "turns in which any waiting load is next"),
    .init("link_ns", \.linkNanoseconds, 0.1...10_000, "time of a line on the link"),
    .init("socket_link_ns", \.socketLinkNanoseconds, 0...10_000, "time of a store between sockets"),
    .init("interleave_bytes", \.interleaveBytes, 256...1_048_576, "bytes on one module in a row"),
    .init("buffer_blocks", \.bufferBlocks, 2...256, "blocks of the write-combining buffer"),
    .init("victim_candidates", \.victimCandidates, 1...16, "blocks drawn to find a victim"),
    .init("eager_full_blocks", \.eagerFullBlocks, 0...1, "1: full blocks are written at once"),
    .init("eviction_queue_blocks", \.evictionQueueBlocks, 1...64, "evicted blocks in waiting"),
    .init("sweep_ns", \.sweepNanoseconds, 0...1e9, "period of writing hot blocks back"),
    .init(
      "wear_threshold_writes", \.wearThresholdWrites, 0...1_000_000, "writes that move a block"),
    .init("wear_forget_ns", \.wearForgetNanoseconds, 1...1e9, "time that takes back one of them"),
    .init("wear_block_bytes", \.wearBlockBytes, 256...1_048_576, "bytes that move together"),
    .init("wear_stall_ns", \.wearStallNanoseconds, 0...1e9, "stall while a block moves"),
    .init("page_cache_pages", \.pageCachePages, 0...16_777_216, "4 KiB pages of a CXL cache"),
    .init("page_cache_ways", \.pageCacheWays, 1...64, "pages of a set of that cache"),
    .init("page_fills", \.pageFillsMax, 1...256, "pages that the flash reads at once"),
    .init("media_units", \.mediaUnits, 1...16, "blocks the medium works on at once"),
    .init("media_write_ns", \.mediaWriteNanoseconds, 1...1_000_000, "a unit's time for a write"),
    .init("media_read_ns", \.mediaReadNanoseconds, 1...1_000_000, "a unit's time for a read"),
    .init("rmw_charge_ratio", \.readModifyWriteChargeRatio, 0...1, "RMW read charged to a write"),
    .init("media_jitter_ratio", \.mediaJitterRatio, 0...0.95, "jitter on media times"),
    .init("read_buffer_blocks", \.readBufferBlocks, 1...256, "blocks of the read buffer"),
    .init("media_turn_blocks", \.mediaTurnBlocks, 1...64, "jobs of a kind before the other's turn"),
    .init("translation_blocks", \.translationBlocks, 0...65_536, "4 KiB blocks translated at hand"),
    .init("translation_ways", \.translationWays, 1...16, "blocks of a set of translations"),
    .init("translation_read_ns", \.translationReadNanoseconds, 0...100_000, "miss, for a read"),
    .init("translation_write_ns", \.translationWriteNanoseconds, 0...100_000, "miss, for a write"),
    .init("idle_media_writes_per_second", \.idleMediaWritesPerSecond, 0...1e6, "idle writes"),
    .init("stall_period_ns", \.stallPeriodNanoseconds, 0...1e12, "time between media stalls"),
    .init("stall_ns", \.stallNanoseconds, 0...1e9, "length of a media stall"),
  ]
}
