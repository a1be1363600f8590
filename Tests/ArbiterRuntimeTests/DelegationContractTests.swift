// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterPlatform
import ArbiterScheduler
import ArbiterTestSupport
import CArbiterGate
import Glibc
import Testing

/// Real workers and real threads under the delegation contract.
struct RealDelegationSubject: DelegationContractSubject {
  static let inHandMax = 1

  /// What happened, in the order in which it was noted.
  private final class Notes: Sendable {
    let events = Lock<[DelegationEvent]>([])

    func add(_ kind: DelegationEvent.Kind, _ thread: Int, _ ring: UInt32) {
      events.withLock { $0.append(DelegationEvent(kind, thread: thread, ring: Int(ring))) }
    }
  }

  /// "Stores": spins for `byteCount` turns, then notes request `number`.
  private static let store: ArbStoreFunction = { target, _, byteCount, number, flags in
    for _ in 0..<byteCount { sched_yield() }
    // SAFETY: the target is the notes, which live until the pool is shut down.
    let notes = unsafe Unmanaged<Notes>.fromOpaque(target).takeUnretainedValue()
    notes.add(.executed(Int(number)), Int(flags >> 16), flags & 0xFFFF)
  }

  static func history(of plan: DelegationPlan) throws -> [DelegationEvent] {
    let notes = Notes()
    let pool = try CPool(plan.parameters, laneCapacity: plan.threadCount)
    let failures = Shared(0)
    try Crew.run(plan.threadCount) { thread in
      var random = SeededRandom(seed: plan.seed, stream: UInt64(thread))
      var lane = unsafe ArbLane()
      if unsafe arb_lane_open(pool.pool, &lane) != 0 { failures.change { $0 += 1 } }
      for number in 1...plan.requestCount {
        let (ring, turns) = unsafe (lane.ring, random.below(8) == 0 ? random.below(4) : 0)
        var request = unsafe ArbRequest(
          target: Unmanaged.passUnretained(notes).toOpaque(), source: nil,
          byte_count: turns, value: Int32(number), flags: UInt32(thread) << 16 | ring,
          store: store, start_ticks: 0)
        notes.add(.submitted(number), thread, ring)
        if unsafe arb_lane_submit(&lane, &request) != 0 { failures.change { $0 += 1 } }
        notes.add(.accepted(number), thread, ring)
        if number % plan.requestsPerFence == 0 {
          if unsafe arb_lane_wait(&lane, lane.submitted_count) != 0 { failures.change { $0 += 1 } }
          notes.add(.fenced, thread, ring)
        }
      }
      unsafe arb_lane_close(&lane)
    }
    unsafe arb_delegation_shutdown(pool.pool)
    try #require(failures.value == 0)
    return notes.events.withLock { $0 }
  }
}

/// A pool of the C interface.
@safe
final class CPool: Sendable {
  // SAFETY: made in init, destroyed in deinit; its functions may be called from any thread.
  nonisolated(unsafe) let pool: OpaquePointer

  init(_ parameters: DelegationParameters, laneCapacity: Int) throws {
    var made: OpaquePointer?
    unsafe _ = arb_delegation_create(
      UInt32(parameters.ringCount), UInt32(parameters.slotCount), UInt32(laneCapacity), &made)
    unsafe pool = try #require(made)
  }

  deinit {
    unsafe arb_delegation_destroy(pool)
  }
}

@Suite("Delegation contract")
struct DelegationContractTests {
  @Test(arguments: [(1, 1, 4), (1, 3, 8), (2, 64, 5), (3, 5, 8), (4, 2, 11)])
  func `real workers keep the delegation contract`(
    ringCount: Int, slotCount: Int, threadCount: Int
  ) throws {
    var aloneCount = 0
    for seed in UInt64(1)...4 {
      let plan = DelegationPlan(
        DelegationParameters(ringCount: ringCount, slotCount: slotCount),
        threadCount: threadCount, requestCount: 300, requestsPerFence: 7, seed: seed)
      let violations = try DelegationContract.violations(of: RealDelegationSubject.self, plan: plan)
      if violations.count == 1, violations[0].hasSuffix(DelegationContract.fencesAlone) {
        aloneCount += 1
      } else {
        #expect(violations == [])
      }
    }
    #expect(aloneCount < 4, "\(DelegationContract.fencesAlone)")
  }

  /// A history that keeps the contract: two threads in one ring of two places.
  static let plan = DelegationPlan(
    DelegationParameters(ringCount: 1, slotCount: 2), threadCount: 2, requestCount: 2,
    requestsPerFence: 2, seed: 0)
  static let sound: [DelegationEvent] = [
    DelegationEvent(.submitted(1), thread: 0, ring: 0),
    DelegationEvent(.accepted(1), thread: 0, ring: 0),
    DelegationEvent(.submitted(1), thread: 1, ring: 0),
    DelegationEvent(.accepted(1), thread: 1, ring: 0),
    DelegationEvent(.submitted(2), thread: 0, ring: 0),
    DelegationEvent(.executed(1), thread: 0, ring: 0),
    DelegationEvent(.accepted(2), thread: 0, ring: 0),
    DelegationEvent(.executed(2), thread: 0, ring: 0),
    DelegationEvent(.fenced, thread: 0, ring: 0),
    DelegationEvent(.submitted(2), thread: 1, ring: 0),
    DelegationEvent(.accepted(2), thread: 1, ring: 0),
    DelegationEvent(.executed(1), thread: 1, ring: 0),
    DelegationEvent(.executed(2), thread: 1, ring: 0),
    DelegationEvent(.fenced, thread: 1, ring: 0),
  ]

  static func violations(_ change: (inout [DelegationEvent]) -> Void) -> [String] {
    var history = sound
    change(&history)
    return DelegationContract.violations(in: history, plan: plan, inHandMax: 0)
  }

  @Test func `the conformance suite finds what goes against the contract`() {
    #expect(Self.violations { _ in } == [])
    let wrong: [(String, (inout [DelegationEvent]) -> Void)] = [
      ("a lost request", { $0.remove(at: 12) }),
      ("a request executed twice", { $0.append($0[12]) }),
      ("an early fence", { $0.swapAt(7, 8) }),
      ("requests out of order", { $0.swapAt(11, 12) }),
      ("a request that nobody asked for", { $0.swapAt(0, 5) }),
      ("a change of rings", { $0[9].ring = 1 }),
      ("an overfull ring", { $0.swapAt(5, 6) }),
      ("fences that wait for everybody", { $0.move(8, to: 13) }),
      ("a plan that was not carried out", { $0.removeAll { $0.thread == 1 } }),
    ]
    for (what, change) in wrong { #expect(Self.violations(change) != [], "\(what)") }
  }
}

extension [DelegationEvent] {
  /// Moves an element behind those up to `end`.
  fileprivate mutating func move(_ place: Int, to end: Int) {
    let event = remove(at: place)
    insert(event, at: end)
  }
}
