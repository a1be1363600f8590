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
  private var thinking: ShadowModules
  private var hurrying: ShadowModules
  private var arrivals: [ShadowArrival] = []
  private var window: ShadowWindow
  private let peakLinesPerSecond: Double

  /// Lines of a record beyond which it says nothing new: whole blocks, one after the other.
  private static let recordLinesMax = 1024
  /// Lines of a sample; later ones are left out, so that a sample takes a bounded time.
  package let linesMax: Int

  /// Records that each gate is to take for a sample: fewer where there are more of them.
  package func quota(writerCount: Int) -> Int {
    min(512, max(128, linesMax * 3 / 2 / max(1, writerCount)))
  }

  /// Makes the modules of a profile, empty.
  package init(profile: DeviceProfile, moduleCount: Int, seed: UInt64 = 1) {
    precondition((1...64).contains(moduleCount), "module count out of range")
    thinking = ShadowModules(profile: profile, moduleCount: moduleCount, seed: seed)
    hurrying = ShadowModules(profile: profile, moduleCount: moduleCount, seed: seed)
    window = ShadowWindow(profile: profile, random: SeededRandom(seed: seed, stream: 0))
    linesMax = min(8192, 4096 + 1024 * (moduleCount - 1))
    peakLinesPerSecond =
      4e9 / profile.mediaWriteNanoseconds * Double(profile.mediaUnits * moduleCount)
  }

  /// Whether what the buffers hold comes from samples throughout.
  package var isWarm: Bool { thinking.isWarm && hurrying.isWarm }

  /// Takes in a sample.
  ///
  /// - Returns: Media write bytes ÷ iMC write bytes of the sample; nil where it wrote nothing.
  /// - Complexity: O(*n*) in lines; some 200 ns each.
  package mutating func take(
    _ samples: [ShadowSample], pacing: ShadowPacing = ShadowPacing()
  ) -> Double? {
    let end = commonEnd(samples)
    let thoughtful = replay(samples, until: end, pacing: pacing, belief: .thinks)
    let first = thinking.take(&arrivals, tails: thoughtful)
    let hurried = replay(samples, until: end, pacing: pacing, belief: .hurries)
    let lines = arrivals.count
    let span = spanSeconds
    let second = hurrying.take(&arrivals, tails: hurried)
    guard let first, let second else { return first ?? second }
    // A medium that has as much to do as it can is what makes threads late that hurry. One that
    // would have to do more than it can, or that has time to spare, does not.
    let load = Double(lines) / max(span, 1e-9) * second / peakLinesPerSecond
    return Self.fullLoad.contains(load) ? second : first
  }

  /// Load on the medium at which it is taken to be the bottleneck, as a share of its peak.
  private static let fullLoad = 0.85...1.2

  /// Fills the arrivals; returns the lines that have not arrived.
  private mutating func replay(
    _ samples: [ShadowSample], until end: Int64, pacing: ShadowPacing, belief: ShadowBelief
  ) -> [UInt64] {
    arrivals.removeAll(keepingCapacity: true)
    var tails: [UInt64] = []
    for sample in samples {
      let first = arrivals.count
      let space = Self.mixed(sample.space)
      let rest = window.replay(
        sample.records(before: end), pacing: pacing, belief: belief,
        linesMax: Self.recordLinesMax, into: &arrivals)
      for index in first..<arrivals.count { arrivals[index].line ^= space }
      for line in rest { tails.append(line.line ^ space) }
    }
    return tails
  }

  /// The time from the first arrival to the last.
  private var spanSeconds: Double {
    guard let any = arrivals.first else { return 0 }
    var (first, last) = (any.time, any.time)
    for arrival in arrivals {
      first = min(first, arrival.time)
      last = max(last, arrival.time)
    }
    return Double(last - first) / 1e12
  }

  /// A process's own high bits, which no address of another shares.
  private static func mixed(_ space: UInt64) -> UInt64 {
    space == 0 ? 0 : ((space &* 0x9E37_79B9_7F4A_7C15) >> 48) << 46
  }

  /// The moment up to which the sample knows nearly all threads, within the limit of lines.
  ///
  /// Not all of them: one thread that nothing holds would end a sample that the others have hardly
  /// begun, and the module that they crowd is not the one that it writes to.
  private func commonEnd(_ samples: [ShadowSample]) -> Int64 {
    var ends: [Int64] = []
    var last = Int64.min
    var first = Int64.max
    for sample in samples {
      guard let head = sample.records.first, let tail = sample.records.last else { continue }
      if sample.endsEarly { ends.append(tail.time) }
      first = min(first, head.time)
      last = max(last, tail.time)
    }
    ends.sort()
    let spared = samples.count / 4
    var end = spared < ends.count ? ends[spared] : Int64.max
    guard first <= last else { return end }
    // Halving the span halves the lines, roughly; a few rounds are enough.
    for _ in 0..<16 {
      var lines = 0
      for sample in samples {
        for record in sample.records(before: end) {
          lines += min(record.count, Self.recordLinesMax)
        }
      }
      if lines <= linesMax { return end }
      let share = Double(linesMax) / Double(lines) * 0.98
      end = first + max(1, Int64(Double(min(end, last + 1) - first) * share))
    }
    return first
  }
}
