// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterPlatform
import ArbiterTiering
import CArbiterTier
import Glibc

/// Plays a program that has joined a tier page: a seat, some chunks, a mover that does as the test
/// says.
@safe
final class FakeProgram {
  let seat: Int
  private let page: UnsafeMutableRawPointer
  private let sizes: ArbTierSizes
  private let bytes: Int
  private var requestHead: UInt32 = 0

  /// Takes a seat of a page.
  init(joining page: TierPage, seat: Int = 0, process: Int32 = getpid()) {
    self.seat = seat
    var facts = stat()
    // SAFETY: the descriptor stays open meanwhile, and the mapping is as large as the file.
    unsafe fstat(page.descriptor, &facts)
    bytes = Int(facts.st_size)
    let mapped = unsafe mmap(
      nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, page.descriptor, 0)
    guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else {
      preconditionFailure("the page cannot be mapped")
    }
    unsafe self.page = mapped
    var sizes = ArbTierSizes()
    precondition(unsafe arb_tier_page_check(mapped, UInt64(bytes), &sizes) == 0, "no tier page")
    self.sizes = sizes
    let header = unsafe mapped.assumingMemoryBound(to: ArbTierHeader.self)
    unsafe header.pointee.seat_high = max(header.pointee.seat_high, UInt32(seat) + 1)
    unsafe place.pointee.process = process
    unsafe place.pointee.start_ticks = ProcessStatus.read(ofProcess: process)?.startTicks ?? 1
    unsafe place.pointee.state = ARB_TIER_SEAT_TAKEN.rawValue
  }

  deinit { unsafe munmap(page, bytes) }

  private var place: UnsafeMutablePointer<ArbTierSeat> { unsafe arb_tier_seat(page, UInt32(seat)) }

  private func chunk(_ entry: Int) -> UnsafeMutablePointer<ArbTierChunk> {
    unsafe arb_tier_chunks(page, sizes, UInt32(seat)) + entry
  }

  /// Puts a chunk into an entry of the table.
  func put(
    _ entry: Int, address: UInt64, slow: UInt64 = 0, generation: UInt64, held: UInt8 = 0
  ) {
    let chunk = unsafe chunk(entry)
    unsafe chunk.pointee.generation = generation
    unsafe chunk.pointee.address = address
    unsafe chunk.pointee.slow_islands = slow
    unsafe chunk.pointee.held = held
    unsafe place.pointee.chunk_high = max(place.pointee.chunk_high, UInt32(entry) + 1)
  }

  /// Takes the chunk out of an entry.
  func take(_ entry: Int) { unsafe chunk(entry).pointee.address = 0 }

  /// Counts what the mover did.
  func count(forks: UInt64 = 0, cpuNanoseconds: UInt64 = 0, placingNanoseconds: UInt64 = 0) {
    unsafe place.pointee.counts.forks += forks
    unsafe place.pointee.counts.placing_ns += placingNanoseconds
    unsafe place.pointee.counts.cpu_ns += cpuNanoseconds
  }

  /// Uses a slot of the slow file.
  func claim(slot: Int) { unsafe arb_tier_slots(page)[slot] = UInt32(seat) + 1 }

  /// How many slots are this seat's.
  var slotCount: Int {
    let words = unsafe arb_tier_slots(page)
    return (0..<Int(sizes.slot_count)).count { unsafe words[$0] == UInt32(seat) + 1 }
  }

  /// The header's options.
  var options: UInt32 {
    unsafe page.assumingMemoryBound(to: ArbTierHeader.self).pointee.options
  }

  /// The state of the seat.
  var state: UInt32 { unsafe place.pointee.state }

  /// Whether somebody has frozen the seat.
  var isFrozen: Bool { unsafe place.pointee.is_frozen != 0 }

  /// Takes the next request; nil where there is none.
  func nextRequest() -> ArbTierRequest? {
    guard unsafe place.pointee.request_tail != requestHead else { return nil }
    let index = Int(requestHead % UInt32(ARB_TIER_RING_COUNT))
    let offset = MemoryLayout<ArbTierSeat>.offset(of: \.requests) ?? 0
    let request = unsafe (UnsafeRawPointer(place) + offset).load(
      fromByteOffset: index * MemoryLayout<ArbTierRequest>.stride, as: ArbTierRequest.self)
    requestHead &+= 1
    unsafe place.pointee.request_head = requestHead
    return request
  }

  /// Answers a request.
  func answer(
    _ request: ArbTierRequest, _ status: ArbTierStatus = ARB_TIER_MOVED, slow: UInt64 = 0,
    bytes: UInt64? = nil, nanoseconds: UInt64 = 500_000
  ) {
    var outcome = ArbTierOutcome()
    outcome.ticket = request.ticket
    outcome.status = status.rawValue
    outcome.bytes_copied = bytes ?? UInt64(request.islands.nonzeroBitCount) << 15
    outcome.slow_islands = slow
    outcome.cpu_ns = nanoseconds
    outcome.protected_ns = 400_000
    let index = unsafe Int(place.pointee.outcome_tail % UInt32(ARB_TIER_RING_COUNT))
    let offset = MemoryLayout<ArbTierSeat>.offset(of: \.outcomes) ?? 0
    unsafe (UnsafeMutableRawPointer(place) + offset).storeBytes(
      of: outcome, toByteOffset: index * MemoryLayout<ArbTierOutcome>.stride,
      as: ArbTierOutcome.self)
    unsafe place.pointee.outcome_tail &+= 1
  }

  /// Holds its seat again, whatever was written over it.
  func rejoin() {
    let header = unsafe page.assumingMemoryBound(to: ArbTierHeader.self)
    unsafe header.pointee.seat_high = UInt32(seat) + 1
    unsafe place.pointee.process = getpid()
    unsafe place.pointee.start_ticks = ProcessStatus.read(ofProcess: getpid())?.startTicks ?? 1
    unsafe place.pointee.state = ARB_TIER_SEAT_TAKEN.rawValue
    unsafe place.pointee.is_frozen = 0
    unsafe place.pointee.request_head = place.pointee.request_tail
    unsafe place.pointee.outcome_head = place.pointee.outcome_tail
    unsafe requestHead = place.pointee.request_head
  }

  /// Answers what is asked with anything.
  func workBlindly(_ random: inout SeededRandom) {
    for _ in 0..<8 {
      guard let request = nextRequest() else { return }
      var answered = request
      answered.islands = random.next()
      answer(
        answered, ARB_TIER_MOVED, slow: random.next(), bytes: Self.word(&random),
        nanoseconds: Self.word(&random))
    }
  }

  /// Does all that is asked, as a mover would.
  func work() {
    while let request = nextRequest() {
      let chunk = unsafe chunk(Int(request.chunk))
      guard unsafe chunk.pointee.generation == request.generation else {
        answer(request, ARB_TIER_STALE)
        continue
      }
      if request.destination == ARB_TIER_TO_SLOW.rawValue {
        unsafe chunk.pointee.slow_islands |= request.islands
      } else {
        unsafe chunk.pointee.slow_islands &= ~request.islands
      }
      unsafe answer(request, slow: chunk.pointee.slow_islands)
    }
  }

  /// Writes words over the page as a program gone mad would: over the header, the program's seat
  /// and the next ones, the beginning of its table and the words of slots.
  func scribble(count: Int, with random: inout SeededRandom) {
    let places: [(UnsafeMutableRawPointer, Int)] = unsafe [
      (page, MemoryLayout<ArbTierHeader>.size),
      (UnsafeMutableRawPointer(place), MemoryLayout<ArbTierSeat>.size),
      // What is looked at first: states, counts and the ends of the rings.
      (UnsafeMutableRawPointer(place), 256),
      (UnsafeMutableRawPointer(place), 256),
      (UnsafeMutableRawPointer(unsafe arb_tier_seat(page, UInt32(seat + 1))), 256),
      (UnsafeMutableRawPointer(unsafe chunk(0)), 64 * MemoryLayout<ArbTierChunk>.stride),
      (UnsafeMutableRawPointer(unsafe chunk(0)), 64 * MemoryLayout<ArbTierChunk>.stride),
      (UnsafeMutableRawPointer(unsafe arb_tier_slots(page)), 32),
    ]
    for _ in 0..<count {
      let (start, bytes) = unsafe places[random.below(places.count)]
      // SAFETY: inside one of the places, all of which are parts of the page.
      unsafe start.storeBytes(
        of: Self.word(&random), toByteOffset: random.below(bytes / 4) * 4 & ~7, as: UInt64.self)
    }
  }

  /// Values that hurt: ends of ranges, small numbers, addresses, and any.
  private static func word(_ random: inout SeededRandom) -> UInt64 {
    switch random.below(6) {
    case 0: 0
    case 1: .max
    case 2: UInt64(random.below(300))
    case 3: UInt64(random.below(300)) << 32 | UInt64(random.below(300))
    case 4: (random.next() >> UInt64(random.below(64))) & ~UInt64((2 << 20) - 1)
    default: random.next()
    }
  }

  /// Writes a remark.
  func remark(_ text: String) {
    let offset = MemoryLayout<ArbTierSeat>.offset(of: \.remarks) ?? 0
    let number = unsafe Int(place.pointee.remark_count)
    let target =
      unsafe UnsafeMutableRawPointer(place) + offset
      + number % Int(ARB_TIER_REMARK_COUNT) * Int(ARB_TIER_REMARK_BYTES)
    unsafe text.withCString { source in
      _ = unsafe strncpy(
        target.assumingMemoryBound(to: CChar.self), source, Int(ARB_TIER_REMARK_BYTES) - 1)
    }
    unsafe place.pointee.remark_count += 1
  }
}
