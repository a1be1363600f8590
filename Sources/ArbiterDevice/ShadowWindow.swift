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
  private var gaps: [Int64] = []
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
    gaps.reserveCapacity(Self.gapsMax)
    self.random = random
  }

  /// Gaps that are looked at to find a thread's own time.
  private static let gapsMax = 64

  /// Adds the arrivals of a thread's sample to a list; returns the lines that had not arrived.
  mutating func replay(
    _ records: ArraySlice<ShadowRecord>, linesMax: Int, into arrivals: inout [ShadowArrival]
  ) -> [ShadowArrival] {
    waiting.removeAll(keepingCapacity: true)
    for place in 0..<capacity { accepted[place] = .min / 2 }
    acceptedCount = 0
    lastAccepted = .min / 2
    lineCount = 0
    // Own times: of a record that goes on in the block of the one before, and of one that does not.
    let own = (ownTime(records, entering: false), ownTime(records, entering: true))
    var pressure = 0
    var next = records.startIndex
    var lastStall = Int.min / 2
    // The stall that lies ahead: the lines before it filled the window.
    var ahead = records.startIndex
    for index in records.indices {
      let record = records[index]
      next = index + 1
      if record.count == 0 {
        acceptAll(by: record.time - comeback - fence, into: &arrivals)
        continue
      }
      let isLast = next == records.endIndex
      let isFenced = !isLast && records[next].count == 0
      let stall = isLast || isFenced ? 0 : stall(records, index, own)
      // Lines ahead of a stall that is at most a window away have been held already.
      ahead = max(ahead, index)
      while ahead < records.endIndex && ahead - index <= capacity
        && !isStall(records, ahead, own)
      { ahead += 1 }
      let isStallAhead =
        ahead < records.endIndex && ahead - index <= capacity && isStall(records, ahead, own)
      if stall > 0 { lastStall = lineCount }
      pressure = lineCount - lastStall
      let isPressed = isStallAhead || pressure <= capacity || isFenced
      let ownTime = isLast || isFenced ? issue * Int64(record.count) : records[next].time - record.time - stall
      for line in 0..<min(record.count, linesMax) {
        let share = Int64(line + 1) * stall / Int64(record.count)
        let moment = record.time + share + Int64(line) * ownTime / Int64(record.count)
        add(record.line + UInt64(line), at: moment, isPressed: isPressed, into: &arrivals)
      }
    }
    return waiting
  }

  private func isStall(
    _ records: ArraySlice<ShadowRecord>, _ index: Int, _ own: (Int64, Int64)
  ) -> Bool {
    guard index + 1 < records.endIndex, records[index].count > 0, records[index + 1].count > 0
    else { return false }
    return stall(records, index, own) > 0
  }

  /// How long the thread was held between a record and the next; 0 where it was not.
  private func stall(
    _ records: ArraySlice<ShadowRecord>, _ index: Int, _ own: (Int64, Int64)
  ) -> Int64 {
    let gap = records[index + 1].time - records[index].time
    let time = enters(records[index], records[index + 1]) ? own.1 : own.0
    let rest = gap - time
    return rest > max(time / 2, issue / 2) ? rest : 0
  }

  private func enters(_ record: ShadowRecord, _ next: ShadowRecord) -> Bool {
    (record.line + UInt64(record.count) - 1) >> 2 != next.line >> 2
  }

  /// What a thread needs from one record to the next, from the least of its gaps.
  private mutating func ownTime(_ records: ArraySlice<ShadowRecord>, entering: Bool) -> Int64 {
    gaps.removeAll(keepingCapacity: true)
    let stride = max(1, records.count / (entering ? Self.gapsMax : Self.gapsMax / 2))
    var index = records.startIndex
    while index + 1 < records.endIndex && gaps.count < Self.gapsMax {
      let record = records[index]
      let next = records[index + 1]
      if record.count > 0 && next.count > 0 && enters(record, next) == entering {
        gaps.append(next.time - record.time)
        index += stride
      } else {
        index += 1
      }
    }
    guard !gaps.isEmpty else { return issue }
    gaps.sort()
    return max(0, gaps[gaps.count / 16])
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
