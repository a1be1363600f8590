// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice

/// What a run repeated of a recording.
public struct ReplaySummary: Sendable, Hashable {
  /// Threads that repeated a recorded thread where it was.
  public var recordedThreadCount: Int
  /// Threads that did the same in ranges of their own.
  public var cloneCount: Int
  /// Events that all threads repeated.
  public var eventCount: UInt64
  /// Events that were lost while the recording was made.
  public var lostCount: UInt64
  /// Accesses that were left out because they lie outside of the recorded regions.
  public var outsideCount: UInt64
  /// Whether every thread came to the end of its recording.
  public var isComplete: Bool

  /// Makes a summary.
  public init(
    recordedThreadCount: Int, cloneCount: Int, eventCount: UInt64, lostCount: UInt64,
    outsideCount: UInt64, isComplete: Bool
  ) {
    self.recordedThreadCount = recordedThreadCount
    self.cloneCount = cloneCount
    self.eventCount = eventCount
    self.lostCount = lostCount
    self.outsideCount = outsideCount
    self.isComplete = isComplete
  }
}

/// One run with everything that identifies it.
public struct ReportedResult: Sendable, Hashable {
  /// How writers were admitted.
  public var scheme: String
  /// The modelled module; nil on a real one.
  public var profile: String?
  /// What the threads did.
  public var pattern: String
  /// Bytes of each access; nil where accesses differ in size.
  public var accessBytes: Int?
  /// Every option as it was resolved, in the order of the documentation.
  public var parameters: [JSONValue.Member]
  /// What was measured.
  public var result: RunResult
  /// Seconds that the run took on this machine; nil where nobody looked.
  public var wallSeconds: Double?
  /// What was repeated of a recording; nil where nothing was.
  public var replay: ReplaySummary?

  /// Makes a result with its identity.
  public init(
    scheme: String, profile: String?, pattern: String, accessBytes: Int?,
    parameters: [JSONValue.Member] = [], result: RunResult, wallSeconds: Double? = nil
  ) {
    self.scheme = scheme
    self.profile = profile
    self.pattern = pattern
    self.accessBytes = accessBytes
    self.parameters = parameters
    self.result = result
    self.wallSeconds = wallSeconds
  }
}

/// A field of a result: its name in JSON and CSV, its meaning and where it comes from.
///
/// One list drives both writers and `arbiter explain`, so that they cannot disagree.
public struct ResultField: Sendable {
  /// The name, unit last; in CSV the object's name stands before it.
  public let name: String
  /// The object of JSON that holds the field, if any.
  public let object: String?
  /// What the figure means, as one sentence.
  public let meaning: String
  /// Reads the figure.
  public let value: @Sendable (ReportedResult) -> JSONValue

  /// The name in CSV files and for `arbiter explain`.
  public var flatName: String { object.map { "\($0)_\(name)" } ?? name }

  private init(
    _ name: String, _ meaning: String, in object: String? = nil,
    _ value: @escaping @Sendable (ReportedResult) -> JSONValue
  ) {
    self.name = name
    self.object = object
    self.meaning = meaning
    self.value = value
  }

  private static func latency(
    _ name: String, _ meaning: String, _ read: @escaping @Sendable (LatencySummary) -> Double
  ) -> ResultField {
    ResultField(name, meaning, in: "latency_ns") { .figure($0.result.latencyNanoseconds.map(read)) }
  }

  private static func measured(
    _ name: String, _ meaning: String, _ read: @escaping @Sendable (RunResult) -> Double?
  ) -> ResultField {
    ResultField(name, meaning) { .figure(read($0.result)) }
  }

  private static func replayed(
    _ name: String, _ meaning: String, _ read: @escaping @Sendable (ReplaySummary) -> JSONValue
  ) -> ResultField {
    ResultField(name, meaning, in: "replay") { $0.replay.map(read) ?? .null }
  }

  /// Every field in the order of the documents; fields of one object stand together.
  public static let all: [ResultField] = [
    .init("scheme", "How writers were admitted.") { .string($0.scheme) },
    .init("threads", "Threads that wrote.") { .integer(Int64($0.result.threadCount)) },
    .init("modules", "Modules of the interleave set.") { .integer(Int64($0.result.moduleCount)) },
    .init("profile", "The modelled module; null on a real one.") { .text($0.profile) },
    .init("pattern", "What the threads did.") { .string($0.pattern) },
    .init("access_bytes", "Bytes of each access; null where they differ.") {
      $0.accessBytes.map { .integer(Int64($0)) } ?? .null
    },
    .init("program_write_bytes", "Bytes that the program stored.") {
      .unsigned($0.result.programWriteBytes)
    },
    measured(
      "effective_bandwidth_bytes_per_second",
      "iMC write bytes per second: what the program gets."
    ) { $0.effectiveBandwidth },
    measured("media_write_bytes_per_second", "Bytes per second that the medium wrote.") {
      $0.mediaWriteBandwidth
    },
    measured("media_read_bytes_per_second", "Bytes per second that the medium read.") {
      $0.mediaReadBandwidth
    },
    measured("imc_read_bytes_per_second", "Bytes per second that the processor asked to read.") {
      $0.imcReadBandwidth
    },
    measured(
      "equivalent_write_bytes_per_second",
      "Media writes and a third of the media reads, in bytes per second."
    ) { $0.equivalentWriteBandwidth },
    measured("write_amplification_ratio", "Media write bytes divided by iMC write bytes.") {
      $0.writeAmplification
    },
    measured("read_amplification_ratio", "Media read bytes divided by iMC read bytes.") {
      $0.readAmplification
    },
    measured("cache_amplification_ratio", "iMC write bytes divided by program bytes.") {
      $0.cacheAmplification
    },
    latency("p50", "Median time from the gate to acceptance, delay included.") { $0.p50 },
    latency("p99", "99th percentile of that time.") { $0.p99 },
    latency("p999", "99.9th percentile of that time.") { $0.p999 },
    latency("max", "The longest such time.") { $0.max },
    measured("delay_ns_mean", "Mean delay before an access.") { $0.delayNanosecondsMean },
    measured("cpu_seconds_per_gib", "CPU time of all threads for each GiB moved.") {
      $0.cpuSecondsPerGiB
    },
    measured("fairness_ratio", "Jain's index over the threads' bytes; 1 is even.") { $0.fairness },
    .init("requests_count", "Cache lines of 64 B that the program stored or loaded.") {
      .unsigned($0.result.requestCount)
    },
    .init("simulated_seconds", "Length of the window in virtual time; null in real runs.") {
      $0.result.counterSource == .model ? .number($0.result.seconds) : .null
    },
    .init("counter_source", "Where the figures of the device come from.") {
      .string($0.result.counterSource.rawValue)
    },
    replayed("recorded_threads", "Recorded threads that the run repeated; null in other runs.") {
      .integer(Int64($0.recordedThreadCount))
    },
    replayed("cloned_threads", "Threads that repeated a recorded one in ranges of their own.") {
      .integer(Int64($0.cloneCount))
    },
    replayed("events_count", "Events that all threads repeated.") { .unsigned($0.eventCount) },
    replayed("lost_events_count", "Events that were lost while the recording was made.") {
      .unsigned($0.lostCount)
    },
    replayed("outside_accesses_count", "Accesses left out: they lie outside of all regions.") {
      .unsigned($0.outsideCount)
    },
    replayed("is_complete", "Whether every thread came to the end of its recording.") {
      .bool($0.isComplete)
    },
  ]
}
