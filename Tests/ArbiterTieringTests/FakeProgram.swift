// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

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
    precondition(unsafe arb_tier_page_check(mapped, UInt64(bytes)) == 0, "no tier page")
    let header = unsafe mapped.assumingMemoryBound(to: ArbTierHeader.self)
    unsafe header.pointee.seat_high = max(header.pointee.seat_high, UInt32(seat) + 1)
    unsafe place.pointee.process = process
    unsafe place.pointee.start_ticks = ProcessStatus.read(ofProcess: process)?.startTicks ?? 1
    unsafe place.pointee.state = ARB_TIER_SEAT_TAKEN.rawValue
  }

  deinit { unsafe munmap(page, bytes) }

  private var place: UnsafeMutablePointer<ArbTierSeat> { unsafe arb_tier_seat(page, UInt32(seat)) }

  private func chunk(_ entry: Int) -> UnsafeMutablePointer<ArbTierChunk> {
    unsafe arb_tier_chunks(page, UInt32(seat)) + entry
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
    let count = unsafe page.assumingMemoryBound(to: ArbTierHeader.self).pointee.slot_count
    let words = unsafe arb_tier_slots(page)
    return (0..<Int(count)).count { unsafe words[$0] == UInt32(seat) + 1 }
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
    let offset = unsafe MemoryLayout<ArbTierSeat>.offset(of: \.requests) ?? 0
    let request = unsafe (UnsafeRawPointer(place) + offset).load(
      fromByteOffset: index * MemoryLayout<ArbTierRequest>.stride, as: ArbTierRequest.self)
    requestHead += 1
    unsafe place.pointee.request_head = requestHead
    return request
  }

  /// Answers a request.
  func answer(
    _ request: ArbTierRequest, _ status: ArbTierStatus = ARB_TIER_MOVED, slow: UInt64 = 0
  ) {
    var outcome = ArbTierOutcome()
    outcome.ticket = request.ticket
    outcome.status = status.rawValue
    outcome.bytes_copied = UInt64(request.islands.nonzeroBitCount) << 15
    outcome.slow_islands = slow
    outcome.cpu_ns = 500_000
    outcome.protected_ns = 400_000
    let index = unsafe Int(place.pointee.outcome_tail % UInt32(ARB_TIER_RING_COUNT))
    let offset = unsafe MemoryLayout<ArbTierSeat>.offset(of: \.outcomes) ?? 0
    unsafe (UnsafeMutableRawPointer(place) + offset).storeBytes(
      of: outcome, toByteOffset: index * MemoryLayout<ArbTierOutcome>.stride,
      as: ArbTierOutcome.self)
    unsafe place.pointee.outcome_tail += 1
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

  /// Writes a remark.
  func remark(_ text: String) {
    let offset = unsafe MemoryLayout<ArbTierSeat>.offset(of: \.remarks) ?? 0
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

/// A folder of its own that goes with its content.
final class TestFolder {
  let path: String

  init() {
    var template = Array("/tmp/arbiter-tiering-XXXXXX".utf8CString)
    // SAFETY: the template ends with zero, and is written in place.
    guard unsafe mkdtemp(&template) != nil else { preconditionFailure("no folder for the test") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    for name in SystemTree().entries(path) { unsafe unlink("\(path)/\(name)") }
    unsafe rmdir(path)
  }
}
