// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice
internal import ArbiterMemory
public import ArbiterPlatform
public import ArbiterScheduler

/// Real threads that write to really mapped memory under one scheme.
///
/// Every thread has a slice of the region to itself and stamps every line (``LineStamp``), so that
/// ``verify(_:on:)`` can read all of it back.
public struct RealRun: Sendable {
  /// How writers are admitted.
  public enum Scheme: Sendable {
    /// Every thread writes whenever it likes; no gate.
    case baseline
    /// Few threads write at a time.
    case lock(LockParameters)
    /// Few workers write for all threads.
    case delegation(DelegationParameters)
    /// A store fence at every media-block boundary.
    case fence
    /// Gates with settings that never change.
    case fixedDelay(GateSettings)
    /// Gates that a controller sets once per period.
    case controlled(any Controller, periodNanoseconds: Double)
  }

  /// When a run ends.
  public enum Bound: Sendable, Hashable {
    /// After this time.
    case seconds(Double)
    /// When every thread has stored this many bytes, rounded up to whole accesses.
    case bytesPerThread(Int)

    /// Accesses of one thread until then; the largest number where time decides.
    func accessLimit(accessBytes: Int) -> UInt64 {
      switch self {
      case .seconds: .max
      case .bytesPerThread(let bytes): UInt64((bytes - 1) / accessBytes + 1)
      }
    }
  }

  /// What is run.
  public struct Configuration: Sendable {
    /// How writers are admitted.
    public var scheme = Scheme.baseline
    /// Threads that write; at least 1.
    public var threadCount = 1
    /// How they store.
    public var operation = Operation.storeNonTemporal
    /// In which order they walk their slices.
    public var pattern = AddressPattern.sequential
    /// Bytes of an access; a multiple of 64.
    public var accessBytes = 64
    /// When threads fence.
    public var fence = FenceRule.never
    /// When the run ends.
    public var bound = Bound.bytesPerThread(1 << 20)
    /// Seed of the random offsets and part of every stamp.
    public var seed: UInt64 = 1
    /// Where in the region the first slice begins; a multiple of 64.
    public var startOffset = 0
    /// Accesses per latency sample, on average; 0 samples none.
    public var accessesPerSample = 64
    /// The longest wait at a gate, in nanoseconds.
    public var maximumWaitNanoseconds = 10_000_000.0
    /// Whether thread i stays on processor i modulo the number of processors.
    public var pinsThreads = false
    /// Modules of the interleave set below the region; 0 where unknown.
    public var moduleCount = 0

    /// Makes the configuration of one thread that writes 1 MiB.
    public init() {}
  }

  /// What one thread did.
  public struct ThreadRecord: Sendable, Hashable {
    /// Accesses whose stores are complete.
    public var accessCount: UInt64 = 0
    /// CPU time, in nanoseconds.
    public var cpuNanoseconds: Int64 = 0
    /// When it ended, in nanoseconds of CLOCK_MONOTONIC_RAW.
    public var endNanoseconds: Int64 = 0
    /// What its gate made it wait.
    public var waits = Gate.Waits()
  }

  /// What came of a run.
  public struct Outcome: Sendable {
    /// The figures, in the words that every executor uses.
    public var result: RunResult
    /// What every thread did.
    public var threads: [ThreadRecord]
    /// How lines were stored.
    public var method: StoreMethod
    /// The most threads that ever held a permit at once; nil without the lock scheme.
    public var permitHolderMax: Int?
    /// What the monitor did; nil without a controller.
    public var monitor: Monitor.Summary?
  }

  /// What is run.
  public let configuration: Configuration
  /// The clock of gates and latencies.
  public let clock: TimeStampClock
  /// What the processor can do.
  public let processor: ProcessorFeatures
  /// The counters that a controller sees.
  public let reader: any CounterReader

  /// Makes a run.
  ///
  /// - Parameters:
  ///   - configuration: What is run.
  ///   - clock: The calibrated time-stamp counter.
  ///   - reader: The counters that a controller sees.
  ///   - processor: What the processor can do.
  /// - Throws: ``PlatformError`` with `invalidArgument` or `unsupported` for a configuration that
  ///   makes no sense.
  public init(
    _ configuration: Configuration, clock: TimeStampClock, reader: any CounterReader,
    processor: ProcessorFeatures = .detect()
  ) throws(PlatformError) {
    self.configuration = configuration
    self.clock = clock
    self.reader = reader
    self.processor = processor
    try configuration.check()
    _ = try StoreMethod(configuration.operation, processor: processor)
  }
}

extension RealRun.Configuration {
  /// The most threads of a run.
  public static let threadCountMax = 1024

  func check() throws(PlatformError) {
    func refuse(_ reason: String, _ nextStep: String) -> PlatformError {
      PlatformError(.invalidArgument, reason: reason, nextStep: nextStep)
    }
    if !(1...Self.threadCountMax).contains(threadCount) {
      throw refuse(
        "\(threadCount) threads cannot run", "use between 1 and \(Self.threadCountMax)")
    }
    if accessBytes < 64 || accessBytes % 64 != 0 || accessBytes > 1 << 24 {
      throw refuse(
        "accesses of \(accessBytes) bytes are no whole cache lines",
        "use a multiple of 64 up to 16MiB")
    }
    if startOffset < 0 || startOffset % 64 != 0 {
      throw refuse(
        "the start offset \(startOffset) is no cache-line boundary", "use a multiple of 64")
    }
    if accessesPerSample < 0 || accessesPerSample > 1 << 20 {
      throw refuse(
        "a sample per \(accessesPerSample) accesses makes no sense", "use between 0 and 2^20")
    }
    if !(maximumWaitNanoseconds >= 0 && maximumWaitNanoseconds <= 1e9) {
      throw refuse(
        "a maximum wait of \(maximumWaitNanoseconds) ns makes no sense", "use at most 1 s")
    }
    switch bound {
    case .seconds(let seconds) where !(seconds > 0 && seconds <= 1e6):
      throw refuse("a run of \(seconds) s makes no sense", "use a time above 0 s")
    case .bytesPerThread(let bytes) where bytes < 1:
      throw refuse("a run of \(bytes) bytes writes nothing", "use at least one byte")
    default: break
    }
    if case .controlled(_, let period) = scheme, !(period >= 10_000 && period <= 1e10) {
      throw refuse(
        "a period of \(period) ns makes no sense", "use between 10 us and 10 s")
    }
  }

  /// The slices of the threads in a region of the given size, equal and apart.
  func slices(ofBytes byteCount: Int) throws(PlatformError) -> [Range<Int>] {
    let usable = max(0, byteCount - startOffset)
    let sliceBytes = usable / threadCount / accessBytes * accessBytes
    guard sliceBytes >= accessBytes else {
      throw PlatformError(
        .invalidArgument,
        reason: "\(usable) bytes hold no access of \(accessBytes) bytes for each of \(threadCount) "
          + "threads",
        nextStep: "use a larger region, fewer threads or smaller accesses")
    }
    guard sliceBytes / accessBytes < 1 << 32 else {
      throw PlatformError(
        .invalidArgument, reason: "a slice of \(sliceBytes) bytes is too large",
        nextStep: "use more threads or a smaller region")
    }
    return (0..<threadCount).map { thread in
      let start = startOffset + thread * sliceBytes
      return start..<(start + sliceBytes)
    }
  }
}
