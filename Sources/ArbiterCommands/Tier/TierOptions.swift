// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlacement
internal import ArbiterProfiler
public import ArbiterTiering
public import CommandSpec

/// Options of `arbiter tier`.
struct TierOptions: Equatable {
  var fast: ByteCount?
  var slow: SlowMemory?
  var slowSize: ByteCount?
  var profile: String?
  var policy = TierPolicyWord.arbiter
  var backEnd = TierBackEndWord.auto
  var tracker = TierTrackerWord.auto
  var asksForHugePages = false
  var leavesHeaps = false
  var isStrict = false
  var seed: UInt64 = 1
  var record: String?
  var heat: String?
  var metrics: String?
  var output = OutputOptions()
  var program: [String] = []

  static let groups: [OptionGroup<TierOptions>] = [
    OptionGroup(
      "Memory",
      [
        .init(
          "fast", \.fast, help: "Most fast memory that the program's large memory may take."),
        .init(
          "slow", \.slow,
          help: "Where the rest lies: node:N, a file, a folder in which a file is made, or a "
            + "device-DAX device."),
        .init(
          "slow-size", \.slowSize,
          help: "Most slow memory; by default eight times --fast, as far as there is room."),
        .init(
          "profile", \.profile, placeholder: "<NAME|FILE>",
          completion: .words(SlowTimingChoice.names),
          help:
            "What slow memory is like, where moves are weighed: dram, cxl, persistent, disk, or "
            + "a profile of a module; by default as calibrated, else by what --slow is."),
        .init(
          "huge-pages", \.asksForHugePages, help: "Ask for huge pages in fast memory."),
        .init(
          "no-heaps", \.leavesHeaps,
          help: "Leave what malloc and new give out where it is; place only what is mapped."),
      ]),
    OptionGroup(
      "How",
      [
        .init(
          "policy", \.policy,
          help: "Who decides what is fast: arbiter, the rules of HeMem's paper or of its release, "
            + "first-touch (nothing ever moves), or random (for tests)."),
        .init(
          "back-end", \.backEnd,
          help: "How memory is moved: numa (by the kernel, between nodes) or file (inside the "
            + "program); auto goes by --slow."),
        .init(
          "tracker", \.tracker,
          help: "How accesses are seen: pebs (precise events of the processor) or timer (a clock's "
            + "samples); auto is pebs where there is such a unit, else timer."),
        .init("seed", \.seed, help: "Seed of the policy's random choices, where it makes any."),
        .init(
          "strict", \.isStrict,
          help: "Do not run the program at all where Arbiter cannot place its memory."),
      ]),
    OptionGroup(
      "Output",
      OutputOptions.ofSummary.map { $0.within(\.output) } + [
        .init(
          "record", \.record, placeholder: "<FILE>", completion: .file,
          help: "Record samples and decisions, for arbiter simulate --tiers=FILE."),
        .init(
          "heat", \.heat, placeholder: "<FILE>", completion: .file,
          help: "Heat map of managed memory, as text, or as a picture where the name ends in .svg "
            + "or .png."),
        .init(
          "metrics", \.metrics, placeholder: "<FILE>", completion: .file,
          help: "File for metrics, rewritten each second, for the textfile collector of "
            + "node_exporter."),
        .init(
          "quiet", \.output.isQuiet, short: "q",
          help: "No summary and no remarks on standard error."),
      ]),
  ]

  static func validate(_ options: TierOptions) throws(UsageError) {
    try options.output.validate()
    guard let fast = options.fast else {
      throw UsageError(
        "--fast is missing: how much fast memory may be used", hint: "give a size: --fast=2GiB")
    }
    guard options.slow != nil else {
      throw UsageError(
        "--slow is missing: where the rest of the memory lies",
        hint: "give a node or a path: --slow=node:1 or --slow=/mnt/pmem")
    }
    try checkSize("fast", fast)
    if let size = options.slowSize { try checkSize("slow-size", size) }
    for (name, path) in [
      ("record", options.record), ("heat", options.heat), ("metrics", options.metrics),
    ] where path == "" {
      throw UsageError("--\(name) is empty", hint: "name a file, or leave the option out")
    }
    try checkProgram(options.program)
    try options.checkTogether()
  }

  private static func checkSize(_ name: String, _ size: ByteCount) throws(UsageError) {
    guard size.bytes < TierUnit.chunkBytes else { return }
    throw UsageError(
      "--\(name)=\(size) is less than a chunk of 2MiB", hint: "give at least 2MiB")
  }

  private func checkTogether() throws(UsageError) {
    switch (slow, backEnd) {
    case (.node?, .file):
      throw UsageError(
        "--back-end=file does not go with a node", hint: "give --slow a path, or take numa")
    case (.path?, .numa):
      throw UsageError(
        "--back-end=numa does not go with a path", hint: "give --slow=node:N, or take file")
    default: break
    }
    if case .node? = slow, slowSize != nil {
      throw UsageError(
        "--slow-size is for files: a node has the memory that it has", hint: "leave it out")
    }
  }
}

extension SlowMemory: OptionValue {
  /// The stand-in in help.
  public static var placeholder: String { "<node:N|PATH>" }

  /// Reads `node:N` or a path.
  public init(argument: String) throws(UsageError) {
    guard let memory = SlowMemory(argument) else {
      throw UsageError(
        argument.isEmpty ? "the place is empty" : "'\(argument)' is neither node:N nor a path",
        hint: "write node:1 or a path")
    }
    self = memory
  }

  /// As it was written.
  public var argumentText: String { description }
}

/// Who decides.
enum TierPolicyWord: String, WordValue, CaseIterable {
  case arbiter
  case hememPaper = "hemem-paper"
  case hememRelease = "hemem-release"
  case firstTouch = "first-touch"
  case random

  static var placeholder: String { "<POLICY>" }
}

/// How memory is moved.
enum TierBackEndWord: String, WordValue, CaseIterable {
  case auto
  case numa
  case file

  static var placeholder: String { "<BACK-END>" }

  /// The back-end; nil where the slow memory decides.
  var kind: TierBackEndKind? { TierBackEndKind(rawValue: rawValue) }
}

/// How accesses are seen.
enum TierTrackerWord: String, WordValue, CaseIterable {
  case auto
  case pebs
  case timer

  static var placeholder: String { "<TRACKER>" }

  /// The profiler's back-end; nil where the machine decides.
  var backEnd: BackEnd? { BackEnd(rawValue: rawValue) }
}
