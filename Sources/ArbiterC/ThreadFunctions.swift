// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import CArbiterGate
public import CArbiterLibrary

/// arbiter.h: gives the calling thread a gate to the region.
@c @implementation
public func arbiter_attach(
  _ region: UnsafeMutablePointer<arbiter_region>, _ error: UnsafeMutablePointer<arbiter_error>?
) -> UnsafeMutablePointer<arbiter_thread>? {
  let object = unsafe LibraryRegion.of(region)
  return unsafe reporting(to: error) { () throws(PlatformError) in
    let thread = UnsafeMutablePointer<arbiter_thread>.allocate(capacity: 1)
    unsafe thread.initialize(
      to: arbiter_thread(gate: ArbGate(), lane: ArbLane(), region: UnsafePointer(region)))
    do throws(PlatformError) {
      // SAFETY: the handle stays where it is until arbiter_detach.
      unsafe try object.runtime.attach(thread, toSet: object.setIndex)
    } catch {
      unsafe thread.deallocate()
      throw error
    }
    return unsafe thread
  } ?? nil
}

/// arbiter.h: gives the gate back.
@c @implementation
public func arbiter_detach(_ thread: UnsafeMutablePointer<arbiter_thread>?) {
  guard let thread = unsafe thread else { return }
  // SAFETY: the handle is ended here, by the thread that attached.
  if unsafe thread.pointee.lane.pool != nil { unsafe arb_lane_close(&thread.pointee.lane) }
  unsafe arb_gate_detach(&thread.pointee.gate)
  unsafe thread.deallocate()
}
