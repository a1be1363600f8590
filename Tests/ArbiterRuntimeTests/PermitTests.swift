// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlatform
import ArbiterRuntime
import ArbiterScheduler
import ArbiterTestSupport
import CTestSupport
import Glibc
import Testing

/// Threads of a test, joined together.
final class Crew: Sendable {
  private final class Member: Sendable {
    let thread: Lock<WorkerThread?>

    init(_ thread: consuming WorkerThread) { self.thread = Lock(thread) }
  }

  private let members = Lock<[Member]>([])

  func add(_ body: @escaping @Sendable () -> Void) throws {
    let member = Member(try WorkerThread(body))
    members.withLock { $0.append(member) }
  }

  func join() {
    for member in members.withLock({ $0 }) {
      let thread = member.thread.withLock { $0.take() }
      thread?.join()
    }
  }

  /// Runs `count` threads and waits for all.
  static func run(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) throws {
    let crew = Crew()
    for index in 0..<count { try crew.add { body(index) } }
    crew.join()
  }
}

/// A cell that threads share.
final class Shared<Value: Sendable>: Sendable {
  private let mutex: Lock<Value>

  init(_ value: Value) { mutex = Lock(value) }

  var value: Value { mutex.withLock { $0 } }

  func change<Result: Sendable>(_ body: @Sendable (inout Value) -> Result) -> Result {
    mutex.withLock { body(&$0) }
  }
}

/// Waits until the condition holds; false after ten seconds.
func eventually(_ condition: () -> Bool) -> Bool {
  for _ in 0..<100_000 {
    if condition() { return true }
    usleep(100)
  }
  return false
}

/// Real threads under the lock contract, one command at a time.
final class RealLockSubject: LockContractSubject {
  private enum Command: Sendable {
    case store(UInt64, UInt64)
    case finish
    case end
  }

  private struct Desk: Sendable {
    var command: Command?
    var isHolding = false
  }

  private let permits: SharedPermits
  private let desks: [Shared<Desk>]
  private let crew = Crew()

  init(parameters: LockParameters, threadCount: Int) {
    do {
      let permits = try SharedPermits(
        permitCount: parameters.permitCount, threadCount: threadCount)
      self.permits = permits
      desks = (0..<threadCount).map { _ in Shared(Desk()) }
      for desk in desks { try crew.add { Self.serve(desk, permits, parameters) } }
    } catch { fatalError("\(error)") }
  }

  private static func serve(
    _ desk: Shared<Desk>, _ permits: SharedPermits, _ parameters: LockParameters
  ) {
    guard var door = try? PermitDoor(permits, parameters) else { fatalError("no place left") }
    while true {
      guard let command = desk.value.command else {
        usleep(10)
        continue
      }
      if case .end = command { return }
      if case .store(let address, let length) = command {
        door.enter(address, length)
        door.leave(address, length)
      } else {
        door.finish()
      }
      let isHolding = door.isHolding
      desk.change { $0 = Desk(command: nil, isHolding: isHolding) }
    }
  }

  var holders: Set<Int> {
    Set(desks.indices.filter { desks[$0].value.command == nil && desks[$0].value.isHolding })
  }

  func store(thread: Int, address: UInt64, length: UInt64) {
    desks[thread].change { $0.command = .store(address, length) }
    settle()
  }

  func finish(thread: Int) {
    desks[thread].change { $0.command = .finish }
    settle()
  }

  func end() {
    // After a violation threads may still wait for permits that idle threads hold.
    let isFree = eventually {
      for desk in desks {
        desk.change { if $0.command == nil, $0.isHolding { $0.command = .finish } }
      }
      return desks.allSatisfy { $0.value.command == nil && !$0.value.isHolding }
    }
    if !isFree { fatalError("threads under the lock do not end") }
    for desk in desks { desk.change { $0.command = .end } }
    crew.join()
  }

  /// Nothing moves once exactly the threads with a ticket that has not come up are busy.
  private func settle() {
    var calm = 0
    let isSettled = eventually {
      let waiting = permits.counts.waitingCount
      let busy = desks.count { $0.value.command != nil }
      calm = busy == waiting ? calm + 1 : 0
      return calm == 3
    }
    if !isSettled { fatalError("threads under the lock do not come to rest") }
  }
}

@Suite("Shared permits")
struct PermitTests {
  @Test(arguments: [1, 2, 4, 7])
  func `many threads never hold more permits than there are`(permitCount: Int) throws {
    let threadCount = 64
    let permits = try SharedPermits(permitCount: permitCount, threadCount: threadCount)
    let inside = Shared(0)
    let tooMany = Shared(0)
    let refused = Shared(0)
    try Crew.run(threadCount) { _ in
      guard var holder = try? PermitHolder(permits) else {
        refused.change { $0 += 1 }
        return
      }
      for _ in 0..<50 {
        holder.acquire()
        let count = inside.change {
          $0 += 1; return $0
        }
        if count > permitCount { tooMany.change { $0 += 1 } }
        sched_yield()
        inside.change { $0 -= 1 }
        holder.release()
      }
    }
    #expect(refused.value == 0)
    #expect(tooMany.value == 0)
    #expect(
      permits.counts
        == SharedPermits.Counts(
          requestedCount: 64 * 50, holderCount: 0, holderCountMax: permitCount, waitingCount: 0,
          recoveredCount: 0))
  }

  @Test func `waiters are served in the order of their requests`() throws {
    let permits = try SharedPermits(permitCount: 1, threadCount: 24)
    let order = Shared<[Int]>([])
    let crew = Crew()
    var first = try PermitHolder(permits)
    first.acquire()
    for index in 0..<23 {
      try crew.add {
        guard var holder = try? PermitHolder(permits) else { return }
        holder.acquire()
        order.change { $0.append(index) }
        holder.release()
      }
      // The next thread starts once this one's turn is fixed.
      #expect(eventually { permits.counts.waitingCount == index + 1 })
    }
    #expect(order.value.isEmpty)
    first.release()
    crew.join()
    #expect(order.value == Array(0..<23))
  }

  @Test func `a waiting thread sleeps instead of burning a processor`() throws {
    let permits = try SharedPermits(permitCount: 1, threadCount: 2)
    let used = Shared<Int64>(0)
    var first = try PermitHolder(permits)
    first.acquire()
    let crew = Crew()
    try crew.add {
      guard var holder = try? PermitHolder(permits) else { return }
      let start = SystemClock.threadCPUNanoseconds()
      holder.acquire()
      holder.release()
      let end = SystemClock.threadCPUNanoseconds()
      used.change { $0 = end - start }
    }
    usleep(200_000)
    first.release()
    crew.join()
    #expect(used.value > 0)
    #expect(used.value < 20_000_000, "waiting 200 ms cost \(used.value) ns of CPU")
  }

  /// A process that asks for a permit and then does nothing until it is killed.
  private struct Victim {
    let number: Int32

    init(asking permits: SharedPermits) throws {
      number = unsafe arb_test_spawn_permit_holder(try #require(permits.page.path), 1)
      try #require(number > 0)
    }

    func kill() {
      Glibc.kill(number, SIGKILL)
      var status: Int32 = 0
      unsafe _ = waitpid(number, &status, 0)
    }
  }

  @Test func `the permit of a process that is killed goes to the next one`() throws {
    let permits = try SharedPermits(permitCount: 2, threadCount: 8)
    let victims = [try Victim(asking: permits), try Victim(asking: permits)]
    #expect(eventually { permits.counts.holderCount == 2 })
    for victim in victims { victim.kill() }
    var holder = try PermitHolder(permits)
    #expect(holder.acquire() != nil)
    #expect(permits.counts.recoveredCount >= 1)
    holder.release()
    permits.page.reap()
    #expect(permits.counts.recoveredCount == 2)
    #expect(permits.counts.holderCount == 0)
    #expect(permits.counts.holderCountMax == 2)
  }

  @Test func `a process that is killed in the queue keeps nobody from a turn`() throws {
    let permits = try SharedPermits(permitCount: 1, threadCount: 4)
    var first = try PermitHolder(permits)
    first.acquire()
    let victim = try Victim(asking: permits)
    #expect(eventually { permits.counts.waitingCount == 1 })
    let done = Shared(false)
    let crew = Crew()
    try crew.add {
      guard var holder = try? PermitHolder(permits) else { return }
      if holder.acquire() != nil { done.change { $0 = true } }
      holder.release()
    }
    #expect(eventually { permits.counts.waitingCount == 2 })
    victim.kill()
    first.release()
    crew.join()
    #expect(done.value)
    permits.page.reap()
    #expect(permits.counts.waitingCount == 0)
    #expect(permits.counts.holderCount == 0)
  }

  @Test(arguments: [(1, 2), (2, 5), (4, 12), (5, 3)])
  func `real threads keep the lock contract`(permitCount: Int, threadCount: Int) {
    for seed in UInt64(1)...4 {
      for spanBytes in [64, 256, 1024, 8192] {
        let violations = LockContract.violations(
          of: RealLockSubject.self,
          parameters: LockParameters(permitCount: permitCount, spanBytes: spanBytes),
          threadCount: threadCount, stepCount: 60, seed: seed)
        #expect(violations == [])
      }
    }
  }

  @Test(arguments: [(1, 2), (2, 5), (4, 12), (5, 3)])
  func `virtual permits keep the lock contract`(permitCount: Int, threadCount: Int) {
    for seed in UInt64(1)...40 {
      for spanBytes in [64, 256, 1024, 8192] {
        let violations = LockContract.violations(
          of: VirtualLockSubject.self,
          parameters: LockParameters(permitCount: permitCount, spanBytes: spanBytes),
          threadCount: threadCount, stepCount: 200, seed: seed)
        #expect(violations == [])
      }
    }
  }

  @Test func `the conformance suite finds a subject that forgets the span`() {
    let violations = LockContract.violations(
      of: HoldingForEver.self, parameters: LockParameters(permitCount: 2, spanBytes: 256),
      threadCount: 3, stepCount: 200, seed: 1)
    #expect(!violations.isEmpty)
  }
}

/// A wrong implementation: whoever stores first holds until it has finished.
final class HoldingForEver: LockContractSubject {
  private let permitCount: Int
  var holders: Set<Int> = []

  init(parameters: LockParameters, threadCount: Int) { permitCount = parameters.permitCount }

  func store(thread: Int, address: UInt64, length: UInt64) {
    if holders.count < permitCount { holders.insert(thread) }
  }

  func finish(thread: Int) { holders.remove(thread) }

  func end() {}
}

/// The queue of the simulator under the lock contract.
final class VirtualLockSubject: LockContractSubject {
  private var permits: VirtualPermits
  private var spans: [PermitSpan]
  private var pending: [(UInt64, UInt64)?]
  var holders: Set<Int> = []

  init(parameters: LockParameters, threadCount: Int) {
    permits = VirtualPermits(limit: parameters.permitCount, threadCount: threadCount)
    spans = Array(repeating: PermitSpan(parameters), count: threadCount)
    pending = Array(repeating: nil, count: threadCount)
  }

  func store(thread: Int, address: UInt64, length: UInt64) {
    pending[thread] = (address, length)
    if holders.contains(thread) {
      if !spans[thread].endsBeforeStore(at: address) { return perform(thread) }
      giveBack(thread)
    }
    if permits.request(Int32(thread)) { begin(thread) }
  }

  func finish(thread: Int) {
    if holders.contains(thread) { giveBack(thread) }
  }

  func end() {}

  private func begin(_ thread: Int) {
    holders.insert(thread)
    spans[thread].begin()
    perform(thread)
  }

  private func perform(_ thread: Int) {
    guard let (address, length) = pending[thread] else { return }
    pending[thread] = nil
    if spans[thread].endsAfterStore(at: address, length: length) { giveBack(thread) }
  }

  private func giveBack(_ thread: Int) {
    holders.remove(thread)
    if let next = permits.release() { begin(Int(next)) }
  }
}
