// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterPlatform
internal import ArbiterRuntime
internal import Glibc

/// The programs that use slow memory.
struct TaskWatch: Sendable {
  /// What is known of a process between two looks at its memory map.
  private struct Known: Sendable {
    var startTicks: UInt64 = 0
    var isKernelThread = false
    var lookedAtNanoseconds = Int64.min
    /// Nil where the map could not be read.
    var finding: SlowMemoryMaps.Finding?
    var isDenied = false
  }

  var options: Watcher.Options
  private let tree: SystemTree
  /// Without slow memory no map can show any; whether a program is gated is cheaper to learn.
  private let isMachineBare: Bool
  private var maps: SlowMemoryMaps
  private var known: [Int32: Known] = [:]
  /// Processes that were asked for and are not there.
  private var missing: [Int32] = []

  init(options: Watcher.Options, memory: PersistentMemory, tree: SystemTree) {
    self.options = options
    self.tree = tree
    isMachineBare = memory.isAbsent
    maps = SlowMemoryMaps(memory: memory, tree: tree)
  }

  /// Looks for processes, and at those memory maps whose turn it is.
  ///
  /// - Returns: Programs that seem to be gated.
  mutating func scan() -> [Int32] {
    let began = SystemClock.monotonicRawNanoseconds()
    var processes = ProcessStatus.processes(in: tree)
    if !options.processes.isEmpty {
      processes = processes.filter { options.processes.contains($0) }
    }
    let living = Set(processes)
    missing = options.processes.filter { !living.contains($0) }
    known = known.filter { living.contains($0.key) }
    for process in processes where known[process] == nil { known[process] = Known() }
    // Those that were never looked at come first, the newest of them before all; at least one is
    // looked at each time, and nearly all the first time.
    let isFirst = known.values.allSatisfy { $0.lookedAtNanoseconds == .min }
    let limit = options.mapNanosecondsMax * (isFirst ? 25 : 1)
    let due = known.filter { isDue($0.value, at: began) }
      .sorted { ($0.value.lookedAtNanoseconds, $1.key) < ($1.value.lookedAtNanoseconds, $0.key) }
    for (process, _) in due {
      look(at: process)
      if SystemClock.monotonicRawNanoseconds() - began > limit { break }
    }
    return known.filter { $0.value.finding?.hasControlPage == true }.map(\.key)
  }

  private func isDue(_ known: Known, at now: Int64) -> Bool {
    if known.lookedAtNanoseconds == .min { return true }
    return now - known.lookedAtNanoseconds >= options.mapIntervalNanoseconds
  }

  private mutating func look(at process: Int32) {
    var fresh = Known()
    fresh.lookedAtNanoseconds = SystemClock.monotonicRawNanoseconds()
    defer { known[process] = fresh }
    guard let status = ProcessStatus.read(ofProcess: process, from: tree) else { return }
    fresh.startTicks = status.startTicks
    fresh.isKernelThread = status.isKernelThread
    if status.isKernelThread { return }
    if isMachineBare {
      let isGated = FoundPages.pagePath(ofProcess: process, from: tree) != nil
      fresh.finding = SlowMemoryMaps.Finding(slowBytes: 0, hasControlPage: isGated)
    } else if let mappings = ProcessMapping.read(ofProcess: process, from: tree) {
      fresh.finding = maps.look(at: mappings)
    } else {
      // Gone meanwhile, or not ours to look into.
      let after = ProcessStatus.read(ofProcess: process, from: tree)
      fresh.isDenied = after?.startTicks == status.startTicks
    }
  }

  /// Tells of every program that uses slow memory, or of all that were asked for.
  mutating func look(gates: GateWatch, sampler: inout (any TaskSampler)?) -> [WatchedTask] {
    let wanted = known.filter { process, known in
      if known.isKernelThread { return false }
      return options.everyProcess || !options.processes.isEmpty
        || gates.account(ofProcess: process) != nil || (known.finding?.slowBytes ?? 0) > 0
    }
    let processes = wanted.keys.sorted()
    let own = getpid()
    let sampled = processes.filter { process in
      guard gates.account(ofProcess: process) == nil, process != own else { return false }
      return options.samplesEveryProcess || options.processes.contains(process)
        || (known[process]?.finding?.slowBytes ?? 0) > 0
    }
    sampler?.follow(sampled)
    return processes.compactMap { process in
      guard let status = ProcessStatus.read(ofProcess: process, from: tree),
        !status.isKernelThread, let known = wanted[process]
      else { return nil }
      // Another process has the number by now: its map is read the next time.
      if known.startTicks != 0, known.startTicks != status.startTicks {
        self.known[process] = nil
        return nil
      }
      return task(status, known, gates.account(ofProcess: process), &sampler)
    }
  }

  private func task(
    _ status: ProcessStatus, _ known: Known, _ account: GateWatch.Account?,
    _ sampler: inout (any TaskSampler)?
  ) -> WatchedTask {
    var written = Figure<Estimate>.unavailable(
      "only stores under arbiter run are counted; arbiter account samples others")
    var read = Figure<Estimate>.unavailable("only samples tell loads")
    var backEnd: BackEnd?
    if let account {
      written = .known(.exact(account.storedBytes))
      read = .unavailable("gates count no loads")
      backEnd = .gates
    } else if sampler != nil, let figures = sampler?.account(ofProcess: status.process) {
      (written, read) = figures
      backEnd = written.value == nil && read.value == nil ? nil : sampler?.backEnd
    }
    return WatchedTask(
      process: status.process, startTicks: status.startTicks, command: status.name,
      mappedBytes: mappedBytes(known), written: written, read: read, backEnd: backEnd,
      delayedNanoseconds: Figure(
        account?.delayedNanoseconds, otherwise: "it passes no gate of this user's runs"),
      cpuNanoseconds: .known(status.cpuNanoseconds))
  }

  private func mappedBytes(_ known: Known) -> Figure<UInt64> {
    if isMachineBare { return .unavailable("no slow memory was found") }
    if let finding = known.finding { return .known(finding.slowBytes) }
    return .unavailable(
      known.isDenied
        ? "its memory map may not be read by this user" : "its memory map has not been read yet")
  }

  /// What cannot be seen of tasks.
  var blindSpots: [String] {
    var spots: [String] = []
    if !missing.isEmpty {
      let numbers = missing.sorted().map(String.init).joined(separator: ", ")
      spots.append("There is no process \(numbers).")
    }
    let deniedCount = known.values.count(where: \.isDenied)
    if deniedCount > 0 {
      spots.append(
        "The memory maps of \(deniedCount) processes of other users may not be read: run as root, "
          + "or with CAP_SYS_PTRACE.")
    }
    let waitingCount = known.values.count { $0.lookedAtNanoseconds == .min }
    if waitingCount > 0 {
      spots.append("\(waitingCount) processes have not been looked at yet.")
    }
    return spots
  }
}
