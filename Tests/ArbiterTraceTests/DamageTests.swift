// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterTestSupport
import ArbiterTrace
import ArbiterWorkloads
import CArbiterTrace
import Testing

@Suite("Damaged and hostile recordings")
struct DamageTests {
  /// ARB_TRACE_RAW_MAX, which Swift does not import.
  static let rawMax: UInt32 = 8 * 4 + 39 * 65_536

  @Test func `a file cut anywhere is read up to its last whole chunk and says so`() throws {
    let recording = try Recording.make(
      seed: ProcessSeed.value, threads: [0, 1], eventsPerThread: 40)
    let boundaries = recording.boundaries
    #expect(boundaries.last == recording.bytes.count && boundaries.count == 12)
    for length in 1..<recording.bytes.count {
      let file = try TraceFile(TraceBytes(Array(recording.bytes[..<length])))
      #expect(file.isCutShort, "cut at \(length)")
      let whole = boundaries.last { $0 <= length } ?? 0
      #expect(file.soundByteCount == UInt64(whole), "cut at \(length)")
      for thread in file.threads {
        let read = try events(of: file, thread: thread.number)
        #expect(read.count == Int(thread.eventCount), "cut at \(length)")
        #expect(recording.events[thread.number]?.starts(with: read) == true, "cut at \(length)")
      }
    }
    // Every chunk of events that is whole is there.
    let last = try TraceFile(TraceBytes(Array(recording.bytes.dropLast())))
    #expect(last.eventCount == 80)
  }

  @Test func `no damage of one byte goes unnoticed, and the sentence names where`() throws {
    let recording = try Recording.make(
      seed: ProcessSeed.value, threads: [0, 1], eventsPerThread: 30)
    let boundaries = [0] + recording.boundaries
    for index in recording.bytes.indices {
      for change: UInt8 in [0x01, 0x10, 0x80, 0xFF] {
        var bytes = recording.bytes
        bytes[index] ^= change
        guard let error = failure(of: bytes) else {
          Issue.record("byte \(index) changed by \(change) was not noticed")
          continue
        }
        let chunk = boundaries.last { $0 <= index } ?? 0
        #expect(error.offset == UInt64(chunk), "byte \(index) changed by \(change)")
        #expect("\(error)".hasPrefix("byte \(chunk): "))
        #expect(error.code == (index < 8 ? .notATrace : .damaged))
      }
    }
  }

  @Test func `other files are refused, with what to do`() throws {
    #expect(failure(of: [])?.code == .notATrace)
    #expect(failure(of: Array("0x1000 W\n".utf8))?.code == .notATrace)
    // A later version, with its checksum.
    var bytes = try Recording.make(seed: 1, threads: [], eventsPerThread: 0).bytes
    bytes[8] = 2
    // SAFETY: the header has 28 bytes and more.
    let sum = unsafe arb_trace_checksum(bytes, 28)
    for place in 0..<4 { bytes[28 + place] = UInt8(truncatingIfNeeded: sum >> (8 * place)) }
    let error = failure(of: bytes)
    #expect(error?.code == .version)
    #expect(error?.nextStep == "read it with the version of Arbiter that wrote it")
  }

  @Test func `zeros after a loss of power are a missing end`() throws {
    let recording = try Recording.make(seed: 1, threads: [0], eventsPerThread: 40)
    let cut = recording.boundaries[6]
    let bytes = recording.bytes[..<cut] + [UInt8](repeating: 0, count: 5000)
    let file = try TraceFile(TraceBytes(Array(bytes)))
    #expect(file.isCutShort && file.soundByteCount == UInt64(cut) && file.eventCount == 32)
  }

  @Test func `a chunk that is missing, doubled or moved is noticed`() throws {
    let recording = try Recording.make(seed: 1, threads: [0], eventsPerThread: 64)
    let bytes = recording.bytes
    let at = recording.boundaries
    let missing = Array(bytes[..<at[5]] + bytes[at[6]...])
    #expect(failure(of: missing)?.offset == UInt64(at[5]))
    let doubled = Array(bytes[..<at[6]] + bytes[at[5]...])
    #expect(failure(of: doubled)?.offset == UInt64(at[6]))
    #expect(failure(of: doubled)?.reason.hasPrefix("a chunk is missing") == true)
    let longer = bytes + [0]
    #expect(failure(of: longer)?.reason == "the recording has ended, and yet more bytes follow")
    #expect(failure(of: longer)?.offset == UInt64(bytes.count))
  }

  @Test func `sizes beyond the limits are refused before memory is asked for`() throws {
    let recording = try Recording.make(
      seed: 1, threads: [0], eventsPerThread: 400, eventsPerChunk: 400)
    let chunk = recording.boundaries[4]
    let changes: [@Sendable (inout ArbTraceChunk) -> Void] = [
      { $0.raw_size = .max }, { $0.count = 65_537 }, { $0.count = .max },
      { $0.raw_size = Self.rawMax + 1 }, { $0.thread = 65_536 }, { $0.source = 0 },
      { $0.source = 5 }, { $0.packing = 2 }, { $0.type = 0 }, { $0.type = 5 },
      { $0.stored_size = 0 }, { $0.stored_size = $0.raw_size },
      { ($0.type, $0.source, $0.thread, $0.raw_size) = (2, 0, 0, (1 << 20) + 1) },
      { ($0.type, $0.source, $0.thread, $0.count) = (3, 0, 0, 1025) },
    ]
    for (index, change) in changes.enumerated() {
      // A reader that is asked for nothing but headers cannot have decompressed anything.
      let bytes = replacingHeader(recording.bytes, at: chunk, change)
      let counted = TraceBytes(byteCount: UInt64(bytes.count)) {
        (offset, count) throws(TraceError) in
        #expect(count <= 4096, "change \(index)")
        return Array(bytes[Int(offset)..<Int(offset) + count])
      }
      let error = #expect(throws: TraceError.self) { _ = try TraceFile(counted) }
      #expect(error?.offset == UInt64(chunk), "change \(index)")
      #expect(error?.reason.hasSuffix("sizes or kinds that no recording has") == true)
    }
  }

  @Test func `a chunk that decompresses to more or less than it says is refused`() throws {
    let recording = try Recording.make(
      seed: 1, threads: [0], eventsPerThread: 400, eventsPerChunk: 400)
    let chunk = recording.boundaries[4]
    for size in [Self.rawMax, 300_000] {
      let bytes = replacingHeader(recording.bytes, at: chunk) { $0.raw_size = size }
      let error = failure(of: bytes)
      #expect(error?.reason == "the chunk that begins here does not decompress")
      #expect(error?.offset == UInt64(chunk))
    }
  }

  @Test func `other counts and times than the events have are refused`() throws {
    let recording = try Recording.make(seed: 1, threads: [0], eventsPerThread: 16)
    let chunk = recording.boundaries[4]
    let late = replacingHeader(recording.bytes, at: chunk) { $0.last += 1 }
    #expect(failure(of: late)?.reason.hasSuffix("names other times than its events") == true)
    // The end of the file would notice other counts as well, so it is cut off.
    let end = recording.boundaries.suffix(2)[recording.boundaries.count - 2]
    for count: UInt32 in [1, 15, 17] {
      let bytes = replacingHeader(Array(recording.bytes[..<end]), at: chunk) { $0.count = count }
      #expect(failure(of: bytes)?.reason.contains("is not encoded as events are") == true)
    }
    let lost = replacingHeader(recording.bytes, at: chunk) { $0.lost = 3 }
    #expect(failure(of: lost)?.reason == "the events before this end do not add up to what it says")
  }

  @Test func `an event outside its region is refused with its number`() throws {
    let recording = try Recording.make(seed: 1, threads: [0], eventsPerThread: 16)
    // Without the regions' chunks nothing has been described.
    let (at, bytes) = (recording.boundaries, recording.bytes)
    var alone = Array(bytes[..<at[0]]) + Array(bytes[at[4]..<at[5]])
    alone = replacingHeader(alone, at: at[0]) { $0.sequence = 0 }
    let error = failure(of: alone)
    #expect(error?.reason.hasSuffix("reaches beyond its region") == true)
    #expect(error?.reason.hasPrefix("event ") == true)
  }

  @Test func `a file that shrinks while it is read is an error of reading`() throws {
    let bytes = try Recording.make(seed: 1, threads: [0], eventsPerThread: 16).bytes
    let shrinking = TraceBytes(byteCount: UInt64(bytes.count)) {
      (offset, count) throws(TraceError) in
      Array(bytes[Int(offset)..<Int(offset) + count].dropLast(offset > 100 ? 1 : 0))
    }
    let error = #expect(throws: TraceError.self) { _ = try TraceFile(shrinking) }
    #expect(error?.code == .inputOutput)
  }
}
