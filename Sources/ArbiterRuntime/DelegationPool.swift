// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
public import ArbiterPlatform
public import ArbiterScheduler
internal import CArbiterGate
internal import Glibc

// The Swift face of CArbiterGate's delegation.h, which states the invariants.

/// The pool in C, which its lanes keep alive.
@safe
final class DelegationCore: Sendable {
  // SAFETY: made in init, destroyed in deinit; its functions may be called from any thread.
  nonisolated(unsafe) let pool: OpaquePointer

  init(_ parameters: DelegationParameters, laneCapacity: Int) throws(PlatformError) {
    var made: OpaquePointer?
    let status = unsafe arb_delegation_create(
      UInt32(clamping: parameters.ringCount), UInt32(clamping: parameters.slotCount),
      UInt32(clamping: laneCapacity), &made)
    guard let made = unsafe made else {
      throw PlatformError(
        errorNumber: Int32(clamping: -status), path: nil,
        action: "start \(parameters.ringCount) workers with \(parameters.slotCount) places each")
    }
    unsafe pool = made
  }

  deinit {
    unsafe arb_delegation_destroy(pool)
  }
}

/// The workers of the delegation scheme: few threads that store for all others.
public final class DelegationPool: Sendable {
  private let core: DelegationCore
  private let laneCapacity: Int

  /// Starts the workers.
  ///
  /// - Parameters:
  ///   - parameters: Rings and places.
  ///   - laneCapacity: The most lanes that there can be at a time; at least 1.
  /// - Throws: ``PlatformError`` where the system refuses a thread; those already started are
  ///   ended.
  public init(_ parameters: DelegationParameters, laneCapacity: Int) throws(PlatformError) {
    precondition(laneCapacity >= 1, "delegation needs a lane")
    core = try DelegationCore(parameters, laneCapacity: laneCapacity)
    self.laneCapacity = laneCapacity
  }

  deinit {
    shutdown()
  }

  /// Serves what has been accepted, refuses everything new, and ends the workers.
  ///
  /// May be called more than once and from any thread.
  public func shutdown() {
    unsafe arb_delegation_shutdown(core.pool)
  }

  /// Whether the pool takes requests in this process.
  ///
  /// False after ``shutdown()`` and in a forked child, which has no workers.
  public var isAlive: Bool { unsafe arb_delegation_is_alive(core.pool) != 0 }

  /// CPU time that workers have used, in nanoseconds; complete after ``shutdown()``.
  public var workerCPUNanoseconds: Int64 { unsafe arb_delegation_cpu_nanoseconds(core.pool) }

  /// Latencies of the requests that asked for it, in counts of the time-stamp counter; complete
  /// after ``shutdown()``.
  func latencyTicks() -> Histogram {
    var cells = [UInt64](repeating: 0, count: Int(ARB_LATENCY_CELLS))
    var (sum, maximum) = (UInt64(0), UInt64(0))
    unsafe arb_delegation_add_latencies(core.pool, &cells, &sum, &maximum)
    return Histogram(cellCounts: cells, sum: sum, maximum: maximum)
  }

  /// Makes a lane for the calling thread.
  ///
  /// - Throws: ``PlatformError`` with `resourceLimit` where all lanes are in use.
  public func makeLane() throws(PlatformError) -> DelegationLane {
    var lane = unsafe ArbLane()
    switch unsafe arb_lane_open(core.pool, &lane) {
    case 0: return unsafe DelegationLane(core: core, lane: lane)
    case Int64(-EUSERS):
      throw PlatformError(
        .resourceLimit, reason: "all \(laneCapacity) lanes of the pool are in use",
        nextStep: "make the pool with a larger lane capacity")
    default: throw DelegationLane.error(Int64(-EOWNERDEAD))
    }
  }
}

/// One thread's way into a delegation pool.
///
/// A lane that ends waits for its requests and makes room for another.
@safe
public struct DelegationLane: ~Copyable {
  private let core: DelegationCore
  // SAFETY: points into the pool, which `core` keeps alive.
  private var lane: ArbLane

  init(core: DelegationCore, lane: ArbLane) {
    self.core = core
    unsafe self.lane = lane
  }

  deinit {
    var last = unsafe lane
    unsafe arb_lane_close(&last)
  }

  /// Requests that this lane has handed in.
  public var submittedCount: UInt64 { unsafe lane.submitted_count }

  /// Requests of this lane that are complete.
  ///
  /// Acquires what the worker wrote before it completed them.
  public var completedCount: UInt64 {
    unsafe withUnsafePointer(to: lane) { unsafe arb_lane_completed_count($0) }
  }

  /// Hands in a request to store; waits while the ring is full.
  ///
  /// The buffer must stay as it is until the request is complete (``wait(forCompleted:)``).
  ///
  /// - Parameters:
  ///   - source: The bytes to store.
  ///   - target: Where to store them; aligned to 64 bytes.
  ///   - byteCount: How many; a multiple of 64.
  ///   - method: How to store.
  ///   - startTick: When the thread asked, for the latency; 0 to leave this request out.
  /// - Throws: ``PlatformError`` with `resourceLimit` once the pool is shut down, with `system`
  ///   where the worker has died or does not get on; the request is then not carried out.
  public mutating func submit(
    from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, byteCount: Int,
    method: StoreMethod, startTick: Int64 = 0
  ) throws(PlatformError) {
    precondition(byteCount > 0 && byteCount & 63 == 0, "delegated stores are whole cache lines")
    var request = unsafe ArbRequest(
      target: target, source: source, byte_count: byteCount, value: 0, flags: method.flags,
      store: { target, source, byteCount, _, flags in
        guard let source = unsafe source, let method = StoreMethod(flags: flags) else { return }
        unsafe method.copy(from: source, to: target, byteCount: byteCount)
      }, start_ticks: startTick)
    let status = unsafe arb_lane_submit(&lane, &request)
    if status != 0 { throw Self.error(status) }
  }

  /// Waits until the given number of this lane's requests is complete.
  ///
  /// - Precondition: At most ``submittedCount``, or the wait would never end.
  /// - Throws: ``PlatformError`` with `system` where the worker died before it completed them; they
  ///   may have been carried out in part, and to store the same bytes again is right.
  public mutating func wait(forCompleted count: UInt64) throws(PlatformError) {
    precondition(count <= submittedCount, "waits for requests that were never submitted")
    let status = unsafe arb_lane_wait(&lane, count)
    if status != 0 { throw Self.error(status) }
  }

  /// Waits until all of this lane's requests are complete, and for nobody else's.
  ///
  /// - Throws: As ``wait(forCompleted:)``.
  public mutating func fence() throws(PlatformError) {
    try wait(forCompleted: submittedCount)
  }

  /// Waits until all of this lane's requests have ended, in success or in an error.
  mutating func settle() {
    unsafe _ = arb_lane_wait(&lane, lane.submitted_count)
  }

  static func error(_ status: Int64) -> PlatformError {
    switch Int32(clamping: -status) {
    case ESHUTDOWN:
      PlatformError(
        .resourceLimit, reason: "the delegation pool is shut down",
        nextStep: "submit before shutdown")
    case ETIMEDOUT:
      PlatformError(
        .system, reason: "the worker's ring stayed full for ten seconds",
        nextStep: "look for what stops the worker, or store without delegation")
    case let number:
      PlatformError(
        errorNumber: number, path: nil, action: "have a worker store",
        nextStep: "store again without delegation: the worker has died")
    }
  }
}

extension StoreMethod {
  /// The method as it travels in a request.
  fileprivate var flags: UInt32 {
    switch self {
    case .nonTemporal: 0
    case .plain: 1
    case .writeBack(.clflush): 2
    case .writeBack(.clflushopt): 3
    case .writeBack(.clwb): 4
    }
  }

  fileprivate init?(flags: UInt32) {
    switch flags {
    case 0: self = .nonTemporal
    case 1: self = .plain
    case 2: self = .writeBack(.clflush)
    case 3: self = .writeBack(.clflushopt)
    case 4: self = .writeBack(.clwb)
    default: return nil
    }
  }
}
