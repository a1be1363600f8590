// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// libFuzzer target: reads any bytes as text of VANS or of lackey, in pieces. Whatever is taken must
// be a recording that reads back, and what came from VANS goes back to a text of as many lines.
// Tests/Scripts/fuzz builds it together with the sources of ArbiterTrace, as one module.

import ArbiterTrace

private final class Sink {
  var bytes: [UInt8] = []
}

/// What libFuzzer calls: the first byte chooses the format and the size of the pieces.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard let data, count > 0 else { return 0 }
  // SAFETY: libFuzzer's bytes live until the call returns.
  let input = unsafe Array(UnsafeBufferPointer(start: data, count: count))
  let pieceSize = 1 + Int(input[0] & 0x3F)
  let format = input[0] & 0x80 == 0 ? TextFormat.vans : .lackey
  let range: Range<UInt64>? = input[0] & 0x40 == 0 ? nil : 0x1000..<0x0010_0000
  do {
    try convert(Array(input.dropFirst()), format, range, pieceSize)
  } catch let error as TraceError {
    precondition(error.offset <= UInt64(count), "an error beyond the text: \(error)")
  } catch {
    fatalError("an error of another kind: \(error)")
  }
  return 0
}

private func convert(
  _ text: [UInt8], _ format: TextFormat, _ range: Range<UInt64>?, _ pieceSize: Int
) throws {
  let sink = Sink()
  // SAFETY: the bytes are copied before the call returns.
  var writer = try unsafe TraceWriter(eventsPerChunk: 64) { sink.bytes += unsafe Array($0) }
  var importer = TextImporter(format, range: range, instructionPicoseconds: 333)
  for start in stride(from: 0, to: text.count, by: pieceSize) {
    try importer.add(text[start..<min(start + pieceSize, text.count)], to: &writer)
  }
  try importer.finish(&writer)
  try writer.finish()
  // From here on any error is ours.
  do {
    let file = try TraceFile(TraceBytes(sink.bytes))
    precondition(file.eventCount == importer.tally.eventCount, "events are missing")
    var exporter = VansExporter(file, interleaving: .time)
    var output: [UInt8] = []
    while try exporter.append(to: &output) {}
    guard format == .vans else { return }
    var again = TextImporter(.vans)
    var second = try unsafe TraceWriter { _ in }
    try again.add(output[...], to: &second)
    try again.finish(&second)
    precondition(again.tally.eventCount == file.eventCount, "a text does not come back")
  } catch {
    fatalError("what was converted does not read back: \(error)")
  }
}
