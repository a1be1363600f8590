// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
internal import CArbiterGate

/// What a library call did; the words of summaries.
public enum GateCall: String, Sendable, Hashable, CaseIterable {
  /// The libraries' memcpy and memmove.
  case copy
  /// The libraries' memset.
  case set
  /// Write-back of a range that the program stored itself.
  case flush
  /// A fence.
  case drain
  /// Flush and drain in one call.
  case persist
  /// Pages written back by the kernel.
  case msync
  /// Flush, drain or persist as far as the medium.
  case deep

  var kind: ArbCallKind {
    switch self {
    case .copy: ARB_CALL_COPY
    case .set: ARB_CALL_SET
    case .flush: ARB_CALL_FLUSH
    case .drain: ARB_CALL_DRAIN
    case .persist: ARB_CALL_PERSIST
    case .msync: ARB_CALL_MSYNC
    case .deep: ARB_CALL_DEEP
    }
  }
}

/// What one gate let pass, or several gates together.
@safe
public struct GateCounts: Sendable {
  // SAFETY: plain numbers, without a pointer.
  private var counts = ArbCounts()
  private let clock: TimeStampClock

  init(_ counts: ArbCounts, clock: TimeStampClock) {
    self.counts = counts
    self.clock = clock
  }

  /// Makes the counts of no gate.
  public init(clock: TimeStampClock) {
    self.clock = clock
  }

  /// Stores let pass.
  public var accessCount: UInt64 { counts.access_count }
  /// Their bytes.
  public var storedBytes: UInt64 { counts.stored_bytes }
  /// What stores had to wait.
  public var waits: Gate.Waits { Gate.Waits(counts) }
  /// Stores that went ahead without permit or worker, because none was to be had.
  public var directCount: UInt64 { counts.direct_count }

  /// Library calls of a kind.
  public func callCount(_ call: GateCall) -> UInt64 {
    unsafe withUnsafeBytes(of: counts.call_count) { words in
      unsafe words.load(fromByteOffset: Int(call.kind.rawValue) * 8, as: UInt64.self)
    }
  }

  /// Bytes that library calls of a kind named; 0 for drains.
  public func callBytes(_ call: GateCall) -> UInt64 {
    unsafe withUnsafeBytes(of: counts.call_bytes) { words in
      unsafe words.load(fromByteOffset: Int(call.kind.rawValue) * 8, as: UInt64.self)
    }
  }

  /// Adds the counts of another gate.
  public mutating func add(_ other: GateCounts) {
    var other = other
    // SAFETY: both are values of this function for the length of the call.
    unsafe arb_counts_add(&counts, &other.counts)
  }

  /// The mean time that a store waited, those that did not wait included; nil without stores.
  public var delayMeanNanoseconds: Double? {
    if counts.access_count == 0 { return nil }
    return clock.nanoseconds(Int64(clamping: counts.actual_ticks)) / Double(counts.access_count)
  }

  /// The wait that the given share of stores did not exceed, in nanoseconds.
  ///
  /// - Parameter share: From 0 to 1, as 0.99.
  /// - Returns: The upper end of a bucket that is a quarter of its value wide; 0 where that many
  ///   stores did not wait at all; nil without stores.
  public func delayNanoseconds(atShare share: Double) -> Double? {
    precondition((0...1).contains(share), "share outside 0 to 1")
    let accesses = max(counts.access_count, counts.wait_count)
    if accesses == 0 { return nil }
    // Whoever reads while gates run may see a wait whose access is not counted yet.
    var passed = accesses - counts.wait_count
    let rank = UInt64((share * Double(accesses)).rounded(.up))
    if passed >= rank { return 0 }
    for bucket in 0..<UInt32(ARB_DELAY_BUCKETS) {
      passed += unsafe withUnsafeBytes(of: counts.delay_histogram) { words in
        unsafe words.load(fromByteOffset: Int(bucket) * 8, as: UInt64.self)
      }
      if passed >= rank {
        return clock.nanoseconds(Int64(arb_delay_bucket_start(bucket + 1)))
      }
    }
    return clock.nanoseconds(Int64(clamping: counts.actual_ticks))
  }
}

/// One thread's gate to one interleave set, as whoever watches the page sees it.
public struct GateRecord: Sendable {
  /// The kernel's number of the process.
  public var process: Int32
  /// The kernel's number of the thread.
  public var thread: Int32
  /// The thread's name when it registered.
  public var name: String
  /// The place of the set; 0 for memory of which nothing is known.
  public var setIndex: Int
  /// The `arbiter run` to which it belongs; 0 for none.
  public var session: Int
  /// Whether the thread is still registered.
  public var isAttached: Bool
  /// What the gate let pass.
  public var counts: GateCounts
}

extension GateRecord {
  /// Reads a slot; nil for one that nobody has had.
  init?(slot index: UInt32, of page: UnsafeMutablePointer<ArbPage>, clock: TimeStampClock) {
    // SAFETY: the caller keeps the page mapped; a slot's name is an array of bytes within it.
    let slot = unsafe arb_page_slot(page, index)
    guard unsafe slot.pointee.generation > 0 else { return nil }
    var own = ArbCounts()
    unsafe arb_slot_read(page, index, &own)
    name = unsafe withUnsafeBytes(of: slot.pointee.name) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    unsafe process = slot.pointee.process
    unsafe thread = slot.pointee.thread
    unsafe setIndex = Int(slot.pointee.set_index)
    unsafe session = Int(slot.pointee.session)
    unsafe isAttached = slot.pointee.is_attached != 0
    counts = GateCounts(own, clock: clock)
  }
}

extension ControlPage {
  /// Takes a session, so that gates of the programs that are started now can be told apart.
  ///
  /// - Throws: ``PlatformError`` with `resourceLimit` where 15 share the page already.
  public func beginSession() throws(PlatformError) -> Int {
    let session = unsafe arb_page_begin_session(page)
    guard session > 0 else {
      throw PlatformError(
        .resourceLimit, reason: "\(ARB_SESSION_COUNT - 1) runs share one controller already",
        nextStep: "wait until one of them ends, or add --private")
    }
    return Int(session)
  }

  /// Gives a session back and forgets its departed threads.
  public func endSession(_ session: Int) {
    unsafe arb_page_end_session(page, UInt32(session))
  }

  /// The gates of a session whose figures are still apart, in the order of their slots.
  public func gates(ofSession session: Int) -> [GateRecord] {
    (0..<Int(unsafe arb_page_slots_used(page))).compactMap { index in
      let record = unsafe GateRecord(slot: UInt32(index), of: page, clock: clock)
      return record.flatMap { $0.session == session ? $0 : nil }
    }
  }

  /// Gates of a session whose slots have been handed on, and what they did together.
  public func departed(ofSession session: Int) -> (gateCount: Int, counts: GateCounts) {
    var sums = ArbCounts()
    let count = unsafe arb_session_read(page, UInt32(session), &sums)
    return (Int(count), GateCounts(sums, clock: clock))
  }
}
