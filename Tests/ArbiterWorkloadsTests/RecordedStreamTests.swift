// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterWorkloads
import Glibc
import Testing

/// Where random tests start; ARBITER_SEED repeats a failure.
private let baseSeed: UInt64 = {
  guard let text = unsafe getenv("ARBITER_SEED") else { return 20_260 }
  return unsafe UInt64(String(cString: text)) ?? 20_260
}()

/// A line that a device sees.
private struct Line: Hashable {
  var operation: Operation
  var address: UInt64
}

/// What a stream gives out, taken apart.
private struct Given {
  var accesses: [Access] = []
  var lines: [Line] = []
  var fenceCount = 0
  /// Own time in picoseconds.
  var ownTime: Int64 = 0
  var outsideCount: UInt64 = 0
  var failure: (any Error)?

  func addresses(_ operation: Operation) -> [UInt64] {
    lines.filter { $0.operation == operation }.map(\.address)
  }
}

private let base: UInt64 = 1 << 30

private func given(
  _ events: [TraceEvent], source: TraceSource = .workload, thinkScale: Double = 1,
  regionBytes: UInt64 = 1 << 20
) -> Given {
  let plan = RecordedPlan(
    thread: RecordedThread(number: 0, source: source, events),
    places: [RecordedPlace(base: base, byteCount: regionBytes)], thinkScale: thinkScale)
  var stream = RecordedStream(plan, cachedLineCount: 64)
  var given = Given()
  while let access = stream.next() {
    given.accesses.append(access)
    given.ownTime += access.thinkPicoseconds * Int64(access.count)
    if access.operation == .fence { given.fenceCount += 1 }
    if access.fence != .never { given.fenceCount += Int(access.count) }
    for step in 0..<UInt64(access.count) {
      let start = access.address + step * UInt64(access.stride)
      for line in stride(from: start, to: start + UInt64(access.length), by: 64) {
        given.lines.append(Line(operation: access.operation, address: line - base))
      }
    }
  }
  #expect(stream.next() == nil, "a stream that has ended goes on")
  given.outsideCount = stream.outsideCount
  given.failure = stream.failure
  return given
}

@Suite("Recorded streams")
struct RecordedStreamTests {
  @Test(arguments: [
    (TraceOperation.storeNonTemporal, Operation.storeNonTemporal),
    (.storeWrittenBack, .storeWriteBack), (.store, .storePlain), (.load, .load),
    (.flush, .writeBack),
  ])
  func `bytes become the lines that hold them, at every offset and size`(
    recorded: TraceOperation, simulated: ArbiterDevice.Operation
  ) {
    for offset in UInt64(0)..<64 {
      for length in UInt64(1)...200 {
        let event = TraceEvent(recorded, offset: 640 + offset, length: UInt32(length))
        let expected = stride(from: (640 + offset) / 64 * 64, to: 640 + offset + length, by: 64)
        let found = given([event])
        #expect(found.addresses(simulated) == Array(expected))
        #expect(found.lines.count == found.addresses(simulated).count)
        for access in found.accesses {
          #expect(access.address % 64 == 0 && access.length % 64 == 0 && access.length > 0)
        }
      }
    }
  }

  @Test(arguments: [1, 3, 8, 48, 64, 100, 192])
  func `a run of any stride is the same accesses one by one`(length: UInt32) {
    for stride in [-256, -64, -8, 8, 64, 72, 256] as [Int32] {
      let run = TraceEvent(
        .storeWrittenBack, offset: 100_000, length: length, count: 23, stride: stride)
      let singles = (0..<23).map { step in
        TraceEvent(
          .storeWrittenBack, offset: UInt64(100_000 + step * Int(stride)), length: length)
      }
      #expect(given([run]).lines == given(singles).lines)
      #expect(given([run]).lines.count >= 23)
    }
  }

  @Test func `pieces of a line that follow each other are one line`() {
    let pieces = (0..<32).map { TraceEvent(.storeNonTemporal, offset: $0 * 8, length: 8) }
    #expect(given(pieces).addresses(.storeNonTemporal) == [0, 64, 128, 192])
    let cached = (0..<32).map { TraceEvent(.store, offset: $0 * 8, length: 8) }
    #expect(given(cached).addresses(.storePlain) == [0, 64, 128, 192])
    // As a run, too.
    let run = TraceEvent(.storeNonTemporal, offset: 0, length: 8, count: 32, stride: 8)
    #expect(given([run]).addresses(.storeNonTemporal) == [0, 64, 128, 192])
  }

  @Test func `a line that is whole, fenced or left is not added to`() {
    let whole = TraceEvent(.storeNonTemporal, offset: 0, length: 64)
    #expect(given([whole, whole, whole]).lines.count == 3)
    let piece = TraceEvent(.storeNonTemporal, offset: 0, length: 8)
    let fence = TraceEvent(.fence, length: 0)
    #expect(given([piece, fence, piece]).lines.filter { $0.operation != .fence }.count == 2)
    let other = TraceEvent(.storeNonTemporal, offset: 640, length: 8)
    #expect(given([piece, other, piece]).lines.count == 3)
    let plain = TraceEvent(.store, offset: 0, length: 8)
    #expect(given([piece, plain, piece]).lines.count == 3)
    // A run of whole stores to one line is as many stores.
    let run = TraceEvent(.storeNonTemporal, offset: 0, length: 64, count: 5)
    #expect(given([run]).lines.count == 5)
  }

  @Test func `stores that are written back at once stay as many as they were`() {
    let event = TraceEvent(.storeWrittenBack, offset: 0, length: 8, count: 8, stride: 8)
    #expect(given([event]).addresses(.storeWriteBack) == Array(repeating: 0, count: 8))
  }

  @Test func `a line that was loaded is not loaded again, and stored without a read`() {
    let load = TraceEvent(.load, offset: 0, length: 8, count: 100, stride: 8)
    #expect(given([load, load]).addresses(.load).count == 13)
    let store = TraceEvent(.store, offset: 8, length: 8)
    let found = given([load, store, load])
    #expect(found.addresses(.storePlainCached) == [0] && found.addresses(.storePlain) == [])
    // A flush takes the line out of the cache.
    let flush = TraceEvent(.flush, offset: 0, length: 64)
    #expect(given([load, flush, load]).addresses(.load).count == 14)
  }

  @Test func `flushes of a recorder that sees no stores stand for stores`() {
    let flush = TraceEvent(.flush, offset: 0, length: 100)
    #expect(given([flush], source: .preload).addresses(.storeWriteBack) == [0, 64])
    #expect(given([flush], source: .hooks).addresses(.writeBack) == [0, 64])
  }

  @Test func `a fence follows what it followed`() {
    let fenced = TraceEvent(.storeNonTemporal, offset: 0, length: 256, count: 7, stride: 256)
    var event = fenced
    event.isFenced = true
    #expect(given([event]).fenceCount == 7)
    let load = TraceEvent(.load, offset: 4096, length: 8, isFenced: true)
    let found = given([load, event, TraceEvent(.fence, length: 0)])
    #expect(found.accesses.map(\.operation).prefix(2) == [.load, .fence])
    #expect(found.fenceCount == 1 + 7 + 1)
  }
}

@Suite("Own times of recorded streams")
struct RecordedTimeTests {
  private func event(_ start: UInt64, _ span: UInt32, at offset: UInt64 = 0) -> TraceEvent {
    TraceEvent(
      .storeNonTemporal, offset: offset, length: 64, startNanoseconds: start, spanNanoseconds: span)
  }

  @Test func `what lies between two events is the program's, what they took is not`() {
    let events = [event(1000, 300), event(1500, 9000), event(10_500, 1), event(20_000, 5)]
    let found = given(events)
    #expect(found.accesses.map(\.thinkPicoseconds) == [200_000, 0, 9_499_000, 0])
    #expect(given(events, thinkScale: 0).ownTime == 0)
    #expect(given(events, thinkScale: 2.5).ownTime == Int64(2.5 * 9_699_000))
  }

  @Test func `events that overlap have nothing between them`() {
    let found = given([event(1000, 900), event(1100, 10), event(1950, 10)])
    #expect(found.accesses.map(\.thinkPicoseconds) == [0, 50_000, 0])
  }

  @Test func `the end of an event too long to be told is not known`() {
    let found = given([event(1000, .max), event(1 << 40, 10)])
    #expect(found.ownTime == 0)
  }

  @Test func `spans of hooks are own time, spread over the run`() {
    let run = TraceEvent(
      .store, offset: 0, length: 64, count: 10, stride: 64, startNanoseconds: 50,
      spanNanoseconds: 1003)
    let found = given([run], source: .hooks)
    #expect(found.ownTime == 1_003_000)
    let times = found.accesses.map(\.thinkPicoseconds)
    #expect(times.count == 10 && Set(times.dropLast()).count == 1)
    #expect(given([run], source: .preload).ownTime == 0)
  }

  @Test func `own time is kept where accesses are combined or left out`() {
    let pieces = (0..<16).map { step in
      TraceEvent(
        .storeNonTemporal, offset: UInt64(step) * 8, length: 8,
        startNanoseconds: UInt64(step) * 100, spanNanoseconds: 40)
    }
    #expect(given(pieces).ownTime == 15 * 60_000)
    let outside = TraceEvent(
      .store, offset: 5 << 20, length: 64, startNanoseconds: 5000, spanNanoseconds: 0)
    let later = event(9000, 0)
    #expect(given(pieces + [outside, later]).ownTime == 15 * 60_000 + (9000 - 1540) * 1000)
  }
}

@Suite("Hostile recorded streams")
struct HostileStreamTests {
  @Test func `what lies outside of its region is left out and counted, however often`() {
    let stores: [(offset: UInt64, length: UInt32, count: UInt32, stride: Int32, lines: Int)] = [
      (1 << 20, 64, .max, 64, 0),
      ((1 << 20) - 1, 2, 1, 0, 0),
      ((1 << 20) - 64, 64, .max, 64, 1),
      (128, 64, .max, -64, 3),
      ((1 << 48) - 1, .max, .max, .max, 0),
      ((1 << 48) - 64, 64, 9, .min, 0),
      (0, 0, 5, 0, 0),
    ]
    for store in stores {
      let event = TraceEvent(
        .storeWrittenBack, offset: store.offset, length: store.length, count: store.count,
        stride: store.stride)
      let found = given([event])
      #expect(found.lines.count == store.lines)
      #expect(found.outsideCount == UInt64(store.count) - UInt64(store.lines))
    }
    let nowhere = TraceEvent(.store, region: 9, offset: 0, length: 8, count: .max)
    #expect(given([nowhere]).outsideCount == UInt64(UInt32.max))
  }

  @Test func `a run that comes down into its region begins where it gets there`() {
    let event = TraceEvent(
      .storeWrittenBack, offset: 3 << 20, length: 64, count: 1 << 20, stride: -64)
    let found = given([event])
    #expect(found.lines.count == (1 << 20) / 64)
    #expect(found.lines.first?.address == (1 << 20) - 64 && found.lines.last?.address == 0)
    #expect(found.outsideCount == (1 << 20) - (1 << 20) / 64)
  }

  @Test func `an access of gigabytes is cut, and its bytes are kept`() {
    let event = TraceEvent(.storeNonTemporal, offset: 3, length: .max)
    let plan = RecordedPlan(
      thread: RecordedThread(number: 0, source: .preload, [event]),
      places: [RecordedPlace(base: 0, byteCount: 8 << 30)])
    var stream = RecordedStream(plan, cachedLineCount: 64)
    var bytes: UInt64 = 0
    while let access = stream.next() {
      #expect(access.length <= 1 << 30 && access.address == bytes)
      bytes += UInt64(access.length)
    }
    #expect(bytes == (4 << 30) + 64)
  }

  @Test func `times beyond all measure do not overflow`() {
    let events = [0, UInt64.max / 2, .max].map { start in
      TraceEvent(
        .storeWrittenBack, offset: 0, length: 64, startNanoseconds: start,
        spanNanoseconds: .max - 1)
    }
    for scale in [0, 1, 1000.0] {
      for source in TraceSource.allCases {
        let found = given(events, source: source, thinkScale: scale)
        #expect(
          found.accesses.allSatisfy { (0...100_000_000_000_000).contains($0.thinkPicoseconds) })
      }
    }
  }

  private struct Damage: Error {}

  @Test func `what a damaged recording throws is kept, and what came before is given out`() {
    let thread = RecordedThread(number: 0, source: .workload, firstStartNanoseconds: 0) {
      var count: UInt64 = 0
      return {
        count += 1
        if count > 3 { throw Damage() }
        return TraceEvent(.storeWrittenBack, offset: count * 64, length: 64)
      }
    }
    let plan = RecordedPlan(thread: thread, places: [RecordedPlace(base: 0, byteCount: 4096)])
    var stream = RecordedStream(plan, cachedLineCount: 1)
    var count = 0
    while stream.next() != nil { count += 1 }
    #expect(count == 3 && stream.eventCount == 3)
    #expect(stream.failure is Damage)
    #expect(stream.next() == nil)
  }
}

@Suite("The combining rule")
struct CombiningTests {
  /// The rule, written down a second time, byte by byte.
  private func reference(_ events: [TraceEvent]) -> [Line: Int] {
    var found: [Line: Int] = [:]
    var open: (operation: TraceOperation, line: UInt64, bytes: Set<UInt64>)?
    for event in events {
      if event.operation == .fence { open = nil }
      for step in 0..<Int(event.count) where event.length > 0 {
        let start = UInt64(Int(event.offset) + step * Int(event.stride))
        let bytes = start..<start + UInt64(event.length)
        var lines = Array(stride(from: start / 64 * 64, to: bytes.upperBound, by: 64))
        let operation: ArbiterDevice.Operation
        switch event.operation {
        case .storeNonTemporal, .store:
          operation = event.operation == .store ? .storePlain : .storeNonTemporal
          var kept: Set<UInt64> = []
          if let last = open, last.operation == event.operation, last.line == lines[0] {
            kept = last.bytes
            let isLast = lines.count == 1
            if isLast { kept.formUnion(bytes) }
            lines.removeFirst()
          }
          let end = (bytes.upperBound - 1) / 64 * 64
          if !lines.isEmpty { kept = Set(bytes.filter { $0 / 64 * 64 == end }) }
          open = (event.operation, end, kept)
          if event.operation == .storeNonTemporal && kept.count == 64 { open = nil }
        case .flush:
          operation = .writeBack
          open = nil
        default:
          operation = .storeWriteBack
          open = nil
        }
        for line in lines { found[Line(operation: operation, address: line), default: 0] += 1 }
        if event.isFenced { open = nil }
      }
    }
    return found
  }

  @Test func `random programs give the lines that the rule says`() {
    for seed in (0..<2003).map({ baseSeed &+ $0 }) {
      var random = SeededRandom(seed: seed, stream: 41)
      let operations: [TraceOperation] = [
        .store, .storeNonTemporal, .storeNonTemporal, .storeWrittenBack, .flush, .fence,
      ]
      let events = (0..<1 + random.below(60)).map { _ in
        let operation = operations[random.below(operations.count)]
        if operation == .fence { return TraceEvent(.fence, length: 0) }
        let count = random.below(3) == 0 ? 1 + random.below(9) : 1
        return TraceEvent(
          operation, offset: UInt64(8192 + random.below(300)),
          length: UInt32(1 + random.below([8, 64, 300][random.below(3)])), count: UInt32(count),
          stride: count == 1 ? 0 : Int32([-64, -8, 0, 8, 64, 128, 320][random.below(7)]),
          isFenced: random.below(6) == 0)
      }
      var counts: [Line: Int] = [:]
      let found = given(events)
      for line in found.lines { counts[line, default: 0] += 1 }
      #expect(counts == reference(events), "repeat with ARBITER_SEED=\(seed)")
      #expect(found.outsideCount == 0)
    }
  }
}

@Suite("Recorded programs")
struct RecordedProgramTests {
  private func program(threads: Int) -> RecordedProgram {
    RecordedProgram(
      regions: [
        TraceRegion(number: 0, name: "a", byteCount: 10_000),
        TraceRegion(number: 7, name: "b", byteCount: (3 << 20) + 1),
      ],
      threads: (0..<threads).map { number in
        RecordedThread(
          number: UInt32(number), source: .workload,
          [
            TraceEvent(
              .store, offset: 0, length: 8, startNanoseconds: UInt64(5000 + number * 1000))
          ])
      })
  }

  @Test func `regions and the ranges of clones are disjoint and aligned`() {
    let plans = program(threads: 4).plans(threadCount: 26, seed: 3)
    #expect(plans.count == 26 && plans.map(\.isClone) == (0..<26).map { $0 >= 4 })
    var ranges: Set<Range<UInt64>> = []
    for (index, plan) in plans.enumerated() {
      #expect(plan.problem == nil && plan.thread.number == UInt32(index % 4))
      let places = [plan.places[0], plan.places[7]].compactMap(\.self)
      #expect(places.count == 2 && plan.places.compactMap(\.self).count == 2)
      for place in places {
        #expect(place.base % 4096 == 0)
        ranges.insert(place.base..<place.base + place.byteCount)
      }
    }
    // Threads of one round share their regions, as they did when they were recorded.
    #expect(ranges.count == 2 * 7)
    let sorted = ranges.sorted { $0.lowerBound < $1.lowerBound }
    for (before, after) in zip(sorted, sorted.dropFirst()) {
      #expect(before.upperBound <= after.lowerBound)
    }
  }

  @Test func `threads begin together, or as far apart as recorded, and clones a little later`() {
    let together = program(threads: 3).plans(threadCount: 9, seed: 1)
    #expect(together.prefix(3).map(\.startPicoseconds) == [0, 0, 0])
    let plans = program(threads: 3).plans(
      threadCount: 9, thinkScale: 0.5, starts: .recorded, seed: 1)
    #expect(plans.prefix(3).map(\.startPicoseconds) == [0, 500_000, 1_000_000])
    for (index, plan) in plans.enumerated().dropFirst(3) {
      let late = plan.startPicoseconds - plans[index % 3].startPicoseconds
      #expect((0..<RecordedProgram.longestShift.picoseconds).contains(late))
    }
    #expect(Set(plans.map(\.startPicoseconds)).count == 9)
    let other = program(threads: 3).plans(
      threadCount: 9, thinkScale: 0.5, starts: .recorded, seed: 2)
    #expect(other.map(\.startPicoseconds) != plans.map(\.startPicoseconds))
  }

  @Test func `fewer threads are the first, and they begin at once`() {
    var late = program(threads: 5)
    late.threads.reverse()
    let plans = late.plans(threadCount: 2, starts: .recorded)
    #expect(plans.map(\.thread.number) == [4, 3] && !plans.contains { $0.isClone })
    #expect(plans.map(\.startPicoseconds).min() == 0)
  }

  @Test func `regions that no address space holds are refused`() {
    var large = program(threads: 1)
    large.regions = (0..<256).map {
      TraceRegion(number: UInt8($0), name: "", byteCount: (1 << 48) - 1)
    }
    #expect(large.plans(threadCount: 1).allSatisfy { $0.problem != nil })
    large.regions = [TraceRegion(number: 0, name: "", byteCount: 1 << 40)]
    #expect(large.plans(threadCount: 128).allSatisfy { $0.problem == nil })
    large.regions[0].byteCount = .max
    #expect(large.plans(threadCount: 2).allSatisfy { $0.problem != nil })
    let plans = program(threads: 1).plans(thinkScale: .nan)
    #expect(plans.allSatisfy { $0.problem?.contains("think scale") == true })
  }
}
