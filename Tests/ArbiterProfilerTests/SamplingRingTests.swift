// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterTestSupport
import CArbiterSampling
import Testing

@Suite("Rings of samples, read from memory")
struct SamplingRingTests {
  static func isEqual(_ sample: ArbSample, _ fake: FakeSample) -> Bool {
    sample.ip == fake.ip && sample.process == fake.process && sample.thread == fake.thread
      && sample.time_nanoseconds == Int64(fake.time) && sample.address == fake.address ?? 0
      && sample.registerList == fake.expectedRegisters && sample.flags == fake.registers[9]
  }

  @Test("A clock's sample has the registers in the order of instructions, and no address")
  func clockSample() {
    let ring = FakeRing(size: 4096)
    ring.write(FakeSample().record(event: FakeRing.clock))
    let samples = ring.drain().samples
    #expect(samples.count == 1)
    guard let sample = samples.first else { return }
    #expect(Self.isEqual(sample, FakeSample()))
    #expect(sample.event == 0)
    #expect(sample.period == 250_000)
    #expect(Int(sample.has) == ARB_SAMPLE_REGISTERS)
    #expect(ring.counts.samples == 1)
    #expect(ring.tail == ring.head)
  }

  @Test("A page fault's sample has the address and the instruction")
  func faultSample() {
    let ring = FakeRing(size: 4096)
    let fake = FakeSample(address: 0x7F00_1234_5678)
    ring.write(fake.record(event: FakeRing.faults))
    let samples = ring.drain().samples
    #expect(samples.count == 1 && Self.isEqual(samples[0], fake))
    #expect(
      samples.allSatisfy {
        Int($0.has) == ARB_SAMPLE_ADDRESS | ARB_SAMPLE_REGISTERS | ARB_SAMPLE_EXACT_IP
      })
    #expect(samples.allSatisfy { $0.event == 1 && $0.period == 1 })
  }

  @Test("A precise sample says whether its instruction is exact and that registers are later ones")
  func preciseSample() {
    let ring = FakeRing(size: 4096)
    let fake = FakeSample(address: 0x7F00_1234_5678)
    // Source: linux/perf_event.h: PERF_RECORD_MISC_EXACT_IP is bit 14; 2 is user mode.
    ring.write(fake.record(event: FakeRing.stores, misc: 1 << 14 | 2))
    ring.write(fake.record(event: FakeRing.stores, misc: 2))
    ring.write(FakeSample(address: 0).record(event: FakeRing.stores, misc: 1 << 14 | 2))
    let samples = ring.drain().samples
    #expect(
      samples.map { Int($0.has) } == [
        ARB_SAMPLE_ADDRESS | ARB_SAMPLE_REGISTERS_AFTER | ARB_SAMPLE_EXACT_IP,
        ARB_SAMPLE_ADDRESS | ARB_SAMPLE_REGISTERS_AFTER,
        ARB_SAMPLE_REGISTERS_AFTER | ARB_SAMPLE_EXACT_IP,
      ])
    #expect(samples.map(\.address) == [0x7F00_1234_5678, 0x7F00_1234_5678, 0])
    #expect(samples.allSatisfy { $0.period == 10_000 && $0.event == 2 })
  }

  @Test("Registers of 32-bit programs, or none at all, are no registers", arguments: [0, 1])
  func otherRegisters(abi: UInt64) {
    let ring = FakeRing(size: 4096)
    ring.write(FakeSample(abi: abi).record(event: FakeRing.clock))
    let samples = ring.drain().samples
    #expect(samples.count == 1)
    #expect(samples.allSatisfy { $0.has == 0 && $0.ip == FakeSample().ip })
  }

  @Test("Losses and throttling are counted, and what is of no interest is skipped by its size")
  func bookkeeping() {
    let ring = FakeRing(size: 4096)
    let trailer = FakeRecord.trailer(thread: 71, time: 5, id: FakeRing.clock)
    ring.write(FakeRecord(type: 2, [FakeRing.clock, 41] + trailer))
    ring.write(FakeRecord(type: 13, [17] + trailer))
    ring.write(FakeRecord(type: 5, [5, FakeRing.clock, FakeRing.clock] + trailer))
    ring.write(FakeRecord(type: 6, [6, FakeRing.clock, FakeRing.clock] + trailer))
    ring.write(FakeRecord(type: 77, Array(repeating: 1, count: 29)))
    ring.write(FakeRecord(type: 77, []))
    ring.write(FakeSample().record(event: FakeRing.clock))
    #expect(ring.drain().samples.count == 1)
    let counts = ring.counts
    #expect(counts.lost == 58)
    #expect(counts.throttles == 1 && counts.unthrottles == 1)
    #expect(counts.skipped == 2)
    #expect(counts.truncated == 0 && counts.broken == 0 && counts.unknown == 0)
  }

  @Test("Samples of events that nobody opened are counted and dropped")
  func unknownEvents() {
    let ring = FakeRing(size: 4096)
    ring.write(FakeSample().record(event: 5))
    ring.write(FakeSample().record(event: 0))
    #expect(ring.drain().samples.isEmpty)
    #expect(ring.counts.unknown == 2)
  }

  @Test("Forks, ends, names, programs and mappings are told with their words")
  func taskEvents() {
    let ring = FakeRing(size: 4096)
    let trailer = FakeRecord.trailer(thread: 71, time: 9, id: FakeRing.clock)
    let pair = FakeRecord.pair
    ring.write(FakeRecord(type: 7, [pair(80, 70), pair(81, 71), 5] + trailer))
    ring.write(FakeRecord(type: 4, [pair(70, 1), pair(71, 1), 6] + trailer))
    ring.write(FakeRecord(type: 3, [pair(70, 71)] + FakeRecord.text("worker") + trailer))
    ring.write(
      FakeRecord(type: 3, misc: 1 << 13, [pair(70, 70)] + FakeRecord.text("postgres") + trailer))
    let mapping: [UInt64] = [
      pair(70, 71), 0x7F00_0000_0000, 0x20_0000, 0x1000, pair(8, 3), 4711, 1, pair(3, 1),
    ]
    ring.write(FakeRecord(type: 10, mapping + FakeRecord.text("/mnt/pmem/pool") + trailer))
    ring.write(
      FakeRecord(type: 10, misc: 1 << 14, mapping + FakeRecord.text("//anon") + trailer))
    let steps = ring.drain().tasks
    #expect(
      steps.map { Int($0.task.kind) } == [
        ARB_TASK_FORK, ARB_TASK_EXIT, ARB_TASK_NAME, ARB_TASK_EXEC, ARB_TASK_MAP, ARB_TASK_MAP,
      ])
    #expect(steps.map(\.name) == ["", "", "worker", "postgres", "/mnt/pmem/pool", "//anon"])
    #expect(steps.map(\.task.process) == [80, 70, 70, 70, 70, 70])
    #expect(steps.map(\.task.thread) == [81, 71, 71, 70, 71, 71])
    #expect(steps.map(\.task.time_nanoseconds) == [5, 6, 9, 9, 9, 9])
    #expect(steps[0].task.parent_process == 70 && steps[0].task.parent_thread == 71)
    #expect(steps[4].task.address == 0x7F00_0000_0000 && steps[4].task.length == 0x20_0000)
    #expect(steps[4].task.page_offset == 0x1000 && steps[4].task.inode == 4711)
    #expect(steps[4].task.device_major == 8 && steps[4].task.device_minor == 3)
    #expect(steps[4].task.protection == 3 && steps[4].task.flags == 1)
    // A build id lies where the file's number would be.
    #expect(steps[5].task.inode == 0 && steps[5].task.device_major == 0)
  }

  @Test("A name that fills its room is cut and stays a text")
  func longName() {
    let ring = FakeRing(size: 8192)
    let name = String(repeating: "a", count: 5001)
    let trailer = FakeRecord.trailer(thread: 71, time: 9, id: FakeRing.clock)
    ring.write(FakeRecord(type: 3, [FakeRecord.pair(70, 71)] + FakeRecord.text(name) + trailer))
    #expect(ring.drain().tasks.map(\.name) == [String(repeating: "a", count: 4095)])
  }

  @Test("Every record is read alike wherever in the ring it begins")
  func wrapping() {
    let trailer = FakeRecord.trailer(thread: 71, time: 9, id: FakeRing.clock)
    let fault = FakeSample(address: 0x7F00_1234_5678)
    let map: [UInt64] = [FakeRecord.pair(70, 71), 4096, 8192, 0, 0, 5, 0, 3]
    for size in [512, 1024] {
      // From start to start beyond the ring's size, so that positions wrap as well as places.
      for start in stride(from: UInt64(0), to: UInt64(2 * size), by: 8) {
        let ring = FakeRing(size: size, start: start)
        ring.write(fault.record(event: FakeRing.faults))
        ring.write(FakeRecord(type: 10, map + FakeRecord.text("/a/file") + trailer))
        ring.write(FakeRecord(type: 2, [FakeRing.clock, 3] + trailer))
        let all = ring.drain()
        let isRight =
          all.samples.count == 1 && Self.isEqual(all.samples[0], fault)
          && all.tasks.map(\.name) == ["/a/file"] && all.tasks[0].task.length == 8192
          && ring.counts.lost == 3 && ring.tail == ring.head
        #expect(isRight, "ring of \(size) from \(start)")
      }
    }
  }

  @Test("A full room stops the reader, which goes on at the same record")
  func fullRoom() {
    let ring = FakeRing(size: 4096, capacity: 3)
    for index in 0..<7 {
      ring.write(FakeSample(ip: 100 + UInt64(index)).record(event: FakeRing.clock))
    }
    let steps = [ring.drainOnce(), ring.drainOnce(), ring.drainOnce()]
    #expect(steps.map(\.answer) == [ARB_DRAIN_FULL, ARB_DRAIN_FULL, ARB_DRAIN_EMPTY])
    #expect(steps.flatMap(\.samples).map(\.ip) == Array(100..<107))
  }
}
