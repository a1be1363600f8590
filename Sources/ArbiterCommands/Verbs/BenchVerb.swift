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

/// Options of `arbiter bench`.
struct BenchOptions: Equatable {
  var file = ""
  var size = ByteCount.gibibytes(1)
  var threads = ThreadCounts([1, 2])
  var pattern = BenchPattern.sequential
  var store = BenchStore.nt
  var access = ByteCount(bytes: 64)
  var fenceEvery = FenceInterval(nil)
  var schemes: [SchemeName] = [.baseline, .arbiter]
  var delay: TimeSpan?
  var delayAt = DelayPlace.block
  var duration = TimeSpan.seconds(1)
  var period = TimeSpan.milliseconds(10)
  var maxDelay = TimeSpan.microseconds(100)
  var verify = false
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
    OptionGroup(
      "Scheme",
      [
        .init(
          "scheme", \.schemes, placeholder: "<SCHEME,...>",
          help: "How writers are admitted; each is a run."),
        .init(
          "delay", \.delay, help: "Fixed delay before accesses; goes with the scheme baseline."),
        .init("delay-at", \.delayAt, help: "Where the fixed delay falls due."),
        .init("period", \.period, help: "How often a controller looks at the counters."),
        .init("max-delay", \.maxDelay, help: "Longest delay of any access."),
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
    if options.file.isEmpty {
      throw UsageError(
        "--file is missing", hint: "name a file on the memory to measure: --file=/dev/shm/bench")
    }
    let access = options.access.bytes
    if access < 64 || access % 64 != 0 || access > 1 << 30 {
      throw UsageError("--access=\(options.access) is not a multiple of 64B between 64B and 1GiB")
    }
    let least = access * (options.threads.counts.max() ?? 1)
    if options.size.bytes < max(4096, least) {
      throw UsageError(
        "--size=\(options.size) is too small: every thread needs room for an access of "
          + "\(options.access)", hint: "give at least \(ByteCount(bytes: max(4096, least)))")
    }
    if options.duration < .milliseconds(1) || options.duration > .seconds(3600) {
      throw UsageError("--duration=\(options.duration) is not within 1ms to 3600s")
    }
    if options.period < .microseconds(10) || options.period > .seconds(10) {
      throw UsageError("--period=\(options.period) is not within 10us to 10s")
    }
    if options.delay != nil, let other = options.schemes.first(where: { $0 != .baseline }) {
      throw UsageError(
        "--delay fixes what scheme '\(other.rawValue)' decides", hint: "use --scheme=baseline")
    }
    if let delay = options.delay, delay > options.maxDelay {
      throw UsageError(
        "--delay=\(delay) is longer than --max-delay=\(options.maxDelay)", hint: "raise --max-delay"
      )
    }
  }

  /// The scheme of a run as the runtime knows it.
  func scheme(_ name: SchemeName) -> RealRun.Scheme {
    if let delay {
      return .fixedDelay(
        GateSettings(delayNanoseconds: delay.nanoseconds, point: delayAt.point))
    }
    return switch name {
    case .baseline: .baseline
    case .lock: .lock(LockParameters())
    case .delegation: .delegation(DelegationParameters())
    case .fence: .fence
    case .arbiter:
      .controlled(
        AdaptiveController(maximumDelay: maxDelay), periodNanoseconds: period.nanoseconds)
    case .arbiterPaper:
      .controlled(PaperController(maximumDelay: maxDelay), periodNanoseconds: period.nanoseconds)
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

  var operation: Operation { self == .nt ? .storeNonTemporal : .storeWriteBack }
}

extension BenchOptions {
  static let command: Command<BenchOptions> = Command(
    name: "bench",
    abstract: "Run real writers on really mapped memory, in real time.",
    discussion: """
      Maps a file and writes to it with real threads under the same schemes and controllers as the \
      model. Device figures need counters that see the medium; where the machine has none they are \
      unavailable, no controller inserts a delay, and the run shows what a scheme costs, never what \
      it brings. On DRAM there is no amplification to remove in any case.

      The contents of the mapped part of the file are overwritten.
      """,
    initial: BenchOptions(), groups: groups,
    examples: [
      Example("Two schemes on shared memory", "bench --file=/dev/shm/bench --size=256MiB"),
      Example(
        "Every scheme, verified, as JSON",
        "bench --file=/mnt/pmem/bench --scheme=baseline,lock,delegation,fence,arbiter --verify "
          + "--format=json"),
    ],
    seeAlso: ["arbiter-doctor", "arbiter-simulate"],
    validate: { (options: BenchOptions) throws(UsageError) in try validate(options) },
    run: { try bench($0) })

  private static func bench(_ invocation: Invocation<BenchOptions>) throws -> Int32 {
    let options = invocation.options
    let session = ResultSession(
      invocation.resolved, output: options.output, seed: options.seed, profile: nil)
    let isNew = unsafe Glibc.access(options.file, F_OK) != 0
    let reader = CounterProbe.read().makeReader()
    let clock = try TimeStampClock.calibrate()
    let region = try MappedRegion(path: options.file, byteCount: options.size)
    defer { if isNew && !options.keep { _ = unsafe unlink(options.file) } }
    var results: [ReportedResult] = []
    var mismatches: [String] = []
    for count in options.threads.counts {
      for scheme in options.schemes where !session.wasInterrupted {
        let began = Console.seconds
        let run = try RealRun(
          options.configuration(scheme, threads: count), clock: clock, reader: reader)
        let outcome = try run.run(on: region)
        if options.verify {
          let report = try run.verify(outcome, on: region)
          if !report.isClean {
            mismatches.append("\(scheme.rawValue), \(count) threads: \(report)")
          }
        }
        results.append(
          ReportedResult(
            scheme: scheme.rawValue, profile: nil, pattern: options.pattern.rawValue,
            accessBytes: options.access.bytes,
            parameters: session.parameters(threads: count, scheme: scheme.rawValue),
            result: outcome.result, wallSeconds: Console.seconds - began))
      }
    }
    try session.print(
      results, table: ResultTable.byThreads(results),
      remarks: options.remarks(
        reader: reader, kind: region.fileSystem, isVerified: mismatches.isEmpty))
    if let first = mismatches.first {
      throw Failure(
        ExitCode.failed, "what was read back differs from what was written: \(first)",
        hint: "test the memory; if it is sound, please report this with the seed \(options.seed)")
    }
    return session.wasInterrupted ? ExitCode.interrupted : ExitCode.done
  }

  private func configuration(_ name: SchemeName, threads: Int) -> RealRun.Configuration {
    var configuration = RealRun.Configuration()
    configuration.scheme = scheme(name)
    configuration.threadCount = threads
    configuration.operation = store.operation
    configuration.pattern = pattern.pattern
    configuration.accessBytes = access.bytes
    configuration.fence = fenceEvery.rule
    configuration.bound = .seconds(duration.seconds)
    configuration.seed = seed
    configuration.maximumWaitNanoseconds = maxDelay.nanoseconds
    return configuration
  }

  private func remarks(
    reader: any CounterReader, kind: FileSystemKind, isVerified: Bool
  ) -> [String] {
    var list = ["All figures are this machine's (real time) on \(kind)."]
    if reader.source == .unavailable {
      list[0] +=
        " Nothing here counts media writes: no controller inserts a delay, and on DRAM this shows "
        + "a scheme's cost, never its benefit."
    }
    if verify && isVerified { list.append("Verified: everything that was written reads back.") }
    return list
  }
}
