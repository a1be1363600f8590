// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import ArbiterPlatform
package import ArbiterScheduler

/// How a scheme meets a writer: before each store, at each later media block of it, and after it.
///
/// Specialised by the compiler, so that an empty door costs nothing.
package protocol WriterDoor: ~Copyable {
  mutating func enter(_ address: UInt64, _ length: UInt64)
  mutating func enterBlock(_ address: UInt64, _ length: UInt64)
  mutating func leave(_ address: UInt64, _ length: UInt64)
  /// The writer has fenced its stores of its own accord.
  mutating func noteFence()
  mutating func finish()
  var waits: Gate.Waits { get }
}

extension WriterDoor where Self: ~Copyable {
  /// Most schemes do not care.
  @inline(__always)
  package mutating func noteFence() {}
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

  @inline(__always)
  mutating func noteFence() { gate.noteFence() }

  func finish() {}
  var waits: Gate.Waits { gate.waitTotals }
}

/// The lock: a permit for a span of stores.
package struct PermitDoor: WriterDoor, ~Copyable {
  private var holder: PermitHolder
  private var span: PermitSpan

  package init(_ permits: SharedPermits, _ parameters: LockParameters) throws(PlatformError) {
    holder = try PermitHolder(permits)
    span = PermitSpan(parameters)
  }

  /// Whether the thread holds a permit.
  package var isHolding: Bool { holder.isHolding }

  package mutating func enter(_ address: UInt64, _ length: UInt64) {
    if isHolding, span.endsBeforeStore(at: address) { holder.release() }
    if !isHolding {
      // Without a permit after ten seconds the thread goes on: it is a limit, not a mutual
      // exclusion, and some holder was stopped.
      holder.acquire()
      span.begin()
    }
  }

  /// A permit covers whole stores.
  package func enterBlock(_ address: UInt64, _ length: UInt64) {}

  package mutating func leave(_ address: UInt64, _ length: UInt64) {
    if span.endsAfterStore(at: address, length: length) { holder.release() }
  }

  package mutating func finish() {
    holder.release()
  }

  package var waits: Gate.Waits { Gate.Waits() }
}
