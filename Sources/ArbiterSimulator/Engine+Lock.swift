// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterScheduler

// The lock contract (`LockParameters`) in virtual time.
extension Engine {
  mutating func requestPermit(_ index: Int) {
    if threads[index].holdsPermit {
      guard threads[index].permitSpan.endsBeforeStore(at: threads[index].address) else {
        issueLine(index)
        return
      }
      releasePermit(index)
    }
    note(.permitWanted, index)
    guard permits?.request(Int32(truncatingIfNeeded: index)) == true else {
      block(index, .permit, then: .pass)
      return
    }
    note(.permitTaken, index)
    threads[index].holdsPermit = true
    threads[index].permitSpan.begin()
    let cost = TimeSpan.nanoseconds(lock.acquireNanoseconds).picoseconds
    schedule(index, .pass, at: now &+ jittered(cost))
  }

  /// Books an access under a permit and gives the permit back at the end of its span.
  mutating func bookUnderPermit(_ index: Int, address: UInt64, length: UInt64) {
    if threads[index].permitSpan.endsAfterStore(at: address, length: length) {
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
    threads[Int(next)].permitSpan.begin()
    threads[Int(next)].block = .nothing
    let cost = TimeSpan.nanoseconds(lock.handOverNanoseconds).picoseconds
    clock.schedule(Int(next), at: now &+ jittered(cost))
  }
}
