// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform

// What the file system costs shows beside raw access: the same blocks through system calls, and
// through an ordinary mapping with msync. Every thread has a slice of the file to itself.
//
// A block that is written carries one stamp, in its first line, which says whose it is and which
// access of its thread it was; the rest of it is the thread's own and never changes, since filling
// a block costs as much as a fast device takes to write it. So every byte can be checked.

/// Threads that read or write a file through its file system: by system calls or by a mapping.
public struct FileBench: Sendable {
  /// How bytes go to the file and back.
  public enum Method: String, Sendable, Hashable, CaseIterable {
    /// By pread.
    case read
    /// By pwrite.
    case write
    /// By loads from a mapping.
    case mappedRead = "mmap-read"
    /// By stores to a mapping.
    case mappedWrite = "mmap-write"

    /// Whether the file is changed.
    public var writes: Bool { self == .write || self == .mappedWrite }
    /// Whether the file is mapped.
    public var isMapped: Bool { self == .mappedRead || self == .mappedWrite }
  }

  /// When a thread has its writes made durable; its own slice by msync, or the file.
  public enum Durability: Sendable, Hashable {
    /// Never.
    case never
    /// Once, after its last write; that counts as part of the run.
    case atEnd
    /// When it has written this many bytes since the last time, and after its last write.
    case every(bytes: Int)
  }

  /// The system call that makes a file's writes durable; a mapping has msync.
  public enum SyncCall: String, Sendable, Hashable, CaseIterable {
    /// Contents, and as much of what describes the file as they need.
    case fdatasync
    /// Contents and everything that describes the file.
    case fsync
  }

  /// What is run.
  public struct Configuration: Sendable, Hashable {
    /// How bytes go to the file and back.
    public var method = Method.write
    /// Threads; at least 1.
    public var threadCount = 1
    /// Bytes of each access; a multiple of 64, with ``isDirect`` of 512.
    public var blockBytes = 4096
    /// In which order threads walk their slices.
    public var pattern = AddressPattern.sequential
    /// Whether system calls pass the page cache (O_DIRECT); never with a mapping.
    public var isDirect = false
    /// Whether a mapping's pages are touched before the run, so that no access faults.
    public var populates = true
    /// When writes are made durable.
    public var durability = Durability.never
    /// By which call.
    public var syncCall = SyncCall.fdatasync
    /// When the run ends.
    public var bound = RealRun.Bound.seconds(1)
    /// Seed of the random offsets and part of every stamp.
    public var seed: UInt64 = 1
    /// Accesses per latency sample, on average; 1 takes each, 0 none.
    public var accessesPerSample = 1
    /// Whether what is read is checked for the stamps of an earlier run with the same block size.
    public var checksStamps = false

    /// Makes the configuration of one thread that writes blocks of 4 KiB for a second.
    public init() {}
  }

  /// What one thread did.
  public struct ThreadRecord: Sendable, Hashable {
    /// Accesses that are complete.
    public var accessCount: UInt64 = 0
    /// How often it had its writes made durable.
    public var syncCount: UInt64 = 0
    /// Blocks that it read without finding the stamp that belongs there; 0 where none is looked
    /// for.
    public var mismatchCount: UInt64 = 0
    /// CPU time, in nanoseconds.
    public var cpuNanoseconds: Int64 = 0
    /// When it ended, in nanoseconds of CLOCK_MONOTONIC_RAW.
    public var endNanoseconds: Int64 = 0
    /// What was read, folded, so that no load can be left out.
    var folded: UInt64 = 0
  }

  /// Latencies of one kind of operation, in nanoseconds.
  public struct Latencies: Sendable, Hashable {
    /// Operations that were sampled; above 0.
    public var count: UInt64
    /// The mean.
    public var mean: Double
    /// The median.
    public var p50: Double
    /// The 90th percentile.
    public var p90: Double
    /// The 99th percentile.
    public var p99: Double
    /// The 99.9th percentile.
    public var p999: Double
    /// The largest.
    public var max: Double
  }

  /// What came of a run.
  public struct Outcome: Sendable {
    /// Bytes that were read or written.
    public var movedBytes: Int
    /// Seconds from the first access to the end of the last thread, with its last sync.
    public var seconds: Double
    /// What every thread did.
    public var threads: [ThreadRecord]
    /// Latencies of accesses; nil where none was sampled.
    public var accessLatencies: Latencies?
    /// Latencies of the calls that made writes durable; nil where there were none.
    public var syncLatencies: Latencies?
    /// CPU time of the machine and of this process meanwhile.
    public var cost: CPUCost
    /// CPU time of the threads themselves, in seconds; finer than the machine's ticks.
    public var threadCPUSeconds: Double

    /// Bytes per second of all threads together.
    public var bytesPerSecond: Double { Double(movedBytes) / seconds }
    /// Blocks that were read without the stamp that belongs there.
    public var mismatchCount: UInt64 { threads.reduce(0) { $0 + $1.mismatchCount } }
  }

  /// What is run.
  public let configuration: Configuration
  /// The clock of latencies.
  public let clock: TimeStampClock

  /// Makes a bench.
  ///
  /// - Throws: ``PlatformError`` with `invalidArgument` for a configuration that makes no sense.
  public init(_ configuration: Configuration, clock: TimeStampClock) throws(PlatformError) {
    self.configuration = configuration
    self.clock = clock
    try configuration.check()
  }
}

extension FileBench.Configuration {
  /// Bytes of the largest access.
  public static let blockBytesMax = 64 << 20

  private func refusal(_ reason: String, _ nextStep: String) -> PlatformError {
    PlatformError(.invalidArgument, reason: reason, nextStep: nextStep)
  }

  func check() throws(PlatformError) {
    if !(1...RealRun.Configuration.threadCountMax).contains(threadCount) {
      throw refusal(
        "\(threadCount) threads cannot run",
        "use between 1 and \(RealRun.Configuration.threadCountMax)")
    }
    let unit = isDirect ? 512 : 64
    if blockBytes < unit || blockBytes % unit != 0 || blockBytes > Self.blockBytesMax {
      throw refusal(
        "blocks of \(blockBytes) bytes are no multiple of \(unit) up to 64MiB",
        "use 4KiB, or another multiple")
    }
    if isDirect && method.isMapped {
      throw refusal("a mapping cannot pass the page cache", "leave O_DIRECT to read and write")
    }
    if accessesPerSample < 0 || accessesPerSample > 1 << 20 {
      throw refusal(
        "a sample per \(accessesPerSample) accesses makes no sense", "use between 0 and 2^20")
    }
    if case .every(let bytes) = durability, bytes < 1 {
      throw refusal("a sync every \(bytes) bytes makes no sense", "use at least one byte")
    }
    switch bound {
    case .seconds(let seconds) where !(seconds > 0 && seconds <= 1e6):
      throw refusal("a run of \(seconds) s makes no sense", "use a time above 0 s")
    case .bytesPerThread(let bytes) where bytes < 1:
      throw refusal("a run of \(bytes) bytes moves nothing", "use at least one byte")
    default: break
    }
  }

  /// The slices of the threads in a file of the given size, equal and apart.
  func slices(ofBytes byteCount: Int) throws(PlatformError) -> [Range<Int>] {
    let sliceBytes = max(0, byteCount) / threadCount / blockBytes * blockBytes
    guard sliceBytes >= blockBytes else {
      throw refusal(
        "\(byteCount) bytes hold no block of \(blockBytes) for each of \(threadCount) threads",
        "use a larger file, fewer threads or smaller blocks")
    }
    guard sliceBytes / blockBytes < 1 << 32 else {
      throw refusal("a slice of \(sliceBytes) bytes is too large", "use more threads")
    }
    return (0..<threadCount).map { ($0 * sliceBytes)..<(($0 + 1) * sliceBytes) }
  }
}
