// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlacement
public import ArbiterPlatform
public import ArbiterProfiler
internal import CArbiterTier
internal import Glibc

/// How a session will work on this machine, and why so: found out by trying.
public struct TierProbe: Sendable {
  /// How chunks are moved.
  public var backEnd: TierBackEndKind
  /// How accesses are tracked.
  public var tracker: BackEnd
  /// Which and why, one sentence each.
  public var remarks: [String]
  /// What accesses to slow memory are taken to cost.
  public var slowTiming: TierTiming
  /// Why chunks are placed when they are mapped and never moved; nil where they are moved.
  public var staticReason: String?
  /// The nodes of the tiers, of the NUMA back-end.
  public var places: NumaPlaces?

  /// Makes a probe by hand.
  public init(
    backEnd: TierBackEndKind, tracker: BackEnd, remarks: [String] = [], slowTiming: TierTiming,
    staticReason: String? = nil, places: NumaPlaces? = nil
  ) {
    self.backEnd = backEnd
    self.tracker = tracker
    self.remarks = remarks
    self.slowTiming = slowTiming
    self.staticReason = staticReason
    self.places = places
  }

  /// Finds out what a configuration comes to.
  ///
  /// Opens and closes what it tries; nothing stays behind.
  ///
  /// - Throws: ``PlatformError`` where the machine has no such slow memory, or nothing tracks.
  public static func run(
    _ configuration: TierConfiguration, tree: SystemTree = SystemTree()
  ) throws(PlatformError) -> TierProbe {
    guard configuration.fastBytes >= UInt64(TierUnit.chunkBytes) else {
      throw PlatformError(
        .invalidArgument, reason: "fast memory of \(configuration.fastBytes) bytes holds no chunk",
        nextStep: "give 2MiB or more")
    }
    var probe = try moving(configuration, tree: tree)
    if let timing = configuration.slowTiming {
      probe.slowTiming = timing
      if let source = configuration.slowTimingSource { probe.remarks.append(source) }
    }
    let choice = try BackEndProbe.choose(wanted: configuration.tracker, tree: tree)
    guard choice.backEnd == .pebs || choice.backEnd == .timer else {
      throw PlatformError(
        .invalidArgument,
        reason: "tracker \(choice.backEnd.rawValue) does not see accesses again and again",
        nextStep: "choose pebs or timer")
    }
    probe.tracker = choice.backEnd
    var remark = "accesses are tracked by \(choice.backEnd.rawValue)"
    if choice.isAsked { remark += ", as asked" }
    if let missed = choice.passedOver.first {
      remark += ", as \(missed.backEnd.rawValue) cannot be used: \(missed.reason)"
    }
    probe.remarks.append(remark)
    return probe
  }

  private static func moving(
    _ configuration: TierConfiguration, tree: SystemTree
  ) throws(PlatformError) -> TierProbe {
    switch (configuration.slow, configuration.backEnd) {
    case (.node, .file):
      throw PlatformError(
        .invalidArgument, reason: "back-end file needs a path, and slow memory is a node",
        nextStep: "give a path as slow memory, or use back-end numa")
    case (.path, .numa):
      throw PlatformError(
        .invalidArgument, reason: "back-end numa needs a node, and slow memory is a path",
        nextStep: "give node:N as slow memory, or use back-end file")
    case (.node(let number), _): return try onNodes(slow: number, configuration, tree: tree)
    case (.path(let path), _): return try onFile(path, configuration, tree: tree)
    }
  }

  private static func onNodes(
    slow: Int, _ configuration: TierConfiguration, tree: SystemTree
  ) throws(PlatformError) -> TierProbe {
    let nodes = NumaProbe.read(from: tree)
    let places = try nodes.places(slow: slow)
    if configuration.fastBytes > UInt64(places.fastMemoryBytes) {
      throw PlatformError(
        .invalidArgument,
        reason: "fast memory of \(configuration.fastBytes >> 20) MiB is more than the "
          + "\(places.fastMemoryBytes >> 20) MiB of the nodes with processors",
        nextStep: "give less")
    }
    if let bytes = configuration.slowBytes, bytes > UInt64(places.slowMemoryBytes) {
      throw PlatformError(
        .invalidArgument,
        reason: "slow memory of \(bytes >> 20) MiB is more than the "
          + "\(places.slowMemoryBytes >> 20) MiB of node \(slow)", nextStep: "give less")
    }
    let distance = nodes.nodes.first { $0.number == slow }?.distances[Int(places.fast[0])]
    let typical = TierTiming.typical(ofNodeAtDistance: distance)
    let fast = places.fast.map { "\($0)" }.joined(separator: ", ")
    var remarks = [
      "memory is moved by the kernel from outside the program (back-end numa): node \(fast) is "
        + "fast, node \(slow) is slow"
    ]
    remarks += places.remarks
    if configuration.slowTiming == nil { remarks.append(typical.source) }
    return TierProbe(
      backEnd: .numa, tracker: .timer, remarks: remarks, slowTiming: typical.timing,
      places: places)
  }

  private static func onFile(
    _ path: String, _ configuration: TierConfiguration, tree: SystemTree
  ) throws(PlatformError) -> TierProbe {
    let holder = try holder(of: path, tree: tree)
    let typical = TierTiming.typical(of: holder)
    var remarks = [
      "memory is moved inside the program (back-end file): its own memory is fast, "
        + "'\(path)' (\(holder.description)) is slow"
    ]
    if configuration.slowTiming == nil { remarks.append(typical.source) }
    if let bytes = machineBytes(tree), configuration.fastBytes > bytes {
      remarks.append(
        "fast memory of \(configuration.fastBytes >> 20) MiB is more than the \(bytes >> 20) MiB "
          + "of this machine: nothing is moved to slow memory before the kernel swaps; give less")
    }
    let reason = reasonNotToMove()
    if let reason {
      remarks.append("memory is placed when it is mapped and never moved: \(reason)")
    }
    return TierProbe(
      backEnd: .file, tracker: .timer, remarks: remarks, slowTiming: typical.timing,
      staticReason: reason)
  }

  /// Bytes of this machine's memory; nil where the kernel does not tell.
  private static func machineBytes(_ tree: SystemTree) -> UInt64? {
    for line in (tree.text("/proc/meminfo") ?? "").split(separator: "\n")
    where line.hasPrefix("MemTotal:") {
      return line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }.map { $0 << 10 }
    }
    return nil
  }

  /// What holds a path, or will once it is made.
  private static func holder(
    of path: String, tree: SystemTree
  ) throws(PlatformError) -> FileSystemKind {
    do throws(PlatformError) {
      return try FileSystemKind.of(path: path, tree: tree)
    } catch {
      guard error.code == .notFound else { throw error }
      let folder = path.split(separator: "/").dropLast().joined(separator: "/")
      let parent = path.hasPrefix("/") ? "/\(folder)" : folder.isEmpty ? "." : folder
      return try FileSystemKind.of(path: parent, tree: tree)
    }
  }

  /// Why the kernel does not let memory be moved under a running program; nil where it does.
  private static func reasonNotToMove() -> String? {
    var features: UInt64 = 0
    let answer = unsafe arb_tier_probe_userfaultfd(&features)
    let grant =
      "run 'sysctl vm.unprivileged_userfaultfd=1' as root, let this user open /dev/userfaultfd, or "
      + "grant CAP_SYS_PTRACE"
    if answer == 1 {
      return "the kernel lets this user hold back the program's accesses and not its own "
        + "(userfaultfd for user mode only); \(grant)"
    }
    if answer < 0 {
      return answer == -Int64(ENOSYS) || answer == -Int64(EINVAL)
        ? "this kernel has no userfaultfd; use one with CONFIG_USERFAULTFD"
        : "the kernel refuses userfaultfd (errno \(-answer)); \(grant)"
    }
    let needed = arb_tier_needed_features()
    return features & needed == needed
      ? nil
      : "this kernel's userfaultfd cannot protect memory or tell of remaps; use Linux 5.7 or later"
  }
}
