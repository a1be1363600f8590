// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlatform
import ArbiterProfiler
import ArbiterTestSupport
import Glibc
import Testing

/// What a sampler would have of the processes that come to it.
private final class TaskRing {
  var waiting: [SampledAccess] = []
  var losses = SamplingLosses()
  var added: [Int32] = []
  var removed: [Int32] = []
  var refusal: PlatformError?
  var now: Int64 = 1_000_000_000
  var openedCount = 0
}

private struct TaskRingSource: AccessSource {
  let backEnd: BackEnd
  let ring: TaskRing
  var losses: SamplingLosses { ring.losses }

  mutating func drain(_ body: (SampledAccess) -> Void) {
    for access in ring.waiting { body(access) }
    ring.waiting = []
  }

  mutating func stop() {}
}

@Suite("Watch: sampled tasks")
struct SampledTasksTests {
  private let ring = TaskRing()

  private func machine(hasSlowMemory: Bool) -> TemporaryFolder {
    let folder = TemporaryFolder()
    if hasSlowMemory {
      folder.write("17179869184\n", to: "sys/bus/dax/devices/dax0.0/size")
      folder.write("1\n", to: "sys/bus/dax/devices/dax0.0/target_node")
    }
    add(31, start: 7, to: folder)
    add(32, start: 8, to: folder)
    return folder
  }

  private func add(_ process: Int, start: Int, to folder: borrowing TemporaryFolder) {
    folder.write(
      "\(process) (p) S 1 1 1 0 -1 0 0 0 0 0 0 7 0 0 20 0 1 0 \(start) 0 0\n",
      to: "proc/\(process)/stat")
    folder.write(
      "7f0000000000-7f0000200000 rw-s 00000000 00:05 345 /dev/dax0.0\n"
        + "7f1000000000-7f1000001000 rw-p 00000000 00:00 0 [heap]\n",
      to: "proc/\(process)/maps")
  }

  private func sampler(
    _ folder: borrowing TemporaryFolder, _ backEnd: BackEnd = .timer
  ) -> SampledTasks {
    let tree = SystemTree(root: folder.path)
    let ring = ring
    return SampledTasks(tree: tree, clock: { ring.now }) { () throws(PlatformError) in
      ring.openedCount += 1
      let account = Accountant(
        of: TaskRingSource(backEnd: backEnd, ring: ring), by: .process,
        classifier: MappingClassifier(tree: tree), tree: tree)
      let choice = try BackEndProbe.choose(wanted: backEnd) { _ throws(PlatformError) in }
      return SampledTasks.Engine(choice: choice, account: account) {
        (process: Int32) throws(PlatformError) in
        if let refusal = ring.refusal { throw refusal }
        ring.added.append(process)
      } remove: {
        ring.removed.append($0)
      }
    }
  }

  private func store(_ process: Int32, at address: UInt64, weight: Double) -> SampledAccess {
    SampledAccess(
      process: process, thread: process, timeNanoseconds: ring.now, address: address,
      byteCount: 8, isStore: true, isLoad: false, weight: weight)
  }

  @Test func `nothing is opened before somebody is to be followed`() {
    let folder = machine(hasSlowMemory: true)
    var sampler = sampler(folder)
    sampler.follow([])
    sampler.tend()
    #expect(ring.openedCount == 0 && sampler.backEnd == nil && sampler.tendNanoseconds == nil)
    #expect(sampler.sampling.reason?.contains("none maps slow memory") == true)
    sampler.follow([31, 99])
    #expect(ring.openedCount == 1 && ring.added == [31])
    #expect(sampler.backEnd == .timer && sampler.tendNanoseconds != nil)
  }

  @Test func `what counts is slow memory, or all where a machine has none`() throws {
    for hasSlowMemory in [true, false] {
      let folder = machine(hasSlowMemory: hasSlowMemory)
      var sampler = sampler(folder)
      sampler.follow([31, 32])
      let none = try #require(sampler.account(ofProcess: 31).written.value)
      // That nothing was seen is no proof that nothing was there.
      #expect(none.value == 0 && none.standardError > 0)
      ring.waiting = [
        store(31, at: 0x7F00_0000_1000, weight: 1000), store(31, at: 0x7F10_0000_0010, weight: 10),
        store(32, at: 0x7F10_0000_0020, weight: 100),
      ]
      sampler.tend()
      let (one, other) = (sampler.account(ofProcess: 31), sampler.account(ofProcess: 32))
      #expect(one.written.value?.value == (hasSlowMemory ? 1000 : 1010))
      #expect(other.written.value?.value == (hasSlowMemory ? 0 : 100))
      #expect(sampler.sampling.value?.memory == (hasSlowMemory ? .slow : .all))
      #expect(sampler.blindSpots.contains { $0.contains("all memory") } == !hasSlowMemory)
    }
  }

  @Test func `whoever leaves is forgotten, also where another has the number then`() {
    let folder = machine(hasSlowMemory: true)
    var sampler = sampler(folder)
    sampler.follow([31, 32])
    ring.waiting = [store(31, at: 0x7F00_0000_1000, weight: 5)]
    sampler.tend()
    // Still in the ring when its process has left.
    ring.waiting = [store(32, at: 0x7F00_0000_1000, weight: 6)]
    add(32, start: 9, to: folder)
    sampler.follow([31, 32])
    #expect(ring.removed == [32] && ring.added == [31, 32, 32])
    #expect(sampler.account(ofProcess: 31).written.value?.value == 5)
    #expect(sampler.account(ofProcess: 32).written.value?.value == 0)
    sampler.follow([32])
    #expect(ring.removed == [32, 31])
    #expect(sampler.account(ofProcess: 31).written.value == nil)
  }

  @Test func `a refusal is told with its setting, and tried again after a minute`() {
    let folder = machine(hasSlowMemory: true)
    var sampler = sampler(folder)
    ring.refusal = PlatformError(
      .noPermission, reason: "may not sample process 31: kernel.perf_event_paranoid is 4",
      nextStep: "run 'sysctl kernel.perf_event_paranoid=2' as root")
    sampler.follow([31])
    #expect(
      sampler.account(ofProcess: 31).written.reason
        == "may not sample it: kernel.perf_event_paranoid is 4")
    #expect(sampler.blindSpots.first?.contains("sysctl kernel.perf_event_paranoid=2") == true)
    ring.refusal = nil
    ring.now += SampledTasks.retryNanoseconds - 1
    sampler.follow([31])
    #expect(ring.added.isEmpty)
    ring.now += 1
    sampler.follow([31])
    #expect(ring.added == [31] && sampler.account(ofProcess: 31).written.value != nil)
    #expect(!sampler.blindSpots.contains { $0.contains("sysctl") })
  }

  @Test func `losses are said, and so is a poor share of resolved samples`() {
    let folder = machine(hasSlowMemory: true)
    var sampler = sampler(folder, .pebs)
    sampler.follow([31])
    let quiet = sampler.blindSpots
    (ring.losses.sampleCount, ring.losses.resolvedCount) = (1000, 510)
    (ring.losses.lostCount, ring.losses.throttleCount) = (23, 3)
    let spots = sampler.blindSpots.filter { !quiet.contains($0) }
    #expect(spots.count == 3 && spots.contains { $0.hasPrefix("23 samples were lost") })
    #expect(spots.contains { $0.contains("held sampling back 3 times") })
    #expect(spots.contains { $0.contains("51 %") })
    #expect(sampler.sampling.value?.losses == ring.losses)
  }

  @Test func `a back-end that does not work is a blind spot and stops nothing`() {
    let error = PlatformError(.unsupported, reason: "no such event", nextStep: "buy one")
    var count = 0
    let folder = machine(hasSlowMemory: true)
    var sampler = SampledTasks(tree: SystemTree(root: folder.path), clock: { 5 }) {
      () throws(PlatformError) in
      count += 1
      throw error
    }
    for _ in 0..<3 { sampler.follow([31, 32]) }
    #expect(count == 1 && sampler.account(ofProcess: 31).written.reason == "no such event")
    #expect(sampler.blindSpots == ["Programs are not sampled: no such event; buy one."])
    #expect(sampler.sampling.reason == "no such event")
  }

  @Test(.enabled(if: canSample, "a clock cannot be sampled here"))
  func `a running child is seen through a real back-end until it leaves`() throws {
    let program = try SamplingProgram("spin", "1", "100")
    _ = program.lines(until: "ready")
    var sampler = SampledTasks(wanted: .timer)
    var cost = 0.0
    for _ in 0..<20 where cost == 0 {
      sampler.follow([program.process])
      program.step()
      _ = program.lines(until: "used")
      sampler.tend()
      cost = sampler.account(ofProcess: program.process).written.value?.value ?? 0
    }
    #expect(cost > 0, "\(sampler.blindSpots)")
    sampler.follow([])
    #expect(sampler.tendNanoseconds == nil)
    #expect(sampler.account(ofProcess: program.process).written.value == nil)
  }
}
