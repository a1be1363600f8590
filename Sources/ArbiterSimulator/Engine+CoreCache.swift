// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterMetrics

// Plain stores, flushes and loads where they meet a core's own cache.
extension Engine {
  /// The name of a line in a core's cache: its address within its module, and the module.
  @inline(__always)
  private func name(_ address: UInt64, _ module: UInt8) -> UInt64 {
    address << 8 | UInt64(module)
  }

  /// The core in whose cache the line at hand may be: that of the program, whoever executes it.
  @inline(__always)
  private func cacheOwner(_ index: Int) -> Int {
    threads[index].isWorker ? Int(threads[index].owner) : index
  }

  /// Whether the line at hand is in the core's cache or on its way there.
  @inline(__always)
  mutating func holdsLine(_ index: Int) -> Bool {
    caches[index].isInUse && findsLine(index)
  }

  // Mutating, because to call anything else that is not inlined the compiler copies the engine.
  private mutating func findsLine(_ index: Int) -> Bool {
    let place = locate(threads[index].address)
    return caches[index].holding(of: name(place.address, place.module)) != .absent
  }

  /// Issues a line of an operation that goes by the cache.
  ///
  /// - Returns: The time that the issue takes; nil where the thread waits for a window entry.
  mutating func issueCached(_ index: Int, _ operation: Operation) -> Int64? {
    if operation == .storeWriteBack || operation == .writeBack {
      return issueFlush(index, operation)
    }
    if holdsLine(index) {
      storeToHeldLine(index, operation)
      return times.storeIssue
    }
    // The line is loaded, but nobody waits for it.
    guard takeStoreEntry(index, limit: threads[index].share.loadLines) else { return nil }
    let line = newLine(index, operation)
    if operation == .storePlainCached {
      storeToCache(index, line)
    } else {
      caches[index].beginFill(name(line.address, line.module))
      enqueueLoad(index, line)
    }
    return times.storeIssue
  }

  /// Issues the flush of a line, or a store with one: what it costs depends on where the line is.
  private mutating func issueFlush(_ index: Int, _ operation: Operation) -> Int64? {
    let owner = cacheOwner(index)
    let place = locate(threads[index].address)
    let line = name(place.address, place.module)
    let holding =
      caches[owner].isInUse ? caches[owner].holding(of: line) : .absent
    switch holding {
    case .dirty:
      guard takeStoreEntry(index, limit: threads[index].share.storeLines) else { return nil }
      var pending = newLine(index, operation)
      if operation == .storeWriteBack { pending.operation = .storeWriteBackCached }
      caches[owner].remove(line)
      if pending.operation.isStore { note(.cached, pending) }
      note(.left, pending)
      enqueueStore(index, pending)
    case .filling:
      // The line goes on to its module when it has come; a fence waits for it.
      let isStore = operation == .storeWriteBack
      if isStore { _ = newLine(index, operation) }
      caches[owner].flushAfterFill(line, isStore: isStore)
      finishFlush(index)
    case .absent where operation == .storeWriteBack:
      guard takeStoreEntry(index, limit: threads[index].share.writeBackLines) else { return nil }
      enqueueLoad(index, newLine(index, operation))
    case .absent:
      finishFlush(index)
    }
    return times.writeBackIssue
  }

  /// A plain store to a line that is in the cache, or on its way: nothing is read.
  private mutating func storeToHeldLine(_ index: Int, _ operation: Operation) {
    let line = newLine(index, operation)
    let name = name(line.address, line.module)
    if caches[index].holding(of: name) == .filling {
      caches[index].joinFill(name)
    } else {
      note(.cached, line)
    }
    latency.record(UInt64(truncatingIfNeeded: now &- threads[index].entered) / 1000)
    finishFlush(index)
  }

  /// Nothing is left to be done for the line at hand.
  private mutating func finishFlush(_ index: Int) {
    if threads[index].isWorker { requestLineAccepted(Int(threads[index].owner)) }
  }

  /// Keeps a plain store's line dirty in the cache and evicts another once the cache is full.
  mutating func storeToCache(_ index: Int, _ line: PendingLine) {
    let wanted = name(line.address, line.module)
    note(.cached, line)
    if let fill = caches[index].endFill(wanted) {
      if isTracing { noteJoined(fill, line) }
      if fill.isFlushed {
        var flushed = line
        flushed.operation = .writeBack
        note(.left, flushed)
        enqueueStore(index, flushed)
        return
      }
    }
    latency.record(UInt64(truncatingIfNeeded: now &- line.entered) / 1000)
    if threads[index].isWorker { requestLineAccepted(Int(line.owner)) }
    guard caches[index].isFull else {
      caches[index].insert(wanted)
      threads[index].stores.accept(returningAt: now &+ times.loadReturn)
      wakeAfterAcceptance(index)
      return
    }
    let place = random.below(caches[index].count)
    let victim = caches[index].replace(at: place, by: wanted)
    var evicted = line
    evicted.operation = .storePlain
    evicted.address = victim >> 8
    evicted.module = UInt8(truncatingIfNeeded: victim)
    note(.left, evicted)
    enqueueStore(index, evicted)
  }

  /// Stores that had waited for a line have it.
  private mutating func noteJoined(_ fill: CoreCache.Fill, _ line: PendingLine) {
    for _ in 0..<fill.joinedPlainCount { note(.cached, line) }
    var written = line
    written.operation = .storeWriteBack
    for _ in 0..<fill.joinedWriteBackCount { note(.cached, written) }
  }
}
