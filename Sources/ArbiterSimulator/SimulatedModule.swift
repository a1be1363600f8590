// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// One module with its channel: the stages in the order in which a line passes them.
//
//   store:  core window ─► shared queue ─► write-pending queue ─► link
//           ─► write-combining buffer ─► medium
//   load:   core window ─► read-pending queue ─► (write-combining buffer | read buffer | medium)
//
// A stage that is full holds back the one before it; nothing is ever dropped.
//
// Invariants
//   M1  lines accepted = lines queued + on the link + blocked before the buffer + merged
//   M2  lines merged = lines overwritten + dirty lines held + dirty lines handed to the medium
//   M3  loads accepted = loads completed + loads that wait for the medium

internal import ArbiterCore
internal import ArbiterDevice

/// Cumulative counts of one module, in lines and blocks.
struct ModuleCounts {
  var acceptedStores: UInt64 = 0
  var mergedStores: UInt64 = 0
  var acceptedLoads: UInt64 = 0
  var completedLoads: UInt64 = 0
  var mediaBlockWrites: UInt64 = 0
  var mediaBlockReads: UInt64 = 0
  /// Dirty lines inside the blocks handed to the medium.
  var writtenLines: UInt64 = 0
  /// Stalls of wear levelling.
  var wearStalls: UInt64 = 0
}

/// A load, or the read that precedes a cached store, while a module works on it.
struct LoadWaiter {
  var thread: Int32 = 0
  var line = PendingLine()
  var next: Int32 = -1
}

/// The state of one module.
struct SimulatedModule: ~Copyable {
  var counts = ModuleCounts()

  // The write path.

  /// Lines accepted from the cores; from here on they are in the persistence domain.
  var writeQueue: FixedQueue<UInt64>
  /// Whose lines the shared queue holds until the write-pending queue has room.
  var storeTurns: FixedQueue<Int32>
  /// The line on the link or blocked before the buffer.
  var linkLine: UInt64 = 0
  var isLinkBusy = false
  /// Whether the line on the link has arrived and found no room in the buffer.
  var isBlocked = false
  var buffer: WriteCombiningBuffer
  /// When hot blocks are written back next; `.max` where there is none.
  private var nextSweep = Int64.max
  private let sweepPeriod: Int64
  /// Blocks evicted from the buffer that no media unit has taken yet.
  var evictions: FixedQueue<BlockWrite>

  // The read path.

  /// Loads that wait for a place among those in service, nearly in order of arrival.
  var loadTurns: FixedQueue<LoadWaiter>
  var loadsInService = 0
  var readBuffer: ReadBuffer
  /// Read-buffer slots that wait for a media unit.
  var mediaReads: FixedQueue<Int32>
  /// The same for the reads that stores with clwb begin with, which go before everything else.
  var storeReads: FixedQueue<Int32>
  let waiters: FixedArray<LoadWaiter>
  var freeWaiter: Int32 = 0

  /// What a device with a page cache has instead of both buffers.
  var pages: PageDevice
  let translations: TranslationCache
  var wear: WearLevelling
  var medium: Medium
  /// Whether the last job was a read, so that reads and writes take turns.
  var lastJobWasRead = false
  /// Jobs of the same kind that the medium has begun in a row.
  var jobsInRow = 0
  let turnJobs: Int

  init(profile: DeviceProfile, threadCount: Int, seed: UInt64, index: Int) {
    let stream = UInt64(index) &* 3 &+ 1000
    writeQueue = FixedQueue(capacity: profile.writePendingQueueLines, filler: 0)
    let turns = threadCount * LineWindow.maximumLines
    storeTurns = FixedQueue(capacity: profile.sharedQueueLines, filler: 0)
    loadTurns = FixedQueue(capacity: turns * 2, filler: LoadWaiter())
    buffer = WriteCombiningBuffer(
      profile: profile, random: SeededRandom(seed: seed, stream: stream))
    sweepPeriod = TimeSpan.nanoseconds(profile.sweepNanoseconds).picoseconds
    wear = WearLevelling(profile: profile, random: SeededRandom(seed: seed, stream: stream + 500))
    evictions = FixedQueue(capacity: profile.evictionQueueBlocks, filler: BlockWrite())
    readBuffer = ReadBuffer(profile: profile)
    mediaReads = FixedQueue(capacity: profile.readPendingQueueLines, filler: 0)
    storeReads = FixedQueue(capacity: profile.readPendingQueueLines, filler: 0)
    let places = profile.readPendingQueueLines
    waiters = FixedArray(count: places) { place in
      LoadWaiter(next: place + 1 == places ? -1 : Int32(place + 1))
    }
    pages = PageDevice(profile: profile)
    translations = TranslationCache(
      blocks: profile.translationBlocks, ways: profile.translationWays)
    turnJobs = profile.mediaTurnBlocks
    medium = Medium(profile: profile, random: SeededRandom(seed: seed, stream: stream + 1))
  }

  /// Tries to merge the line that has arrived; false where no block can make room now.
  mutating func mergeLinkLine(now: Int64) -> Bool {
    if pages.isPresent { return mergePageLine() }
    let block = linkLine >> 8
    let line = Int(truncatingIfNeeded: linkLine >> 6) & 3
    if !buffer.merge(block: block, line: line) {
      let victim = buffer.chooseVictim()
      if victim.isDirty && evictions.isFull { return false }
      let write = buffer.evict(victim.slot)
      if victim.isDirty { evictions.push(write) }
      buffer.allocate(victim.slot, block: block, line: line)
    }
    counts.mergedStores &+= 1
    if buffer.hotCount > 0 { sweepWhenDue(now) }
    return true
  }

  private mutating func sweepWhenDue(_ now: Int64) {
    if nextSweep == .max {
      nextSweep = now &+ sweepPeriod
    } else if now >= nextSweep && !evictions.isFull {
      if let write = buffer.sweep() { evictions.push(write) }
      nextSweep = buffer.hotCount > 0 ? now &+ sweepPeriod : .max
    }
  }

  /// Whether the next job is a read, given what waits.
  ///
  /// A medium does a few jobs of one kind before the other has its turn; an idle one takes what
  /// comes.
  @inline(__always)
  private mutating func takesRead(hasWrite: Bool) -> Bool {
    let hasRead = !mediaReads.isEmpty
    let isRead = hasRead && hasWrite ? lastJobWasRead == (jobsInRow < turnJobs) : hasRead
    jobsInRow = isRead == lastJobWasRead ? jobsInRow &+ 1 : 1
    lastJobWasRead = isRead
    return isRead
  }

  /// Puts a read-buffer slot among those that wait for a media unit.
  mutating func wantRead(of slot: Int, forStore: Bool) {
    if forStore {
      storeReads.push(Int32(truncatingIfNeeded: slot))
    } else {
      mediaReads.push(Int32(truncatingIfNeeded: slot))
    }
  }

  /// Gives idle media units work; reads and writes take turns where both wait.
  mutating func dispatch(now: Int64) {
    if pages.isPresent {
      dispatchPages(now: now)
      return
    }
    while medium.hasIdleUnit {
      if !storeReads.isEmpty {
        // If stores had to queue for their reads they would never queue for the writes, and nothing
        // would amplify: target 63 says otherwise.
        medium.start(.read(slot: Int(storeReads.pop())), isTranslated: true, now: now)
        counts.mediaBlockReads &+= 1
        continue
      }
      let hasWrite = !evictions.isEmpty || buffer.hasFull
      if !hasWrite && mediaReads.isEmpty { return }
      if takesRead(hasWrite: hasWrite) {
        medium.start(.read(slot: Int(mediaReads.pop())), isTranslated: true, now: now)
        counts.mediaBlockReads &+= 1
      } else {
        let write = evictions.isEmpty ? buffer.takeFull() : evictions.pop()
        counts.mediaBlockWrites &+= 1
        counts.writtenLines &+= UInt64(write.mask.nonzeroBitCount)
        // An incomplete block is read before it is merged: counted, and charged by the medium.
        if write.mask != WriteCombiningBuffer.fullMask { counts.mediaBlockReads &+= 1 }
        if let stall = wear.note(mediaBlock: write.block, now: now) {
          counts.wearStalls &+= 1
          medium.stall(until: now &+ stall)
        }
        let isTranslated = translations.use(mediaBlock: write.block)
        medium.start(.write(write), isTranslated: isTranslated, now: now)
      }
    }
  }

  /// Puts a load on a list and returns its number.
  mutating func addWaiter(_ waiter: LoadWaiter) -> Int32 {
    let place = freeWaiter
    precondition(place >= 0, "loads in service overflow")
    freeWaiter = waiters[Int(place)].next
    waiters[Int(place)] = waiter
    return place
  }

  /// Takes a load off the lists.
  mutating func removeWaiter(_ place: Int32) -> LoadWaiter {
    let waiter = waiters[Int(place)]
    waiters[Int(place)].next = freeWaiter
    freeWaiter = place
    return waiter
  }
}
