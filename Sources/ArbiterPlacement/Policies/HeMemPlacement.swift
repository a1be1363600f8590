// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// HeMem's policy, to compare with: fixed thresholds on sample counts, halved when one of them grows
// too large; four first-in-first-out lists of pages (hot and cold, of each tier); each pass moves
// hot pages of the slow tier into free fast memory or in exchange for the oldest cold page there.
//
// Played of its release's defects, because decisions depend on them: the cooling of one counter
// only, judging before cooling, no free reserve and demotion only together with a promotion.
// Not played, because they cost time and not decisions, or belong to its mechanism: requests posted
// again and again, records read across the end of a ring, two threads that spin.
//
// Its unit is the chunk: a chunk with any island in slow memory counts as slow.

/// HeMem's policy with a set of its constants.
public struct HeMemPlacement: PlacementPolicy {
  /// Its constants.
  public let parameters: HeMemParameters

  /// Its name in reports.
  public var name: String { parameters.name }

  /// Nanoseconds from one pass to the next.
  public var stepNanoseconds: Int64 { parameters.passNanoseconds }

  /// A sampling period for where there are no events: as if one came every 100 ns.
  public var samplingPeriodNanoseconds: Int64 { Int64(parameters.eventsPerSample) * 100 }

  /// Events from one sample to the next, of each kind.
  public var eventsPerSample: Int? { parameters.eventsPerSample }

  private struct Page {
    var counters = HeMemCounters()
    var isKnown = false
    var isSlow = false
    var isHot = false
    var isRequested = false
    var isUnderWay = false
    var bytesUnderWay = 0
  }

  private var pages: [Page] = []
  private var lists = PageLists(listCount: 4)
  private var hotRequests: [Int32] = []
  private var coldRequests: [Int32] = []
  private var clock = 0
  private var fastPagesToCool = 0
  private var slowPagesToCool = 0
  private var bytesUnderWay = 0

  /// Makes a policy.
  public init(_ parameters: HeMemParameters = .paper) { self.parameters = parameters }

  private func list(isSlow: Bool, isHot: Bool) -> Int { (isSlow ? 2 : 0) + (isHot ? 1 : 0) }

  private func isHot(_ page: Page) -> Bool {
    page.counters.writes >= parameters.hotWrites || page.counters.reads >= parameters.hotReads
  }

  /// Counts one sample.
  public mutating func record(_ sample: TierSample) {
    let index = Int(sample.chunk)
    guard index >= 0 else { return }
    if index >= pages.count { grow(to: index + 1) }
    let kind: HeMemCounters.Kind =
      sample.isStore ? .stores : pages[index].isSlow ? .slowLoads : .fastLoads
    pages[index].counters.count(kind)
    if parameters.judgesBeforeCooling { judge(index) }
    if parameters.coolsOneCounter {
      pages[index].counters.cool(only: kind, to: clock)
    } else {
      pages[index].counters.cool(to: clock)
    }
    if !parameters.judgesBeforeCooling { judge(index) }
    if pages[index].counters[kind] > parameters.coolingThreshold { startCooling() }
  }

  private mutating func startCooling() {
    clock += 1
    fastPagesToCool = lists.count(of: list(isSlow: false, isHot: true))
    slowPagesToCool = lists.count(of: list(isSlow: true, isHot: true))
  }

  private mutating func judge(_ index: Int) {
    let hot = isHot(pages[index])
    guard hot != pages[index].isHot, !pages[index].isRequested else { return }
    pages[index].isRequested = true
    if hot { hotRequests.append(Int32(index)) } else { coldRequests.append(Int32(index)) }
  }

  /// Makes one pass.
  public mutating func step(
    _ view: borrowing PlacementView, into migrations: inout [Migration]
  ) {
    refresh(view.chunks)
    takeRequests()
    let reserve = Int(Double(view.tiers.fastBytes) * parameters.reserveShare)
    var free = view.tiers.fastBytes - view.chunks.fastBytes - bytesUnderWay
    var budget = parameters.bytesPerPass
    let coldFast = list(isSlow: false, isHot: false)
    let hotSlow = list(isSlow: true, isHot: true)
    // Only the paper keeps a reserve; the release demotes for a promotion alone.
    while reserve > 0, free < reserve, budget > 0, let victim = popMovable(coldFast, view.chunks) {
      let bytes = move(victim, to: .slow, because: .reserve, view.chunks, &migrations)
      free += bytes
      budget -= bytes
    }
    while budget > 0, let index = popMovable(hotSlow, view.chunks) {
      guard isHot(pages[index]) else {
        // It has cooled meanwhile.
        pages[index].isHot = false
        lists.append(index, to: list(isSlow: true, isHot: false))
        continue
      }
      if free < TierUnit.chunkBytes {
        guard let victim = popMovable(coldFast, view.chunks) else {
          lists.append(index, to: hotSlow)
          break
        }
        let bytes = move(victim, to: .slow, because: .exchange, view.chunks, &migrations)
        free += bytes
        budget -= bytes
      }
      guard let chunk = view.chunks[index], chunk.slowIslands.bytes <= free else {
        lists.append(index, to: hotSlow)
        break
      }
      let bytes = move(index, to: .fast, because: .hot, view.chunks, &migrations)
      free -= bytes
      budget -= bytes
    }
    cool(list(isSlow: false, isHot: true))
    cool(hotSlow)
  }

  /// Takes in what became of a decision; a page that did not move goes back to its list.
  public mutating func complete(_ outcome: MigrationOutcome) {
    let index = Int(outcome.migration.chunk)
    guard pages.indices.contains(index), pages[index].isUnderWay else { return }
    pages[index].isUnderWay = false
    bytesUnderWay -= pages[index].bytesUnderWay
    pages[index].bytesUnderWay = 0
  }

  /// Forgets a page.
  public mutating func forget(chunk: Int) {
    guard pages.indices.contains(chunk) else { return }
    bytesUnderWay -= pages[chunk].bytesUnderWay
    lists.remove(chunk)
    pages[chunk] = Page()
  }

  /// New pages join the cold list of their tier; pages that lie elsewhere than thought, the list
  /// of where they are.
  private mutating func refresh(_ chunks: ChunkTable) {
    grow(to: chunks.capacity)
    for index in pages.indices {
      guard let chunk = chunks[index], !pages[index].isUnderWay else { continue }
      let isSlow = !chunk.slowIslands.isDisjoint(with: chunk.presentIslands)
      if pages[index].isKnown, pages[index].isSlow == isSlow { continue }
      pages[index].isKnown = true
      pages[index].isSlow = isSlow
      lists.append(index, to: list(isSlow: isSlow, isHot: pages[index].isHot))
    }
  }

  private mutating func takeRequests() {
    for index in hotRequests { answer(Int(index), isHot: true) }
    hotRequests.removeAll(keepingCapacity: true)
    // So many in one pass.
    let count = min(128, coldRequests.count)
    for index in coldRequests[..<count] { answer(Int(index), isHot: false) }
    coldRequests.removeFirst(count)
  }

  private mutating func answer(_ index: Int, isHot: Bool) {
    pages[index].isRequested = false
    guard pages[index].isKnown, pages[index].isHot != isHot else { return }
    pages[index].isHot = isHot
    lists.append(index, to: list(isSlow: pages[index].isSlow, isHot: isHot))
  }

  /// The oldest page of a list that can be moved; others go to its end, each once.
  private mutating func popMovable(_ list: Int, _ chunks: ChunkTable) -> Int? {
    for _ in 0..<lists.count(of: list) {
      guard let index = lists.popFirst(of: list) else { return nil }
      if let chunk = chunks[index], chunk.isMovable, !pages[index].isUnderWay,
        !chunk.presentIslands.isEmpty
      {
        return index
      }
      lists.append(index, to: list)
    }
    return nil
  }

  private mutating func move(
    _ index: Int, to destination: Tier, because reason: Migration.Reason, _ chunks: ChunkTable,
    _ migrations: inout [Migration]
  ) -> Int {
    guard let chunk = chunks[index] else { return 0 }
    let islands =
      destination == .fast
      ? chunk.slowIslands.intersection(chunk.presentIslands)
      : chunk.presentIslands.subtracting(chunk.slowIslands)
    pages[index].isUnderWay = true
    pages[index].isSlow = destination == .slow
    pages[index].bytesUnderWay = destination == .fast ? islands.bytes : -islands.bytes
    bytesUnderWay += pages[index].bytesUnderWay
    lists.append(index, to: list(isSlow: destination == .slow, isHot: pages[index].isHot))
    migrations.append(
      Migration(chunk: Int32(index), islands: islands, to: destination, because: reason))
    return islands.bytes
  }

  /// Cools the oldest pages of a hot list; those that are still hot go to its end.
  private mutating func cool(_ hotList: Int) {
    let isSlow = hotList == list(isSlow: true, isHot: true)
    let left = isSlow ? slowPagesToCool : fastPagesToCool
    let count = min(parameters.coolingPagesPerPass, left, lists.count(of: hotList))
    for _ in 0..<count {
      guard let index = lists.popFirst(of: hotList) else { break }
      pages[index].counters.cool(to: clock)
      if !isHot(pages[index]) { pages[index].isHot = false }
      lists.append(index, to: list(isSlow: isSlow, isHot: pages[index].isHot))
    }
    let rest = count < parameters.coolingPagesPerPass ? 0 : left - count
    if isSlow { slowPagesToCool = rest } else { fastPagesToCool = rest }
  }

  private mutating func grow(to count: Int) {
    guard count > pages.count else { return }
    pages.append(contentsOf: repeatElement(Page(), count: count - pages.count))
    lists.grow(to: count)
  }
}
