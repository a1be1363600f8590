// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// An array whose length is set once, for state that hot loops change in place.
///
/// Unlike `Array` it has no copy-on-write and no exclusivity checks: elements of one fixed array
/// may be changed through any borrow of it. Every access is checked against the length.
@frozen
@safe
public struct FixedArray<Element: ~Copyable>: ~Copyable {
  @usableFromInline let base: UnsafeMutablePointer<Element>

  /// How many elements the array holds, for ever.
  public let count: Int

  /// Makes an array of `count` elements, each made by the closure.
  ///
  /// - Precondition: `count` is at least 0.
  /// - Complexity: O(*count*); the only allocation of the array's life.
  @inlinable
  public init(count: Int, _ element: (Int) -> Element) {
    precondition(count >= 0, "negative fixed-array count")
    self.count = count
    // SAFETY: the memory is owned by this value alone, every element is initialised here, and both
    // are undone in deinit.
    unsafe base = .allocate(capacity: count)
    for index in 0..<count { unsafe (base + index).initialize(to: element(index)) }
  }

  deinit {
    unsafe base.deinitialize(count: count)
    unsafe base.deallocate()
  }

  /// The element at the given index.
  ///
  /// - Precondition: `index` lies in `0..<count`.
  @inlinable
  public subscript(index: Int) -> Element {
    @inline(__always)
    unsafeAddress {
      precondition(UInt(bitPattern: index) < UInt(bitPattern: count), "fixed-array index")
      // SAFETY: the index was checked against the initialised length.
      return unsafe UnsafePointer(base + index)
    }
    @inline(__always)
    nonmutating unsafeMutableAddress {
      precondition(UInt(bitPattern: index) < UInt(bitPattern: count), "fixed-array index")
      // SAFETY: as above.
      return unsafe base + index
    }
  }
}

// SAFETY: the array owns its elements and hands out no reference to its storage.
extension FixedArray: @unchecked Sendable where Element: Sendable & ~Copyable {}

/// A first-in-first-out queue with a fixed number of places.
@frozen
public struct FixedQueue<Element>: ~Copyable {
  @usableFromInline let places: FixedArray<Element>
  @usableFromInline let mask: Int
  @usableFromInline var head = 0

  @usableFromInline var queued = 0

  /// Elements in the queue.
  @inlinable @inline(__always)
  public var count: Int { queued }

  /// The most elements that the queue may hold.
  public let capacity: Int

  /// Makes an empty queue; `filler` occupies the places that nothing uses.
  ///
  /// - Precondition: `capacity` is at least 1.
  @inlinable
  public init(capacity: Int, filler: Element) {
    precondition(capacity >= 1, "a queue needs a place")
    self.capacity = capacity
    var size = 1
    while size < capacity { size *= 2 }
    mask = size - 1
    places = FixedArray(count: size) { _ in filler }
  }

  /// Whether nothing is queued.
  @inlinable @inline(__always)
  public var isEmpty: Bool { queued == 0 }

  /// Whether no place is free.
  @inlinable @inline(__always)
  public var isFull: Bool { queued >= capacity }

  /// Adds an element at the end.
  ///
  /// - Precondition: the queue is not full.
  @inlinable @inline(__always)
  public mutating func push(_ element: Element) {
    precondition(queued < capacity, "queue overflow")
    places[(head &+ queued) & mask] = element
    queued &+= 1
  }

  /// Removes and returns the first element.
  ///
  /// - Precondition: the queue is not empty.
  @inlinable @inline(__always)
  public mutating func pop() -> Element {
    precondition(queued > 0, "queue underflow")
    let element = places[head]
    head = (head &+ 1) & mask
    queued &-= 1
    return element
  }

  /// Removes and returns the element at a place; the first one takes the place.
  ///
  /// - Precondition: `index` lies in `0..<count`.
  @inlinable @inline(__always)
  public mutating func pop(at index: Int) -> Element {
    precondition(index >= 0 && index < queued, "queue index")
    let place = (head &+ index) & mask
    let element = places[place]
    places[place] = places[head]
    head = (head &+ 1) & mask
    queued &-= 1
    return element
  }

  /// The element that `index` others will leave before.
  ///
  /// - Precondition: `index` lies in `0..<count`.
  @inlinable
  public subscript(index: Int) -> Element {
    precondition(index >= 0 && index < queued, "queue index")
    return places[(head &+ index) & mask]
  }

  /// The first element.
  ///
  /// - Precondition: the queue is not empty.
  @inlinable @inline(__always)
  public var first: Element {
    precondition(queued > 0, "queue underflow")
    return places[head]
  }
}
