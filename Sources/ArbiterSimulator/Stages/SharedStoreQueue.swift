// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// What the stores to several modules share on their way from the cores: turns in order of arrival,
// and a limit to how many of them may wait aside for modules whose write-pending queues are full.
// Once the limit is reached, whoever comes next waits, whatever its module.
//
// Without the limit the lines of all cores gather before whichever module is slowest; that makes it
// slower still (target 17: threads convoy). With a limit of one, nothing amplifies on an interleave
// set, which it does.

internal import ArbiterCore
internal import ArbiterDevice

/// A thread's line in a shared queue.
struct StoreTurn {
  var thread: Int32 = 0
  var module: Int32 = 0

  init(thread: Int = 0, module: Int = 0) {
    self.thread = Int32(truncatingIfNeeded: thread)
    self.module = Int32(truncatingIfNeeded: module)
  }
}

/// The queue of the stores to some neighbouring modules.
struct SharedStoreQueue: ~Copyable {
  /// Lines that nobody has looked at, in order of arrival.
  var turns: FixedQueue<StoreTurn>
  /// Lines held aside for modules whose write-pending queues are full.
  var heldCount = 0
  private let heldMax: Int

  init(profile: DeviceProfile, threadCount: Int) {
    let count = threadCount * LineWindow.maximumLines
    turns = FixedQueue(capacity: count, filler: StoreTurn())
    heldMax = profile.sharedQueueLines
  }

  /// Whether no turn can be taken before a module has accepted a line.
  @inline(__always)
  var isFull: Bool { heldCount >= heldMax }
}
