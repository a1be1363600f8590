// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
public import ArbiterDevice
public import ArbiterPlacement

/// One kind of memory as the model of tiers sees it.
public struct TierMemory: Sendable, Hashable {
  /// What random accesses cost, and the bandwidth of streams.
  public var timing: TierTiming
  /// Time that a thread needs for a line which it loads in sequence.
  public var streamLoadNanoseconds: Double
  /// What storing to such a line adds.
  public var streamStoreNanoseconds: Double
  /// Bytes that the medium moves for a random access to a line.
  public var blockBytes: Int

  /// Makes a memory.
  public init(
    timing: TierTiming, streamLoadNanoseconds: Double, streamStoreNanoseconds: Double,
    blockBytes: Int
  ) {
    self.timing = timing
    self.streamLoadNanoseconds = streamLoadNanoseconds
    self.streamStoreNanoseconds = streamStoreNanoseconds
    self.blockBytes = blockBytes
  }

  /// Bytes of a cache line.
  static let lineBytes = 64

  /// Thread time of one access, of which a share stores.
  func nanoseconds(isSequential: Bool, storeShare: Double) -> Double {
    if isSequential { return streamLoadNanoseconds + storeShare * streamStoreNanoseconds }
    return timing.loadNanoseconds
      + storeShare * (timing.storeNanoseconds - timing.loadNanoseconds)
  }

  /// Bytes that the medium moves for one access: a store reads its line before.
  func bytes(isSequential: Bool) -> Double {
    Double(isSequential ? Self.lineBytes : blockBytes)
  }

  /// Seconds of the whole medium that one access takes.
  func seconds(isSequential: Bool, storeShare: Double) -> Double {
    let bytes = bytes(isSequential: isSequential)
    return bytes / timing.readBytesPerSecond + storeShare * bytes / timing.writeBytesPerSecond
  }
}

/// The machine under the streams: two memories, the threads, and what a migration costs.
public struct TierMachine: Sendable, Hashable {
  /// The fast memory.
  public var fast: TierMemory
  /// The slow memory.
  public var slow: TierMemory
  /// Bytes of fast memory.
  public var fastBytes: Int
  /// Threads of the program.
  public var threads: Int
  /// Processors beyond one for each thread, for whoever places data.
  public var spareProcessors: Int
  /// What one thread copies per second between the tiers where neither limits it.
  public var copyBytesPerSecond: Double
  /// What the move of neighbouring islands, one piece of them, costs beside its copy.
  public var migrationNanoseconds: Double
  /// Share of the timer's samples whose address can be told.
  public var addressedShare: Double
  /// Time that a timer's sample takes from the thread that it is taken of.
  public var sampleNanoseconds: Double
  /// The same of a processor's own record of an event.
  public var recordNanoseconds: Double

  /// Makes a machine.
  public init(
    fast: TierMemory, slow: TierMemory, fastBytes: Int, threads: Int, spareProcessors: Int = 2,
    costs: TierCosts = .measured
  ) {
    self.fast = fast
    self.slow = slow
    self.fastBytes = fastBytes
    self.threads = threads
    self.spareProcessors = spareProcessors
    copyBytesPerSecond = costs.copyBytesPerSecond.value
    migrationNanoseconds = costs.migrationNanoseconds.value
    addressedShare = costs.addressedShare.value
    sampleNanoseconds = costs.sampleNanoseconds.value
    recordNanoseconds = costs.recordNanoseconds.value
  }

  /// The machine of a recorded session, as far as its tiers tell it.
  public init(recorded tiers: TierPair, fastBytes: Int) {
    func memory(_ timing: TierTiming) -> TierMemory {
      TierMemory(
        timing: timing, streamLoadNanoseconds: timing.loadNanoseconds, streamStoreNanoseconds: 0,
        blockBytes: TierMemory.lineBytes)
    }
    self.init(
      fast: memory(tiers.fast), slow: memory(tiers.slow), fastBytes: fastBytes, threads: 1)
    migrationNanoseconds = tiers.migrationNanoseconds
  }

  /// The tiers as policies are told of them.
  public var pair: TierPair {
    TierPair(
      fastBytes: fastBytes, fast: fast.timing, slow: slow.timing,
      migrationNanoseconds: migrationNanoseconds)
  }

  /// The memory of a tier.
  func memory(_ tier: Tier) -> TierMemory { tier == .fast ? fast : slow }
}

/// A number and where it comes from.
public struct SourcedFigure: Sendable, Hashable {
  /// The number.
  public var value: Double
  /// The publication or measurement.
  public var source: String

  /// Makes a figure.
  public init(_ value: Double, source: String) {
    self.value = value
    self.source = source
  }
}

/// What moving and sampling cost, each number with its source.
public struct TierCosts: Sendable, Hashable {
  /// What one thread copies per second.
  public var copyBytesPerSecond: SourcedFigure
  /// What the move of a piece costs beside its copy, in nanoseconds.
  public var migrationNanoseconds: SourcedFigure
  /// Share of timer samples with an address.
  public var addressedShare: SourcedFigure
  /// Time that a timer's sample takes from its thread: an interrupt and a record.
  public var sampleNanoseconds: SourcedFigure
  /// Time that a precise record takes from its thread; no interrupt, as a large buffer fills.
  public var recordNanoseconds: SourcedFigure

  /// What was measured for this project, on a virtual machine with two processors.
  public static let measured = TierCosts(
    copyBytesPerSecond: SourcedFigure(
      4.9e9,
      source: "2 MiB in one piece: 410 us to fast memory, 560 us to slow memory, less the calls "
        + "(benchmark tier-migrate)"),
    migrationNanoseconds: SourcedFigure(
      57_000,
      source: "to protect, map again and wake: by so much 2 MiB take longer for each further piece "
        + "in which they move (benchmark tier-migrate)"),
    addressedShare: SourcedFigure(
      0.72, source: "timer samples of GAPBS pr and bc for which decoding gives an address"),
    sampleNanoseconds: SourcedFigure(
      3400, source: "17 % more run time at 50,000 timer samples per second of a thread"),
    recordNanoseconds: SourcedFigure(
      250, source: "200 to 300 ns of a processor per PEBS record (Akiyama, Hirofuchi, ROSS'17)"))
}

extension TierMemory {
  /// DRAM on the channels that the slow modules share: one DDR4-2400 module each.
  ///
  /// Loads take 81 ns in sequence and 101 ns at random (OptaneStudy, data of Yang et al., FAST'20:
  /// 02-best_case_latency.csv); a channel moves a line in 3.4 ns (DDR4-2400), either way; a core
  /// keeps 10 lines in flight (Intel optimization manual: 10 to 12 line fill buffers).
  public static func dram(channels: Int) -> TierMemory {
    let lineNanoseconds = 64 / 19.2
    let bandwidth = 19.2e9 * Double(channels)
    return TierMemory(
      timing: TierTiming(
        loadNanoseconds: 101, storeNanoseconds: 101 + lineNanoseconds,
        readBytesPerSecond: bandwidth, writeBytesPerSecond: bandwidth),
      streamLoadNanoseconds: 81.0 / 10, streamStoreNanoseconds: lineNanoseconds, blockBytes: 64)
  }

  /// The modules of a device profile, interleaved.
  ///
  /// Random accesses miss the module's buffers and its cache of translations, as those of programs
  /// do whose slow data is far larger than 16 MiB. A random store reads its line and later takes
  /// one module's medium for the write of a block.
  public static func modules(_ profile: DeviceProfile, count: Int) -> TierMemory {
    let units = Double(profile.mediaUnits)
    let unitBytes = Double(profile.mediaUnitBytes)
    let load =
      profile.loadReturnNanoseconds + profile.mediaReadNanoseconds
      + profile.translationReadNanoseconds
    let window = Double(max(1, profile.loadWindowLines))
    // Neighbouring lines come with their block: the medium is read once for all of them.
    let inSequence =
      profile.loadReturnNanoseconds + profile.mediaReadNanoseconds * 64 / unitBytes
    return TierMemory(
      timing: TierTiming(
        loadNanoseconds: load,
        storeNanoseconds: load + profile.mediaWriteNanoseconds / units,
        readBytesPerSecond: units * unitBytes / profile.mediaReadNanoseconds * 1e9 * Double(count),
        writeBytesPerSecond: units * unitBytes / profile.mediaWriteNanoseconds * 1e9
          * Double(count)),
      streamLoadNanoseconds: max(profile.loadIssueNanoseconds, inSequence / window),
      streamStoreNanoseconds: profile.writeBackIssueNanoseconds,
      blockBytes: profile.mediaUnitBytes)
  }
}
