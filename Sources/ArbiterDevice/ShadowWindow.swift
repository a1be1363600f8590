// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// When the lines of one thread reached the module, told from when the thread passed its gate.
//
// Concurrent write amplification arises between the gate and the buffer: a core holds its latest
// stores in a window, and the memory controller takes them in no order. A gate sees only that a
// thread comes late. From that the window can be told all the same:
//
//   own time     what the thread needs from one pass to the next where nothing holds it: near the
//                least of the gaps that a sample shows. A delay of the gate is own time.
//   stall        the rest of a gap: the window was full, and an entry came free when it ended
//   acceptance   an entry comes free a known time after the module accepted its line; a stalled
//                store thus dates one acceptance. A fence dates all of them.
//
// A thread that does not stall has its lines accepted as they come. Only gaps that vary can be told
// apart: a thread whose every gap were lengthened alike would look like one that thinks.

internal import ArbiterCore

/// One entry of a gate's recording.
package struct ShadowRecord: Sendable, Hashable {
  /// When the store was let pass, or the fence had ended; in picoseconds.
  package var time: Int64
  /// The first line.
  package var line: UInt64
  /// How many lines; 0 is a fence.
  package var count: Int

  package init(time: Int64, line: UInt64, count: Int) {
    self.time = time
    self.line = line
    self.count = count
  }
}

/// What the gates' settings add to a thread's own time.
package struct ShadowPacing: Sendable, Hashable {
  /// The delay, in picoseconds.
  package var delay: Int64
  /// Whether it falls due at media blocks only.
  package var isByBlock: Bool

  package init(delay: Int64 = 0, isByBlock: Bool = false) {
    self.delay = delay
    self.isByBlock = isByBlock
  }
}

/// What is held of threads that come late at their gates.
enum ShadowBelief {
  /// What all gaps have in common is the thread's own time.
  case thinks
  /// A thread stores as fast as a core can.
  case hurries
}

/// A line on its way into a buffer.
struct ShadowArrival {
  var time: Int64
  var line: UInt64
  var isDoubtful: Bool
}

/// A core's window, replayed from the recording of its thread.
struct ShadowWindow {
  private let capacity: Int
  private let issue: Int64
  private let comeback: Int64
  private let fence: Int64
  private let isInOrder: Bool
  private var random: SeededRandom

  /// Lines that the module has not accepted, oldest first.
  private var waiting: [ShadowArrival] = []
  /// When the last `capacity` lines were accepted, in a ring.
  private var accepted: [Int64]
  private var acceptedCount = 0
  private var lastAccepted = Int64.min / 2
  /// The least gaps, in order.
  private var least: [Int64] = []
  /// Lines of the sample so far; the first ones belong to blocks of which something is missing.
  private var lineCount = 0

  init(profile: DeviceProfile, random: SeededRandom) {
    capacity = max(1, profile.storeWindowLines)
    issue = Int64(profile.storeIssueNanoseconds * 1000)
    comeback = Int64(profile.storeReturnNanoseconds * 1000)
    fence = Int64(profile.fenceNanoseconds * 1000)
    isInOrder = profile.releaseOrder == .inOrder
    accepted = Array(repeating: .min / 2, count: capacity)
    waiting.reserveCapacity(capacity + 1)
    least.reserveCapacity(Self.leastMax)
    self.random = random
  }

  /// Adds the arrivals of a thread's sample to a list; returns the lines that had not arrived.
  mutating func replay(
    _ records: ArraySlice<ShadowRecord>, pacing: ShadowPacing, belief: ShadowBelief, linesMax: Int,
    into arrivals: inout [ShadowArrival]
  ) -> [ShadowArrival] {
    waiting.removeAll(keepingCapacity: true)
    for place in 0..<capacity { accepted[place] = .min / 2 }
    acceptedCount = 0
    lastAccepted = .min / 2
    lineCount = 0
    // Own times: of a record that goes on in the block of the one before, and of one that does not.
    let own =
      belief == .hurries
      ? (hurried(pacing, entering: false), hurried(pacing, entering: true))
      : (ownTime(records, entering: false), ownTime(records, entering: true))
    var lastStall = Int.min / 2
    // The stall or fence that lies ahead: the lines before it are in the window together.
    var ahead = records.startIndex
    for index in records.indices {
      let record = records[index]
      if record.count == 0 {
        acceptAll(by: record.time - comeback - fence, into: &arrivals)
        continue
      }
      ahead = max(ahead, index)
      while ahead < records.endIndex && ahead - index <= capacity
        && records[ahead].count > 0 && stall(records, ahead, own) == 0
      { ahead += 1 }
      let isHeldAhead = ahead < records.endIndex && ahead - index <= capacity
      let stall = stall(records, index, own)
      if stall > 0 { lastStall = lineCount }
      let isPressed = isHeldAhead || lineCount - lastStall <= capacity
      let lines = min(record.count, linesMax)
      var ownTime = issue * Int64(lines)
      if index + 1 < records.endIndex && records[index + 1].count > 0 {
        ownTime = min(ownTime, records[index + 1].time - record.time - stall)
      }
      for line in 0..<lines {
        let share = Int64(line + 1) * stall / Int64(lines)
        let moment = record.time + share + Int64(line) * ownTime / Int64(lines)
        add(record.line + UInt64(line), at: moment, isPressed: isPressed, into: &arrivals)
      }
    }
    return waiting
  }

  /// How long the thread was held between a record and the next; 0 where it was not.
  private func stall(
    _ records: ArraySlice<ShadowRecord>, _ index: Int, _ own: (Int64, Int64)
  ) -> Int64 {
    guard index + 1 < records.endIndex, records[index].count > 0, records[index + 1].count > 0
    else { return 0 }
    let gap = records[index + 1].time - records[index].time
    let more = Int64(records[index].count - 1) * issue
    let time = (enters(records[index], records[index + 1]) ? own.1 : own.0) + more
    let rest = gap - time
    return rest > max(time / 2, issue / 2) ? rest : 0
  }

  private func enters(_ record: ShadowRecord, _ next: ShadowRecord) -> Bool {
    (record.line + UInt64(record.count) - 1) >> 2 != next.line >> 2
  }

  /// What a thread needs for a line that does nothing but store and wait for its gate.
  private func hurried(_ pacing: ShadowPacing, entering: Bool) -> Int64 {
    issue + (pacing.isByBlock && !entering ? 0 : pacing.delay)
  }

  /// What a thread needs for a line, from the least of the gaps that the sample shows.
  private mutating func ownTime(_ records: ArraySlice<ShadowRecord>, entering: Bool) -> Int64 {
    var count = 0
    least.removeAll(keepingCapacity: true)
    guard var last = records.first else { return issue }
    for record in records.dropFirst() {
      if record.count > 0 && last.count > 0 && enters(last, record) == entering {
        count += 1
        keepLeast(record.time - last.time - Int64(last.count - 1) * issue)
      }
      last = record
    }
    // A few may be short by chance: of a thread that was late for once, or that the core ran ahead.
    return least.isEmpty ? issue : max(0, least[min(least.count - 1, count / Self.shortShare)])
  }

  /// One gap in so many is taken for short by chance.
  private static let shortShare = 64
  private static let leastMax = 16

  private mutating func keepLeast(_ gap: Int64) {
    if least.count == Self.leastMax {
      if gap >= least[Self.leastMax - 1] { return }
      least.removeLast()
    }
    var place = least.count
    while place > 0 && least[place - 1] > gap { place -= 1 }
    least.insert(gap, at: place)
  }

  /// Puts a line into the window.
  private mutating func add(
    _ line: UInt64, at time: Int64, isPressed: Bool, into arrivals: inout [ShadowArrival]
  ) {
    // What was in the window before the sample began is missing from the blocks of the first lines.
    waiting.append(ShadowArrival(time: time, line: line, isDoubtful: lineCount < capacity))
    lineCount += 1
    if !isPressed {
      while !waiting.isEmpty { accept(at: time, into: &arrivals) }
      return
    }
    // Entries that are on their way back are no less taken.
    var returning = 0
    for place in 0..<capacity where accepted[place] > time - comeback { returning += 1 }
    while waiting.count > 1 && waiting.count + returning > capacity {
      accept(at: max(lastAccepted, time - comeback), into: &arrivals)
      returning = max(0, returning - 1)
    }
  }

  /// Lets every line in the window be accepted, the last of them at `end`.
  private mutating func acceptAll(by end: Int64, into arrivals: inout [ShadowArrival]) {
    guard let last = waiting.last else { return }
    let latency = max(0, end - last.time)
    let moments = waiting.map { $0.time + latency }
    for moment in moments { accept(at: max(moment, lastAccepted), into: &arrivals) }
  }

  /// Lets the module take one of the lines that are in the window at a moment.
  private mutating func accept(at time: Int64, into arrivals: inout [ShadowArrival]) {
    var candidates = 0
    while candidates < waiting.count && waiting[candidates].time <= time { candidates += 1 }
    let turn = isInOrder || candidates < 2 ? 0 : random.below(candidates)
    var line = waiting.remove(at: turn)
    line.time = time
    arrivals.append(line)
    lastAccepted = time
    accepted[acceptedCount % capacity] = time
    acceptedCount += 1
  }
}
