// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiter
internal import Synchronization

/// A word that one thread sleeps on and others change; a futex.
@safe
package final class Doorbell: Sendable {
  // SAFETY: allocated in init, freed in deinit; the kernel looks at it only during a call made
  // through a reference to this object. The content is an atomic.
  private nonisolated(unsafe) let word: UnsafeMutablePointer<Atomic<UInt32>>

  /// Makes a bell that nobody has rung.
  package init() {
    unsafe word = AlignedMemory.allocate(count: 1)
    unsafe word.initialize(to: Atomic(0))
  }

  deinit {
    unsafe word.deinitialize(count: 1)
    unsafe word.deallocate()
  }

  /// How often the bell was rung, wrapping.
  ///
  /// Acquires what was written before the ring.
  package var ringCount: UInt32 { unsafe word.pointee.load(ordering: .acquiring) }

  /// Rings, and wakes whoever sleeps.
  ///
  /// Releases what was written before, to `ringCount`.
  package func ring() {
    unsafe word.pointee.wrappingAdd(1, ordering: .releasing)
    unsafe _ = arb_futex_wake(UnsafeRawPointer(word))
  }

  /// Sleeps until the bell has been rung more often than `heard`, or the time is up.
  package func wait(after heard: UInt32, nanoseconds: Int64) {
    if nanoseconds <= 0 { return }
    unsafe _ = arb_futex_wait(UnsafeRawPointer(word), heard, nanoseconds)
  }
}
