// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import ArbiterPlacement
package import ArbiterPlatform

/// A chunk of a process, as the back-end's thread and the manager's both know it.
package struct ChunkKey: Hashable, Sendable {
  package var process: Int32
  package var address: UInt64

  package init(process: Int32, address: UInt64) {
    self.process = process
    self.address = address
  }
}

/// What became known of a chunk.
package enum ChunkChange: Equatable, Sendable {
  /// It has memory, which lies so.
  case seen(present: IslandSet, slow: IslandSet, isMovable: Bool)
  /// It is gone, or nothing is behind it any more.
  case gone
}

/// Finds the chunks of a program's processes and learns where they lie, a little at a time.
///
/// Costs: memory maps are read a few times a second, each as often as one part in fifty of a
/// processor's time allows; chunks are looked at in turn, for as much again. One look at a chunk
/// reads its page-table entries and asks for the node of one page of each island, another one each
/// time round; after a move all pages are asked for.
package struct NumaSurvey {
  /// Chunks that are looked after at most, 2 TiB; what lies beyond stays where it is.
  package static let chunkCountMax = 1 << 20

  package struct Process {
    package var number: Int32
    var startTicks: UInt64
    /// Another managed process is its parent, and its memory is charged there while they share it.
    package var isForked: Bool
    package var areas: [MemoryArea] = []
    var nextReadNanoseconds: Int64 = 0
    var isRefused = false
  }

  /// What is known of a chunk that has memory.
  package struct Known {
    package var present = IslandSet()
    package var slow = IslandSet()
    package var isMovable = true
    var heldUntilNanoseconds: Int64 = 0
    /// A part of it took all of it along: it is a huge page, which moves whole.
    var isHuge = false
  }

  let tree: SystemTree
  let places: NumaPlaces
  let movesShared: Bool
  private let chunkCountMax: Int
  package private(set) var processes: [Process] = []
  package private(set) var known: [ChunkKey: Known] = [:]
  /// The chunks in the order in which they are looked at.
  private var round: [ChunkKey] = []
  private var roundPlace = 0
  private var roundCount = 0
  private var nextFamilyNanoseconds: Int64 = 0
  private var nextLookNanoseconds: Int64 = 0
  private var calls = PageCalls()
  /// What became known and was not handed over yet.
  private var changes: [ChunkKey: ChunkChange] = [:]
  private var remarks: [String] = []

  package init(
    tree: SystemTree, places: NumaPlaces, movesShared: Bool,
    chunkCountMax: Int = NumaSurvey.chunkCountMax
  ) {
    self.tree = tree
    self.chunkCountMax = chunkCountMax
    self.places = places
    self.movesShared = movesShared
  }

  /// What became known since the last call.
  package mutating func takeChanges() -> [ChunkKey: ChunkChange] {
    defer { changes.removeAll(keepingCapacity: true) }
    return changes
  }

  /// What was given up since the last call.
  package mutating func takeRemarks() -> [String] {
    defer { remarks.removeAll() }
    return remarks
  }

  /// When it is time for the next turn.
  package var dueNanoseconds: Int64 { min(nextFamilyNanoseconds, nextLookNanoseconds) }

  /// Puts a process, and all that it starts, under survey.
  package mutating func add(process number: Int32, isForked: Bool = false) {
    guard !processes.contains(where: { $0.number == number }),
      let status = ProcessStatus.read(ofProcess: number, from: tree), !status.hasEnded
    else { return }
    processes.append(
      Process(number: number, startTicks: status.startTicks, isForked: isForked))
    nextFamilyNanoseconds = 0
  }

  // MARK: One turn

  /// Does what is due, for about as long as the budget.
  package mutating func advance(now: Int64, budgetNanoseconds: Int64 = 2_000_000) {
    if now >= nextFamilyNanoseconds {
      let begin = SystemClock.threadCPUNanoseconds()
      followFamily()
      for index in processes.indices where now >= processes[index].nextReadNanoseconds {
        readMap(index, now: now)
      }
      nextFamilyNanoseconds = now + Self.rest(after: begin, atLeast: Self.familyNanoseconds)
    }
    if now >= nextLookNanoseconds {
      let begin = SystemClock.threadCPUNanoseconds()
      let end = SystemClock.monotonicRawNanoseconds() + budgetNanoseconds
      lookAround(now: now, until: end)
      nextLookNanoseconds = now + Self.rest(after: begin, atLeast: Self.lookNanoseconds)
    }
  }

  /// Nanoseconds between two looks for new processes and mappings, and at chunks, at least.
  private static let familyNanoseconds: Int64 = 50_000_000
  private static let lookNanoseconds: Int64 = 20_000_000
  /// However slow the machine is, the next turn comes after so long.
  private static let restNanosecondsMax: Int64 = 1_000_000_000
  /// For each nanosecond of work, so many of rest.
  private static let restShare: Int64 = 50
  /// Processes that are looked after at most.
  private static let processCountMax = 256

  /// How long to rest after work that began at a moment of the thread's CPU time.
  private static func rest(after begin: Int64, atLeast shortest: Int64) -> Int64 {
    let cost = SystemClock.threadCPUNanoseconds() - begin
    return min(restNanosecondsMax, max(shortest, cost * restShare))
  }

  /// Whether a process has not ended, nor its number been given to another one.
  private func lives(_ process: Process) -> Bool {
    let status = ProcessStatus.read(ofProcess: process.number, from: tree)
    return status.map { $0.startTicks == process.startTicks && !$0.hasEnded } ?? false
  }

  private mutating func followFamily() {
    for index in processes.indices.reversed() where !lives(processes[index]) {
      forget(process: processes[index].number)
      processes.remove(at: index)
    }
    var next = 0
    while next < processes.count, processes.count < Self.processCountMax {
      let number = processes[next].number
      next += 1
      for thread in tree.entries("/proc/\(number)/task") {
        let children = tree.text("/proc/\(number)/task/\(thread)/children") ?? ""
        for child in children.split(separator: " ").compactMap({ Int32($0) }) {
          add(process: child, isForked: true)
        }
      }
    }
    // What was a fork is a process of its own once its parent is gone.
    let numbers = Set(processes.map(\.number))
    for index in processes.indices where processes[index].isForked {
      let parent = ProcessStatus.read(ofProcess: processes[index].number, from: tree)?.parent
      if let parent, !numbers.contains(parent) { processes[index].isForked = false }
    }
  }

  private mutating func forget(process: Int32) {
    for key in known.keys where key.process == process { drop(key) }
    round.removeAll { $0.process == process }
    roundPlace = min(roundPlace, round.count)
  }

  private mutating func drop(_ key: ChunkKey) {
    if known.removeValue(forKey: key) != nil { changes[key] = .gone }
  }

  // MARK: Memory maps

  private mutating func readMap(_ index: Int, now: Int64) {
    let begin = SystemClock.threadCPUNanoseconds()
    let number = processes[index].number
    defer { processes[index].nextReadNanoseconds = now + Self.rest(after: begin, atLeast: 0) }
    guard let mappings = ProcessMapping.read(ofProcess: number, from: tree) else {
      refuse(index)
      return
    }
    let areas = MemoryArea.areas(of: mappings)
    if areas != processes[index].areas { take(areas, of: index) }
  }

  /// Says that a process cannot be looked into; one that has ended is forgotten with its family.
  private mutating func refuse(_ index: Int) {
    guard !processes[index].isRefused, lives(processes[index]) else { return }
    processes[index].isRefused = true
    forget(process: processes[index].number)
    processes[index].areas = []
    remarks.append(
      "process \(processes[index].number) may not be looked into and stays where it is; run "
        + "Arbiter as its user or with CAP_SYS_PTRACE")
  }

  /// Takes over new areas of a process: chunks of the old ones that are no longer there are gone.
  private mutating func take(_ areas: [MemoryArea], of index: Int) {
    let number = processes[index].number
    processes[index].areas = areas
    let othersCount = round.count { $0.process != number }
    var present: Set<UInt64> = []
    for area in areas where charges(area, to: index) {
      guard othersCount + present.count + area.chunkCount <= chunkCountMax else {
        remarks.append(
          "process \(number) maps more than can be looked after (\(chunkCountMax >> 9) GiB in all): "
            + "what it maps at 0x\(String(area.addresses.lowerBound, radix: 16)) stays put")
        continue
      }
      for address in area.chunks { present.insert(address) }
    }
    var kept: [ChunkKey] = []
    kept.reserveCapacity(round.count)
    for key in round {
      if key.process != number {
        kept.append(key)
      } else if present.remove(key.address) != nil {
        kept.append(key)
      } else {
        drop(key)
      }
    }
    // New ones come first: nothing is known of them.
    round = present.sorted().map { ChunkKey(process: number, address: $0) } + kept
    roundPlace = 0
    nextLookNanoseconds = 0
  }

  /// Whether an area counts as this process's: shared memory is the first one's that maps it.
  private func charges(_ area: MemoryArea, to index: Int) -> Bool {
    guard let identity = area.identity else { return true }
    guard movesShared else { return false }
    return !processes[..<index].contains { other in
      other.areas.contains { $0.identity == identity }
    }
  }
}

// MARK: - Where chunks lie

extension NumaSurvey {
  private mutating func lookAround(now: Int64, until end: Int64) {
    var visitedCount = 0
    while visitedCount < round.count {
      if roundPlace >= round.count {
        roundPlace = 0
        roundCount &+= 1
      }
      // Chunks of one process lie beside each other, so that its tables are opened once.
      let process = round[roundPlace].process
      guard var tables = PageTableReader(process: process, tree: tree) else {
        if let index = processes.firstIndex(where: { $0.number == process }) { refuse(index) }
        return
      }
      while roundPlace < round.count, round[roundPlace].process == process,
        visitedCount < round.count
      {
        look(at: round[roundPlace], with: &tables, now: now)
        roundPlace += 1
        visitedCount += 1
        if visitedCount % 8 == 0, SystemClock.monotonicRawNanoseconds() >= end { return }
      }
    }
  }

  /// Looks at one chunk now, at all its pages; after a move.
  package mutating func lookClosely(at key: ChunkKey, now: Int64) {
    guard var tables = PageTableReader(process: key.process, tree: tree) else { return }
    look(at: key, with: &tables, now: now, isClose: true)
  }

  /// Notes that a chunk could not be moved, so that it is left alone for a while.
  package mutating func hold(_ key: ChunkKey, now: Int64) {
    guard var chunk = known[key] else { return }
    chunk.heldUntilNanoseconds = now + Self.holdNanoseconds
    chunk.isMovable = false
    known[key] = chunk
    changes[key] = .seen(present: chunk.present, slow: chunk.slow, isMovable: false)
  }

  /// How long a chunk is left alone that could not be moved.
  private static let holdNanoseconds: Int64 = 1_000_000_000

  /// Notes that a part of a chunk took all of it along.
  mutating func noteHuge(_ key: ChunkKey) { known[key]?.isHuge = true }

  private mutating func look(
    at key: ChunkKey, with tables: inout PageTableReader, now: Int64, isClose: Bool = false
  ) {
    guard tables.read(chunk: key.address) else {
      drop(key)
      return
    }
    let isForked = processes.first { $0.number == key.process }?.isForked ?? false
    let isAlone = processes.count == 1
    var (presentCount, commonCount) = (0, 0)
    calls.removeAll()
    for island in 0..<TierUnit.islandsPerChunk {
      let turn = roundCount &+ island
      var isAsked = false
      for step in 0..<PageUnit.perIsland {
        let page = island * PageUnit.perIsland + (turn &+ step) % PageUnit.perIsland
        guard tables.isPresent(page) else { continue }
        let isCommon = tables.isCommon(page)
        presentCount += 1
        commonCount += isCommon ? 1 : 0
        // A fork's part of what it shares is charged to its parent.
        if isCommon, isForked, !isAlone { continue }
        if isClose || !isAsked {
          calls.append(key.address + UInt64(page * PageUnit.bytes))
          isAsked = true
        }
      }
    }
    _ = calls.query(process: key.process)
    var chunk = residency(of: key)
    let held = known[key]?.heldUntilNanoseconds ?? 0
    chunk.heldUntilNanoseconds = held
    // What lies here and there is no huge page any more.
    let isWhole = chunk.slow.isEmpty || chunk.slow == chunk.present
    chunk.isHuge = isWhole && known[key]?.isHuge == true
    let isCommon = commonCount * 2 > presentCount && !movesShared
    chunk.isMovable = !isCommon && now >= held
    note(chunk, of: key)
  }

  /// Counts the answers of the nodes, by island; most pages of an island say where it lies.
  private func residency(of key: ChunkKey) -> Known {
    var chunk = Known()
    var (island, slowCount, count) = (-1, 0, 0)
    func close(_ chunk: inout Known) {
      guard count > 0 else { return }
      chunk.present.insert(IslandSet(island: island))
      if slowCount * 2 > count { chunk.slow.insert(IslandSet(island: island)) }
    }
    for index in 0..<calls.count {
      let next = Int(calls.addresses[index] - key.address) / TierUnit.islandBytes
      if next != island {
        close(&chunk)
        (island, slowCount, count) = (next, 0, 0)
      }
      // Negative where it has gone meanwhile, or is the page of zeros.
      let node = calls.status[index]
      guard node >= 0 else { continue }
      count += 1
      if places.tier(ofNode: node) == .slow { slowCount += 1 }
    }
    close(&chunk)
    return chunk
  }

  private mutating func note(_ chunk: Known, of key: ChunkKey) {
    guard !chunk.present.isEmpty else {
      drop(key)
      return
    }
    let old = known[key]
    known[key] = chunk
    if old?.present != chunk.present || old?.slow != chunk.slow
      || old?.isMovable != chunk.isMovable
    {
      changes[key] = .seen(
        present: chunk.present, slow: chunk.slow, isMovable: chunk.isMovable)
    }
  }
}
