// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
internal import ArbiterRuntime
internal import CArbiterSampling
internal import Glibc

extension Sampler {
  /// A process that is sampled.
  struct Target {
    let process: Int32
    /// The descriptors of each thread that has events of its own.
    var threads: [Int32: [Int32]] = [:]
    /// Threads that were looked at, also those that were gone by then.
    var seenThreads: Set<Int32> = []
    /// Threads that were found after others had got theirs.
    var lateThreads: Set<Int32> = []
  }

  /// How often the list of a process's threads is read until it stays the same.
  private static let scanMax = 16

  /// Samples a process from now on: every thread that it has, and those that it will have.
  ///
  /// - Throws: ``PlatformError`` with `notFound` where there is no such process, `noPermission`
  ///   where it may not be sampled, and `resourceLimit` where it has too many threads; then nothing
  ///   of it is sampled. `invalidArgument` where it is sampled already.
  public func add(process: Int32) throws(PlatformError) {
    guard !targets.contains(where: { $0.process == process }) else {
      throw PlatformError(
        .invalidArgument, reason: "process \(process) is sampled already",
        nextStep: "add each process once")
    }
    var target = Target(process: process)
    do {
      try reachThreads(of: &target)
    } catch {
      close(target)
      throw error
    }
    targets.append(target)
  }

  /// Starts a program and samples it from its first instruction on.
  ///
  /// What runs between the start of the process and the program is not sampled, and neither is what
  /// this program starts otherwise. What the program starts is sampled
  /// too, whatever the options say of others.
  ///
  /// - Parameter start: Starts the program; runs on a thread of its own, while the caller waits.
  /// - Returns: The program.
  /// - Throws: ``PlatformError`` of `start`, or where this machine refuses the events.
  public func launch(
    _ start: () throws(PlatformError) -> ChildProgram
  ) throws(PlatformError) -> ChildProgram {
    let launcher = try LauncherThread()
    var target = Target(process: 0)
    do {
      limit.raise(for: rings.count * events.count, tree: tree)
      try open(thread: launcher.thread, atExec: true, of: &target)
      let child = try limit.withOriginal { () throws(PlatformError) in
        try launcher.run(start)
      }
      targets.append(Target(process: child.process, threads: target.threads))
      return child
    } catch {
      launcher.cancel()
      close(target)
      throw error
    }
  }

  /// Ends sampling of a process; what it has in the rings is still drained.
  ///
  /// Processes that it has started and that nobody added are not sampled any more either.
  public func remove(process: Int32) {
    guard let index = targets.firstIndex(where: { $0.process == process }) else { return }
    let gone = targets.remove(at: index)
    close(gone)
    if isStopped { countLossesOfStopped() }
    // Others may have had their events from this one alone.
    let redundant = Set(rings.redundantThreads)
    for index in targets.indices {
      var target = targets[index]
      let lost = target.lateThreads.intersection(redundant)
      guard !lost.isEmpty else { continue }
      rings.forgetLate(lost)
      target.lateThreads.subtract(lost)
      target.seenThreads.subtract(lost)
      // Fails where the process is gone, and then there is nothing to sample.
      try? reachThreads(of: &target)
      targets[index] = target
    }
  }

  /// Takes other events from now on, of all threads, those included that have inherited theirs.
  ///
  /// A program that begins meanwhile may still take the first selection: to be called again now and
  /// then, which changes nothing elsewhere.
  ///
  /// - Parameter indices: The events to take, by their indices.
  public func select(_ indices: Set<Int>) {
    selected = indices
    guard !isStopped else { return }
    for target in targets {
      for descriptors in target.threads.values {
        // Opened event by event for one processor after the other: see ``open``.
        for (place, descriptor) in descriptors.enumerated() {
          _ = arb_sampling_switch(descriptor, indices.contains(place % events.count) ? 1 : 0)
        }
      }
    }
  }

  /// Stops all events for good and keeps what they have in the rings, to be drained.
  public func stop() {
    for target in targets {
      for descriptor in target.threads.values.joined() {
        _ = arb_sampling_switch(descriptor, 0)
      }
    }
    isStopped = true
    countLossesOfStopped()
  }

  private func countLossesOfStopped() {
    lostWhileOpen = targets.reduce(0) { $0 + lostCount(of: $1) }
  }

  /// Finds the threads of a process until it has no other.
  ///
  /// A thread that is born meanwhile by one that has its events inherits them; one by a thread that
  /// has none yet is found by the next look. So each look leaves only threads whose whole line was
  /// born since the look before, and soon none. A list may miss a thread when another one ends at
  /// that moment: two quiet looks in a row that show as many threads as the kernel counts end it.
  private func reachThreads(of target: inout Target) throws(PlatformError) {
    var quietCount = 0
    for scan in 0..<Self.scanMax where quietCount < 2 {
      let listed = tree.entries("/proc/\(target.process)/task").compactMap { Int32($0) }
      let new = listed.filter { !target.seenThreads.contains($0) }
      guard !listed.isEmpty || !target.threads.isEmpty else { break }
      if new.isEmpty {
        quietCount += listed.count >= countedThreads(of: target.process) ? 1 : 0
        continue
      }
      quietCount = 0
      try checkRoom(for: new.count, of: target, listedCount: listed.count)
      target.seenThreads.formUnion(new)
      // Those of another process that is sampled may have handed their events on, too.
      if scan > 0 || (options.followsChildren && !targets.isEmpty) {
        rings.enterLate(new)
        target.lateThreads.formUnion(new)
      }
      for thread in new { try open(thread: thread, atExec: false, of: &target) }
    }
    guard !target.threads.isEmpty else {
      throw SamplingRefusal.opening(
        ESRCH, "process \(target.process)", isPrecise: false, tree: tree)
    }
  }

  /// The number of threads that the kernel counts; 0 where the process is gone.
  private func countedThreads(of process: Int32) -> Int {
    let lines = (tree.text("/proc/\(process)/status") ?? "").split(separator: "\n")
    let line = lines.first { $0.hasPrefix("Threads:") }
    return line?.split(whereSeparator: \.isWhitespace).last.flatMap { Int($0) } ?? 0
  }

  /// Refuses a process with too many threads before half of them are opened.
  private func checkRoom(
    for newCount: Int, of target: Target, listedCount: Int
  ) throws(PlatformError) {
    let each = rings.processors.count * events.count
    if let threadMax = options.threadMax,
      threadCount + target.threads.count + newCount > threadMax
    {
      throw PlatformError(
        .resourceLimit,
        reason: "process \(target.process) has \(listedCount) threads, and with those of other "
          + "processes that is more than \(threadMax)",
        nextStep: "sample fewer processes or allow more threads")
    }
    let (room, hard) = limit.room(tree: tree)
    guard newCount * each <= room else {
      throw PlatformError(
        .resourceLimit,
        reason: "process \(target.process) has \(listedCount) threads, each needs \(each) "
          + "descriptors, and the limit of \(hard) leaves \(max(0, room))",
        nextStep: "raise the hard limit of descriptors (ulimit -Hn) or sample fewer threads")
    }
    limit.raise(for: newCount * each, tree: tree)
  }

  /// Opens all events of a thread on all processors; nothing where the thread is gone.
  func open(
    thread: Int32, atExec: Bool, of target: inout Target
  ) throws(PlatformError) {
    let object = atExec ? "a program that is to start" : "process \(target.process)"
    for (place, processor) in rings.processors.enumerated() {
      for (index, event) in events.enumerated() {
        var specification = specifications[index]
        if atExec && selected.contains(index) {
          specification.flags |= UInt32(ARB_EVENT_AT_EXEC)
        }
        if atExec {
          // The program is a process of its own, which only this lets inherit.
          specification.flags |= UInt32(ARB_EVENT_TO_PROCESSES)
        }
        let descriptor = unsafe arb_sampling_open(&specification, thread, Int32(processor))
        if descriptor == -Int64(ESRCH) { return }
        guard descriptor >= 0 else {
          throw SamplingRefusal.opening(
            Int32(-descriptor), object, isPrecise: event.isPrecise, tree: tree)
        }
        target.threads[thread, default: []].append(Int32(descriptor))
        try connect(Int32(descriptor), place: place, event: index, owner: thread)
        if !atExec && selected.contains(index) { _ = arb_sampling_switch(Int32(descriptor), 1) }
      }
    }
  }

  private func connect(
    _ descriptor: Int32, place: Int, event: Int, owner: Int32
  ) throws(PlatformError) {
    var id: UInt64 = 0
    var answer = arb_sampling_redirect(descriptor, rings.owner(at: place))
    if answer == 0 { answer = unsafe arb_sampling_identity(descriptor, &id) }
    guard answer == 0 else {
      throw PlatformError(
        errorNumber: Int32(-answer), path: nil, action: "connect an event with its ring")
    }
    rings.enter(id: id, event: event, owner: owner)
  }

  /// Records that the kernel has dropped of a target's events so far; 0 where it does not count.
  private func lostCount(of target: Target) -> UInt64 {
    target.threads.values.joined().reduce(0) { $0 + UInt64(max(0, arb_sampling_lost($1))) }
  }

  /// Closes the events of a target and of the threads and processes that inherited them.
  func close(_ target: Target) {
    rings.lostAtClose += lostCount(of: target)
    for descriptor in target.threads.values.joined() { Glibc.close(descriptor) }
    rings.leave(owners: Set(target.threads.keys))
    rings.forgetLate(target.lateThreads)
  }

  /// Closes events of threads that are sampled by those of others as well.
  func closeRedundantThreads() {
    guard rings.redundantCount != closedRedundantCount else { return }
    closedRedundantCount = rings.redundantCount
    for thread in rings.redundantThreads {
      for index in targets.indices {
        guard let descriptors = targets[index].threads.removeValue(forKey: thread) else { continue }
        for descriptor in descriptors {
          rings.lostAtClose += UInt64(max(0, arb_sampling_lost(descriptor)))
          Glibc.close(descriptor)
        }
      }
    }
    rings.leave(owners: Set(rings.redundantThreads))
  }
}
