// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterWorkloads
internal import CArbiterTrace

/// Reads the texts and numbers of a chunk of regions or notes.
struct TextReader {
  private let bytes: [UInt8]
  private let offset: UInt64
  private var position = 0

  /// Makes a reader; `offset` is the chunk's, for errors.
  init(_ bytes: [UInt8], offset: UInt64) {
    self.bytes = bytes
    self.offset = offset
  }

  /// Throws unless everything has been read.
  func finish() throws(TraceError) {
    guard position == bytes.count else { throw TraceError(ARB_TRACE_BAD_TEXT, offset: offset) }
  }

  /// Returns the next region.
  mutating func nextRegion() throws(TraceError) -> TraceRegion {
    var number: UInt8 = 0
    var size: UInt64 = 0
    var name = ""
    // SAFETY: the spans lie within the chunk's bytes, which live as long as the closure runs.
    let fault = unsafe next { rest in
      var text = unsafe ArbTraceSpan()
      let fault = unsafe arb_trace_next_region(&rest, &number, &size, &text)
      name = unsafe Self.text(text)
      return fault
    }
    guard fault == ARB_TRACE_GOOD else { throw TraceError(fault, offset: offset) }
    return TraceRegion(number: number, name: name, byteCount: size)
  }

  /// Returns the next note.
  mutating func nextNote() throws(TraceError) -> TraceNote {
    var note = TraceNote("", "")
    // SAFETY: as above.
    let fault = unsafe next { rest in
      var (key, value) = unsafe (ArbTraceSpan(), ArbTraceSpan())
      let fault = unsafe arb_trace_next_note(&rest, &key, &value)
      note = unsafe TraceNote(Self.text(key), Self.text(value))
      return fault
    }
    guard fault == ARB_TRACE_GOOD else { throw TraceError(fault, offset: offset) }
    return note
  }

  private mutating func next(
    _ body: (inout ArbTraceSpan) -> ArbTraceFault
  ) -> ArbTraceFault {
    // SAFETY: the span begins inside the bytes or at their end, and so it does after the call.
    let (fault, left) = unsafe bytes.withUnsafeBufferPointer { buffer in
      guard let start = buffer.baseAddress else { return (ARB_TRACE_BAD_TEXT, 0) }
      var rest = unsafe ArbTraceSpan(bytes: start + position, count: buffer.count - position)
      let fault = unsafe body(&rest)
      return unsafe (fault, rest.count)
    }
    position = bytes.count - left
    return fault
  }

  /// The text of a span; what is no UTF-8 is replaced.
  private static func text(_ span: ArbTraceSpan) -> String {
    // SAFETY: C has checked that the span lies within the chunk's bytes.
    unsafe String(
      decoding: UnsafeBufferPointer(start: span.bytes, count: span.count), as: UTF8.self)
  }
}

/// Writes the texts and numbers of a chunk of regions or notes.
struct TextWriter {
  private(set) var bytes: [UInt8] = []

  mutating func add(_ number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func add(_ text: String) {
    add(UInt64(text.utf8.count))
    bytes += text.utf8
  }
}
