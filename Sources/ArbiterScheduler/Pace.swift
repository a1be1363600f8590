// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What a gate asks of its thread before a store.
@frozen
public struct Admission: Sendable, Hashable {
  /// Ticks that the thread waits before the store.
  public var waitTicks: Int64
  /// Whether the thread fences its earlier stores first.
  public var fenceFirst: Bool

  /// Makes an admission.
  @inlinable @inline(__always)
  public init(waitTicks: Int64, fenceFirst: Bool) {
    self.waitTicks = waitTicks
    self.fenceFirst = fenceFirst
  }
}

/// The arithmetic of one gate: from settings and the stream of stores to waits and fences.
///
/// Pure and small, so that the simulator's virtual gates and the runtime's real ones share it. A
/// tick is whatever its owner's clock counts in (picoseconds of virtual time, time-stamp counts).
/// The order of a thread's stores is never touched, and every wait is at most `maximumWaitTicks`,
/// whatever the settings say and whatever other threads do.
@frozen
public struct Pace: Sendable {
  @usableFromInline var delayTicks: Int64
  @usableFromInline let maximumWaitTicks: Int64
  @usableFromInline var point: DelayPoint
  @usableFromInline var anchor: DelayAnchor
  @usableFromInline var isFencedAtBlocks: Bool
  @usableFromInline var isOpen: Bool
  @usableFromInline var lastBlock: UInt64
  @usableFromInline var nextTick: Int64

  /// Makes an open gate.
  ///
  /// - Parameter maximumWaitTicks: The longest wait of any store; at least 0.
  public init(maximumWaitTicks: Int64) {
    precondition(maximumWaitTicks >= 0, "negative maximum wait")
    self.maximumWaitTicks = maximumWaitTicks
    delayTicks = 0
    point = .block
    anchor = .arrival
    isFencedAtBlocks = false
    isOpen = true
    lastBlock = .max
    nextTick = .min / 2
  }

  /// Puts settings in force from the next store on.
  ///
  /// - Parameters:
  ///   - settings: What the controller decided.
  ///   - ticksPerNanosecond: The rate of the owner's clock.
  public mutating func apply(_ settings: GateSettings, ticksPerNanosecond: Double) {
    let ticks = settings.delayNanoseconds * ticksPerNanosecond
    delayTicks = ticks >= Double(maximumWaitTicks) ? maximumWaitTicks : max(0, Int64(ticks))
    point = settings.point
    anchor = settings.anchor
    isFencedAtBlocks = settings.isFencedAtBlocks
    isOpen = delayTicks == 0 && !isFencedAtBlocks
  }

  /// Whether stores pass without wait or fence, so that the owner need not read its clock.
  @inlinable @inline(__always)
  public var isIdle: Bool { isOpen }

  /// Whether the gate of a long access asks again at each media block of it, rather than once.
  @inlinable @inline(__always)
  public var isByBlock: Bool { !isOpen && point == .block }

  /// Decides on a store that the thread wants to issue now.
  ///
  /// - Parameters:
  ///   - address: Byte address of the store.
  ///   - length: Bytes of the access; at least 1.
  ///   - now: The owner's clock.
  /// - Returns: How long to wait and whether to fence first.
  /// - Complexity: O(1); no clock, no memory beyond this value.
  @inlinable @inline(__always)
  public mutating func admit(address: UInt64, length: UInt64, now: Int64) -> Admission {
    if isOpen { return Admission(waitTicks: 0, fenceFirst: false) }
    let firstBlock = address >> 8
    let finalBlock = (address &+ length &- 1) >> 8
    let entersBlock = firstBlock != lastBlock || finalBlock != firstBlock
    // One delay per media block begun; an access inside the current block begins none.
    let begun = finalBlock &- firstBlock &+ (firstBlock == lastBlock ? 0 : 1)
    lastBlock = finalBlock
    if point == .block && !entersBlock { return Admission(waitTicks: 0, fenceFirst: false) }
    let units = point == .block ? Int64(truncatingIfNeeded: min(begun, 1 << 20)) : 1
    let due = min(delayTicks &* units, maximumWaitTicks)
    var wait = due
    if anchor == .previous {
      // What the previous access owes; time that passed anyway has paid for it already.
      wait = max(0, min(nextTick &- now, maximumWaitTicks))
      nextTick = now &+ wait &+ due
    }
    return Admission(waitTicks: wait, fenceFirst: isFencedAtBlocks && entersBlock)
  }
}
