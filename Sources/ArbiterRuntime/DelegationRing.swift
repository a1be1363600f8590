// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

// A bounded ring for many producers and one consumer (after Vyukov's bounded queue). Position p
// uses slot p mod count in lap p / count; the slot's stamp says what it is ready for:
//
//   stamp == 2 * lap       free for the producer of that lap
//   stamp == 2 * lap + 1   filled, for the consumer
//
// Laps instead of positions make a ring of one slot work. The highest bit of `tail` closes the
// ring: producers claim places by compare-and-exchange on `tail`, so that whoever claimed before
// the closing is served and whoever comes after fails.

/// A request to store, as it lies in a ring.
///
/// The buffers belong to the requesting thread until the
/// request is complete.
// SAFETY: plain addresses; submit()'s contract keeps what they point to alive until completion.
@safe
struct DelegatedStore: @unchecked Sendable {
  var source: UnsafeRawPointer
  var target: UnsafeMutableRawPointer
  var completed: UnsafeMutablePointer<Atomic<UInt64>>
  var byteCount: Int
  var method: StoreMethod
  /// When the thread asked, in counts; 0 where the latency is not sampled.
  var startTick: Int64
}

private struct RingSlot: ~Copyable {
  let stamp = Atomic<UInt64>(0)
  var request: DelegatedStore?
}

/// A bounded ring of requests to store, served by one worker in order.
@safe
final class DelegationRing: Sendable {
  private static let closedBit: UInt64 = 1 << 63

  enum Push {
    case done
    case full
    case closed
  }

  let slotCount: Int
  // SAFETY: allocated in init, freed in deinit; a slot's request is written by the producer that
  // claimed it and read by the consumer, ordered by the stamp.
  private nonisolated(unsafe) let slots: UnsafeMutablePointer<RingSlot>
  private let tail = Atomic<UInt64>(0)
  private let padding = InlineArray<15, UInt64>(repeating: 0)
  private let head = Atomic<UInt64>(0)

  init(slotCount: Int) {
    self.slotCount = slotCount
    unsafe slots = AlignedMemory.allocate(count: slotCount)
    for index in 0..<slotCount { unsafe (slots + index).initialize(to: RingSlot()) }
  }

  deinit {
    unsafe slots.deinitialize(count: slotCount)
    unsafe slots.deallocate()
  }

  /// Puts a request at the end, if there is a place.
  func push(_ request: DelegatedStore) -> Push {
    var position = tail.load(ordering: .relaxed)
    while true {
      if position & Self.closedBit != 0 { return .closed }
      let index = Int(position % UInt64(slotCount))
      let free = position / UInt64(slotCount) &* 2
      // Acquires the consumer's reading of the slot's previous request (pop).
      let stamp = unsafe slots[index].stamp.load(ordering: .acquiring)
      if stamp < free { return .full }
      if stamp > free {
        position = tail.load(ordering: .relaxed)
        continue
      }
      let claim = tail.weakCompareExchange(
        expected: position, desired: position &+ 1, ordering: .relaxed)
      if claim.exchanged {
        unsafe slots[index].request = request
        // Releases the request, and the buffer it names, to pop().
        unsafe slots[index].stamp.store(free &+ 1, ordering: .releasing)
        return .done
      }
      position = claim.original
    }
  }

  /// Takes the first request; for the worker alone.
  func pop() -> DelegatedStore? {
    let position = head.load(ordering: .relaxed)
    let index = Int(position % UInt64(slotCount))
    let filled = position / UInt64(slotCount) &* 2 &+ 1
    guard unsafe slots[index].stamp.load(ordering: .acquiring) == filled else { return nil }
    let request = unsafe slots[index].request
    head.store(position &+ 1, ordering: .relaxed)
    unsafe slots[index].stamp.store(filled &+ 1, ordering: .releasing)
    return request
  }

  /// Lets nobody claim a place any more.
  func close() {
    tail.bitwiseOr(Self.closedBit, ordering: .relaxed)
  }

  /// Whether the ring is closed and every claimed place has been served; for the worker alone.
  var isFinished: Bool {
    tail.load(ordering: .relaxed) == head.load(ordering: .relaxed) | Self.closedBit
  }
}
