// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform

// Charges what a source tells to tasks and to what they have mapped.
//
// A task is looked at when its first sample comes and once a second from then on: its name may
// change, it may end, and its number may then be another's. What was charged stays when it ends.

/// Keeps the account of a source's samples; for one thread.
public struct Accountant {
  /// How tasks are told apart.
  public enum Division: String, Sendable, Hashable, CaseIterable {
    /// One for each process.
    case process
    /// One for each thread.
    case thread
  }

  /// Where samples come from.
  public private(set) var source: any AccessSource
  /// How tasks are told apart.
  public let division: Division
  /// What was charged so far.
  public private(set) var ledger: Ledger
  /// The tasks by their latest names.
  public private(set) var tasks: [AccountTask: TaskNote] = [:]
  /// Tells what mappings are.
  public private(set) var classifier: MappingClassifier

  /// What is known of a task.
  public struct TaskNote: Sendable, Hashable {
    /// Its name, as the kernel told it last; nil where it ended before anybody could look.
    public var command: String?
    /// Whether it has ended.
    public var hasEnded = false
  }

  /// A process that lives, as far as is known.
  private struct Watched {
    var task: AccountTask
    var table: MappingTable
    var threads: [Int32: AccountTask] = [:]
    /// Whether the last look found it gone: samples that are in the rings by then come still.
    var isGone = false
    /// Threads of which the same holds.
    var goneThreads: Set<Int32> = []
  }

  private let tree: SystemTree
  private var watched: [Int32: Watched] = [:]
  private var addresses: [Ledger.Key: Range<UInt64>] = [:]
  private var lookedNanoseconds: Int64?

  /// Processes and threads whose facts are kept at a time.
  private static let watchedCountMax = 4096
  /// Time between two looks at tasks.
  private static let lookNanoseconds: Int64 = 1_000_000_000

  /// Begins an account.
  public init(
    of source: any AccessSource, by division: Division, ledger: Ledger = Ledger(),
    classifier: MappingClassifier = MappingClassifier(), tree: SystemTree = SystemTree()
  ) {
    self.source = source
    self.division = division
    self.ledger = ledger
    self.classifier = classifier
    self.tree = tree
  }

  /// Looks at a process before its first sample comes, so that a short life leaves more behind.
  public mutating func watch(_ process: Int32, now: Int64) {
    guard watched[process] == nil else { return }
    _ = enter(process, now: now)
  }

  /// Says that a process has mapped something.
  public mutating func noteMapping(by process: Int32) {
    watched[process]?.table.invalidate()
  }

  /// Charges what was sampled since the last call.
  ///
  /// - Parameter now: The time, in nanoseconds of a clock that nobody adjusts.
  public mutating func drain(now: Int64) {
    // The source cannot be used while the account is changed by what it tells.
    var source = source
    var accesses: [SampledAccess] = []
    source.drain { accesses.append($0) }
    let events = source.takeTaskEvents()
    self.source = source
    settle(accesses, events, now: now)
    if lookedNanoseconds.map({ now - $0 >= Self.lookNanoseconds }) ?? true { look(now: now) }
  }

  /// Ends sampling and charges what is left.
  public mutating func stop(now: Int64) {
    source.stop()
    drain(now: now)
    look(now: now)
  }

  /// Charges accesses in order of time with what tasks did between them, so that an address belongs
  /// to what was mapped when it was accessed.
  private mutating func settle(_ accesses: [SampledAccess], _ events: [TaskEvent], now: Int64) {
    guard !events.isEmpty else {
      for access in accesses { charge(access, now: now) }
      return
    }
    var next = 0
    for access in accesses.sorted(by: { $0.timeNanoseconds < $1.timeNanoseconds }) {
      while next < events.count, events[next].timeNanoseconds <= access.timeNanoseconds {
        take(in: events[next], now: now)
        next += 1
      }
      charge(access, now: now)
    }
    for event in events[next...] { take(in: event, now: now) }
  }

  private mutating func take(in event: TaskEvent, now: Int64) {
    switch event.change {
    case .started(let parent, _):
      guard parent != event.process, watched[event.process] == nil else { return }
      let former = watched[parent]
      _ = enter(event.process, now: now, table: former?.table.forked(as: event.process))
    case .executed(let name):
      watched[event.process]?.table.clear(at: event.timeNanoseconds)
      if let task = watched[event.process]?.task, tasks[task] != nil {
        tasks[task]?.command = name
      }
    case .mapped(let mapping):
      watched[event.process]?.table.learn(
        ProcessMapping(
          addresses: mapping.addresses, isWritable: mapping.isWritable,
          isShared: mapping.isShared, fileOffset: mapping.fileOffset,
          deviceMajor: mapping.deviceMajor, deviceMinor: mapping.deviceMinor,
          inode: mapping.inode, name: mapping.name), at: event.timeNanoseconds,
        classifier: &classifier)
    case .ended, .renamed: break
    }
  }

  private mutating func charge(_ access: SampledAccess, now: Int64) {
    var process = watched.removeValue(forKey: access.process) ?? enter(access.process, now: now)
    let task = task(of: access, in: &process)
    if let place = access.place {
      ledger.charge(
        task, MappingIdentity(.gates, name: place), isStore: access.isStore, isLoad: access.isLoad,
        weight: access.weight)
    } else if let address = access.address {
      let mapping = process.table.identity(of: address, now: now, classifier: &classifier)
      ledger.charge(
        task, mapping ?? .unknown, isStore: access.isStore, isLoad: access.isLoad,
        weight: access.weight)
    } else {
      ledger.chargeUnresolved(task, weight: access.weight)
    }
    watched[access.process] = process
  }

  /// Begins to watch a process.
  private mutating func enter(
    _ process: Int32, now: Int64, table: MappingTable? = nil
  ) -> Watched {
    if watched.count >= Self.watchedCountMax, let victim = watched.keys.first {
      watched[victim] = nil
    }
    let facts = ProcessFacts.read(process: process, from: tree)
    let task = AccountTask(process: process, startTicks: facts?.startTicks ?? 0)
    var entry = Watched(task: task, table: table ?? MappingTable(process: process, tree: tree))
    if table == nil { entry.table.refresh(now: now, classifier: &classifier) }
    if division == .process { note(task, facts) }
    watched[process] = entry
    return entry
  }

  private mutating func task(of access: SampledAccess, in process: inout Watched) -> AccountTask {
    guard division == .thread else { return process.task }
    if let known = process.threads[access.thread] { return known }
    let facts = ProcessFacts.read(process: access.process, thread: access.thread, from: tree)
    let task = AccountTask(
      process: access.process, thread: access.thread, startTicks: facts?.startTicks ?? 0)
    if process.threads.count < Self.watchedCountMax { process.threads[access.thread] = task }
    note(task, facts)
    return task
  }

  private mutating func note(_ task: AccountTask, _ facts: ProcessFacts?) {
    guard tasks[task] != nil || tasks.count < ledger.taskCountMax else { return }
    let command = facts?.command ?? tasks[task]?.command
    tasks[task] = TaskNote(command: command, hasEnded: facts?.hasEnded ?? true)
  }

  /// Looks at every task that lives: names, ends, and numbers that others have by now.
  private mutating func look(now: Int64) {
    lookedNanoseconds = now
    for number in watched.keys {
      watched[number]?.table.settle(now: now, classifier: &classifier)
    }
    remember(ledger.rows.keys)
    for (number, process) in watched {
      let facts = ProcessFacts.read(process: number, from: tree)
      let isSame = facts?.startTicks == process.task.startTicks
      if division == .process { note(process.task, isSame ? facts : nil) }
      for (thread, task) in process.threads {
        let facts = ProcessFacts.read(process: number, thread: thread, from: tree)
        let isSame = facts?.startTicks == task.startTicks
        note(task, isSame ? facts : nil)
        if isSame { continue }
        // Kept until the next look, unless its number is another's by now.
        let isNew = watched[number]?.goneThreads.insert(thread).inserted == true
        if facts != nil || !isNew {
          watched[number]?.threads[thread] = nil
          watched[number]?.goneThreads.remove(thread)
        }
      }
      if isSame { continue }
      if facts != nil || process.isGone {
        watched[number] = nil
      } else {
        watched[number]?.isGone = true
      }
    }
  }

  /// Keeps the addresses of nameless memory for when its process has ended.
  private mutating func remember(_ keys: some Sequence<Ledger.Key>) {
    for key in keys where key.mapping.kind == .anonymous {
      guard let process = watched[key.task.process] else { continue }
      let isIts = key.task == process.task || process.threads[key.task.thread ?? 0] == key.task
      if isIts, let range = process.table.addresses(of: key.mapping) { addresses[key] = range }
    }
  }

  /// Forgets tasks that nobody asks for any more, so that an account without end stays small.
  ///
  /// - Parameter isKept: Whether a task of this number and start is asked for still.
  public mutating func keep(where isKept: (AccountTask) -> Bool) {
    watched = watched.filter { isKept($0.value.task) }
    tasks = tasks.filter { isKept($0.key) }
    addresses = addresses.filter { isKept($0.key.task) }
    ledger.keep(where: isKept)
  }

  /// Where a row's memory is or was, where it has no name.
  public mutating func addresses(of key: Ledger.Key) -> Range<UInt64>? {
    if addresses[key] == nil { remember(CollectionOfOne(key)) }
    return addresses[key]
  }
}
