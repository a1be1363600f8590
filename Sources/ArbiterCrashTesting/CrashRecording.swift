// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMemory
internal import ArbiterPersistence

/// What a recorded operation means to the model.
enum RecordedStep {
  /// Words stored in no promised order.
  case store([WordStore], isNonTemporal: Bool)
  /// Lines asked to leave the caches.
  case writeBack(ClosedRange<Int>)
  /// The thread fenced.
  case fence
  /// The run promised something to somebody.
  case acknowledge(Int)
  /// From here on crashes are of interest; all before has survived.
  case start
}

/// A step with whose it is.
struct RecordedEntry {
  var step: RecordedStep
  /// The operation that the step is part of.
  var call: Int
  var thread: Int
}

/// An operation of the run, for reports.
struct RecordedCall {
  var name: String
  var bytes: Range<Int>?
  var thread: Int
  /// From where the program made the call.
  var site: CallSite

  /// The operation and its bytes, in the words of a report.
  var text: String {
    guard let bytes else { return name }
    return "\(name) of \(bytes.count) B at \(bytes.lowerBound)"
  }
}

/// Everything that a run did to its region, in order.
struct CrashRecording {
  var entries: [RecordedEntry] = []
  var calls: [RecordedCall] = []
}
