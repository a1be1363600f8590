// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterScheduler
internal import ArbiterWorkloads

extension Engine {
  /// Executes a thread's event.
  @inline(__always)
  mutating func stepThread(_ index: Int) {
    switch threads[index].step {
    case .line: issueLine(index)
    case .enter: enter(index)
    case .pass: pass(index)
    case .block: passGate(index)
    case .fence: fence(index)
    case .gateFence: gateFence(index)
    case .pushed: requestPushed(index)
    case .serve: serve(index)
    case .idle: enter(index)
    }
  }

  /// Schedules a thread's next step.
  @inline(__always)
  func schedule(_ index: Int, _ step: ThreadStep, at time: Int64) {
    threads[index].step = step
    clock.schedule(index, at: time)
  }

  /// Lets a thread wait for something without a known time.
  @inline(__always)
  func block(_ index: Int, _ block: ThreadBlock, then step: ThreadStep) {
    threads[index].block = block
    threads[index].step = step
    clock.cancel(index)
  }

  /// The thread wants its next access: the moment from which its latency counts.
  mutating func enter(_ index: Int) {
    if now >= threads[index].phaseEnd { startPhase(index) }
    guard threads[index].isActive else {
      threads[index].step = .idle
      if threads[index].phaseEnd == .max {
        clock.cancel(index)
      } else {
        // A thread that was held up may come to a phase that is over already.
        clock.schedule(index, at: max(now, threads[index].phaseEnd))
      }
      return
    }
    guard begin(index, at: now) else { return }
    if isSchemeActive && threads[index].isGated && asksGate(index) {
      passGate(index)
    } else {
      issueLine(index)
    }
  }

  /// Takes the next access of the stream as wanted from `time` on; false where the thread ends.
  @inline(__always) @discardableResult
  private mutating func begin(_ index: Int, at time: Int64) -> Bool {
    if threads[index].accessesLeft == 0 {
      if threads[index].isRecorded { return beginRecorded(index, at: time) }
      guard let access = threads[index].stream?.next(&threads[index].random) else { return false }
      threads[index].access = access
      threads[index].accessesLeft = access.count
      threads[index].address = access.address
    }
    prepare(index, at: time)
    return true
  }

  /// The access at hand is wanted from `time` on.
  @inline(__always)
  func prepare(_ index: Int, at time: Int64) {
    threads[index].entered = time
    threads[index].linesLeft = threads[index].access.length >> 6
    threads[index].isPacedByBlock = false
  }

  /// Schedules the thread's next access, which it will want at `time`.
  ///
  /// An access that meets no gate goes straight to the window, which saves an event per line.
  @inline(__always)
  private mutating func scheduleEnter(_ index: Int, at time: Int64) {
    let meetsGate =
      isSchemeActive && threads[index].isGated
      && (!threads[index].pace.isIdle || permits != nil || delegation != nil)
    if meetsGate || time >= threads[index].phaseEnd || threads[index].isRecorded {
      schedule(index, .enter, at: time)
    } else {
      begin(index, at: time)
      scheduleLine(index, at: time)
    }
  }

  /// Schedules the next line of the access for `time`, or for when the window has room.
  @inline(__always)
  private mutating func scheduleLine(_ index: Int, at time: Int64) {
    let operation = threads[index].access.operation
    guard operation == .storeNonTemporal else {
      schedule(index, .line, at: time)
      return
    }
    threads[index].stores.reclaim(now: now)
    threads[index].passTime = time
    if threads[index].stores.inFlight < threads[index].share.storeLines {
      schedule(index, .line, at: time)
    } else if threads[index].stores.returningCount > 0 {
      schedule(index, .line, at: max(time, threads[index].stores.nextReturn))
    } else {
      block(index, .window, then: .line)
    }
  }

  private mutating func startPhase(_ index: Int) {
    let phases = threads[index].phases
    threads[index].phase += 1
    let phase = threads[index].phase
    threads[index].phaseEnd =
      phase + 1 < phases.count ? phases[phase + 1].start.picoseconds : .max
    threads[index].accessesLeft = 0
    // Whatever comes next may never store, and others wait.
    releasePermit(index)
    if let workload = phases[phase].workload {
      threads[index].stream = AccessStream(
        workload, base: threads[index].base, random: &threads[index].random)
      threads[index].isActive = true
    } else {
      threads[index].isActive = false
    }
  }

  /// Asks the scheme for admission.
  private mutating func passGate(_ index: Int) {
    if permits != nil {
      requestPermit(index)
      return
    }
    if delegation != nil {
      requestRing(index)
      return
    }
    if threads[index].pace.isIdle {
      issueLine(index)
      return
    }
    threads[index].isPacedByBlock = threads[index].pace.isByBlock
    let rest = UInt64(threads[index].linesLeft) << 6
    let untilBlock = 256 &- threads[index].address & 255
    let length = threads[index].isPacedByBlock ? min(rest, untilBlock) : rest
    let admission = threads[index].pace.admit(
      address: threads[index].address, length: length, now: now)
    // The core may be late, but no delay exceeds its bound.
    let wait = admission.waitTicks > 0 ? min(jittered(admission.waitTicks), maximumDelay) : 0
    threads[index].counts.delay &+= wait
    threads[index].passTime = now &+ wait
    if admission.fenceFirst && threads[index].stores.inFlight > 0 {
      gateFence(index)
    } else if wait > 0 {
      schedule(index, .pass, at: now &+ wait)
    } else {
      issueLine(index)
    }
  }

  /// The gate's wait is over, or its permit has come.
  private mutating func pass(_ index: Int) {
    issueLine(index)
  }

  /// Fences inside the gate; the delay runs meanwhile.
  private mutating func gateFence(_ index: Int) {
    guard let done = fenceDone(index) else {
      block(index, .fence, then: .gateFence)
      return
    }
    note(.fenced, index)
    threads[index].unfencedBytes = 0
    schedule(index, .pass, at: max(done, threads[index].passTime))
  }

  /// Fences at the end of an access, as the program asked.
  mutating func fence(_ index: Int) {
    if threads[index].openRequests > 0 {
      block(index, .request, then: .fence)
      return
    }
    guard let done = fenceDone(index) else {
      block(index, .fence, then: .fence)
      return
    }
    note(.fenced, index)
    threads[index].unfencedBytes = 0
    if isRecording { recordFence(index, until: done) }
    schedule(index, .enter, at: jittered(threads[index].access.thinkPicoseconds) &+ done)
  }

  /// When a fence issued now completes; nil where some store is not accepted yet.
  private mutating func fenceDone(_ index: Int) -> Int64? {
    threads[index].stores.reclaim(now: now)
    guard threads[index].stores.isAccepted else { return nil }
    return max(threads[index].stores.lastReturn ?? now, now) &+ times.fence
  }

  /// Issues the next line of the access, or waits for a window entry.
  @inline(__always)
  mutating func issueLine(_ index: Int) {
    let operation = threads[index].access.operation
    let issue: Int64
    switch operation {
    case .storeNonTemporal:
      guard takeStoreEntry(index, limit: threads[index].share.storeLines) else { return }
      issue = times.storeIssue
      enqueueStore(index, newLine(index, operation))
    case .storeWriteBackCached:
      guard takeStoreEntry(index, limit: threads[index].share.storeLines) else { return }
      issue = times.writeBackIssue
      let line = newLine(index, operation)
      note(.cached, line)
      note(.left, line)
      enqueueStore(index, line)
    case .storeWriteBack, .storePlain, .storePlainCached, .writeBack:
      guard let spent = issueCached(index, operation) else { return }
      issue = spent
    case .load:
      if !holdsLine(index) {
        guard takeLoadEntry(index) else { return }
        enqueueLoad(index, newLine(index, operation))
      }
      issue = times.loadIssue
    case .fence:
      threads[index].accessesLeft &-= 1
      fence(index)
      return
    }
    let next = now &+ jittered(issue)
    threads[index].address &+= 64
    threads[index].linesLeft &-= 1
    if threads[index].linesLeft > 0 {
      if threads[index].isPacedByBlock && threads[index].address & 255 == 0 {
        schedule(index, .block, at: next)
      } else {
        scheduleLine(index, at: next)
      }
    } else {
      finishAccess(index, at: next)
    }
  }

  @inline(__always)
  mutating func newLine(_ index: Int, _ operation: Operation) -> PendingLine {
    let owner = threads[index].isWorker ? threads[index].owner : Int32(truncatingIfNeeded: index)
    let place = locate(threads[index].address)
    if operation.isStore && !threads[index].isWorker { noteIssue(index, place.address) }
    let line = PendingLine(
      address: place.address, entered: threads[index].entered, owner: owner, operation: operation,
      module: place.module)
    if isTracing && operation.isStore && threads[index].isWorker { note(.executed, line) }
    return line
  }

  /// The module of an address and the address within it.
  @inline(__always)
  func locate(_ address: UInt64) -> (module: UInt8, address: UInt64) {
    if moduleCount == 1 { return (0, address) }
    let chunk = address >> interleaveShift
    let (row, module) = chunk.quotientAndRemainder(dividingBy: UInt64(moduleCount))
    let offset = address & ((1 << interleaveShift) &- 1)
    return (UInt8(truncatingIfNeeded: module), row << interleaveShift | offset)
  }

  @inline(__always)
  mutating func takeStoreEntry(_ index: Int, limit: Int) -> Bool {
    threads[index].stores.reclaim(now: now)
    if threads[index].stores.inFlight < limit {
      threads[index].stores.take()
      return true
    }
    if threads[index].stores.returningCount > 0 {
      schedule(index, .line, at: threads[index].stores.nextReturn)
    } else {
      block(index, .window, then: .line)
    }
    return false
  }

  private mutating func takeLoadEntry(_ index: Int) -> Bool {
    threads[index].loads.reclaim(now: now)
    let limit = threads[index].access.isDependent ? 1 : threads[index].share.loadLines
    if threads[index].loads.inFlight < limit {
      threads[index].loads.take()
      return true
    }
    if threads[index].loads.returningCount > 0 {
      schedule(index, .line, at: threads[index].loads.nextReturn)
    } else {
      block(index, .window, then: .line)
    }
    return false
  }

  /// The last line of an access was issued, or its request pushed: what comes next, and when.
  mutating func finishAccess(_ index: Int, at time: Int64) {
    if threads[index].isWorker {
      schedule(index, .serve, at: time)
      return
    }
    let length = threads[index].access.length
    threads[index].counts.accesses &+= 1
    threads[index].accessesLeft &-= 1
    let start = threads[index].address &- UInt64(length)
    if threads[index].accessesLeft > 0 && threads[index].access.stride != length {
      threads[index].address &+= UInt64(threads[index].access.stride &- length)
    }
    if isRecording { recordAccess(index, at: start, until: time) }
    if threads[index].access.operation == .load {
      threads[index].counts.loadedBytes &+= UInt64(length)
      schedule(index, .enter, at: time &+ jittered(threads[index].access.thinkPicoseconds))
      return
    }
    if threads[index].access.operation != .writeBack {
      threads[index].counts.storedBytes &+= UInt64(length)
      threads[index].counts.storeAccesses &+= 1
    }
    if threads[index].holdsPermit {
      bookUnderPermit(index, address: start, length: UInt64(length))
    }
    if case .every(let bytes) = threads[index].access.fence {
      threads[index].unfencedBytes &+= UInt64(length)
      if threads[index].unfencedBytes >= UInt64(bytes) {
        schedule(index, .fence, at: time)
        return
      }
    }
    let think = threads[index].access.thinkPicoseconds
    scheduleEnter(index, at: think == 0 ? time : time &+ jittered(think))
  }
}
