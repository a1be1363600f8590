// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
public import ArbiterSimulator
public import CommandSpec
internal import Glibc

/// What the threads of a simulation of tiers do: generated streams, or a recorded session.
enum TierSource: OptionValue, Equatable {
  case streams([TierStreamKind])
  case recording(String)

  static var placeholder: String { "<STREAM,...|all|FILE>" }
  static var completion: ValueCompletion {
    .wordList(TierStreamKind.allCases.map(\.rawValue) + ["all"])
  }

  init(argument: String) throws(UsageError) {
    if argument == "all" {
      self = .streams(TierStreamKind.allCases)
      return
    }
    if argument.contains("/") || argument.contains(".") {
      self = .recording(argument)
      return
    }
    do throws(UsageError) {
      self = .streams(try [TierStreamKind](argument: argument))
    } catch {
      // A bare name that is no stream is a slip of the pen, unless there is such a file.
      guard unsafe access(argument, F_OK) == 0 else { throw error }
      self = .recording(argument)
    }
  }

  var argumentText: String {
    switch self {
    case .streams(TierStreamKind.allCases): "all"
    case .streams(let kinds): kinds.argumentText
    case .recording(let path): path
    }
  }
}

extension TierStreamKind: WordValue {
  /// The stand-in in help.
  public static var placeholder: String { "<STREAM>" }
}

/// Who decides where data lies, in the words of the command line.
enum TierPolicyName: String, WordValue, CaseIterable {
  case firstTouch = "first-touch"
  case arbiter
  case hememPaper = "hemem-paper"
  case hememRelease = "hemem-release"
  case scan
  case memoryMode = "memory-mode"
  case oracle

  static var placeholder: String { "<POLICY>" }

  /// Who it is in the simulator.
  var contender: TierContender {
    switch self {
    case .firstTouch: .firstTouch
    case .arbiter: .arbiter
    case .hememPaper: .hememPaper
    case .hememRelease: .hememRelease
    case .scan: .scan
    case .memoryMode: .memoryMode
    case .oracle: .oracle
    }
  }
}

/// How migrations are carried out, in the words of the command line.
enum TierMechanismName: String, WordValue, CaseIterable {
  /// As each policy's own system does it.
  case own
  /// All by one mover, as Arbiter's: policies alone are compared.
  case arbiter

  static var placeholder: String { "<MECHANISM>" }
}

/// Options of simulations of two tiers of memory.
struct TierSimulationOptions: Equatable {
  var tiers: TierSource?
  var fast: ByteCount?
  var footprint: ByteCount?
  var hot: ByteCount?
  var policies = TierPolicyName.allCases
  var mechanism = TierMechanismName.own
  var spare = 2
  var runs = 5

  /// Who decides, and how it is carried out.
  func contender(_ policy: TierPolicyName) -> TierContender {
    mechanism == .own ? policy.contender : policy.contender.moving(by: .arbiter)
  }

  /// Threads where none are given.
  static let usualThreads = 8
  /// Modules behind the slow tier where none are given: those of a socket.
  static let usualModules = 6
  /// Time of the work in fast memory where none is given.
  static let usualDuration = TimeSpan.seconds(60)

  /// Fast memory; a recording brings its own.
  var fastBytes: ByteCount { fast ?? .gibibytes(2) }
  var footprintBytes: ByteCount { footprint ?? .gibibytes(8) }
  var hotBytes: ByteCount { hot ?? .gibibytes(1) }

  /// The options of this group; without `--tiers` none of them has a meaning.
  static let own = ["fast", "footprint", "hot", "policies", "mechanism", "spare", "runs"]
  /// Options of other groups that simulations of tiers take.
  private static let shared: Set<String> = [
    "tiers", "profile", "modules", "threads", "duration", "seed", "report", "format", "output",
    "color", "quiet",
  ]
  /// What only generated streams take: of a recording all of it is known.
  private static let generated = [
    "footprint", "hot", "profile", "modules", "threads", "duration", "mechanism", "spare",
    "runs",
  ]

  static let group = OptionGroup<TierSimulationOptions>(
    "Two tiers",
    [
      .init(
        "tiers", \.tiers,
        help: "Streams over fast and slow memory, or a recording of arbiter tier, in place of "
          + "writers; a recording that is called as a stream is given as ./NAME."),
      .init("fast", \.fast, help: "Size of fast memory, 2GiB unless given or recorded."),
      .init("footprint", \.footprint, help: "Size of the program's memory, 8GiB unless given."),
      .init(
        "hot", \.hot, help: "Size of its hot data in streams that have any, 1GiB unless given."),
      .init("policies", \.policies, help: "Who decides where data lies, each a run."),
      .init(
        "mechanism", \.mechanism,
        help: "How data is moved: HeMem's own way (a DMA engine, two threads that spin), or by "
          + "Arbiter's one mover for all, which compares the policies alone."),
      .init(
        "spare", \.spare,
        help: "Processors beyond one for each thread: policies with threads that spin take two."),
      .init("runs", \.runs, help: "Runs of each stream and policy, with a seed each."),
    ])

  func validate(duration: TimeSpan?, threads: ThreadCounts?) throws(UsageError) {
    guard tiers != nil else { return }
    for (index, policy) in policies.enumerated() where policies[..<index].contains(policy) {
      throw UsageError(
        "--policies names '\(policy.rawValue)' twice", hint: "name each policy once")
    }
    if case .streams(let kinds)? = tiers {
      for (index, kind) in kinds.enumerated() where kinds[..<index].contains(kind) {
        throw UsageError("--tiers names '\(kind.rawValue)' twice", hint: "name each stream once")
      }
    }
    let (chunk, most) = (ByteCount.mebibytes(2), ByteCount.gibibytes(512))
    for (name, size) in [("fast", fastBytes), ("footprint", footprintBytes), ("hot", hotBytes)]
    where size < chunk || size > most || size.bytes % chunk.bytes != 0 {
      let whole = max(1, min(size, most).bytes / chunk.bytes) * chunk.bytes
      throw UsageError(
        "--\(name)=\(size) is not a multiple of \(chunk) up to \(most)",
        hint: "give --\(name)=\(ByteCount(bytes: whole))")
    }
    if hotBytes > footprintBytes {
      throw UsageError(
        "--hot=\(hotBytes) is more than --footprint=\(footprintBytes)",
        hint: "lower --hot or raise --footprint")
    }
    guard (1...99).contains(runs) else {
      throw UsageError("--runs=\(runs) is not within 1 to 99", hint: "give 1 to 99 runs")
    }
    guard (0...128).contains(spare) else {
      throw UsageError(
        "--spare=\(spare) is not within 0 to 128", hint: "give 0 to 128 processors")
    }
    if let threads, threads.counts.count > 1 {
      throw UsageError(
        "--threads=\(threads.argumentText) names several numbers of threads",
        hint: "with --tiers name one")
    }
    if let duration { try checkTime("duration", duration, .seconds(1) ... .seconds(1000)) }
  }

  /// Refuses options that have no meaning with `--tiers`, or without it.
  func checkGiven(_ given: Set<String>) throws(UsageError) {
    guard let tiers else {
      guard let name = Self.own.first(where: given.contains) else { return }
      throw UsageError(
        "--\(name) has no tiers that it could describe", hint: "add --tiers=all")
    }
    let others = given.subtracting(Self.shared).subtracting(Self.own).sorted()
    if let name = others.first {
      throw UsageError(
        "--\(name) does not go with --tiers=\(tiers.argumentText), which runs no writers",
        hint: "leave out " + others.map { "--\($0)" }.joined(separator: ", "))
    }
    guard case .recording(let path) = tiers else { return }
    if let name = Self.generated.first(where: given.contains) {
      throw UsageError(
        "--\(name) does not go with --tiers=\(path), which says what the program does",
        hint: "leave out --\(name)")
    }
  }
}
