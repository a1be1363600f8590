// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterScheduler

// The lock contract (`LockParameters`) in virtual time.
extension Engine {
  mutating func requestPermit(_ index: Int) {
    if threads[index].holdsPermit {
      issueLine(index)
      return
    }
    note(.permitWanted, index)
    guard permits?.request(Int32(truncatingIfNeeded: index)) == true else {
      block(index, .permit, then: .pass)
      return
    }
    note(.permitTaken, index)
    threads[index].holdsPermit = true
    threads[index].permitBytes = 0
    let cost = TimeSpan.nanoseconds(lock.acquireNanoseconds).picoseconds
    schedule(index, .pass, at: now &+ jittered(cost))
  }

  /// Counts an access under a permit and gives the permit back at the end of its span.
  mutating func countUnderPermit(_ index: Int, bytes: Int) {
    threads[index].permitBytes += bytes
    let held = threads[index].permitBytes
    let atBlockBoundary = threads[index].address & 255 == 0
    // A thread none of whose accesses ends at a boundary would keep its permit for ever.
    let heldMax = lock.spanBytes + max(lock.spanBytes, Granularity.mediaBlockBytes)
    if held >= lock.spanBytes && (atBlockBoundary || held >= heldMax) {
      releasePermit(index)
    }
  }

  /// Gives the thread's permit, if it holds one, to whoever has waited longest.
  mutating func releasePermit(_ index: Int) {
    guard threads[index].holdsPermit else { return }
    threads[index].holdsPermit = false
    note(.permitReturned, index)
    guard let next = permits?.release() else { return }
    note(.permitTaken, Int(next))
    threads[Int(next)].holdsPermit = true
    threads[Int(next)].permitBytes = 0
    threads[Int(next)].block = .nothing
    let cost = TimeSpan.nanoseconds(lock.handOverNanoseconds).picoseconds
    clock.schedule(Int(next), at: now &+ jittered(cost))
  }
}
