// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiterTrace

/// A text that a recording carries: who made it, when, of what.
public struct TraceNote: Sendable, Hashable {
  /// What the text is about, such as `command`.
  public var key: String
  /// The text.
  public var value: String

  /// Makes a note.
  public init(_ key: String, _ value: String) {
    self.key = key
    self.value = value
  }
}

extension TraceError {
  /// What a fault of the format means.
  ///
  /// - Parameters:
  ///   - fault: What C has found.
  ///   - offset: Where the chunk begins.
  ///   - event: Number of the event within its chunk, where one is at fault.
  init(_ fault: ArbTraceFault, offset: UInt64, event: UInt32 = 0) {
    let again = "copy or record the file again"
    let chunk = "the chunk that begins here"
    let (code, reason, nextStep): (Code, String, String) =
      switch fault {
      case ARB_TRACE_NOT_A_TRACE:
        (
          .notATrace, "the file does not begin as a recording of Arbiter does",
          "give a recording, or name its format with 'arbiter trace convert --from'"
        )
      case ARB_TRACE_OTHER_VERSION:
        (
          .version, "the recording has a later version of the format than this tool knows (1)",
          "read it with the version of Arbiter that wrote it"
        )
      case ARB_TRACE_BAD_FILE_HEADER: (.damaged, "the header of the file is damaged", again)
      case ARB_TRACE_CUT_SHORT: (.damaged, "the file ends inside \(chunk)", again)
      case ARB_TRACE_BAD_CHUNK_HEADER:
        (.damaged, "the header of \(chunk) is damaged", again)
      case ARB_TRACE_BAD_FIELD:
        (.damaged, "\(chunk) has sizes or kinds that no recording has", again)
      case ARB_TRACE_BAD_SEQUENCE:
        (.damaged, "a chunk is missing before the one that begins here", again)
      case ARB_TRACE_BAD_TOTALS:
        (.damaged, "the events before this end do not add up to what it says", again)
      case ARB_TRACE_BYTES_AFTER_END:
        (.damaged, "the recording has ended, and yet more bytes follow", again)
      case ARB_TRACE_BAD_CHECKSUM:
        (.damaged, "\(chunk) is damaged: its checksum differs", again)
      case ARB_TRACE_BAD_PACKING: (.damaged, "\(chunk) does not decompress", again)
      case ARB_TRACE_BAD_RECORD:
        (.damaged, "event \(event) of \(chunk) is not encoded as events are", again)
      case ARB_TRACE_BAD_EVENT:
        (.damaged, "event \(event) of \(chunk) is one that no thread can have produced", again)
      case ARB_TRACE_OUTSIDE_REGION:
        (.damaged, "event \(event) of \(chunk) reaches beyond its region", again)
      case ARB_TRACE_BAD_TIMES: (.damaged, "\(chunk) names other times than its events", again)
      case ARB_TRACE_BAD_TEXT: (.damaged, "\(chunk) holds a text or a number that is none", again)
      case ARB_TRACE_NO_MEMORY:
        (.limit, "there is no memory to decompress \(chunk)", "free some memory")
      default: (.damaged, "\(chunk) is damaged", again)
      }
    self.init(code, offset: offset, reason: reason, nextStep: nextStep)
  }
}
