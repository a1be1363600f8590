// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement
package import ArbiterPlatform
package import CArbiterTier
internal import Glibc

/// The page that the manager shares with the programs: see CArbiterTier's tier_page.h.
///
/// The manager's view of it, for one thread.
@safe
package final class TierPage {
  /// The descriptor.
  package let descriptor: Int32
  /// How many seats there are.
  package let seatCount = Int(ARB_TIER_SEAT_COUNT)
  /// Seats that were ever claimed; those behind were never looked at and take no memory.
  package var usedSeatCount: Int {
    min(seatCount, Int(unsafe arb_tier_seat_high(page)))
  }
  /// Entries of each seat's table.
  package let chunkCapacity: Int

  /// The sizes that the page was made with: what stands on the page is any program's to write.
  private let sizes: ArbTierSizes

  // SAFETY: mapped by the initializer for the lifetime of the object, with sizes that it chose and
  // keeps; seats and tables lie inside it.
  private let page: UnsafeMutableRawPointer

  /// Makes a page.
  ///
  /// - Parameters:
  ///   - slotCount: Slots of the slow file.
  ///   - fastBytes: The budget of fast memory.
  ///   - slowKind: What the slow file is.
  ///   - options: `ARB_TIER_HUGE` and others.
  /// - Throws: ``PlatformError`` without memory or descriptors.
  package init(
    slotCount: Int, fastBytes: UInt64, slowKind: SlowFile.Kind, options: UInt32
  ) throws(PlatformError) {
    // A program has at most what both tiers hold; what it gives back and takes again needs a few
    // more. Entries that nobody uses take no memory.
    let wanted = 2 * (slotCount + Int(clamping: fastBytes) / TierUnit.chunkBytes) + 1024
    chunkCapacity = min(wanted, Int(ARB_TIER_CHUNKS_MAX))
    sizes = ArbTierSizes(slot_count: UInt32(slotCount), chunk_capacity: UInt32(chunkCapacity))
    var made: UnsafeMutableRawPointer?
    let answer = unsafe arb_tier_page_open(sizes.slot_count, sizes.chunk_capacity, &made)
    guard answer >= 0, let made = unsafe made else {
      throw PlatformError(
        errorNumber: Int32(-answer), path: nil, action: "make the page shared with programs")
    }
    unsafe page = made
    descriptor = Int32(answer)
    let header = unsafe made.assumingMemoryBound(to: ArbTierHeader.self)
    unsafe header.pointee.slow_kind = UInt32(
      slowKind == .file ? ARB_TIER_SLOW_FILE.rawValue : ARB_TIER_SLOW_DEVICE_DAX.rawValue)
    unsafe header.pointee.options = options
    unsafe header.pointee.fast_bytes = fastBytes
    unsafe header.pointee.fast_free_bytes = Int64(clamping: fastBytes)
    beat()
  }

  deinit { unsafe arb_tier_page_close(page, sizes, descriptor) }

  /// Tells programs that the manager lives.
  package func beat() { unsafe arb_tier_beat(page, UInt64(arb_tier_now_ns())) }

  /// Bytes of memory behind the page: those that were touched.
  package var memoryBytes: UInt64 {
    var facts = stat()
    return unsafe fstat(descriptor, &facts) == 0 ? UInt64(facts.st_blocks) * 512 : 0
  }

  /// Words of a seat.
  package func words(ofSeat seat: Int) -> ArbTierSeatWords {
    var words = ArbTierSeatWords()
    unsafe arb_tier_seat_words(place(seat), &words)
    return words
  }

  /// Copies entries of a seat's table.
  package func readChunks(
    ofSeat seat: Int, from first: Int, into room: inout [ArbTierChunk], count: Int
  ) {
    precondition(first >= 0 && count <= room.count && first + count <= chunkCapacity)
    guard count > 0 else { return }
    // SAFETY: the room holds `count` entries, and the table reaches that far.
    unsafe room.withUnsafeMutableBufferPointer { room in
      guard let base = room.baseAddress else { return }
      unsafe arb_tier_read_chunks(
        arb_tier_chunks(page, sizes, UInt32(seat)), UInt32(first), UInt32(count), base)
    }
  }

  /// Appends a request; false where the ring is full.
  package func request(_ request: ArbTierRequest, ofSeat seat: Int) -> Bool {
    var request = request
    return unsafe arb_tier_request(place(seat), &request) == 0
  }

  /// Wakes the mover of a seat.
  package func ringBell(ofSeat seat: Int) { unsafe arb_tier_ring_bell(place(seat)) }

  /// Takes an outcome; nil where there is none.
  package func takeOutcome(ofSeat seat: Int) -> ArbTierOutcome? {
    var outcome = ArbTierOutcome()
    return unsafe arb_tier_take_outcome(place(seat), &outcome) == 1 ? outcome : nil
  }

  /// A remark by its number; nil where it was written over.
  package func remark(_ number: UInt32, ofSeat seat: Int) -> String? {
    var text = [CChar](repeating: 0, count: Int(ARB_TIER_REMARK_BYTES))
    guard unsafe arb_tier_read_remark(place(seat), number, &text) == 1 else { return nil }
    // It goes to a terminal: what is no printable character of ASCII, no remark of ours has.
    let bytes = text.prefix { $0 != 0 }.map {
      (32..<127).contains($0) ? UInt8($0) : UInt8(ascii: "?")
    }
    return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
  }

  /// Who holds a seat: `ARB_TIER_OWNER_...`.
  package func owner(ofSeat seat: Int) -> Int { Int(unsafe arb_tier_seat_owner(place(seat))) }

  /// Whether processes live that were forked from a seat's and run its program.
  package func forksLive(ofSeat seat: Int, slow descriptor: Int32) -> Bool {
    arb_tier_seat_forks_live(descriptor, UInt32(seat)) != 0
  }

  /// Marks a seat as left.
  package func leave(seat: Int) { unsafe arb_tier_seat_leave(place(seat)) }

  /// Lets nothing of a seat move any more.
  package func freeze(seat: Int) { unsafe arb_tier_seat_freeze(place(seat)) }

  /// Gives back what a seat had that was left.
  package func clear(seat: Int) { unsafe arb_tier_seat_clear(page, sizes, UInt32(seat)) }

  /// The slots that belong to a seat.
  package func slots(ofSeat seat: Int) -> Set<UInt32> {
    let words = unsafe arb_tier_slots(page)
    var found: Set<UInt32> = []
    for slot in 0..<sizes.slot_count where unsafe words[Int(slot)] == UInt32(seat) + 1 {
      found.insert(slot)
    }
    return found
  }

  /// Options that programs see.
  package var options: UInt32 {
    unsafe page.assumingMemoryBound(to: ArbTierHeader.self).pointee.options
  }

  /// Options from now on: whoever looks at them next.
  package func setOptions(_ options: UInt32) {
    unsafe page.assumingMemoryBound(to: ArbTierHeader.self).pointee.options = options
  }

  private func place(_ seat: Int) -> UnsafeMutablePointer<ArbTierSeat> {
    precondition(0..<seatCount ~= seat)
    return unsafe arb_tier_seat(page, UInt32(seat))
  }
}
