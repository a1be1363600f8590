// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterMetrics

extension Engine {
  /// A load, or the read before a cached store, asks its module for service.
  mutating func enqueueLoad(_ index: Int, _ line: PendingLine) {
    let module = Int(line.module)
    let load = LoadWaiter(thread: Int32(truncatingIfNeeded: index), line: line)
    if modules[module].loadsInService < profile.readPendingQueueLines
      && modules[module].loadTurns.isEmpty
    {
      acceptLoad(module: module, load)
    } else {
      modules[module].loadTurns.push(load)
    }
  }

  private mutating func acceptLoad(module: Int, _ load: LoadWaiter) {
    let index = Int(load.thread)
    let line = load.line
    modules[module].counts.acceptedLoads &+= 1
    if modules[module].pages.isPresent {
      acceptPageLoad(index, line)
      return
    }
    let block = line.address >> 8
    if modules[module].buffer.holdsDirty(block: block, line: Int(line.address >> 6) & 3) {
      completeLoad(index, line)
      return
    }
    let slot: Int
    switch modules[module].readBuffer.lookup(block) {
    case .ready:
      completeLoad(index, line)
      return
    case .pending(let pending):
      slot = pending
    case .absent:
      // The table is read while the block waits for the medium and before: nobody else waits.
      slot = modules[module].readBuffer.allocate(
        block, isTranslated: modules[module].translations.use(mediaBlock: block))
      modules[module].wantRead(of: slot, forStore: line.operation == .storeWriteBack)
      dispatchMedia(module)
    }
    modules[module].loadsInService += 1
    let waiter = modules[module].addWaiter(load)
    let next = modules[module].readBuffer.addWaiter(waiter, to: slot)
    modules[module].waiters[Int(waiter)].next = next
  }

  /// The medium has read a block: everybody who waits for it goes on.
  mutating func finishRead(module: Int, slot: Int) {
    let late = modules[module].readBuffer.isTranslated(slot) ? 0 : times.translation
    var place = modules[module].readBuffer.complete(slot)
    while place >= 0 {
      let next = modules[module].waiters[Int(place)].next
      let waiter = modules[module].removeWaiter(place)
      modules[module].loadsInService -= 1
      completeLoad(Int(waiter.thread), waiter.line, late: late)
      place = next
    }
    admitLoads(module)
  }

  /// Accepts loads while there are places among those in service.
  mutating func admitLoads(_ module: Int) {
    while modules[module].loadsInService < profile.readPendingQueueLines
      && !modules[module].loadTurns.isEmpty
    {
      // Which core's load comes next is hardly a matter of age on a mesh of caches.
      let waiting = modules[module].loadTurns.count
      let jumps = Int64(random.below(65_536)) < jumpShare
      let turn = drawTurn(of: jumps ? waiting : min(waiting, profile.loadTurnLines))
      acceptLoad(module: module, modules[module].loadTurns.pop(at: turn))
    }
  }

  /// The data are on their way back to the core, or will be when they come late.
  mutating func completeLoad(_ index: Int, _ line: PendingLine, late: Int64 = 0) {
    modules[Int(line.module)].counts.completedLoads &+= 1
    switch line.operation {
    case .load:
      threads[index].loads.accept(returningAt: now &+ times.loadReturn &+ late)
      if threads[index].block == .window && threads[index].access.operation == .load {
        threads[index].block = .nothing
        clock.schedule(index, at: threads[index].loads.nextReturn)
      }
    case .storePlain:
      storeToCache(index, line)
    case .storeWriteBack, .storeWriteBackCached, .storeNonTemporal:
      note(.cached, line)
      note(.left, line)
      enqueueStore(index, line)
    case .storePlainCached, .writeBack, .fence:
      preconditionFailure("\(line.operation) reads nothing")
    }
  }
}
