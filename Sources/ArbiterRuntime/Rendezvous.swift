// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Where the threads of a run meet: set up, let go together, told to stop, and counted at their end.
///
/// Lies inside the object that the threads share, so that asking whether to stop is one load.
struct Rendezvous: ~Copyable, Sendable {
  private let isStarted = Atomic<Bool>(false)
  private let isStopped = Atomic<Bool>(false)
  private let readyCount = Atomic<Int>(0)
  private let endedCount = Atomic<Int>(0)
  private let bell = Doorbell()

  // MARK: The threads

  /// Reports that the thread is set up, or never will be.
  func report() {
    // Pairs with the acquire in `start`.
    readyCount.wrappingAdd(1, ordering: .releasing)
  }

  /// Reports that the thread is set up, and waits until all are let go.
  func waitForStart() {
    report()
    var backoff = Backoff()
    // Pairs with the release in `start`: what was written before is visible afterwards.
    while !isStarted.load(ordering: .acquiring) { backoff.wait() }
  }

  /// Whether the thread is to stop after the access that it is at.
  @inline(__always)
  var isStopping: Bool {
    // Relaxed: the flag orders nothing, it only has to arrive.
    isStopped.load(ordering: .relaxed)
  }

  /// Reports that the thread has ended.
  func end() {
    // Pairs with the acquire in `haveEnded`.
    endedCount.wrappingAdd(1, ordering: .releasing)
    bell.ring()
  }

  // MARK: Who runs them

  /// Lets the threads go.
  func start() { isStarted.store(true, ordering: .releasing) }

  /// Waits until so many threads are set up.
  func waitUntilReady(_ threadCount: Int) {
    var backoff = Backoff()
    while readyCount.load(ordering: .acquiring) < threadCount { backoff.wait() }
  }

  /// Tells the threads to stop.
  func stop() { isStopped.store(true, ordering: .relaxed) }

  /// How often a thread has ended: for ``wait(after:nanoseconds:)``, read before what is decided.
  var ringCount: UInt32 { bell.ringCount }

  /// Whether so many threads have ended.
  func haveEnded(_ threadCount: Int) -> Bool {
    endedCount.load(ordering: .acquiring) == threadCount
  }

  /// Sleeps until a thread has ended since the count was read, or the time is up.
  func wait(after heard: UInt32, nanoseconds: Int64) {
    bell.wait(after: heard, nanoseconds: nanoseconds)
  }
}
