// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterWorkloads
public import CArbiterRecord
internal import CArbiterTrace

/// Writes a recording, chunk by chunk, to wherever its bytes go.
///
/// ```swift
/// var writer = try TraceWriter { bytes in try file.write(bytes) }
/// try writer.describe(TraceRegion(number: 0, name: "/mnt/pmem/pool", byteCount: 1 << 30))
/// try writer.append(TraceEvent(.store, offset: 64, length: 8), thread: 0, source: .workload)
/// try writer.finish()
/// ```
///
/// Whatever is written is whole chunks, so that a file whose writer dies is read up to the last
/// ``flush()``. An event belongs to a region that has been described before, and lies inside it.
///
/// - Complexity: Each thread that has not left (``leave(thread:)``) has a buffer of
///   `eventsPerChunk` × 32 bytes, the writer itself one of `eventsPerChunk` × 80 bytes. Nothing is
///   allocated per event.
@safe
public struct TraceWriter: ~Copyable {
  /// The most threads of a recording.
  public static let threadCountMax = UInt32(ARB_TRACE_THREADS_MAX)

  /// Bytes that were given to the sink.
  public private(set) var byteCount: UInt64 = 0
  /// Events that were taken, whether written yet or not.
  public private(set) var eventCount: UInt64 = 0
  /// Events that were lost, those refused included.
  public private(set) var lostCount: UInt64 = 0

  private let sink: (UnsafeRawBufferPointer) throws -> Void
  private let packer: Packer
  private let eventsPerChunk: Int
  private var limits = [UInt64](repeating: 0, count: Int(ARB_TRACE_REGION_COUNT))
  private var buffers: [EventBuffer?] = []
  private var sequence: UInt32 = 0
  private var writtenEvents: UInt64 = 0
  private var noteCount = 0
  private var isFinished = false

  /// Makes a writer and writes the header of the file.
  ///
  /// - Parameters:
  ///   - level: How hard zstd tries, 1 to 19; 1 keeps up with any recording.
  ///   - eventsPerChunk: Events of a full chunk, 1 to 65,536.
  ///   - sink: Takes bytes in order; what it throws, the writer's methods throw.
  /// - Throws: Whatever the sink throws, and ``TraceError`` where there is no memory.
  /// - Precondition: Level and events are within their ranges.
  public init(
    level: Int = 1, eventsPerChunk: Int = 32_768,
    sink: @escaping (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    precondition((1...19).contains(level), "a level of zstd that is not within 1 to 19")
    precondition(
      (1...Int(ARB_TRACE_CHUNK_EVENTS_MAX)).contains(eventsPerChunk),
      "a chunk of events that is not within 1 to 65,536")
    let packer = try Packer(level: level, eventsPerChunk: eventsPerChunk)
    var header = [UInt8](repeating: 0, count: Int(ARB_TRACE_FILE_HEADER_SIZE))
    // SAFETY: the header has the size that C writes, and outlives the sink's call.
    unsafe arb_trace_write_file_header(&header)
    try unsafe header.withUnsafeBytes { bytes in try unsafe sink(bytes) }
    unsafe self.sink = sink
    self.packer = packer
    self.eventsPerChunk = eventsPerChunk
    byteCount = UInt64(header.count)
  }

  /// Says what a region is; again with another name or a larger size where that changes.
  ///
  /// - Throws: ``TraceError`` where the region is 256 TiB or larger or its name longer than 64 KiB.
  public mutating func describe(_ region: TraceRegion) throws {
    guard region.byteCount < 1 << 48 else {
      throw limit("region \(region.number) has \(region.byteCount) bytes", "record less of it")
    }
    var texts = TextWriter()
    texts.add(UInt64(region.number))
    texts.add(region.byteCount)
    texts.add(try checked(region.name))
    try write(texts, type: ARB_TRACE_REGIONS)
    limits[Int(region.number)] = max(region.byteCount, limits[Int(region.number)])
  }

  /// Says something about the recording; see the documentation of the format for usual keys.
  ///
  /// - Throws: ``TraceError`` where a text is longer than 64 KiB, and for the 1,025th note.
  public mutating func note(_ key: String, _ value: String) throws {
    guard noteCount < Int(ARB_TRACE_TEXTS_MAX) else {
      throw limit("the recording has \(noteCount) notes", "write fewer notes")
    }
    noteCount += 1
    var texts = TextWriter()
    texts.add(try checked(key))
    texts.add(try checked(value))
    try write(texts, type: ARB_TRACE_NOTES)
  }

  /// Adds an event of a thread.
  ///
  /// - Throws: ``TraceError`` where the event is none, reaches beyond its region, or its thread had
  ///   another source before.
  public mutating func append(
    _ event: TraceEvent, thread: UInt32, source: TraceSource
  ) throws {
    guard var raw = ArbTraceEvent(event) else { throw refusal(event, thread) }
    // SAFETY: the pointer is of one event, which outlives the call.
    let refused = try unsafe withUnsafePointer(to: &raw) { pointer in
      try unsafe add(
        UnsafeBufferPointer(start: pointer, count: 1), thread: thread, source: source)
    }
    guard refused == 0 else { throw refusal(event, thread) }
  }

  /// Adds events of a thread as recorders hand them over, with times in nanoseconds.
  ///
  /// The events may lie in memory that somebody else is writing to: each is copied before it is
  /// judged.
  ///
  /// - Returns: How many were refused, because they are no events or reach beyond a region; they
  ///   count as lost.
  @discardableResult
  public mutating func append(
    _ events: UnsafeBufferPointer<ArbTraceEvent>, thread: UInt32, source: TraceSource
  ) throws -> Int {
    let refused = try unsafe add(events, thread: thread, source: source)
    if refused > 0 { try lost(UInt64(refused), thread: thread, source: source) }
    return refused
  }

  /// Counts events of a thread that could not be recorded.
  public mutating func lost(_ count: UInt64, thread: UInt32, source: TraceSource) throws {
    guard count > 0 else { return }
    let buffer = try buffer(of: thread, source)
    let (sum, overflows) = lostCount.addingReportingOverflow(count)
    guard !overflows else { throw limit("2^64 events are lost", "record less") }
    lostCount = sum
    buffer.lost += count
  }

  /// Writes everything that is waiting; what was appended until now survives a crash.
  public mutating func flush() throws {
    for thread in buffers.indices { try flush(thread: UInt32(thread)) }
  }

  /// Writes what is waiting of one thread.
  public mutating func flush(thread: UInt32) throws {
    guard Int(thread) < buffers.count, let buffer = buffers[Int(thread)] else { return }
    guard buffer.count > 0 || buffer.lost > 0 else { return }
    var chunk = ArbTraceChunk()
    chunk.type = UInt8(ARB_TRACE_EVENTS.rawValue)
    chunk.source = buffer.source.rawValue
    chunk.thread = thread
    chunk.lost = buffer.lost
    try number(&chunk)
    // SAFETY: the packer's bytes are valid until its next call, which comes after the sink's.
    let bytes = unsafe packer.pack(&chunk, buffer)
    try unsafe put(bytes)
    writtenEvents += UInt64(buffer.count)
    buffer.count = 0
    buffer.lost = 0
  }

  /// Writes what is waiting of a thread that has ended, and frees its buffer.
  public mutating func leave(thread: UInt32) throws {
    try flush(thread: thread)
    guard Int(thread) < buffers.count else { return }
    buffers[Int(thread)]?.empty()
  }

  /// Writes everything that is waiting, and the end: without it a file counts as cut short.
  public mutating func finish() throws {
    guard !isFinished else { return }
    try flush()
    var chunk = ArbTraceChunk()
    chunk.type = UInt8(ARB_TRACE_END.rawValue)
    chunk.first = writtenEvents
    chunk.lost = lostCount
    try number(&chunk)
    // SAFETY: as in flush.
    try unsafe put(packer.pack(&chunk, []))
    isFinished = true
  }

  // MARK: Inside

  private mutating func add(
    _ events: UnsafeBufferPointer<ArbTraceEvent>, thread: UInt32, source: TraceSource
  ) throws -> Int {
    let buffer = try buffer(of: thread, source)
    var done = 0
    var refused = 0
    while done < events.count {
      let batch = min(events.count - done, eventsPerChunk - buffer.count)
      // SAFETY: the batch lies inside the events and fits behind those that the buffer holds.
      let taken = unsafe buffer.take(
        UnsafeBufferPointer(rebasing: events[done..<done + batch]), limits: limits)
      done += batch
      refused += batch - taken
      eventCount += UInt64(taken)
      if buffer.count == eventsPerChunk { try flush(thread: thread) }
    }
    return refused
  }

  private mutating func buffer(
    of thread: UInt32, _ source: TraceSource
  ) throws(TraceError) -> EventBuffer {
    guard !isFinished else { throw limit("the recording has ended", "append before finish()") }
    let index = Int(thread)
    guard thread < Self.threadCountMax else {
      throw limit("thread \(thread) is not below \(Self.threadCountMax)", "record fewer threads")
    }
    if index >= buffers.count {
      buffers += [EventBuffer?](repeating: nil, count: index + 1 - buffers.count)
    }
    if let buffer = buffers[index] {
      guard buffer.source == source else {
        throw limit(
          "thread \(thread) has source \(buffer.source) and gets an event of \(source)",
          "give each source threads of its own")
      }
      return buffer
    }
    let buffer = EventBuffer(capacity: eventsPerChunk, source: source)
    buffers[index] = buffer
    return buffer
  }

  private mutating func write(_ texts: TextWriter, type: ArbTraceChunkType) throws {
    guard !isFinished else { throw limit("the recording has ended", "describe before finish()") }
    var chunk = ArbTraceChunk()
    chunk.type = UInt8(type.rawValue)
    chunk.count = 1
    try number(&chunk)
    // SAFETY: as in flush.
    try unsafe put(packer.pack(&chunk, texts.bytes))
  }

  private mutating func number(_ chunk: inout ArbTraceChunk) throws(TraceError) {
    guard sequence < ARB_TRACE_CHUNKS_MAX - 1 || UInt32(chunk.type) == ARB_TRACE_END.rawValue else {
      throw limit("the recording has \(sequence) chunks", "flush less often, or record less")
    }
    chunk.sequence = sequence
  }

  private mutating func put(_ bytes: UnsafeRawBufferPointer) throws {
    try unsafe sink(bytes)
    byteCount += UInt64(bytes.count)
    sequence += 1
  }

  private func checked(_ text: String) throws(TraceError) -> String {
    guard text.utf8.count <= Int(ARB_TRACE_TEXT_MAX) else {
      throw limit("a text of \(text.utf8.count) bytes is too long", "give at most 64 KiB")
    }
    return text
  }

  private func refusal(_ event: TraceEvent, _ thread: UInt32) -> TraceError {
    limit(
      "thread \(thread) cannot have done \(event): it is no event, or outside its region",
      "describe the region with its full size first")
  }

  private func limit(_ reason: String, _ nextStep: String) -> TraceError {
    TraceError(.limit, offset: byteCount, reason: reason, nextStep: nextStep)
  }
}
