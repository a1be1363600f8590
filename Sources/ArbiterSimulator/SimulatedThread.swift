// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// A thread on its core. Steps of one access:
//
//   enter ──► (permit | ring | delay and fence) ──► line, line, … ──► fence? ──► think ──► enter
//
// Every arrow is at most one event; a thread that waits for something without a known time has no
// event and is woken by whoever makes the thing happen.

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterScheduler
internal import ArbiterWorkloads

/// What a thread's next event means.
enum ThreadStep: UInt8 {
  /// The thread wants its next access.
  case enter
  /// The gate let the access, or its next block, pass.
  case pass
  /// A long access comes to its next media block and asks the gate again.
  case block
  /// The thread issues the next line of the access.
  case line
  /// The thread has ordered its stores and asks whether all were accepted.
  case fence
  /// The same inside the gate, before the access.
  case gateFence
  /// The thread's request has been copied into a ring.
  case pushed
  /// A worker looks for a request.
  case serve
  /// The thread has nothing to do until its next phase.
  case idle
}

/// What a thread waits for that has no known time.
enum ThreadBlock: UInt8 {
  case nothing
  case window
  case fence
  case permit
  case ring
  case request
}

/// What a thread did, cumulative.
struct ThreadCounts {
  var storedBytes: UInt64 = 0
  var loadedBytes: UInt64 = 0
  var accesses: UInt64 = 0
  var storeAccesses: UInt64 = 0
  var delay: Int64 = 0
}

/// The state of one thread.
struct SimulatedThread: ~Copyable {
  var step = ThreadStep.idle
  var block = ThreadBlock.nothing
  let isWorker: Bool
  let isGated: Bool

  /// What the thread does from when on; the last phase has no end.
  let phases: [ThreadPhase]
  /// What a recorded thread does instead of phases.
  var recording: RecordedStream?
  var isRecorded = false
  /// When the recording ended, in picoseconds; the largest time while it has not.
  var ended = Int64.max
  /// Start of the thread's own region.
  var base: UInt64 = 0
  var phase = -1
  var phaseEnd = Int64.max
  var stream: AccessStream?
  var random: SeededRandom

  // The access at hand.

  var access = Access(operation: .load, address: 0, length: 64)
  var accessesLeft: UInt32 = 0
  var address: UInt64 = 0
  var linesLeft: UInt32 = 0
  var entered: Int64 = 0
  /// When the gate's delay is over.
  var passTime: Int64 = 0
  /// Whether the gate is asked again at every media block of the access at hand.
  var isPacedByBlock = false
  var unfencedBytes: UInt64 = 0
  var isActive = false

  // The core.

  let share: CoreShare
  var stores = LineWindow()
  /// Stores of the window that their modules have not accepted.
  var waitingStores = WaitingLines()
  /// Loads, and the reads that cached stores begin with.
  var loads = LineWindow()

  // The gate.

  var pace: Pace
  var holdsPermit = false
  var permitSpan: PermitSpan
  /// Under delegation: requests of this thread that are not complete.
  var openRequests = 0
  /// Of a worker: whose request it serves.
  var owner: Int32 = 0

  var counts = ThreadCounts()
}
