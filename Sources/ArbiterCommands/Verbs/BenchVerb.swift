// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterMemory
internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterRuntime
internal import ArbiterScheduler
internal import ArbiterWorkloads
internal import CommandSpec
internal import Glibc
internal import Synchronization

/// Options of `arbiter bench`.
struct BenchOptions: Equatable {
  var file: String?
  var size = ByteCount.gibibytes(1)
  var threads = ThreadCounts([1, 2])
  var pattern = BenchPattern.sequential
  var store = BenchStore.nt
  var access = ByteCount(bytes: 64)
  var fenceEvery = FenceInterval(nil)
  var admission = SchemeOptions(period: .milliseconds(10))
  var permits: Int?
  var workers: Int?
  var duration = TimeSpan.seconds(1)
  var verify = false
  var overwrite = false
  var keep = false
  var seed: UInt64 = 1
  var output = OutputOptions()

  static let groups: [OptionGroup<BenchOptions>] = [
    OptionGroup(
      "Memory",
      [
        .init(
          "file", \.file, placeholder: "<PATH>", completion: .file,
          help: "File to map: on tmpfs, a disk or a DAX file system; made where there is none."),
        .init("size", \.size, help: "Bytes of the file that are mapped and written."),
        .init(
          "overwrite", \.overwrite,
          help: "Write over a file that holds something already, or over a device."),
        .init("keep", \.keep, help: "Keep a file that this run has made."),
      ]),
    OptionGroup(
      "Workload",
      [
        .init("threads", \.threads, help: "Numbers of threads, each a run."),
        .init("pattern", \.pattern, help: "Order of each thread's addresses."),
        .init("store", \.store, help: "Non-temporal stores, or stores with clwb."),
        .init("access", \.access, help: "Size of each access."),
        .init("fence-every", \.fenceEvery, help: "Bytes between two store fences."),
      ]),
    SchemeOptions.group(fixedDelayWith: [.baseline]).within(\.admission),
    OptionGroup(
      "Limits",
      [
        .init(
          "permits", \.permits, placeholder: "<COUNT>",
          help: "Threads that write at a time under lock; by default as calibrated, else 4."),
        .init(
          "workers", \.workers, placeholder: "<COUNT>",
          help: "Threads that write for all others under delegation; by default as calibrated, "
            + "else 4."),
      ]),
    OptionGroup(
      "Run",
      [
        .init("duration", \.duration, help: "Real time of each run."),
        .init("verify", \.verify, help: "Read back what was written and compare."),
        .init("seed", \.seed, placeholder: "<NUMBER>", help: "Source of random addresses."),
      ]),
    OutputOptions.group.within(\.output),
  ]

  static func validate(_ options: BenchOptions) throws(UsageError) {
    try options.output.validate()
    guard let file = options.file, !file.isEmpty else {
      throw UsageError(
        options.file == nil ? "--file is missing" : "--file is empty",
        hint: "name a new file on the memory to measure: --file=/dev/shm/bench")
    }
    try checkSchemes(options.admission.schemes)
    try checkAccess(options.access, atMost: .mebibytes(16))
    let threads = options.threads.counts.max() ?? 1
    let least = ByteCount(bytes: max(4096, options.access.bytes * threads))
    if options.size < least {
      throw UsageError(
        "--size=\(options.size) is too small: each of \(threads) threads needs room for "
          + "--access=\(options.access)", hint: "give at least --size=\(least)")
    }
    try checkTime("duration", options.duration, .milliseconds(1) ... .seconds(3600))
    try options.admission.validate(fixedDelayWith: [.baseline])
    try WriterLimit.check(permits: options.permits, workers: options.workers)
  }

  /// The scheme of a run as the runtime knows it.
  func scheme(_ name: SchemeName) -> RealRun.Scheme {
    if let fixed = admission.fixedSettings() { return .fixedDelay(fixed) }
    return switch name {
    case .baseline: .baseline
    case .lock: .lock(LockParameters(permitCount: permits ?? WriterLimit.usualCount))
    case .delegation:
      .delegation(DelegationParameters(ringCount: workers ?? WriterLimit.usualCount))
    case .fence: .fence
    case .arbiter:
      .controlled(
        AdaptiveController(maximumDelay: admission.control.maxDelay),
        periodNanoseconds: admission.control.period.nanoseconds)
    case .arbiterPaper:
      .controlled(
        PaperController(maximumDelay: admission.control.maxDelay),
        periodNanoseconds: admission.control.period.nanoseconds)
    }
  }
}

/// Orders of addresses that real threads walk.
enum BenchPattern: String, WordValue, CaseIterable {
  case sequential
  case random

  static var placeholder: String { "<PATTERN>" }

  var pattern: AddressPattern { self == .sequential ? .sequential : .random }
}

/// Stores that real threads use.
enum BenchStore: String, WordValue, CaseIterable {
  case nt
  case clwb

  static var placeholder: String { "<STORE>" }

  var calibrated: ThreadCalibration.Store { self == .nt ? .nt : .clwb }
  var operation: Operation { calibrated.operation }
}

extension BenchOptions {
  static let command: Command<BenchOptions> = Command(
    name: "bench",
    abstract: "Run real writers on really mapped memory, in real time.",
    discussion: """
      Maps a file and writes to it with real threads under the same schemes and controllers as the \
      model. Device figures need counters that see the medium; where the machine has none they are \
      unavailable, no controller inserts a delay, and the run shows what a scheme costs, never \
      what it brings. On DRAM there is no amplification to remove in any case.

      A file that holds something already is refused unless --overwrite is given, and it stays \
      where it is, with what the run wrote in its mapped part. A file that the run has made is \
      removed at the end unless --keep is given.
      """,
    initial: BenchOptions(), groups: groups,
    examples: [
      Example("Two schemes on shared memory", "bench --file=/dev/shm/bench --size=256MiB"),
      Example(
        "Two schemes, verified, as JSON",
        "bench --file=/mnt/pmem/new --scheme=lock,delegation --verify --format=json"),
    ],
    seeAlso: ["arbiter-doctor", "arbiter-simulate"],
    validate: { (options: BenchOptions) throws(UsageError) in try validate(options) },
    run: { try bench($0) })

  private static func bench(_ invocation: Invocation<BenchOptions>) throws -> Int32 {
    var options = invocation.options
    let path = options.file ?? ""
    let session = try ResultSession(
      invocation.resolved, output: options.output, seed: options.seed, profile: nil)
    let isNew = try options.checkFile(path)
    let limits = try options.settleLimits(for: path)
    let reader = CounterProbe.read().makeReader()
    let clock = try TimeStampClock.calibrate()
    let region = try MappedRegion(path: path, byteCount: options.size)
    defer { if isNew && !options.keep { _ = unsafe unlink(path) } }
    let singles = options.singles
    let pace = RunPace(runCount: singles.count, secondsEach: options.duration.seconds)
    let progress = try session.showProgress("bench") { pace.share }
    defer {
      pace.close()
      progress.join()
    }
    var results: [ReportedResult] = []
    var mismatches: [String] = []
    for single in singles {
      pace.begin()
      let began = Console.seconds
      let run = try RealRun(single.configuration, clock: clock, reader: reader)
      let outcome = try run.run(on: region) { session.wasInterrupted }
      if session.wasInterrupted { break }
      let scheme = single.admission.schemes.first ?? .baseline
      if options.verify {
        let report = try run.verify(outcome, on: region)
        if !report.isClean { mismatches.append("\(scheme.rawValue), \(single.threads): \(report)") }
      }
      results.append(
        ReportedResult(
          scheme: scheme.rawValue, profile: nil, pattern: options.pattern.rawValue,
          accessBytes: options.access.bytes,
          parameters: command.resolve(single, tool: invocation.resolved.tool).parameters,
          result: outcome.result, wallSeconds: Console.seconds - began))
    }
    pace.close()
    progress.join()
    try session.print(
      results, table: ResultTable.byThreads(results),
      remarks: options.remarks(
        reader: reader, kind: region.fileSystem, isVerified: mismatches.isEmpty, limits: limits))
    if let first = mismatches.first {
      throw Failure(
        ExitCode.failed, "what was read back differs from what was written: \(first)",
        hint: "test the memory; if it is sound, please report this with the seed \(options.seed)")
    }
    return session.wasInterrupted ? ExitCode.interrupted : ExitCode.done
  }

  /// The options of every single run: each thread count with each scheme.
  private var singles: [BenchOptions] {
    threads.counts.flatMap { count in
      admission.schemes.map { scheme in
        var single = self
        single.threads = ThreadCounts([count])
        single.admission.schemes = [scheme]
        if scheme != .lock { single.permits = nil }
        if scheme != .delegation { single.workers = nil }
        return single
      }
    }
  }

  /// Refuses a place that is none, or that holds what a run would destroy.
  ///
  /// - Returns: Whether nothing is there yet.
  private func checkFile(_ path: String) throws(Failure) -> Bool {
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    guard unsafe stat(path, &facts) == 0 else {
      let number = errno
      if number == ENOENT { return true }
      throw Failure(
        number == EACCES ? ExitCode.permission : ExitCode.inputOutput,
        "cannot look at --file=\(path): \(Console.reason(number))", hint: "check the path")
    }
    switch facts.st_mode & S_IFMT {
    case S_IFREG where facts.st_size == 0 || overwrite: return false
    case S_IFREG:
      throw Failure(
        ExitCode.usage,
        "--file=\(path) holds \(ByteCount(bytes: Int(facts.st_size))) that bench would write over",
        hint: "name a new file, or add --overwrite")
    case S_IFCHR where overwrite: return false
    case S_IFCHR:
      throw Failure(
        ExitCode.usage, "--file=\(path) is a device whose contents bench would write over",
        hint: "add --overwrite if nothing on it is needed")
    case S_IFDIR:
      throw Failure(
        ExitCode.usage, "--file=\(path) is a folder",
        hint: "name a new file in it: --file=\(path)/bench")
    default:
      throw Failure(
        ExitCode.usage, "--file=\(path) is neither a file nor a dax device",
        hint: "name a new file, or a device such as /dev/dax0.0")
    }
  }

  /// Fills in how many threads may write at once, where a scheme needs it and nobody has said.
  private mutating func settleLimits(for path: String) throws -> [WriterLimit] {
    let nouns = admission.schemes.compactMap { WriterLimit.noun(of: $0) }
    if nouns.isEmpty { return [] }
    let region = try RegionIdentity.of(path: path)
    var limits: [WriterLimit] = []
    for noun in nouns {
      let limit = try WriterLimit.choose(
        noun, asked: noun == "permit" ? permits : workers, for: region,
        stores: [store.calibrated])
      if noun == "permit" { permits = limit.count } else { workers = limit.count }
      limits.append(limit)
    }
    return limits
  }

  /// The run of options that name one thread count and one scheme.
  private var configuration: RealRun.Configuration {
    var configuration = RealRun.Configuration()
    configuration.scheme = scheme(admission.schemes.first ?? .baseline)
    configuration.threadCount = threads.counts.first ?? 1
    configuration.operation = store.operation
    configuration.pattern = pattern.pattern
    configuration.accessBytes = access.bytes
    configuration.fence = fenceEvery.rule
    configuration.bound = .seconds(duration.seconds)
    configuration.seed = seed
    configuration.maximumWaitNanoseconds = admission.control.maxDelay.nanoseconds
    return configuration
  }

  private func remarks(
    reader: any CounterReader, kind: FileSystemKind, isVerified: Bool, limits: [WriterLimit]
  ) -> [String] {
    var list = ["All figures are this machine's (real time) on \(kind)."]
    if reader.source == .unavailable {
      list[0] +=
        " Nothing here counts media writes: no controller inserts a delay, and on DRAM this shows "
        + "a scheme's cost, never its benefit."
    }
    list += limits.map(\.sentence)
    if verify && isVerified { list.append("Verified: everything that was written reads back.") }
    return list
  }
}

/// How far a row of runs of equal length is.
private final class RunPace: Sendable {
  private struct State {
    var begunCount = 0
    var began = 0.0
    var isClosed = false
  }

  private let runCount: Int
  private let secondsEach: Double
  private let state = Mutex(State())

  init(runCount: Int, secondsEach: Double) {
    self.runCount = runCount
    self.secondsEach = secondsEach
  }

  func begin() {
    let now = Console.seconds
    state.withLock { state in
      state.begunCount += 1
      state.began = now
    }
  }

  func close() {
    state.withLock { $0.isClosed = true }
  }

  /// The share of the work that is done; nil once nobody works any more.
  var share: Double? {
    let now = Console.seconds
    return state.withLock { state in
      guard !state.isClosed else { return nil }
      guard state.begunCount > 0 else { return 0 }
      let current = min(1, max(0, now - state.began) / secondsEach)
      return (Double(state.begunCount - 1) + current) / Double(runCount)
    }
  }
}
