// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterTestSupport
import ArbiterTrace
import ArbiterWorkloads
import CArbiterRecord
import Testing

@Suite("Writing and reading recordings")
struct RoundTripTests {
  @Test(arguments: 0..<24)
  func `what is written is read, thread by thread and in order`(round: Int) throws {
    let seed = ProcessSeed.value &+ UInt64(round)
    var random = SeededRandom(seed: seed)
    let threads = (0..<UInt32(1 + random.below(6))).map { $0 * 7 }
    let recording = try Recording.make(
      seed: seed, threads: threads, eventsPerThread: random.below(3000),
      eventsPerChunk: 1 + random.below(700))
    let file = try TraceFile(TraceBytes(recording.bytes))
    #expect(!file.isCutShort && file.lostCount == 0)
    #expect(file.soundByteCount == UInt64(recording.bytes.count))
    #expect(file.regions.map(\.number) == [0, 100, 200])
    for thread in threads {
      let read = try events(of: file, thread: thread)
      #expect(read == recording.events[thread] ?? [], "ARBITER_SEED=\(ProcessSeed.value)")
    }
    let total = recording.events.values.reduce(0) { $0 + $1.count }
    #expect(file.eventCount == UInt64(total))
  }

  @Test func `the largest and smallest numbers survive`() throws {
    let sink = MemorySink()
    var writer = try sink.writer()
    let reach: UInt64 = (1 << 48) - 1
    try writer.describe(TraceRegion(number: 255, name: "", byteCount: reach))
    let extremes = [
      TraceEvent(.load, region: 255, offset: reach - 1, length: 1),
      TraceEvent(
        .store, region: 255, offset: 0, length: .max, startNanoseconds: .max,
        spanNanoseconds: .max),
      TraceEvent(.flush, region: 255, offset: 0, length: 1, count: .max, stride: 1),
      TraceEvent(
        .storeNonTemporal, region: 255, offset: reach - 1, length: 1, count: 65_536,
        stride: .min, isFenced: true),
      TraceEvent(.storeWrittenBack, region: 255, offset: 0, length: 1, count: 2, stride: .max),
      TraceEvent(.fence, length: 0, isFenced: true),
    ]
    for event in extremes { try writer.append(event, thread: 65_535, source: .hooks) }
    try writer.finish()
    let file = try TraceFile(TraceBytes(sink.bytes))
    #expect(try events(of: file, thread: 65_535) == extremes)
    #expect(file.threads == [TraceThread(number: 65_535, source: .hooks, eventCount: 6)])
  }

  @Test func `notes, regions and losses are kept`() throws {
    let sink = MemorySink()
    var writer = try sink.writer()
    try writer.describe(TraceRegion(number: 3, name: "pool", byteCount: 4096))
    try writer.describe(TraceRegion(number: 3, name: "pool, grown", byteCount: 8192))
    try writer.describe(TraceRegion(number: 1, name: "/mnt/ü", byteCount: 0))
    try writer.note("command", "redis-server --port 0")
    try writer.note("command", "another")
    try writer.append(
      TraceEvent(.load, region: 3, offset: 8191, length: 1), thread: 2, source: .hooks)
    try writer.lost(23, thread: 2, source: .hooks)
    try writer.flush()
    try writer.lost(1009, thread: 2, source: .hooks)
    try writer.lost(5, thread: 4, source: .preload)
    try writer.finish()
    #expect(writer.lostCount == 1037)
    let file = try TraceFile(TraceBytes(sink.bytes))
    #expect(
      file.regions == [
        TraceRegion(number: 1, name: "/mnt/ü", byteCount: 0),
        TraceRegion(number: 3, name: "pool, grown", byteCount: 8192),
      ])
    #expect(file.note("command") == "redis-server --port 0" && file.notes.count == 2)
    #expect(
      file.threads == [
        TraceThread(number: 2, source: .hooks, eventCount: 1, lostCount: 1032),
        TraceThread(number: 4, source: .preload, eventCount: 0, lostCount: 5),
      ])
    #expect(file.lostCount == 1037)
  }

  @Test func `a thread that has left is written at once, and may come back`() throws {
    let sink = MemorySink()
    var writer = try sink.writer()
    try writer.describe(TraceRegion(number: 0, name: "x", byteCount: 4096))
    try writer.leave(thread: 5)
    for offset in stride(from: UInt64(0), to: 256, by: 64) {
      let event = TraceEvent(.store, offset: offset, length: 64)
      try writer.append(event, thread: 5, source: .preload)
      let before = writer.byteCount
      try writer.leave(thread: 5)
      let after = writer.byteCount
      #expect(after > before)
    }
    var isRefused = false
    do {
      try writer.append(TraceEvent(.load, offset: 0, length: 1), thread: 5, source: .hooks)
    } catch is TraceError { isRefused = true }
    #expect(isRefused)
    try writer.finish()
    let file = try TraceFile(TraceBytes(sink.bytes))
    #expect(try events(of: file, thread: 5).map(\.offset) == [0, 64, 128, 192])
    #expect(file.threads == [TraceThread(number: 5, source: .preload, eventCount: 4, lostCount: 0)])
  }

  @Test func `what is no event or leaves its region is refused, and counted where C hands it over`()
    throws
  {
    let sink = MemorySink()
    var writer = try sink.writer()
    try writer.describe(TraceRegion(number: 0, name: "x", byteCount: 4096))
    let wrong = [
      TraceEvent(.load, offset: 4095, length: 2), TraceEvent(.load, offset: 0, length: 0),
      TraceEvent(.load, region: 1, offset: 0, length: 1), TraceEvent(.fence, length: 1),
      TraceEvent(.load, offset: 0, length: 1, count: 0),
      TraceEvent(.store, offset: 0, length: 64, count: 65, stride: 64),
      TraceEvent(.store, offset: 0, length: 64, count: 2, stride: -1),
      TraceEvent(.load, offset: 1 << 48, length: 1),
    ]
    for event in wrong {
      // A noncopyable writer cannot be captured by the macro.
      var isRefused = false
      do { try writer.append(event, thread: 0, source: .workload) } catch let error as TraceError {
        isRefused = error.code == .limit
      }
      #expect(isRefused, "\(event)")
    }
    var raw = ArbTraceEvent()
    raw.count = 1
    raw.length = 64
    var outside = raw
    outside.offset = 4096
    var nonsense = raw
    nonsense.operation = 9
    // SAFETY: the array outlives the call.
    let refused = try unsafe [raw, outside, nonsense, raw].withUnsafeBufferPointer {
      try unsafe writer.append($0, thread: 1, source: .preload)
    }
    #expect(refused == 2)
    try writer.finish()
    let file = try TraceFile(TraceBytes(sink.bytes))
    #expect(file.lostCount == 2 && file.eventCount == 2)
    #expect(try events(of: file, thread: 1).map(\.offset) == [0, 0])
  }

  @Test func `a thread keeps its source, and nothing follows the end`() throws {
    let sink = MemorySink()
    var writer = try sink.writer()
    let fence = TraceEvent(.fence, length: 0)
    try writer.append(fence, thread: 0, source: .hooks)
    var messages: [String] = []
    do { try writer.append(fence, thread: 0, source: .preload) } catch let error as TraceError {
      messages.append(error.reason)
    }
    do { try writer.append(fence, thread: 65_536, source: .hooks) } catch let error as TraceError {
      messages.append(error.reason)
    }
    try writer.finish()
    do { try writer.append(fence, thread: 0, source: .hooks) } catch let error as TraceError {
      messages.append(error.reason)
    }
    #expect(
      messages == [
        "thread 0 has source hooks and gets an event of preload", "thread 65536 is not below 65536",
        "the recording has ended",
      ])
  }

  @Test func `threads merge by time, each in its own order`() throws {
    let recording = try Recording.make(
      seed: ProcessSeed.value, threads: [0, 1, 2, 9], eventsPerThread: 500)
    let file = try TraceFile(TraceBytes(recording.bytes))
    var merge = TraceMerge(file)
    var seen: [UInt32: [TraceEvent]] = [:]
    var last: UInt64 = 0
    while let (thread, event) = try merge.next() {
      seen[thread, default: []].append(event)
      #expect(event.startNanoseconds >= last)
      last = event.startNanoseconds
    }
    #expect(seen == recording.events, "ARBITER_SEED=\(ProcessSeed.value)")
  }

  @Test func `a merge holds no more events than it may`() throws {
    let recording = try Recording.make(
      seed: 1, threads: Array(0..<20), eventsPerThread: 64, eventsPerChunk: 64)
    let file = try TraceFile(TraceBytes(recording.bytes))
    var merge = TraceMerge(file, loadedCountMax: 19 * 64)
    let error = #expect(throws: TraceError.self) { while try merge.next() != nil {} }
    #expect(error?.code == .limit)
    #expect(error?.reason.hasPrefix("the chunks of 20 threads overlap") == true)
    // One after the other they need one chunk.
    var alone = TraceMerge(file, threads: [7], loadedCountMax: 64)
    var count = 0
    while try alone.next() != nil { count += 1 }
    #expect(count == 64)
  }

  @Test func `sequential stores take under two bytes each, noise included`() throws {
    let sink = MemorySink()
    var writer = try sink.writer()
    try writer.describe(TraceRegion(number: 0, name: "x", byteCount: 1 << 30))
    var random = SeededRandom(seed: ProcessSeed.value)
    var time: UInt64 = 0
    for index in 0..<100_000 {
      let span = UInt32(90 + random.below(8))
      try writer.append(
        TraceEvent(
          .storeNonTemporal, offset: UInt64(index) * 64, length: 64, startNanoseconds: time,
          spanNanoseconds: span), thread: 0, source: .preload)
      time += UInt64(span) + UInt64(random.below(16))
    }
    try writer.finish()
    #expect(sink.bytes.count < 200_000)
  }
}
