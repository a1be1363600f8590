// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterCore

/// A thread of a recording, which can be read from its start as often as asked.
public struct RecordedThread: Sendable {
  /// Gives out one event after the other, nil at the end; throws where the recording is damaged.
  public typealias Events = () throws -> TraceEvent?

  /// Its number in the recording.
  public var number: UInt32
  /// Where its events come from.
  public var source: TraceSource
  /// When its first event began, in nanoseconds since the recording did.
  public var firstStartNanoseconds: UInt64
  /// Opens the thread's events at their start; every replay and every clone reads its own.
  public var open: @Sendable () -> Events

  /// Makes a thread.
  public init(
    number: UInt32, source: TraceSource, firstStartNanoseconds: UInt64,
    open: @escaping @Sendable () -> Events
  ) {
    self.number = number
    self.source = source
    self.firstStartNanoseconds = firstStartNanoseconds
    self.open = open
  }

  /// Makes a thread of events in memory.
  public init(number: UInt32, source: TraceSource, _ events: [TraceEvent]) {
    self.init(
      number: number, source: source,
      firstStartNanoseconds: events.first?.startNanoseconds ?? 0,
      open: {
        var next = 0
        return {
          guard next < events.count else { return nil }
          defer { next += 1 }
          return events[next]
        }
      })
  }
}

/// Where a replay puts a region of the recording in the address space of the device.
public struct RecordedPlace: Sendable, Hashable {
  /// Address of the region's first byte.
  public var base: UInt64
  /// Its size; what lies outside is left out of the replay.
  public var byteCount: UInt64

  /// Makes a place.
  public init(base: UInt64, byteCount: UInt64) {
    self.base = base
    self.byteCount = byteCount
  }
}

/// What one thread of a replay does: a recorded thread, or a clone of one in ranges of its own.
public struct RecordedPlan: Sendable {
  /// The recorded thread.
  public var thread: RecordedThread
  /// Whether another thread of the replay does the same at other addresses.
  public var isClone: Bool
  /// Where the regions lie, by their number; nil of a number that no region has.
  public var places: [RecordedPlace?]
  /// When the thread begins, in picoseconds of virtual time.
  public var startPicoseconds: Int64
  /// What its own times are multiplied with.
  public var thinkScale: Double

  /// Makes a plan.
  public init(
    thread: RecordedThread, isClone: Bool = false, places: [RecordedPlace?],
    startPicoseconds: Int64 = 0, thinkScale: Double = 1
  ) {
    self.thread = thread
    self.isClone = isClone
    self.places = places
    self.startPicoseconds = startPicoseconds
    self.thinkScale = thinkScale
  }

  /// What makes the plan impossible, as one clause; nil where it is sound.
  public var problem: String? {
    if !(thinkScale >= 0 && thinkScale <= RecordedProgram.largestThinkScale) {
      return "think scale \(thinkScale) is not within 0...\(RecordedProgram.largestThinkScale)"
    }
    for place in places.lazy.compactMap(\.self) {
      let (end, isTooLong) = place.base.addingReportingOverflow(place.byteCount)
      if isTooLong || end > RecordedProgram.addressLimit {
        return "the recorded regions do not fit the \(RecordedProgram.addressLimit >> 40)TiB that "
          + "a replay holds"
      }
    }
    return nil
  }
}

/// When the threads of a replay begin.
public enum ThreadStarts: String, Sendable, Hashable, CaseIterable {
  /// All at once: on a machine with fewer processors than threads, when they began is the machine's
  /// doing and no program's.
  case together
  /// As long after the first as they did when they were recorded.
  case recorded
}

/// A recorded program, ready to be run again on a model with any number of threads.
public struct RecordedProgram: Sendable {
  /// The largest factor for own times.
  public static let largestThinkScale = 1000.0
  /// The end of the address space in which the regions of all clones lie.
  public static let addressLimit: UInt64 = 1 << 54
  /// Alignment of regions: that of a huge page, which any interleaving divides evenly or not, as it
  /// would a real region.
  public static let alignmentBytes: UInt64 = 2 << 20
  /// The longest time by which a clone begins later than its original, so that the two do not walk
  /// in step; that of the simulator's own threads, because amplification depends on it.
  public static let longestShift = TimeSpan.nanoseconds(20)
  /// The longest start and the longest own time that a replay keeps; both in picoseconds.
  static let longestStart: Int64 = 1_000_000_000_000_000
  static let longestThink: Int64 = 100_000_000_000_000

  /// The regions of the recording.
  public var regions: [TraceRegion]
  /// Its threads.
  public var threads: [RecordedThread]

  /// Makes a program.
  public init(regions: [TraceRegion], threads: [RecordedThread]) {
    self.regions = regions
    self.threads = threads
  }

  /// The plans of a replay.
  ///
  /// Fewer threads than recorded are the first ones. More are clones, in the order of the recorded
  /// threads and over again: each round of clones has all regions to itself, and each clone begins
  /// a little later than its original.
  ///
  /// - Parameters:
  ///   - threadCount: Threads of the replay; nil for those of the recording.
  ///   - thinkScale: Multiplies all own times, and how late threads begin where that is kept.
  ///   - starts: When threads begin.
  ///   - seed: Draws by how much clones are shifted.
  /// - Returns: A plan for each thread; none of a program without threads.
  public func plans(
    threadCount: Int? = nil, thinkScale: Double = 1, starts: ThreadStarts = .together,
    seed: UInt64 = 1
  ) -> [RecordedPlan] {
    guard !threads.isEmpty else { return [] }
    var random = SeededRandom(seed: seed, stream: 998)
    let chosen = threads.prefix(threadCount ?? threads.count)
    let startScale =
      starts == .recorded && (0...Self.largestThinkScale).contains(thinkScale) ? thinkScale : 0
    let begin = chosen.map(\.firstStartNanoseconds).min() ?? 0
    var plans: [RecordedPlan] = []
    var places: [RecordedPlace?] = []
    var base: UInt64 = 0
    for index in 0..<(threadCount ?? threads.count) {
      let place = index % threads.count
      let isClone = index >= threads.count
      if place == 0 {
        // Rounds of clones begin anywhere in a huge page: equal places would meet equal modules.
        if isClone { base &+= UInt64(random.below(512)) << 12 }
        places = layOut(from: &base)
      }
      let thread = threads[place]
      let late = Double(thread.firstStartNanoseconds - begin) * 1000 * startScale
      var start = Int64(min(late, Double(Self.longestStart)))
      if isClone { start += Int64(random.below(Int(Self.longestShift.picoseconds))) }
      plans.append(
        RecordedPlan(
          thread: thread, isClone: isClone, places: places, startPicoseconds: start,
          thinkScale: thinkScale))
    }
    return plans
  }

  /// Places every region behind the one before.
  private func layOut(from base: inout UInt64) -> [RecordedPlace?] {
    var places = [RecordedPlace?](repeating: nil, count: 256)
    for region in regions {
      places[Int(region.number)] = RecordedPlace(base: base, byteCount: region.byteCount)
      // Sizes that no memory has end beyond the limit, which ``RecordedPlan/problem`` refuses.
      let bytes = min(region.byteCount, Self.addressLimit)
      base = min(base &+ bytes &+ (Self.alignmentBytes - 1), Self.addressLimit * 2)
      base &= ~(Self.alignmentBytes - 1)
    }
    return places
  }
}
