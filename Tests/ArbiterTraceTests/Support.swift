// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterTrace
import ArbiterWorkloads
import CArbiterTrace

/// Collects what a writer writes.
final class MemorySink {
  var bytes: [UInt8] = []

  func writer(eventsPerChunk: Int = 32_768) throws -> TraceWriter {
    // SAFETY: the bytes are copied before the call returns.
    try unsafe TraceWriter(eventsPerChunk: eventsPerChunk) { [self] in bytes += unsafe Array($0) }
  }
}

/// Events that a program might have produced, and all that the format can hold.
struct EventSource {
  var random: SeededRandom
  let regionBytes: UInt64
  private var time: UInt64 = 0
  private var place: UInt64 = 0

  init(seed: UInt64, stream: UInt64 = 0, regionBytes: UInt64 = 1 << 20) {
    random = SeededRandom(seed: seed, stream: stream)
    self.regionBytes = regionBytes
  }

  mutating func next() -> TraceEvent {
    time += UInt64(random.below(500))
    // Now and then a program sleeps for long.
    if random.below(100) == 0 { time += random.next() >> 20 }
    var event = TraceEvent(
      .fence, length: 0, startNanoseconds: time, spanNanoseconds: UInt32(random.below(300)))
    if random.below(200) == 0 { event.spanNanoseconds = .max }
    event.isFenced = random.below(8) == 0
    let operations = TraceOperation.allCases
    event.operation = operations[random.below(operations.count)]
    time += UInt64(event.spanNanoseconds)
    guard event.operation != .fence else { return event }
    event.region = UInt8(random.below(3) * 100)
    event.length = random.below(3) == 0 ? UInt32(1 + random.below(4096)) : 64
    if random.below(4) == 0 {
      event.count = UInt32(2 + random.below(40))
      event.stride = Int32(random.symmetric(500))
    }
    let reach = Int64(event.stride) * Int64(event.count - 1)
    let low = reach < 0 ? UInt64(-reach) : 0
    let high = regionBytes - UInt64(event.length) - (reach > 0 ? UInt64(reach) : 0)
    if random.below(2) == 0 { place = random.next() % regionBytes }
    event.offset = min(max(place, low), high)
    place = event.offset + UInt64(event.length)
    return event
  }

  mutating func events(_ count: Int) -> [TraceEvent] { (0..<count).map { _ in next() } }
}

/// The events of a thread.
func events(of file: TraceFile, thread: UInt32) throws(TraceError) -> [TraceEvent] {
  var cursor = file.events(ofThread: thread)
  var list: [TraceEvent] = []
  while let event = try cursor.next() { list.append(event) }
  return list
}

/// A recording in memory, and what it should hold.
struct Recording {
  var bytes: [UInt8]
  var events: [UInt32: [TraceEvent]]

  /// Three regions, a note, and events of some threads in chunks of a few.
  static func make(
    seed: UInt64, threads: [UInt32], eventsPerThread: Int, eventsPerChunk: Int = 16
  ) throws -> Recording {
    let sink = MemorySink()
    var writer = try sink.writer(eventsPerChunk: eventsPerChunk)
    for number: UInt8 in [0, 100, 200] {
      try writer.describe(
        TraceRegion(number: number, name: "/pmem/\(number)", byteCount: 1 << 20))
    }
    try writer.note("tool", "arbiter test")
    var events: [UInt32: [TraceEvent]] = [:]
    for thread in threads {
      var source = EventSource(seed: seed, stream: UInt64(thread))
      for event in source.events(eventsPerThread) {
        try writer.append(event, thread: thread, source: .workload)
        events[thread, default: []].append(event)
      }
    }
    try writer.finish()
    return Recording(bytes: sink.bytes, events: events)
  }

  /// Where the chunks begin, and where the file ends.
  var boundaries: [Int] {
    var list: [Int] = []
    var at = Int(ARB_TRACE_FILE_HEADER_SIZE)
    while at < bytes.count {
      list.append(at)
      let size = (24..<28).reversed().reduce(0) { $0 << 8 | Int(bytes[at + $1]) }
      at += Int(ARB_TRACE_CHUNK_HEADER_SIZE) + size
    }
    return list + [at]
  }
}

/// Bytes with a header of a chunk put in, its checksum right.
func replacingHeader(
  _ bytes: [UInt8], at offset: Int, _ change: (inout ArbTraceChunk) -> Void
) -> [UInt8] {
  func number(_ place: Int, _ size: Int) -> UInt64 {
    (0..<size).reversed().reduce(0) { $0 << 8 | UInt64(bytes[offset + place + $1]) }
  }
  var chunk = ArbTraceChunk()
  chunk.type = bytes[offset + 4]
  chunk.source = bytes[offset + 5]
  chunk.packing = bytes[offset + 6]
  chunk.sequence = UInt32(number(8, 4))
  chunk.thread = UInt32(number(12, 4))
  chunk.count = UInt32(number(16, 4))
  chunk.raw_size = UInt32(number(20, 4))
  chunk.stored_size = UInt32(number(24, 4))
  chunk.checksum = UInt32(number(28, 4))
  chunk.lost = number(32, 8)
  chunk.first = number(40, 8)
  chunk.last = number(48, 8)
  change(&chunk)
  var header = [UInt8](repeating: 0, count: Int(ARB_TRACE_CHUNK_HEADER_SIZE))
  // SAFETY: the array has the size that C writes.
  unsafe arb_trace_write_chunk_header(&chunk, &header)
  return Array(bytes[..<offset]) + header + bytes[(offset + header.count)...]
}

/// What opening a file and reading all of it throws.
func failure(of bytes: [UInt8]) -> TraceError? {
  do throws(TraceError) {
    let file = try TraceFile(TraceBytes(bytes))
    for thread in file.threads { _ = try events(of: file, thread: thread.number) }
    return nil
  } catch {
    return error
  }
}
