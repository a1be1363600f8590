// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterMetrics
internal import ArbiterScheduler

extension Engine {
  /// A line whose window entry is taken takes its turn in the shared queue.
  @inline(__always)
  mutating func enqueueStore(_ index: Int, _ line: PendingLine) {
    let queue = queue(of: Int(line.module))
    threads[index].waitingStores.append(line)
    storeQueues[queue].turns.push(StoreTurn(thread: index, module: Int(line.module)))
    admitStores(queue)
  }

  /// Takes turns in order of arrival; stops where too many of them wait for full modules.
  @inline(__always)
  private mutating func admitStores(_ queue: Int) {
    while !storeQueues[queue].turns.isEmpty && !storeQueues[queue].isFull {
      let turn = storeQueues[queue].turns.pop()
      let module = Int(turn.module)
      if modules[module].writeQueue.isFull || !modules[module].storeTurns.isEmpty {
        modules[module].storeTurns.push(turn.thread)
        storeQueues[queue].heldCount &+= 1
      } else {
        acceptStore(module: module, thread: Int(turn.thread))
      }
    }
  }

  @inline(__always)
  private func queue(of module: Int) -> Int {
    storeQueues.count == 1 ? 0 : module / sharedQueueModules
  }

  /// Accepts one of a thread's waiting lines: from here on it is in the persistence domain.
  private mutating func acceptStore(module: Int, thread index: Int) {
    let wanted = moduleCount == 1 ? nil : module
    let turn = drawTurn(of: threads[index].waitingStores.count(ofModule: wanted))
    let line = threads[index].waitingStores.remove(turn, ofModule: wanted)
    note(.accepted, line)
    modules[module].counts.acceptedStores &+= 1
    modules[module].writeQueue.push(line.address)
    let acknowledged = crossing(now) &+ returnTime(of: line.operation)
    threads[index].stores.accept(returningAt: acknowledged)
    if line.operation != .storePlain {
      // The core learns of the acceptance when its window entry comes free.
      latency.record(UInt64(truncatingIfNeeded: acknowledged &- line.entered) / 1000)
    }
    // A plain store was complete when its line reached the cache.
    if threads[index].isWorker && line.operation != .storePlain {
      requestLineAccepted(Int(line.owner))
    }
    wakeAfterAcceptance(index)
    if !modules[module].isLinkBusy { startLink(module) }
  }

  /// When a store that is accepted now has crossed the link between the sockets, if there is one.
  @inline(__always)
  private mutating func crossing(_ time: Int64) -> Int64 {
    if times.socketLink == 0 { return time }
    socketLinkEnd = max(socketLinkEnd, time) &+ times.socketLink
    return socketLinkEnd
  }

  @inline(__always)
  private func returnTime(of operation: Operation) -> Int64 {
    switch operation {
    case .storeNonTemporal: times.storeReturn
    case .storeWriteBackCached, .writeBack: times.writeBackReturn
    // The read that came first is charged here, so that it needs no event of its own.
    case .storeWriteBack: times.writeBackReturn &+ times.ownership
    case .storePlain, .storePlainCached, .load, .fence: times.loadReturn
    }
  }

  /// Which of so many waiting lines goes next.
  @inline(__always)
  mutating func drawTurn(of candidates: Int) -> Int {
    precondition(candidates > 0, "a turn without a waiting line")
    return profile.releaseOrder == .inOrder ? 0 : random.below(candidates)
  }

  /// Wakes a thread that waits for its own stores.
  @inline(__always)
  mutating func wakeAfterAcceptance(_ index: Int) {
    switch threads[index].block {
    case .window where threads[index].access.operation != .load:
      threads[index].block = .nothing
      let time = max(threads[index].stores.nextReturn, threads[index].passTime)
      clock.schedule(index, at: time)
    case .fence where threads[index].stores.isAccepted:
      threads[index].block = .nothing
      clock.schedule(index, at: now)
    default:
      break
    }
  }

  /// Moves the next line from the write-pending queue to the link and fills the place it leaves.
  private mutating func startLink(_ module: Int) {
    modules[module].linkLine = modules[module].writeQueue.pop()
    modules[module].isLinkBusy = true
    clock.schedule(linkBase &+ module, at: now &+ times.link)
    if !modules[module].storeTurns.isEmpty {
      let queue = queue(of: module)
      storeQueues[queue].heldCount &-= 1
      acceptStore(module: module, thread: Int(modules[module].storeTurns.pop()))
      admitStores(queue)
    }
  }

  /// A line has crossed the link.
  @inline(__always)
  mutating func stepLink(_ module: Int) {
    let stallEnd = modules[module].medium.stallEnd
    if now < stallEnd {
      clock.schedule(linkBase &+ module, at: stallEnd)
      return
    }
    if !mergeAndContinue(module) { clock.cancel(linkBase &+ module) }
  }

  /// Something has changed for a line that found no room in the buffer.
  mutating func stepBlockedLink(_ module: Int) {
    let stallEnd = modules[module].medium.stallEnd
    if now < stallEnd {
      clock.schedule(linkBase &+ module, at: stallEnd)
    } else {
      _ = mergeAndContinue(module)
    }
  }

  /// Merges the line that has arrived; returns whether the link has set out with the next one.
  private mutating func mergeAndContinue(_ module: Int) -> Bool {
    guard modules[module].mergeLinkLine(now: now) else {
      modules[module].isBlocked = true
      return false
    }
    modules[module].isBlocked = false
    modules[module].isLinkBusy = false
    dispatchMedia(module)
    if modules[module].writeQueue.isEmpty { return false }
    startLink(module)
    return true
  }

  /// Gives the medium work and schedules its next end.
  @inline(__always)
  mutating func dispatchMedia(_ module: Int) {
    let before = modules[module].medium.nextFinish
    modules[module].dispatch(now: now)
    let next = modules[module].medium.nextFinish
    if next != before { clock.schedule(mediaBase &+ module, at: next) }
  }

  /// A media unit has finished.
  mutating func stepMedium(_ module: Int) {
    if modules[module].pages.isPresent {
      stepFlash(module)
      return
    }
    let job = modules[module].medium.finish()
    switch job {
    case .read(let slot): finishRead(module: module, slot: slot)
    case .write(let write): modules[module].buffer.writeFinished(write.block)
    }
    modules[module].dispatch(now: now)
    let next = modules[module].medium.nextFinish
    if next == .max {
      clock.cancel(mediaBase &+ module)
    } else {
      clock.schedule(mediaBase &+ module, at: next)
    }
    if modules[module].isBlocked { stepBlockedLink(module) }
  }
}
