// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import ArbiterScheduler

/// How a scheme meets a writer: before each store, at each later media block of it, and after it.
///
/// Specialised by the compiler, so that an empty door costs nothing.
package protocol WriterDoor: ~Copyable {
  mutating func enter(_ address: UInt64, _ length: UInt64)
  mutating func enterBlock(_ address: UInt64, _ length: UInt64)
  mutating func leave(_ address: UInt64, _ length: UInt64)
  mutating func finish()
  var waits: Gate.Waits { get }
}

/// The baseline: nothing.
struct OpenDoor: WriterDoor {
  @inline(__always) func enter(_ address: UInt64, _ length: UInt64) {}
  @inline(__always) func enterBlock(_ address: UInt64, _ length: UInt64) {}
  @inline(__always) func leave(_ address: UInt64, _ length: UInt64) {}
  func finish() {}
  var waits: Gate.Waits { Gate.Waits() }
}

/// Fence, fixed delay and controller: a gate.
struct GateDoor: WriterDoor, ~Copyable {
  var gate: Gate

  @inline(__always)
  mutating func enter(_ address: UInt64, _ length: UInt64) {
    gate.pass(address: address, length: min(length, 256 &- address & 255))
  }

  @inline(__always)
  mutating func enterBlock(_ address: UInt64, _ length: UInt64) {
    gate.passBlock(address: address, length: length)
  }

  @inline(__always) func leave(_ address: UInt64, _ length: UInt64) {}
  func finish() {}
  var waits: Gate.Waits { gate.waitTotals }
}

/// The lock: a permit for a span of stores.
package struct PermitDoor: WriterDoor {
  private let permits: AtomicPermits
  private var span: PermitSpan
  /// Whether the thread holds a permit.
  package private(set) var isHolding = false

  package init(_ permits: AtomicPermits, _ parameters: LockParameters) {
    self.permits = permits
    span = PermitSpan(parameters)
  }

  package mutating func enter(_ address: UInt64, _ length: UInt64) {
    if isHolding, span.endsBeforeStore(at: address) { giveBack() }
    if !isHolding {
      permits.acquire()
      span.begin()
      isHolding = true
    }
  }

  /// A permit covers whole stores.
  package func enterBlock(_ address: UInt64, _ length: UInt64) {}

  package mutating func leave(_ address: UInt64, _ length: UInt64) {
    if span.endsAfterStore(at: address, length: length) { giveBack() }
  }

  package mutating func finish() {
    if isHolding { giveBack() }
  }

  private mutating func giveBack() {
    permits.release()
    isHolding = false
  }

  package var waits: Gate.Waits { Gate.Waits() }
}
