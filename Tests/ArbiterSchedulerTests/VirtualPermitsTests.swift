// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterScheduler
import Testing

@Suite("Virtual permits")
struct VirtualPermitsTests {
  /// Every sequence over 7 steps in which one of four threads asks for, or gives back, its permit.
  @Test(arguments: [1, 2, 3])
  func `permits are bounded, never idle and given in order`(limit: Int) {
    let differing = (0..<(1 << 14)).first { !agrees($0, limit: limit) }
    #expect(differing == nil, "sequence in base 4")
  }

  /// Whether the permits do what two arrays do.
  private func agrees(_ sequence: Int, limit: Int) -> Bool {
    var permits = VirtualPermits(limit: limit, threadCount: 4)
    var holders: [Int32] = []
    var waiters: [Int32] = []
    for step in 0..<7 {
      let thread = Int32(sequence >> (2 * step) & 3)
      if let place = holders.firstIndex(of: thread) {
        holders.remove(at: place)
        if permits.release() != waiters.first { return false }
        if !waiters.isEmpty { holders.append(waiters.removeFirst()) }
      } else if !waiters.contains(thread) {
        let isGranted = permits.request(thread)
        if isGranted != (holders.count < limit) { return false }
        if isGranted { holders.append(thread) } else { waiters.append(thread) }
      }
      if permits.holderCount != holders.count || permits.holderCount > limit { return false }
      if permits.waiterCount != waiters.count { return false }
      if permits.waiterCount > 0 && permits.holderCount < limit { return false }
    }
    return true
  }
}
