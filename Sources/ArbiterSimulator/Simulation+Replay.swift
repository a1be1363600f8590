// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
public import ArbiterWorkloads

/// How much of a recording a simulation has repeated.
public struct ReplayCounts: Sendable, Hashable {
  /// Threads that repeat a recorded thread where it was.
  public var recordedThreadCount = 0
  /// Threads that do the same in ranges of their own.
  public var cloneCount = 0
  /// Events that the threads have read, those of clones counted again.
  public var eventCount: UInt64 = 0
  /// Accesses that were left out because they lie outside of the recorded regions.
  public var outsideCount: UInt64 = 0
}

extension Simulation {
  /// Whether all threads have ended; never true of threads with workloads.
  public var isFinished: Bool { engine.livingCount == 0 }

  /// How much of the recording the threads have repeated so far; nil where nothing was recorded.
  public var replayCounts: ReplayCounts? {
    var counts = ReplayCounts()
    for index in 0..<engine.clientCount {
      guard let recording = engine.threads[index].recording else { continue }
      if recording.isClone { counts.cloneCount += 1 } else { counts.recordedThreadCount += 1 }
      counts.eventCount += recording.eventCount
      counts.outsideCount += recording.outsideCount
    }
    return counts.recordedThreadCount > 0 ? counts : nil
  }

  /// Why a thread ended before its recording did: what its events threw.
  public var replayFailure: (any Error)? {
    for index in 0..<engine.clientCount {
      if let failure = engine.threads[index].recording?.failure { return failure }
    }
    return nil
  }

  /// Hands every access of every thread to a recorder, from now on.
  ///
  /// The addresses of an event count from the start of the thread's own region, and its region is
  /// number 0: whoever takes it in knows the thread.
  ///
  /// - Parameter sink: Takes in an event and the number of its thread, in each thread's own order.
  public mutating func startRecording(to sink: @escaping (_ thread: Int, TraceEvent) -> Void) {
    engine.recorder = AccessRecorder(threadCount: engine.clientCount, sink: sink)
    engine.isRecording = true
  }

  /// Hands over the last accesses and ends the recording.
  public mutating func finishRecording() {
    engine.recorder?.finish()
    engine.recorder = nil
    engine.isRecording = false
  }
}
