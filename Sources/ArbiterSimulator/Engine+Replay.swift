// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterWorkloads

// Threads that do what a recording says, and end when it does.
extension Engine {
  /// Gives recorded threads their streams, and their first event when the recording has it.
  func placeRecordings(_ configuration: SimulationConfiguration) {
    for (index, plan) in configuration.threads.enumerated() {
      guard let recorded = plan.recorded else { continue }
      threads[index].recording = RecordedStream(
        recorded, cachedLineCount: profile.cacheLinesPerThread)
      threads[index].isRecorded = true
      threads[index].isActive = true
      threads[index].phaseEnd = .max
      schedule(index, .enter, at: recorded.startPicoseconds)
    }
  }

  /// Takes the next run of a recorded thread; false where its recording has ended, and with it the
  /// thread.
  @inline(never)
  mutating func beginRecorded(_ index: Int, at time: Int64) -> Bool {
    if let access = threads[index].recording?.next() {
      threads[index].access = access
      threads[index].accessesLeft = access.count
      threads[index].address = access.address
      prepare(index, at: time)
      return true
    }
    threads[index].isActive = false
    threads[index].step = .idle
    threads[index].ended = now
    clock.cancel(index)
    releasePermit(index)
    livingCount -= 1
    stopTime = now
    return false
  }

  /// Whether the access at hand asks the gate for admission.
  ///
  /// Of plain stores a gate around a real program would see nothing: there it is the flush that
  /// asks. The simulator's own threads ask for theirs, as those of `arbiter bench` do.
  @inline(__always)
  func asksGate(_ index: Int) -> Bool {
    switch threads[index].access.operation {
    case .storeNonTemporal, .storeWriteBack, .storeWriteBackCached, .writeBack: true
    case .storePlain, .storePlainCached: !threads[index].isRecorded
    case .load, .fence: false
    }
  }

  /// Tells the recorder of an access that begins at an address.
  @inline(never)
  mutating func recordAccess(_ index: Int, at address: UInt64, until time: Int64) {
    let access = threads[index].access
    let (base, entered) = (threads[index].base, threads[index].entered)
    recorder?.add(
      thread: index, access, offset: address &- base, from: entered, until: time)
  }

  /// Tells the recorder that a fence followed.
  @inline(never)
  mutating func recordFence(_ index: Int, until time: Int64) {
    let entered = threads[index].entered
    recorder?.addFence(thread: index, from: entered, until: time)
  }
}
