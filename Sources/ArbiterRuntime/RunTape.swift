// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import CArbiterRecord
internal import Glibc

/// The recording that the environment of this process names, and the region in it that a run
/// writes to.
///
/// `arbiter record` names one; without it nothing is recorded.
@safe
struct RunRecording: Sendable {
  // SAFETY: mapped for as long as the process runs: threads' lists of robust mutexes point there.
  nonisolated(unsafe) fileprivate let session: UnsafeMutablePointer<ArbTraceSession>
  fileprivate let region: UInt64
  fileprivate let operation: ArbTraceOperation

  /// Opened once: a process may make many runs, and what is mapped stays.
  private static let shared: RunSession? = {
    var mapping = unsafe ArbTraceMapping()
    guard unsafe arb_trace_session_from_environment(&mapping) == 0,
      let session = unsafe mapping.session
    else { return nil }
    return unsafe RunSession(session: session)
  }()

  /// Finds the recording; nil where there is none, or it can number no more files.
  init?(path: String, byteCount: Int, method: StoreMethod) {
    guard let shared = Self.shared else { return nil }
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    let isFile = unsafe stat(path, &facts) == 0
    // glibc's encoding of device numbers, and the kernel's order of them in lists of mappings.
    let device = facts.st_dev
    let major = UInt64(device >> 8 & 0xFFF | device >> 32 & 0xFFFF_F000)
    let minor = UInt64(device & 0xFF | device >> 12 & 0xFFFF_FF00)
    let number = unsafe arb_trace_region_find(
      shared.session, isFile ? ARB_TRACE_REGION_FILE : ARB_TRACE_REGION_NAMED,
      major << 32 | minor, UInt64(facts.st_ino), path, UInt64(byteCount))
    guard number >= 0 else { return nil }
    unsafe session = shared.session
    region = UInt64(number)
    operation =
      switch method {
      case .nonTemporal: ARB_TRACE_STORE_NT
      case .writeBack: ARB_TRACE_STORE_WRITTEN_BACK
      case .plain: ARB_TRACE_STORE
      }
  }
}

/// A mapped session.
@safe
private struct RunSession: Sendable {
  // SAFETY: as in RunRecording.
  nonisolated(unsafe) let session: UnsafeMutablePointer<ArbTraceSession>
}

/// What one thread of a run writes into the recording; nothing where there is none.
///
/// An access is one event, and its span is the time from the gate to the last store.
@safe
struct RunTape: ~Copyable {
  private var recorder = unsafe ArbRecorder()
  private var event = ArbTraceEvent()
  let isRunning: Bool

  /// Takes a place in the recording for the calling thread.
  init(_ recording: RunRecording?) {
    guard let recording else {
      isRunning = false
      return
    }
    isRunning =
      unsafe arb_recorder_attach(
        &recorder, recording.session, ARB_TRACE_FROM_WORKLOAD) == 0
    event.region = recording.region
    event.operation = UInt64(recording.operation.rawValue)
    event.count = 1
  }

  /// Takes what has passed since the tape was made out of the thread's time.
  mutating func begin() {
    if isRunning { unsafe arb_recorder_exclude(&recorder) }
  }

  /// When an access begins.
  @inline(__always)
  mutating func now() -> Int64 {
    isRunning ? unsafe arb_recorder_now(&recorder) : 0
  }

  /// Records an access that has ended.
  @inline(__always)
  mutating func note(offset: UInt64, length: Int, since start: Int64) {
    guard isRunning else { return }
    event.start = UInt64(bitPattern: start)
    event.offset = offset
    event.length = UInt32(truncatingIfNeeded: length)
    event.span = unsafe arb_trace_span(start, arb_recorder_now(&recorder))
    unsafe arb_recorder_append(&recorder, &event)
  }

  /// Records a fence that has ended.
  mutating func noteFence(since start: Int64) {
    guard isRunning else { return }
    var fence = ArbTraceEvent()
    fence.start = UInt64(bitPattern: start)
    fence.operation = UInt64(ARB_TRACE_FENCE.rawValue)
    fence.count = 1
    fence.span = unsafe arb_trace_span(start, arb_recorder_now(&recorder))
    unsafe arb_recorder_append(&recorder, &fence)
  }

  /// Gives the place back.
  mutating func end() {
    if isRunning { unsafe arb_recorder_detach(&recorder) }
  }
}
