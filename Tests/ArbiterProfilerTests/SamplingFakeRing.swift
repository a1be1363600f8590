// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import CArbiterSampling
import Glibc

/// Memory between two pages that nobody may touch: who reads beyond it dies.
@safe
final class GuardedMemory {
  let start: UnsafeMutableRawPointer
  private let whole: UnsafeMutableRawPointer
  private let wholeCount: Int

  /// - Parameters:
  ///   - count: Bytes.
  ///   - touchesEnd: Whether the forbidden page lies directly behind, or else directly before.
  init(_ count: Int, touchesEnd: Bool) {
    let inner = (count + 4095) / 4096 * 4096
    wholeCount = inner + 8192
    unsafe whole = mmap(nil, wholeCount, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    let isOpen = unsafe mprotect(whole + 4096, inner, PROT_READ | PROT_WRITE)
    precondition(isOpen == 0, "cannot make guarded memory")
    unsafe start = whole + 4096 + (touchesEnd ? inner - count : 0)
  }

  deinit {
    unsafe munmap(whole, wholeCount)
  }
}

/// A record as the kernel writes it.
struct FakeRecord {
  var words: [UInt64] = []

  /// Source: linux/perf_event.h, struct perf_event_header: type, misc, size.
  init(type: UInt32, misc: UInt16 = 0, _ body: [UInt64]) {
    let size = UInt64(8 + 8 * body.count)
    words = [UInt64(type) | UInt64(misc) << 32 | size << 48] + body
  }

  /// The size that the header claims.
  var claimedSize: UInt64 {
    get { words[0] >> 48 }
    set { words[0] = words[0] & 0xFFFF_FFFF_FFFF | newValue << 48 }
  }

  static func pair(_ low: Int32, _ high: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: low)) | UInt64(UInt32(bitPattern: high)) << 32
  }

  /// What `sample_id_all` adds to records that are no samples.
  static func trailer(thread: Int32, time: UInt64, id: UInt64) -> [UInt64] {
    [pair(thread, thread), time, id]
  }

  /// A text as the kernel fills it up with zeros.
  static func text(_ text: String) -> [UInt64] {
    var bytes = Array(text.utf8) + [0]
    while !bytes.count.isMultiple(of: 8) { bytes.append(0) }
    return stride(from: 0, to: bytes.count, by: 8).map { start in
      (0..<8).reduce(0) { $0 | UInt64(bytes[start + $1]) << UInt64(8 * $1) }
    }
  }
}

/// A ring and its reader, with the test in the kernel's place.
@safe
final class FakeRing {
  /// Events of the reader by number: a clock, page faults, precise stores and loads.
  static let clock: UInt64 = 1001
  static let faults: UInt64 = 1002
  static let stores: UInt64 = 1003
  static let loads: UInt64 = 1004

  let size: Int
  private(set) var head: UInt64
  // SAFETY: what these point to lives as long as the ring.
  var reader = unsafe ArbReader()
  var ring = unsafe ArbRing()
  private let page = GuardedMemory(4096, touchesEnd: true)
  private let data: GuardedMemory
  private let scratch = GuardedMemory(ARB_RECORD_BYTES_MAX, touchesEnd: true)
  private let room: GuardedMemory
  private let capacity: Int
  private let task = GuardedMemory(MemoryLayout<ArbTask>.size, touchesEnd: true)
  private let identities = UnsafeMutablePointer<ArbIdentity>.allocate(capacity: 16)
  private let late = UnsafeMutablePointer<ArbLateThread>.allocate(capacity: 4)

  init(size: Int, start: UInt64 = 0, capacity: Int = 64, touchesEnd: Bool = true) {
    self.size = size
    self.capacity = capacity
    head = start
    data = GuardedMemory(size, touchesEnd: touchesEnd)
    room = GuardedMemory(capacity * MemoryLayout<ArbSample>.stride, touchesEnd: true)
    unsafe identities.initialize(repeating: ArbIdentity(), count: 16)
    unsafe late.initialize(repeating: ArbLateThread(), count: 4)
    unsafe ring.page = page.start
    unsafe ring.data = UnsafePointer(data.start.assumingMemoryBound(to: UInt8.self))
    unsafe ring.size = UInt64(size)
    unsafe reader.scratch = scratch.start.assumingMemoryBound(to: UInt8.self)
    unsafe reader.identities = identities
    unsafe reader.identity_capacity = 16
    unsafe reader.late = late
    unsafe reader.format_count = 4
    let kinds = [
      ARB_EVENT_CLOCK, ARB_EVENT_PAGE_FAULTS, ARB_EVENT_PRECISE, ARB_EVENT_PRECISE,
    ]
    for (index, kind) in kinds.enumerated() {
      var event = ArbSampledEvent()
      event.kind = UInt32(kind)
      event.period = index == 0 ? 250_000 : index == 1 ? 1 : 10_000
      let format = unsafe arb_event_format(&event)
      precondition(unsafe withUnsafePointer(to: format) { unsafe arb_format_is_readable($0) } == 1)
      unsafe withUnsafeMutableBytes(of: &reader.formats) {
        unsafe $0.storeBytes(
          of: format, toByteOffset: index * MemoryLayout<ArbFormat>.stride, as: ArbFormat.self)
      }
    }
    for (index, id) in [Self.clock, Self.faults, Self.stores, Self.loads].enumerated() {
      enter(id: id, event: index, owner: 70)
    }
    setHead(start)
    setTail(start)
  }

  deinit {
    unsafe identities.deallocate()
    unsafe late.deallocate()
  }

  func enter(id: UInt64, event: Int, owner: Int32) {
    let answer = unsafe arb_identity_enter(
      &reader, ArbIdentity(id: id, closed: 0, event: UInt32(event), owner: owner))
    precondition(answer == 1)
  }

  func enterLate(thread: Int32) {
    unsafe late[Int(reader.late_count)] = ArbLateThread(thread: thread, is_redundant: 0)
    unsafe reader.late_count += 1
  }

  var tail: UInt64 { unsafe page.start.load(fromByteOffset: 1032, as: UInt64.self) }
  var counts: ArbRingCounts { unsafe reader.counts }
  var redundantCount: UInt64 { unsafe reader.redundant_count }

  func setHead(_ value: UInt64) {
    head = value
    // Source: linux/perf_event.h: data_head lies at 1024, data_tail behind it.
    unsafe page.start.storeBytes(of: value, toByteOffset: 1024, as: UInt64.self)
  }

  func setTail(_ value: UInt64) {
    unsafe page.start.storeBytes(of: value, toByteOffset: 1032, as: UInt64.self)
  }

  /// Writes a record behind the head, around the end where it falls so, and moves the head.
  func write(_ record: FakeRecord) {
    for (index, word) in record.words.enumerated() {
      let place = (Int(head % UInt64(size)) + 8 * index) % size
      unsafe data.start.storeBytes(of: word, toByteOffset: place, as: UInt64.self)
    }
    setHead(head + UInt64(8 * record.words.count))
  }

  /// Fills the ring with words, whatever they mean.
  func fill(_ word: (Int) -> UInt64) {
    for place in 0..<(size / 8) {
      unsafe data.start.storeBytes(of: word(place), toByteOffset: 8 * place, as: UInt64.self)
    }
  }

  /// What one call of the reader gave.
  struct Step {
    var answer: Int
    var samples: [ArbSample]
    var task: ArbTask
    var name: String
  }

  func drainOnce() -> Step {
    var count: UInt64 = 0
    let samples = unsafe room.start.assumingMemoryBound(to: ArbSample.self)
    let place = unsafe task.start.assumingMemoryBound(to: ArbTask.self)
    let answer = unsafe arb_ring_drain(
      &reader, &ring, samples, UInt64(capacity), &count, place)
    let nameStart = MemoryLayout<ArbTask>.offset(of: \ArbTask.name) ?? 0
    let nameCount = Int(answer) == ARB_DRAIN_TASK ? Int(unsafe place.pointee.name_count) : 0
    let name = unsafe String(
      decoding: UnsafeRawBufferPointer(start: task.start + nameStart, count: nameCount),
      as: UTF8.self)
    return unsafe Step(
      answer: Int(answer), samples: (0..<Int(count)).map { unsafe samples[$0] },
      task: place.pointee, name: name)
  }

  /// Everything that the ring holds.
  func drain() -> (samples: [ArbSample], tasks: [Step], callCount: Int) {
    var samples: [ArbSample] = []
    var tasks: [Step] = []
    var callCount = 0
    while true {
      let step = drainOnce()
      callCount += 1
      samples += step.samples
      if step.answer == ARB_DRAIN_TASK { tasks.append(step) }
      // Every call but the last takes at least one record of 8 bytes.
      precondition(callCount <= size / 8 + 2, "the reader does not end")
      if step.answer == ARB_DRAIN_EMPTY { return (samples, tasks, callCount) }
    }
  }
}

/// What a sample says, to be written and to be compared with what was read.
struct FakeSample {
  var ip: UInt64 = 0x40_1234
  var process: Int32 = 70
  var thread: Int32 = 71
  var time: UInt64 = 123_456_789_000
  var address: UInt64?
  /// By the kernel's numbers: 24 places, of which data segments are never asked for.
  var registers: [UInt64] = (0..<24).map { 0x1000 + UInt64($0) }
  var abi: UInt64 = 2

  /// Source: linux/perf_event.h, PERF_RECORD_SAMPLE: the order of the fields; asm/perf_regs.h: the
  /// numbers of the registers; of a mask those are written whose bits are set, lowest first.
  func record(event: UInt64, misc: UInt16 = 2) -> FakeRecord {
    var body: [UInt64] = [event, ip, FakeRecord.pair(process, thread), time]
    if let address { body.append(address) }
    body.append(abi)
    if abi != 0 { body += Array(registers[0...9]) + Array(registers[16...23]) }
    return FakeRecord(type: 9, misc: misc, body)
  }

  /// The registers in the order of instructions: RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.
  var expectedRegisters: [UInt64] {
    [0, 2, 3, 1, 7, 6, 4, 5, 16, 17, 18, 19, 20, 21, 22, 23].map { registers[$0] }
  }
}

extension ArbSample {
  var registerList: [UInt64] {
    let r = registers
    return [
      r.0, r.1, r.2, r.3, r.4, r.5, r.6, r.7, r.8, r.9, r.10, r.11, r.12, r.13, r.14, r.15,
    ]
  }
}
