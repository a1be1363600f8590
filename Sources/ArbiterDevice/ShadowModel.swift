// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The modules of an interleave set, fed with samples of what their writers stored. A sample is what
// all gates recorded in one span of time. Samples follow each other as if no time lay between them:
// what the buffers hold at the end of one they hold at the start of the next, so that only the first
// few find them empty.

internal import ArbiterCore

/// One thread's share of a sample.
package struct ShadowSample: Sendable {
  /// Tells the memory of one process from that of another.
  package var space: UInt64
  /// What the thread's gate recorded, in order.
  package var records: [ShadowRecord]
  /// Whether the gate stopped recording before the sample's end.
  package var endsEarly: Bool

  package init(space: UInt64, records: [ShadowRecord], endsEarly: Bool = false) {
    self.space = space
    self.records = records
    self.endsEarly = endsEarly
  }

  /// The records before a moment.
  func records(before end: Int64) -> ArraySlice<ShadowRecord> {
    var low = 0
    var high = records.count
    while low < high {
      let middle = (low + high) / 2
      if records[middle].time < end { low = middle + 1 } else { high = middle }
    }
    return records[..<low]
  }
}

/// Estimates write amplification from samples of the gates' own writes.
package struct ShadowModel: ~Copyable {
  private let buffers: FixedArray<ShadowBuffer>
  private let moduleCount: UInt64
  private let chunkShift: UInt64
  private let bufferBlocks: Int
  private var window: ShadowWindow
  private var arrivals: [ShadowArrival] = []
  private var sorted: [ShadowArrival] = []
  private var starts: [Int] = Array(repeating: 0, count: bucketCount + 1)
  private var tails: [UInt64] = []

  private static let bucketCount = 2048
  /// Lines of a record beyond which it says nothing new: whole blocks, one after the other.
  private static let recordLinesMax = 1024
  /// Lines of a sample; later ones are left out, so that a sample takes a bounded time.
  package static let linesMax = 6144

  /// Records that each gate is to take for a sample: fewer where there are more of them.
  package static func quota(writerCount: Int) -> Int {
    min(512, max(96, linesMax / max(1, writerCount)))
  }

  /// Samples taken in so far.
  package private(set) var sampleCount = 0

  /// Makes the modules of a profile, empty.
  package init(profile: DeviceProfile, moduleCount: Int, seed: UInt64 = 1) {
    precondition((1...64).contains(moduleCount), "module count out of range")
    buffers = FixedArray(count: moduleCount) { index in
      ShadowBuffer(profile: profile, random: SeededRandom(seed: seed, stream: UInt64(index) + 1))
    }
    self.moduleCount = UInt64(moduleCount)
    chunkShift = UInt64(max(256, profile.interleaveBytes).trailingZeroBitCount) - 6
    bufferBlocks = profile.bufferBlocks
    window = ShadowWindow(profile: profile, random: SeededRandom(seed: seed, stream: 0))
  }

  /// Whether what the buffers hold comes from samples throughout.
  package var isWarm: Bool {
    var least = UInt64.max
    for index in 0..<buffers.count { least = min(least, buffers[index].allocatedBlocks) }
    return least >= 2 * UInt64(bufferBlocks)
  }

  /// Takes in a sample.
  ///
  /// - Returns: Media write bytes ÷ iMC write bytes of the sample; nil where it wrote nothing.
  /// - Complexity: O(*n*) in lines; some 100 ns each.
  package mutating func take(_ samples: [ShadowSample]) -> Double? {
    arrivals.removeAll(keepingCapacity: true)
    tails.removeAll(keepingCapacity: true)
    let end = commonEnd(samples)
    for sample in samples {
      let first = arrivals.count
      let space = Self.mixed(sample.space)
      let rest = window.replay(
        sample.records(before: end), linesMax: Self.recordLinesMax, into: &arrivals)
      for index in first..<arrivals.count { arrivals[index].line ^= space }
      for line in rest { tails.append(line.line ^ space) }
    }
    let before = totals()
    sortArrivals()
    for arrival in sorted {
      let place = locate(arrival.line)
      buffers[place.module].store(
        line: place.line, at: arrival.time, isDoubtful: arrival.isDoubtful)
    }
    for line in tails {
      let place = locate(line)
      buffers[place.module].doubt(line: place.line)
    }
    sampleCount += 1
    let after = totals()
    let lines = after.lines - before.lines
    guard lines > 0 else { return nil }
    return Double(4 * (after.blocks - before.blocks)) / Double(lines)
  }

  /// The moment up to which the sample knows all threads, and holds no more lines than the limit.
  private func commonEnd(_ samples: [ShadowSample]) -> Int64 {
    var end = Int64.max
    var last = Int64.min
    var first = Int64.max
    for sample in samples {
      guard let head = sample.records.first, let tail = sample.records.last else { continue }
      if sample.endsEarly { end = min(end, tail.time) }
      first = min(first, head.time)
      last = max(last, tail.time)
    }
    guard first <= last else { return end }
    // Halving the span halves the lines, roughly; a few rounds are enough.
    for _ in 0..<16 {
      var lines = 0
      for sample in samples {
        for record in sample.records(before: end) {
          lines += min(record.count, Self.recordLinesMax)
        }
      }
      if lines <= Self.linesMax { return end }
      let share = Double(Self.linesMax) / Double(lines) * 0.98
      end = first + max(1, Int64(Double(min(end, last + 1) - first) * share))
    }
    return first
  }

  private func totals() -> (blocks: UInt64, lines: UInt64) {
    var sum = (blocks: UInt64(0), lines: UInt64(0))
    for index in 0..<buffers.count {
      sum.blocks += buffers[index].writtenBlocks
      sum.lines += buffers[index].writtenLines
    }
    return sum
  }

  /// A process's own high bits, which no address of another shares.
  private static func mixed(_ space: UInt64) -> UInt64 {
    space == 0 ? 0 : ((space &* 0x9E37_79B9_7F4A_7C15) >> 48) << 46
  }

  /// The module of a line and the line's number within it.
  private func locate(_ line: UInt64) -> (module: Int, line: UInt64) {
    if moduleCount == 1 { return (0, line) }
    let chunk = line >> chunkShift
    let within = line & (1 << chunkShift - 1)
    return (
      Int(truncatingIfNeeded: chunk % moduleCount), (chunk / moduleCount) << chunkShift | within
    )
  }

  /// Puts the arrivals of all threads in the order of their time.
  ///
  /// By buckets of equal width: arrivals lie evenly in time, so that few share one.
  private mutating func sortArrivals() {
    sorted.removeAll(keepingCapacity: true)
    guard let any = arrivals.first else { return }
    var first = any.time
    var last = any.time
    for arrival in arrivals {
      first = min(first, arrival.time)
      last = max(last, arrival.time)
    }
    let width = (last - first) / Int64(Self.bucketCount) + 1
    for bucket in 0...Self.bucketCount { starts[bucket] = 0 }
    for arrival in arrivals { starts[Int((arrival.time - first) / width) + 1] += 1 }
    for bucket in 1...Self.bucketCount { starts[bucket] += starts[bucket - 1] }
    sorted.append(contentsOf: arrivals)
    for arrival in arrivals {
      let bucket = Int((arrival.time - first) / width)
      sorted[starts[bucket]] = arrival
      starts[bucket] += 1
    }
    for index in sorted.indices.dropFirst() {
      let arrival = sorted[index]
      var place = index
      while place > 0 && sorted[place - 1].time > arrival.time {
        sorted[place] = sorted[place - 1]
        place -= 1
      }
      sorted[place] = arrival
    }
  }
}
