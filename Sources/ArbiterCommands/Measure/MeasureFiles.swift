// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterMetrics
internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterRuntime
internal import ArbiterWorkloads

/// A way to the bytes of a file.
enum FileArm: String, CaseIterable {
  /// Loads and stores to a mapping through the access layer.
  case raw
  /// Loads and stores to an ordinary mapping; msync makes them durable.
  case mmap
  /// System calls; fdatasync makes them durable.
  case calls = "read-write"
  /// System calls past the page cache.
  case direct = "direct"

  var header: String {
    switch self {
    case .raw: "raw access"
    case .mmap: "mmap"
    case .calls: "read/write"
    case .direct: "O_DIRECT"
    }
  }
}

/// What is done to a file in every arm.
enum FileWork: String, CaseIterable {
  /// Blocks are read.
  case read
  /// Blocks are written, and nobody waits for the medium.
  case write
  /// Blocks are written, each durable before the next.
  case durable = "write-durable"

  var title: String {
    switch self {
    case .read: "read"
    case .write: "write"
    case .durable: "write durably"
    }
  }

  static let blockBytes = 4096

  /// The same work on mapped memory.
  func point(regionBytes: Int) -> MeasurementPoint {
    switch self {
    case .read, .write:
      .bandwidth(
        self == .read ? .read : .nt, .sequential, accessBytes: Self.blockBytes, threadCount: 1,
        regionBytes: regionBytes)
    case .durable:
      .persist(bytes: Self.blockBytes, by: .storeNonTemporal, regionBytes: regionBytes)
    }
  }
}

/// One arm of one work, measured several times.
struct MeasuredFile: Sendable {
  let arm: FileArm
  let work: FileWork
  var runs: [MeasuredRun] = []
  /// Why there is no figure.
  var reason: String?

  /// The same with the names of points.
  var measured: MeasuredPoint {
    MeasuredPoint(work.point(regionBytes: 1 << 20), runs: runs)
  }

  var json: JSONValue {
    let wanted: Set = [
      "repetitions", "measured_seconds", "bandwidth_bytes_per_second",
      "bandwidth_bytes_per_second_min", "bandwidth_bytes_per_second_max",
      "cpu_seconds_per_gib_process", "cpu_seconds_per_gib_system", "stolen_seconds",
    ]
    let fields = SummaryField<MeasuredPoint>.all.filter { wanted.contains($0.name) }
    let reasons: [JSONValue.Member] =
      reason.map { [.init("bandwidth_bytes_per_second", .string($0))] }
      ?? SummaryField<MeasuredPoint>.reasons(of: measured).filter { wanted.contains($0.key) }
    return .object(
      [
        .init("arm", .string(arm.rawValue)), .init("work", .string(work.rawValue)),
        .init("access_bytes", .integer(Int64(FileWork.blockBytes))),
      ] + fields.map { .init($0.name, $0.value(measured)) }
        + [.unavailable(reasons)])
  }
}

/// Measures the ways to a file's bytes beside each other.
struct FileComparison {
  let path: String
  let byteCount: Int
  let seconds: Double
  let seed: UInt64
  let clock: TimeStampClock
  /// The same memory or file system without a file system's calls.
  let raw: RealMeasurement

  /// What is measured: every work in every arm.
  static func pairs(isReadOnly: Bool) -> [MeasuredFile] {
    FileWork.allCases.filter { !isReadOnly || $0 == .read }.flatMap { work in
      FileArm.allCases.map { MeasuredFile(arm: $0, work: work) }
    }
  }

  /// Measures one arm once; nil where it was ended early.
  ///
  /// - Throws: ``PlatformError`` where the file system does not take it, as some refuse O_DIRECT.
  func run(
    _ file: MeasuredFile, repetition: Int, isCancelled: @escaping () -> Bool
  ) throws -> MeasuredRun? {
    if file.arm == .raw {
      return try raw.measure(
        file.work.point(regionBytes: raw.memory.byteCount), repetition: repetition,
        isCancelled: isCancelled)
    }
    var configuration = FileBench.Configuration()
    configuration.method =
      switch (file.arm, file.work) {
      case (.mmap, .read): .mappedRead
      case (.mmap, _): .mappedWrite
      case (_, .read): .read
      default: .write
      }
    configuration.blockBytes = FileWork.blockBytes
    configuration.isDirect = file.arm == .direct
    configuration.durability = file.work == .durable ? .every(bytes: FileWork.blockBytes) : .never
    configuration.bound = .seconds(seconds)
    configuration.seed = seed
    configuration.accessesPerSample = 0
    let outcome = try FileBench(configuration, clock: clock).run(
      on: path, byteCount: byteCount, isCancelled: isCancelled)
    if isCancelled() { return nil }
    let bytes = Double(outcome.movedBytes)
    return MeasuredRun(
      seconds: outcome.seconds, readBytes: file.work == .read ? bytes : 0,
      writtenBytes: file.work == .read ? 0 : bytes,
      processCPUSeconds: outcome.cost.process.map(\.seconds),
      systemCPUSeconds: outcome.cost.machineSeconds, stolenSeconds: outcome.cost.stolenSeconds)
  }
}
