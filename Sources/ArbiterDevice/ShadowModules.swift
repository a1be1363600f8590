// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore

/// The buffers of an interleave set.
struct ShadowModules: ~Copyable {
  private let buffers: FixedArray<ShadowBuffer>
  private let moduleCount: UInt64
  private let chunkShift: UInt64
  private let warmBlocks: UInt64
  private var sorted: [ShadowArrival] = []
  private var starts = Array(repeating: 0, count: bucketCount + 1)

  private static let bucketCount = 2048

  init(profile: DeviceProfile, moduleCount: Int, seed: UInt64) {
    buffers = FixedArray(count: moduleCount) { index in
      ShadowBuffer(profile: profile, random: SeededRandom(seed: seed, stream: UInt64(index) + 1))
    }
    self.moduleCount = UInt64(moduleCount)
    chunkShift = UInt64(max(256, profile.interleaveBytes).trailingZeroBitCount) - 6
    warmBlocks = 2 * UInt64(profile.bufferBlocks)
  }

  /// Whether the buffers have been filled, or would have been if there were blocks to do it.
  ///
  /// All together: which module is how busy changes from sample to sample.
  var isWarm: Bool {
    var blocks: UInt64 = 0
    var lines: UInt64 = 0
    for index in 0..<buffers.count {
      blocks += buffers[index].allocatedBlocks
      lines += buffers[index].storedLines
    }
    let warm = warmBlocks * moduleCount
    return blocks >= warm || lines >= 16 * warm
  }

  /// Takes in arrivals in any order, and the lines that are still on their way.
  ///
  /// - Returns: Blocks written for four lines, over the blocks that left a buffer.
  mutating func take(_ arrivals: inout [ShadowArrival], tails: [UInt64]) -> Double? {
    let before = totals()
    sort(arrivals)
    // Between samples the threads went on: the first blocks meet a buffer of another moment.
    let lead = min(sorted.count * 2 / 5, Int(warmBlocks * moduleCount))
    for (index, arrival) in sorted.enumerated() {
      let place = locate(arrival.line)
      buffers[place.module].store(
        line: place.line, at: arrival.time, isDoubtful: arrival.isDoubtful || index < lead)
    }
    for line in tails {
      let place = locate(line)
      buffers[place.module].doubt(line: place.line)
    }
    let after = totals()
    let lines = after.lines - before.lines
    guard lines > 0 else { return nil }
    return Double(4 * (after.blocks - before.blocks)) / Double(lines)
  }

  private func totals() -> (blocks: UInt64, lines: UInt64) {
    var sum = (blocks: UInt64(0), lines: UInt64(0))
    for index in 0..<buffers.count {
      sum.blocks += buffers[index].writtenBlocks
      sum.lines += buffers[index].writtenLines
    }
    return sum
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
  private mutating func sort(_ arrivals: [ShadowArrival]) {
    sorted.removeAll(keepingCapacity: true)
    guard let any = arrivals.first else { return }
    var (first, last) = (any.time, any.time)
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
    // Within a bucket a heap is as good as a list is while short, and bounded while not.
    var from = 0
    for bucket in 0..<Self.bucketCount {
      let to = starts[bucket]
      if to - from > 1 { sorted[from..<to].sort { $0.time < $1.time } }
      from = to
    }
  }
}
