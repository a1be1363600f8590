// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// A device whose profile has a page cache: the cache takes the place of both block buffers, and the
// medium is flash that reads and programs whole pages.
//
//   store:  core window ─► write-pending queue ─► link ─► page cache ─► flash
//   load:   core window ─► read-pending queue ─► (page cache | page cache after a flash read)

internal import ArbiterCore
internal import ArbiterDevice

/// The page cache of a module and its traffic with the flash.
struct PageDevice: ~Copyable {
  /// Blocks of 256 B in a page: the unit of a module's media counts.
  static let blocksPerPage: UInt64 = 16

  let isPresent: Bool
  var cache: PageCache
  /// Places whose pages no flash unit reads yet.
  var fills: FixedQueue<Int32>
  /// Dirty pages that no flash unit programs yet.
  var programs: FixedQueue<PageWrite>
  /// Loads whose pages found no room: their places among the module's waiters.
  var stalledLoads: FixedQueue<Int32>
  /// When the controller has served all loads that it has taken.
  private var servedUntil: Int64 = 0

  init(profile: DeviceProfile) {
    isPresent = profile.pageCachePages > 0
    cache = PageCache(profile: profile)
    fills = FixedQueue(capacity: profile.pageFillsMax, filler: 0)
    programs = FixedQueue(capacity: profile.evictionQueueBlocks, filler: PageWrite())
    stalledLoads = FixedQueue(capacity: profile.readPendingQueueLines, filler: 0)
  }

  /// Lets the controller serve one more load and returns how long that load waits for it.
  mutating func serve(now: Int64, time: Int64) -> Int64 {
    servedUntil = max(servedUntil, now) &+ time
    return servedUntil &- now
  }

  /// A place for an absent page, whose read is queued; nil where none can be had now.
  mutating func acquire(_ page: UInt64) -> Int? {
    guard cache.pendingCount < fills.capacity, let victim = cache.chooseVictim(for: page),
      !(victim.isDirty && programs.isFull)
    else { return nil }
    let old = cache.replace(victim.slot, with: page)
    if victim.isDirty { programs.push(old) }
    fills.push(Int32(truncatingIfNeeded: victim.slot))
    return victim.slot
  }

  /// Dirty lines on their way to the flash.
  var queuedLines: Int {
    var sum = 0
    for place in 0..<programs.count { sum += programs[place].mask.nonzeroBitCount }
    return sum
  }
}

extension SimulatedModule {
  /// Tries to merge the line that has arrived; false where no page can make room now.
  mutating func mergePageLine() -> Bool {
    let page = linkLine >> PageCache.pageShift
    let slot: Int
    switch pages.cache.lookup(page) {
    case .ready(let found), .pending(let found): slot = found
    case .absent:
      guard let acquired = pages.acquire(page) else { return false }
      slot = acquired
    }
    pages.cache.write(line: Int(truncatingIfNeeded: linkLine >> 6) & 63, into: slot)
    counts.mergedStores &+= 1
    return true
  }

  /// Gives idle flash units work; reads and programs take turns where both wait.
  mutating func dispatchPages(now: Int64) {
    while medium.hasIdleUnit {
      let hasProgram = !pages.programs.isEmpty
      if !pages.fills.isEmpty && !(hasProgram && lastJobWasRead) {
        lastJobWasRead = true
        medium.start(.read(slot: Int(pages.fills.pop())), isTranslated: true, now: now)
        counts.mediaBlockReads &+= PageDevice.blocksPerPage
      } else if hasProgram {
        lastJobWasRead = false
        let write = pages.programs.pop()
        counts.mediaBlockWrites &+= PageDevice.blocksPerPage
        counts.writtenLines &+= UInt64(write.mask.nonzeroBitCount)
        // A page is always whole: what the program did not write was read before.
        let whole = BlockWrite(block: write.page, mask: WriteCombiningBuffer.fullMask)
        medium.start(.write(whole), isTranslated: true, now: now)
      } else {
        return
      }
    }
  }
}

extension Engine {
  /// A load that its module has accepted looks for its page.
  mutating func acceptPageLoad(_ index: Int, _ line: PendingLine) {
    let module = Int(line.module)
    if servePageLoad(index, line) { return }
    modules[module].loadsInService += 1
    let waiter = modules[module].addWaiter(
      LoadWaiter(thread: Int32(truncatingIfNeeded: index), line: line))
    if !awaitPage(module: module, waiter) { modules[module].pages.stalledLoads.push(waiter) }
    dispatchMedia(module)
  }

  /// Completes a load whose page is there; false where it is not.
  private mutating func servePageLoad(_ index: Int, _ line: PendingLine) -> Bool {
    let module = Int(line.module)
    let page = line.address >> PageCache.pageShift
    guard case .ready(let slot) = modules[module].pages.cache.lookup(page) else { return false }
    modules[module].pages.cache.touch(slot)
    let wait = modules[module].pages.serve(now: now, time: times.link)
    completeLoad(index, line, late: wait)
    return true
  }

  /// Lets a load wait for its page, which the flash reads; false where the page finds no room.
  private mutating func awaitPage(module: Int, _ waiter: Int32) -> Bool {
    let page = modules[module].waiters[Int(waiter)].line.address >> PageCache.pageShift
    let slot: Int
    switch modules[module].pages.cache.lookup(page) {
    case .pending(let found), .ready(let found): slot = found
    case .absent:
      guard let acquired = modules[module].pages.acquire(page) else { return false }
      slot = acquired
    }
    let next = modules[module].pages.cache.addWaiter(waiter, to: slot)
    modules[module].waiters[Int(waiter)].next = next
    return true
  }

  /// A flash unit has finished.
  mutating func stepFlash(_ module: Int) {
    if case .read(let slot) = modules[module].medium.finish() {
      finishPage(module: module, slot: slot)
    }
    modules[module].dispatchPages(now: now)
    retryStalledLoads(module)
    modules[module].dispatchPages(now: now)
    let next = modules[module].medium.nextFinish
    if next == .max {
      clock.cancel(mediaBase &+ module)
    } else {
      clock.schedule(mediaBase &+ module, at: next)
    }
    if modules[module].isBlocked { stepBlockedLink(module) }
  }

  /// The flash has read a page: everybody who waits for it goes on.
  private mutating func finishPage(module: Int, slot: Int) {
    var place = modules[module].pages.cache.complete(slot)
    while place >= 0 {
      let next = modules[module].waiters[Int(place)].next
      finishPageLoad(module: module, place)
      place = next
    }
    admitLoads(module)
  }

  private mutating func finishPageLoad(module: Int, _ place: Int32) {
    let waiter = modules[module].removeWaiter(place)
    modules[module].loadsInService -= 1
    let wait = modules[module].pages.serve(now: now, time: times.link)
    completeLoad(Int(waiter.thread), waiter.line, late: wait)
  }

  /// Loads that found no room look again, oldest first.
  private mutating func retryStalledLoads(_ module: Int) {
    while !modules[module].pages.stalledLoads.isEmpty {
      let place = modules[module].pages.stalledLoads[0]
      let page = modules[module].waiters[Int(place)].line.address >> PageCache.pageShift
      if case .ready = modules[module].pages.cache.lookup(page) {
        _ = modules[module].pages.stalledLoads.pop()
        finishPageLoad(module: module, place)
      } else if awaitPage(module: module, place) {
        _ = modules[module].pages.stalledLoads.pop()
      } else {
        break
      }
    }
    admitLoads(module)
  }
}
