// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterWorkloads
internal import CArbiterRecord
internal import CArbiterTrace

/// A recording: its threads, its regions, and a way to each thread's events.
///
/// Opening reads the headers of all chunks and the texts, not the events. A file that ends early is
/// read up to its last whole chunk; see ``isCutShort``. What is damaged is refused: headers here,
/// events when a cursor comes to them.
///
/// - Complexity: Opening is O(*n*) in chunks, of which a writer makes one for some 32,000 events.
public struct TraceFile: Sendable {
  /// Ranges of memory that the events are in, by number.
  public private(set) var regions: [TraceRegion] = []
  /// Threads, by number.
  public private(set) var threads: [TraceThread] = []
  /// Texts about the recording, in the order in which they were written.
  public private(set) var notes: [TraceNote] = []
  /// Whether the end is missing, as after a crash while writing; what is there is whole.
  public private(set) var isCutShort = false
  /// Bytes of the whole chunks; all of the file's unless it was cut short.
  public private(set) var soundByteCount: UInt64 = 0
  /// Chunks of events.
  public private(set) var eventChunkCount = 0
  /// Bytes that the chunks of events take before compression.
  public private(set) var rawByteCount: UInt64 = 0

  let bytes: TraceBytes
  /// Sizes of all regions by number; 0 of those that have not been described.
  private var limits = [UInt64](repeating: 0, count: Int(ARB_TRACE_REGION_COUNT))
  private var chunks: [UInt32: [ChunkPlace]] = [:]

  /// Events that the recording holds.
  public var eventCount: UInt64 { threads.reduce(0) { $0 + $1.eventCount } }
  /// Events that the recording lost.
  public var lostCount: UInt64 { threads.reduce(0) { $0 + $1.lostCount } }

  /// Opens a recording.
  ///
  /// - Throws: ``TraceError`` where it is none, is damaged or cannot be read.
  public init(_ bytes: TraceBytes) throws(TraceError) {
    self.bytes = bytes
    var walk = ArbTraceWalk()
    let first = try bytes.bytes(at: 0, count: Int(ARB_TRACE_FILE_HEADER_SIZE))
    let fault = unsafe arb_trace_walk_begin(&walk, first, first.count, bytes.byteCount)
    switch fault {
    case ARB_TRACE_GOOD: try readChunks(&walk)
    case ARB_TRACE_CUT_SHORT: isCutShort = true
    default: throw TraceError(fault, offset: 0)
    }
    threads.sort { $0.number < $1.number }
    regions.sort { $0.number < $1.number }
  }

  /// The first note of a key.
  public func note(_ key: String) -> String? { notes.first { $0.key == key }?.value }

  /// Returns a cursor at the first event of a thread, in the thread's own order.
  ///
  /// A thread that the recording does not have has no events.
  public func events(ofThread number: UInt32) -> TraceCursor {
    TraceCursor(bytes: bytes, chunks: chunks[number] ?? [], limits: limits)
  }

  private mutating func readChunks(_ walk: inout ArbTraceWalk) throws(TraceError) {
    var places: [UInt32: Int] = [:]
    while true {
      let offset = walk.offset
      let header = try bytes.bytes(at: offset, count: Int(ARB_TRACE_CHUNK_HEADER_SIZE))
      var chunk = ArbTraceChunk()
      let hadEnded = walk.has_ended != 0
      // SAFETY: C reads the header's bytes only, and keeps no pointer.
      let fault = unsafe arb_trace_walk_next(
        &walk, header, header.count, bytes.byteCount, &chunk)
      soundByteCount = offset
      if fault == ARB_TRACE_CUT_SHORT {
        isCutShort = true
        return
      }
      guard fault == ARB_TRACE_GOOD else { throw TraceError(fault, offset: offset) }
      if hadEnded { return }
      let place = ChunkPlace(chunk, offset: offset)
      switch UInt32(chunk.type) {
      case ARB_TRACE_EVENTS.rawValue: try add(chunk, place, &places)
      case ARB_TRACE_REGIONS.rawValue: try readRegions(place)
      case ARB_TRACE_NOTES.rawValue: try readNotes(place)
      default: break
      }
    }
  }

  private mutating func add(
    _ chunk: ArbTraceChunk, _ place: ChunkPlace, _ places: inout [UInt32: Int]
  ) throws(TraceError) {
    guard let source = TraceSource(rawValue: chunk.source) else {
      throw TraceError(ARB_TRACE_BAD_FIELD, offset: place.offset)
    }
    let index = places[chunk.thread] ?? threads.count
    if index == threads.count {
      threads.append(TraceThread(number: chunk.thread, source: source, eventCount: 0))
      places[chunk.thread] = index
    }
    guard threads[index].source == source else {
      throw TraceError(ARB_TRACE_BAD_FIELD, offset: place.offset)
    }
    threads[index].eventCount += UInt64(chunk.count)
    threads[index].lostCount += chunk.lost
    guard chunk.count > 0 else { return }
    chunks[chunk.thread, default: []].append(place)
    eventChunkCount += 1
    rawByteCount += UInt64(chunk.raw_size)
  }

  private mutating func readRegions(_ place: ChunkPlace) throws(TraceError) {
    var reader = TextReader(try place.unpacked(from: bytes), offset: place.offset)
    for _ in 0..<place.count {
      let region = try reader.nextRegion()
      // Regions grow: the last name and the largest size hold.
      let size = max(region.byteCount, limits[Int(region.number)])
      limits[Int(region.number)] = size
      regions.removeAll { $0.number == region.number }
      regions.append(TraceRegion(number: region.number, name: region.name, byteCount: size))
    }
    try reader.finish()
  }

  private mutating func readNotes(_ place: ChunkPlace) throws(TraceError) {
    var reader = TextReader(try place.unpacked(from: bytes), offset: place.offset)
    for _ in 0..<place.count { notes.append(try reader.nextNote()) }
    try reader.finish()
    guard notes.count <= Int(ARB_TRACE_TEXTS_MAX) else {
      throw TraceError(ARB_TRACE_BAD_FIELD, offset: place.offset)
    }
  }
}
