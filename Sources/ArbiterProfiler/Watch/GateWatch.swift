// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterRuntime
internal import ArbiterScheduler

// Slots of a control page are handed on when threads end, and a page tells then only what all
// departed threads of a run did together. A run of one process is told exactly all the same; of
// several processes each keeps what it was seen to have done, and the rest is told as a blind spot.

/// What the control pages of this user's runs show.
struct GateWatch: Sendable {
  /// What is known of a set from all pages on which it lies.
  struct SetState: Sendable, Hashable {
    var name: String
    var delayNanoseconds: Double
    var gateCount: Int
  }

  /// What a process's gates did.
  struct Account: Sendable, Hashable {
    var storedBytes = 0.0
    var delayedNanoseconds = 0.0
  }

  private struct Gate: Hashable {
    var page: UInt64
    var session: Int
    var process: Int32
    var thread: Int32
    var set: Int
  }

  /// A sum that never falls: what grew since the last look is added.
  private struct Growing: Sendable {
    var last = Account()
    var total = Account()

    mutating func take(_ now: Account) {
      total.storedBytes += max(0, now.storedBytes - last.storedBytes)
      total.delayedNanoseconds += max(0, now.delayedNanoseconds - last.delayedNanoseconds)
      last = now
    }
  }

  /// The sets of all pages; a set that lies on several has their longest delay.
  private(set) var sets: [SetState] = []

  private let runtimeFolder: String
  private let tree: SystemTree
  private var seen: [Gate: Growing] = [:]
  private var accounts: [Int32: Account] = [:]
  private var unassignedBytes = 0.0

  /// Gates that are remembered; a page holds at most 4,096.
  private static let gateCountMax = 65_536

  init(runtimeFolder: String, tree: SystemTree) {
    self.runtimeFolder = runtimeFolder
    self.tree = tree
  }

  /// Looks at every page that notes or programs name.
  ///
  /// - Parameter processes: Programs that are gated.
  mutating func look(processes: [Int32]) {
    let pages = FoundPages.find(in: runtimeFolder, ofProcesses: processes, from: tree)
    sets = []
    accounts = [:]
    unassignedBytes = 0
    if seen.count > Self.gateCountMax { seen = [:] }
    let inodes = Set(pages.map(\.inode))
    seen = seen.filter { inodes.contains($0.key.page) }
    for page in pages {
      for set in page.sets { add(set) }
      look(at: page)
    }
    for (gate, growing) in seen {
      accounts[gate.process, default: Account()].add(growing.total)
    }
    for page in pages { assignDeparted(of: page) }
  }

  private mutating func add(_ set: FoundSet) {
    // Gates ignore the delay of a controller that is gone.
    let delay = set.isControlled ? set.settings.delayNanoseconds : 0
    if let place = sets.firstIndex(where: { $0.name == set.name }) {
      sets[place].delayNanoseconds = max(sets[place].delayNanoseconds, delay)
      sets[place].gateCount += set.gateCount
    } else {
      sets.append(SetState(name: set.name, delayNanoseconds: delay, gateCount: set.gateCount))
    }
  }

  private mutating func look(at page: FoundPage) {
    var now: [Gate: Account] = [:]
    for record in page.gates {
      let gate = Gate(
        page: page.inode, session: record.session, process: record.process, thread: record.thread,
        set: record.setIndex)
      now[gate, default: Account()].add(Account(record.counts))
    }
    for (gate, account) in now { seen[gate, default: Growing()].take(account) }
    for gate in seen.keys where gate.page == page.inode && now[gate] == nil {
      seen[gate]?.last = Account()
    }
  }

  /// Gives departed threads to the one process of their run; says where there are several.
  private mutating func assignDeparted(of page: FoundPage) {
    let gates = page.gates
    for session in page.sessions where session.departedCount > 0 {
      let known = seen.filter { $0.key.page == page.inode && $0.key.session == session.session }
      let processes = Set(known.keys.map(\.process))
      var whole = Account(session.departed)
      for record in gates where record.session == session.session {
        whole.add(Account(record.counts))
      }
      let assigned = known.values.reduce(into: Account()) { $0.add($1.total) }
      let missing = max(0, whole.storedBytes - assigned.storedBytes)
      if let process = processes.first, processes.count == 1 {
        accounts[process, default: Account()].add(
          Account(
            storedBytes: missing,
            delayedNanoseconds: max(0, whole.delayedNanoseconds - assigned.delayedNanoseconds)))
      } else {
        unassignedBytes += missing
      }
    }
  }

  /// What a process's gates did; nil for a process without gates.
  func account(ofProcess process: Int32) -> Account? { accounts[process] }

  /// Processes that have gates.
  var processes: [Int32] { Array(accounts.keys) }

  /// The set of a name; nil where no page has it.
  func set(named name: String) -> SetState? { sets.first { $0.name == name } }

  /// What cannot be seen of gates.
  var blindSpots: [String] {
    guard unassignedBytes > 0 else { return [] }
    return [
      "Of runs with several processes, \(UInt64(unassignedBytes)) bytes of threads that came and "
        + "went between two looks belong to no process here."
    ]
  }
}

extension GateWatch.Account {
  init(_ counts: GateCounts) {
    storedBytes = Double(counts.storedBytes)
    delayedNanoseconds = (counts.delayMeanNanoseconds ?? 0) * Double(counts.accessCount)
  }

  mutating func add(_ other: Self) {
    storedBytes += other.storedBytes
    delayedNanoseconds += other.delayedNanoseconds
  }
}
