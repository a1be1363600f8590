// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// One module with its channel: the stages in the order in which a line passes them.
//
//   store:  core window ─► write-pending queue ─► link ─► write-combining buffer ─► medium
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
  /// Which threads' lines wait for room in the write-pending queue, in order of arrival.
  var storeTurns: FixedQueue<Int32>
  /// The line on the link or blocked before the buffer.
  var linkLine: UInt64 = 0
  var isLinkBusy = false
  /// Whether the line on the link has arrived and found no room in the buffer.
  var isBlocked = false
  var buffer: WriteCombiningBuffer
  /// Blocks evicted from the buffer that no media unit has taken yet.
  var evictions: FixedQueue<BlockWrite>

  // The read path.

  /// Which threads' loads wait for a place among those in service, in order of arrival.
  var loadTurns: FixedQueue<Int32>
  var loadsInService = 0
  var readBuffer: ReadBuffer
  /// Read-buffer slots that wait for a media unit.
  var mediaReads: FixedQueue<Int32>
  let waiters: FixedArray<LoadWaiter>
  var freeWaiter: Int32 = 0

  /// What a device with a page cache has instead of both buffers.
  var pages: PageDevice
  var medium: Medium
  /// Whether the last job was a read, so that reads and writes take turns.
  var lastJobWasRead = false

  init(profile: DeviceProfile, threadCount: Int, seed: UInt64, index: Int) {
    let stream = UInt64(index) &* 3 &+ 1000
    writeQueue = FixedQueue(capacity: profile.writePendingQueueLines, filler: 0)
    let turns = threadCount * StoreWindow.maximumLines
    storeTurns = FixedQueue(capacity: turns, filler: 0)
    loadTurns = FixedQueue(capacity: turns * 2, filler: 0)
    buffer = WriteCombiningBuffer(
      profile: profile, random: SeededRandom(seed: seed, stream: stream))
    evictions = FixedQueue(capacity: profile.evictionQueueBlocks, filler: BlockWrite())
    readBuffer = ReadBuffer(
      profile: profile, random: SeededRandom(seed: seed, stream: stream + 2))
    mediaReads = FixedQueue(capacity: profile.readPendingQueueLines, filler: 0)
    let places = profile.readPendingQueueLines
    waiters = FixedArray(count: places) { place in
      LoadWaiter(next: place + 1 == places ? -1 : Int32(place + 1))
    }
    pages = PageDevice(profile: profile)
    medium = Medium(profile: profile, random: SeededRandom(seed: seed, stream: stream + 1))
  }

  /// Tries to merge the line that has arrived; false where no block can make room now.
  mutating func mergeLinkLine() -> Bool {
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
    return true
  }

  /// Gives idle media units work; reads and writes take turns where both wait.
  mutating func dispatch(now: Int64) {
    if pages.isPresent {
      dispatchPages(now: now)
      return
    }
    while medium.hasIdleUnit {
      let hasWrite = !evictions.isEmpty || buffer.hasFull
      if !mediaReads.isEmpty && !(hasWrite && lastJobWasRead) {
        lastJobWasRead = true
        medium.start(.read(slot: Int(mediaReads.pop())), now: now)
        counts.mediaBlockReads &+= 1
      } else if hasWrite {
        lastJobWasRead = false
        let write = evictions.isEmpty ? buffer.takeFull() : evictions.pop()
        counts.mediaBlockWrites &+= 1
        counts.writtenLines &+= UInt64(write.mask.nonzeroBitCount)
        // An incomplete block is read before it is merged: counted, and charged by the medium.
        if write.mask != WriteCombiningBuffer.fullMask { counts.mediaBlockReads &+= 1 }
        medium.start(.write(write), now: now)
      } else {
        return
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
