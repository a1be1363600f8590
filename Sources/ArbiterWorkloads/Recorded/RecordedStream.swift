// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// From what a program did to bytes to what a device sees of it: lines.
//
// Combining. A thread's store that begins in the line in which its last store of the same kind
// ended adds nothing for that line: the two are one line to the device, as a write-combining buffer
// or the cache would have it. A fence, a flush or a store of another kind in between ends that; so
// do non-temporal stores once they have filled the line. Stores that are written back at once never
// combine: each is a write to the device. Loads of lines that the thread loaded a short while ago
// come from its cache, and plain stores to them read nothing first; see `LoadedLines`.
//
// Own time. What lies between the end of an event and the start of the next is the program's; so is
// the span of an event whose source says so. It is spent after the access before, and with it the
// own time of whatever was combined into that access.

public import ArbiterDevice

/// The accesses of one thread of a replay, until its recording ends.
public struct RecordedStream {
  /// The longest access; longer ones are cut.
  private static let pieceBytes: UInt64 = 1 << 30
  /// How many pieces are combined at most before one is given out all the same.
  private static let combinedLimit = 65_536

  private let plan: RecordedPlan
  private let events: RecordedThread.Events
  private let picosecondsPerNanosecond: Double
  private var loaded: LoadedLines

  // The event at hand.
  private var event = TraceEvent(.fence, length: 0)
  private var left: UInt32 = 0
  private var offset: Int64 = 0
  /// Bytes of the access at hand that have been taken already.
  private var taken: UInt64 = 0
  private var ownTimeEach: Int64 = 0
  private var ownTimeLast: Int64 = 0
  private var lastEnd: UInt64?

  /// The access that is complete but for what is still to be combined with it.
  private var pending: Access?
  /// Own time that no access has taken yet.
  private var ownTimeBefore: Int64 = 0
  /// The line that the next store may add to, the bytes of it that are stored, and how.
  private var openLine = UInt64.max
  private var openBytes: UInt64 = 0
  private var openOperation = TraceOperation.fence
  /// Whether a fence comes next whatever comes next.
  private var owesFence = false
  private var combinedCount = 0

  /// Whether the thread repeats another one elsewhere.
  public var isClone: Bool { plan.isClone }
  /// Events that have been read so far.
  public private(set) var eventCount: UInt64 = 0
  /// Accesses that were left out because they lie outside of the regions.
  public private(set) var outsideCount: UInt64 = 0
  /// Why the recording could not be read any further; nil where it could.
  public private(set) var failure: (any Error)?

  /// Opens a thread's recording at its start.
  ///
  /// - Parameters:
  ///   - plan: What is replayed, and where.
  ///   - cachedLineCount: Lines of earlier loads and stores that the thread's cache holds.
  /// - Precondition: the plan has no ``RecordedPlan/problem``.
  public init(_ plan: RecordedPlan, cachedLineCount: Int) {
    precondition(plan.problem == nil, plan.problem ?? "")
    self.plan = plan
    events = plan.thread.open()
    picosecondsPerNanosecond = plan.thinkScale * 1000
    loaded = LoadedLines(count: cachedLineCount)
  }

  /// Returns the next run of accesses; nil once the recording has ended.
  public mutating func next() -> Access? {
    while true {
      if owesFence {
        owesFence = false
        if let done = fence() { return done }
      }
      if left == 0 {
        guard nextEvent() else {
          defer { pending = nil }
          return pending
        }
      }
      if let done = takePiece() { return done }
    }
  }

  /// Own time in picoseconds.
  private func scaled(_ nanoseconds: UInt64) -> Int64 {
    let time = Double(nanoseconds) * picosecondsPerNanosecond
    return time < Double(RecordedProgram.longestThink)
      ? Int64(time) : RecordedProgram.longestThink
  }

  private mutating func spend(_ time: Int64) {
    let sum = (pending?.thinkPicoseconds ?? ownTimeBefore) + time
    let think = min(sum, RecordedProgram.longestThink)
    if pending == nil { ownTimeBefore = think } else { pending?.thinkPicoseconds = think }
  }

  /// Takes in the next event; false at the end.
  private mutating func nextEvent() -> Bool {
    guard failure == nil else { return false }
    do {
      guard let next = try events() else { return false }
      event = next
    } catch {
      failure = error
      return false
    }
    eventCount &+= 1
    let isOwn = plan.thread.source.spanIsOwnTime
    if let lastEnd, event.startNanoseconds > lastEnd {
      spend(scaled(event.startNanoseconds - lastEnd))
    }
    let (end, isTooLate) = event.startNanoseconds.addingReportingOverflow(
      UInt64(event.spanNanoseconds))
    // Of a memory operation too long to be told, the end is not known.
    let isEndUnknown = isTooLate || event.spanNanoseconds == .max && !isOwn
    lastEnd = isEndUnknown ? .max : max(end, lastEnd == .max ? 0 : lastEnd ?? 0)
    left = max(event.count, 1)
    offset = Int64(truncatingIfNeeded: event.offset)
    ownTimeEach = 0
    ownTimeLast = 0
    if isOwn && event.spanNanoseconds > 0 {
      let whole = scaled(UInt64(event.spanNanoseconds))
      ownTimeEach = whole / Int64(left)
      ownTimeLast = whole - ownTimeEach * Int64(left - 1)
    }
    return true
  }

  /// Takes the next access, or all that are left, from the event at hand.
  ///
  /// - Returns: An access with which nothing can be combined any more; nil where there is none yet.
  private mutating func takePiece() -> Access? {
    if event.operation == .fence {
      left = 0
      let done = fence()
      spend(ownTimeLast)
      return done
    }
    guard let base = place() else {
      skipOutside()
      return nil
    }
    if isRunOfWholeLines, let run = takeRun(base) { return run }
    let start = base &+ UInt64(offset) &+ taken
    let rest = UInt64(event.length) - taken
    let length = min(rest, Self.pieceBytes - (start & 63))
    var ownTime: Int64 = 0
    var isFenced = false
    if length < rest {
      taken += length
    } else {
      taken = 0
      ownTime = left == 1 ? ownTimeLast : ownTimeEach
      isFenced = event.isFenced
      left &-= 1
      offset &+= Int64(event.stride)
    }
    let done = add(event.operation, start, length)
    if isFenced { owesFence = true }
    spend(ownTime)
    return done
  }

  /// Where the region of the access at hand begins; nil where the access lies outside.
  private func place() -> UInt64? {
    guard Int(event.region) < plan.places.count, let place = plan.places[Int(event.region)],
      offset >= 0, event.length > 0, UInt64(event.length) <= place.byteCount,
      UInt64(offset) <= place.byteCount - UInt64(event.length)
    else { return nil }
    return place.base
  }

  /// Leaves out the access at hand, and with it all later ones of its run that must be outside too.
  private mutating func skipOutside() {
    var count = left
    let place = Int(event.region) < plan.places.count ? plan.places[Int(event.region)] : nil
    if let place, event.length > 0, UInt64(event.length) <= place.byteCount,
      offset >= 0, event.stride < 0
    {
      // The run comes down into the region.
      let beyond = UInt64(offset) - (place.byteCount - UInt64(event.length))
      let step = UInt64(event.stride.magnitude)
      count = UInt32(min(UInt64(left), (beyond + step - 1) / step))
    }
    spend(ownTimeEach * Int64(count - 1) + (count == left ? ownTimeLast : ownTimeEach))
    outsideCount &+= UInt64(count)
    left &-= count
    offset &+= Int64(event.stride) &* Int64(count)
  }

  private var isRunOfWholeLines: Bool {
    let operation = event.operation
    return left > 1 && (operation == .storeNonTemporal || operation == .storeWrittenBack)
      && ownTimeEach == 0 && event.stride > 0 && UInt32(event.stride) >= event.length
      && UInt64(event.length) <= Self.pieceBytes && openLine == .max
      && (event.length | UInt32(event.stride) | UInt32(truncatingIfNeeded: offset)) & 63 == 0
  }

  /// All but the last access of a run with which nothing combines; the last one stays behind for
  /// what may be combined with it.
  private mutating func takeRun(_ base: UInt64) -> Access? {
    // What came before goes first, and the run when it is asked for again.
    if let done = pending {
      pending = nil
      return done
    }
    let stride = UInt64(UInt32(event.stride))
    let last = UInt64(offset) &+ UInt64(left - 1) &* stride
    guard let place = plan.places[Int(event.region)],
      last &+ UInt64(event.length) <= place.byteCount
    else { return nil }
    let address = base &+ UInt64(offset)
    loaded.remove(from: address, to: base &+ last)
    let run = Access(
      operation: operation, address: address, length: event.length, count: left - 1,
      stride: UInt32(event.stride), fence: event.isFenced ? .every(bytes: 1) : .never)
    offset = Int64(last)
    left = 1
    return run
  }

  /// The operation of the event at hand as the simulator knows it.
  private var operation: Operation {
    switch event.operation {
    case .load: .load
    case .store: .storePlain
    case .storeNonTemporal: .storeNonTemporal
    case .storeWrittenBack: .storeWriteBack
    // Whoever records library calls does not see the stores that they write back.
    case .flush: plan.thread.source == .preload ? .storeWriteBack : .writeBack
    case .fence: .fence
    }
  }

  /// Adds the bytes of an access to what the thread does.
  ///
  /// - Returns: The access before, now that nothing can be combined with it any more.
  private mutating func add(
    _ operation: TraceOperation, _ start: UInt64, _ length: UInt64
  ) -> Access? {
    var first = start & ~63
    var end = (start &+ length &+ 63) & ~63
    var kind = self.operation
    let mayCombine = combinedCount < Self.combinedLimit
    switch operation {
    case .load:
      while mayCombine && first < end && loaded.holds(first) { first += 64 }
      while mayCombine && first < end && loaded.holds(end - 64) { end -= 64 }
      loaded.insert(from: first, to: end)
    case .store, .storeNonTemporal:
      if openOperation == operation && openLine == first && mayCombine {
        openBytes |= Self.bytes(of: first, from: start, length)
        first += 64
      }
      if operation == .storeNonTemporal {
        loaded.remove(from: first, to: end)
      } else if loaded.holdsAll(from: first, to: end) {
        kind = .storePlainCached
      }
      if first < end {
        openLine = end - 64
        openBytes = Self.bytes(of: openLine, from: start, length)
        openOperation = operation
      }
      // A line that is whole leaves the write-combining buffer.
      if operation == .storeNonTemporal && openBytes == .max { closeLine() }
    case .storeWrittenBack, .flush:
      loaded.remove(from: first, to: end)
      closeLine()
    case .fence: return nil
    }
    guard first < end else {
      combinedCount += 1
      return nil
    }
    combinedCount = 0
    let done = pending
    pending = Access(
      operation: kind, address: first, length: UInt32(end - first),
      thinkPicoseconds: ownTimeBefore)
    ownTimeBefore = 0
    return done
  }

  private mutating func closeLine() {
    openLine = .max
    openBytes = 0
    openOperation = .fence
  }

  /// Adds a fence.
  ///
  /// - Returns: As ``add(_:_:_:)``.
  private mutating func fence() -> Access? {
    closeLine()
    if let last = pending, last.operation.isStore, last.fence == .never, last.thinkPicoseconds == 0
    {
      pending?.fence = .every(bytes: 1)
      return nil
    }
    let done = pending
    pending = Access(operation: .fence, address: 0, length: 0, thinkPicoseconds: ownTimeBefore)
    ownTimeBefore = 0
    return done
  }

  /// Which bytes of a line a store covers, as bits.
  private static func bytes(of line: UInt64, from start: UInt64, _ length: UInt64) -> UInt64 {
    let low = start > line ? start - line : 0
    let high = min(start + length - line, 64)
    let below: UInt64 = low == 0 ? 0 : .max >> (64 - low)
    return (high == 64 ? .max : (1 << high) - 1) & ~below
  }
}
