// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import ArbiterPlacement
package import ArbiterPlatform
internal import Glibc

/// Moves islands of one chunk at a time from node to node.
package struct NumaMover {
  let tree: SystemTree
  let places: NumaPlaces
  let movesShared: Bool
  private var calls = PageCalls()
  private var remarks: [String] = []
  /// Pages that the present migration brought to their place so far.
  private var arrivedCount = 0

  package init(tree: SystemTree, places: NumaPlaces, movesShared: Bool) {
    self.tree = tree
    self.places = places
    self.movesShared = movesShared
  }

  /// What was given up since the last call.
  package mutating func takeRemarks() -> [String] {
    defer { remarks.removeAll() }
    return remarks
  }

  /// What a call came to.
  private enum Verdict {
    case done
    case stale
    case busy
    case full
    case failed
  }

  /// Carries out a decision; returns when the kernel has done it or refused.
  package mutating func move(_ migration: Migration, of key: ChunkKey) -> MigrationOutcome {
    let start = (SystemClock.monotonicRawNanoseconds(), SystemClock.threadCPUNanoseconds())
    let (status, pages) = carryOut(migration, of: key)
    return MigrationOutcome(
      migration, status: status, bytesCopied: pages * PageUnit.bytes,
      // The kernel makes pages wait one by one: no page waited longer than the whole call took.
      protectedNanoseconds: SystemClock.monotonicRawNanoseconds() - start.0,
      cpuNanoseconds: SystemClock.threadCPUNanoseconds() - start.1)
  }

  private mutating func carryOut(
    _ migration: Migration, of key: ChunkKey
  ) -> (MigrationOutcome.Status, Int) {
    calls.removeAll()
    let islands = migration.islands
    for page in 0..<PageUnit.perChunk
    where islands.contains(IslandSet(island: page / PageUnit.perIsland)) {
      calls.append(key.address + UInt64(page * PageUnit.bytes))
    }
    let asked = calls.query(process: key.process)
    if asked < 0 { return (refusal(asked, of: key.process), 0) }
    // Pages that were never touched, that are gone or that lie there already are left alone.
    let destination = migration.destination
    let places = places
    let hadPages = calls.status.contains { $0 >= 0 }
    calls.keep { $0 >= 0 && places.tier(ofNode: $0) != destination }
    let wanted = calls.count
    arrivedCount = 0
    guard wanted > 0 else { return (hadPages ? .moved : .stale, 0) }

    var verdict = Verdict.busy
    for node in destination == .fast ? places.fast : [places.slow] {
      verdict = moveOnce(to: node, of: key.process)
      guard verdict == .full else { break }
    }
    let moved = arrivedCount
    switch verdict {
    case .done: return (.moved, moved)
    // Most of it is there: the rest is seen at the next look, and may be asked for again.
    case _ where moved * 2 >= wanted: return (.moved, moved)
    case .stale: return (.stale, moved)
    case .busy: return (.busy, moved)
    case .full: return (.full, moved)
    case .failed: return (.failed, moved)
    }
  }

  /// Moves what is in the list to one node; those that did not get there stay in the list.
  private mutating func moveOnce(to node: Int32, of process: Int32) -> Verdict {
    var code: Int64 = 0
    // The kernel ends a call at the first page that it cannot move; the rest is asked for again.
    for _ in 0..<Self.attemptsMax {
      let before = calls.count
      code = calls.move(process: process, to: node, movesShared: movesShared)
      let answers = Answers(calls.status)
      // Within huge pages the kernel says busy for all but the first: only a question tells.
      let isClear = code == 0 && calls.status.allSatisfy { $0 == node }
      if isClear {
        arrivedCount += calls.count
        calls.removeAll()
        return .done
      }
      let asked = calls.query(process: process)
      for place in calls.status where place == node { arrivedCount += 1 }
      calls.keep { $0 >= 0 && $0 != node }
      if code < 0, -code != Int64(ENOMEM) { return verdict(code, of: process) }
      if asked < 0 { return verdict(asked, of: process) }
      if calls.count == 0 { return .done }
      if code == -Int64(ENOMEM) || answers.isFull { return .full }
      if answers.isCommon { return common(process) }
      if calls.count == before { break }
    }
    return hasRoom(node) ? .busy : .full
  }

  private static let attemptsMax = 4

  /// What the statuses of pages say besides nodes.
  private struct Answers {
    var isFull = false
    var isCommon = false

    init(_ status: [Int32]) {
      for value in status where value < 0 {
        if value == -ENOMEM { isFull = true }
        if value == -EACCES { isCommon = true }
      }
    }
  }

  private mutating func common(_ process: Int32) -> Verdict {
    remarks.append(
      "memory that process \(process) shares with a fork stays where it is until one of them "
        + "writes to it: moving it takes CAP_SYS_NICE")
    return .busy
  }

  private mutating func verdict(_ code: Int64, of process: Int32) -> Verdict {
    switch refusal(code, of: process) {
    case .stale: .stale
    default: .failed
    }
  }

  /// What a refused call means.
  private mutating func refusal(_ code: Int64, of process: Int32) -> MigrationOutcome.Status {
    switch Int32(truncatingIfNeeded: -code) {
    // The second is what the kernel says of a process that is ending and has no memory any more.
    case ESRCH, EINVAL: return .stale
    case EPERM:
      remarks.append(
        "process \(process) may not be moved: run Arbiter as its user or with CAP_SYS_NICE")
    case EACCES:
      remarks.append(
        "process \(process) may not use node \(places.slow) or the fast ones: add them to the "
          + "cpuset.mems of its cpuset")
    case ENODEV:
      remarks.append("a node has been taken off line: nothing is moved there")
    case ENOSYS:
      remarks.append("the kernel cannot move pages (move_pages(2) is not there)")
    case let number:
      remarks.append(
        "the kernel refuses to move pages of process \(process) (error \(number)): they stay")
    }
    return .failed
  }

  /// Whether a node has free memory for a few chunks; where it does not say, it has.
  private func hasRoom(_ node: Int32) -> Bool {
    let text = tree.text("/sys/devices/system/node/node\(node)/meminfo") ?? ""
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      if let place = words.firstIndex(of: "MemFree:"), place + 1 < words.count,
        let free = Int(words[place + 1])
      {
        return free * 1024 > Self.reserveBytes
      }
    }
    return true
  }

  /// What the kernel keeps free of a node, about.
  private static let reserveBytes = 16 << 20
}
