// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import CArbiterTier
import Testing

@Suite struct `a tier page` {
  @Test func `requests reach their limit and outcomes come in order`() {
    let bytes = Int(arb_tier_page_bytes(100, 64))
    let page = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 4096)
    defer { unsafe page.deallocate() }
    unsafe page.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    var sizes = ArbTierSizes()
    #expect(unsafe arb_tier_page_check(page, UInt64(bytes), &sizes) != 0)
    unsafe arb_tier_page_make(page, 100, 64)
    #expect(unsafe arb_tier_page_check(page, UInt64(bytes), &sizes) == 0)
    #expect(sizes.slot_count == 100 && sizes.chunk_capacity == 64)
    #expect(unsafe arb_tier_page_check(page, UInt64(bytes - 1), &sizes) != 0)
    let seat = unsafe arb_tier_seat(page, 5)
    var request = ArbTierRequest()
    for ticket in 0..<UInt64(ARB_TIER_RING_COUNT) {
      request.ticket = ticket
      #expect(unsafe arb_tier_request(seat, &request) == 0)
    }
    #expect(unsafe arb_tier_request(seat, &request) == -11)
    var outcome = ArbTierOutcome()
    #expect(unsafe arb_tier_take_outcome(seat, &outcome) == 0)
    #expect(unsafe arb_tier_seat_is_left(seat) == 0)
  }
}
