// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import CArbiterSampling
internal import Glibc

/// The rings of all processors, and who writes into them.
@safe
final class RingSet {
  /// Bytes of the smallest rings that are tried: some 80 samples.
  static let bytesMin = 16 << 10
  /// Bytes of the largest rings that are asked for.
  static let bytesMax = 256 << 20
  /// The most task events that wait for somebody to take them.
  static let taskEventMax = 1 << 16

  /// The processors, one ring each.
  let processors: [Int]
  /// Bytes of each ring.
  private(set) var bytes: Int
  /// Why the rings are smaller than asked for.
  private(set) var shortage: String?
  /// Records that events which are closed by now told to be lost.
  var lostAtClose: UInt64 = 0
  /// Task events that nobody took in time.
  private(set) var droppedTaskCount: UInt64 = 0

  private var owners: [Int32] = []
  private var rings: [ArbRing] = unsafe []
  private var nextRing = 0
  /// Counts complete passes over all rings, from 1 on.
  private var round: UInt64 = 1
  private var identityCount = 0
  private var lateThreads: Set<Int32> = []
  private var waitingTasks: [TaskEvent] = []
  // SAFETY: all four are allocated here, never handed out and given back in `deinit`.
  private let reader: UnsafeMutablePointer<ArbReader>
  private let scratch: UnsafeMutablePointer<UInt8>
  private let task: UnsafeMutablePointer<ArbTask>
  private var identities: UnsafeMutableBufferPointer<ArbIdentity>
  private var late: UnsafeMutableBufferPointer<ArbLateThread>

  /// The size that is asked for: a power of two of pages.
  static func rounded(_ bytes: Int) -> Int {
    var size = bytesMin
    while size < bytes && size < bytesMax { size *= 2 }
    return size
  }

  init(
    _ specifications: [ArbSampledEvent], bytes: Int, tree: SystemTree
  ) throws(PlatformError) {
    let online = SystemTree.numbers(
      inList: tree.text("/sys/devices/system/cpu/online") ?? "0")
    processors = online.isEmpty ? [0] : online
    self.bytes = Self.rounded(bytes)
    unsafe reader = .allocate(capacity: 1)
    unsafe scratch = .allocate(capacity: ARB_RECORD_BYTES_MAX)
    unsafe task = .allocate(capacity: 1)
    unsafe identities = .allocate(capacity: 64)
    unsafe identities.initialize(repeating: ArbIdentity())
    unsafe late = .allocate(capacity: 16)
    unsafe late.initialize(repeating: ArbLateThread())
    unsafe task.initialize(to: ArbTask())
    unsafe reader.initialize(to: ArbReader())
    unsafe reader.pointee.scratch = unsafe scratch
    unsafe reader.pointee.format_count = UInt32(specifications.count)
    unsafe withUnsafeMutableBytes(of: &reader.pointee.formats) { formats in
      for (index, specification) in specifications.enumerated() {
        var specification = specification
        let format = unsafe arb_event_format(&specification)
        unsafe formats.storeBytes(
          of: format, toByteOffset: index * MemoryLayout<ArbFormat>.stride, as: ArbFormat.self)
      }
    }
    shareTables()
    do {
      try openOwners(tree)
      try mapRings(tree)
    } catch {
      close()
      throw error
    }
  }

  deinit {
    close()
    unsafe reader.deallocate()
    unsafe scratch.deallocate()
    unsafe task.deallocate()
    unsafe identities.deallocate()
    unsafe late.deallocate()
  }

  /// How many rings there are.
  var count: Int { unsafe rings.count }

  /// What became of all records.
  var counts: ArbRingCounts { unsafe reader.pointee.counts }

  /// The descriptor that owns the ring of the processor at a place in ``processors``.
  func owner(at index: Int) -> Int32 { owners[index] }

  private func shareTables() {
    unsafe reader.pointee.identities = identities.baseAddress
    unsafe reader.pointee.identity_capacity = UInt64(identities.count)
    unsafe reader.pointee.late = late.baseAddress
  }

  private func openOwners(_ tree: SystemTree) throws(PlatformError) {
    for processor in processors {
      let descriptor = arb_sampling_open_owner(Int32(processor))
      guard descriptor >= 0 else {
        throw SamplingRefusal.opening(
          Int32(-descriptor), "the rings of samples", isPrecise: false, tree: tree)
      }
      owners.append(Int32(descriptor))
    }
  }

  private func mapRings(_ tree: SystemTree) throws(PlatformError) {
    while true {
      let answer = mapAll()
      if answer == 0 { return }
      unmapAll()
      let limit = tree.number("/proc/sys/kernel/perf_event_mlock_kb")
      let known = limit.map { "kernel.perf_event_mlock_kb is \($0)" } ?? "memory is short"
      guard [EPERM, ENOMEM, EINVAL].contains(answer), bytes > Self.bytesMin else {
        throw PlatformError(
          .resourceLimit,
          reason: "the kernel grants no memory for \(owners.count) rings of \(bytes >> 10) KiB: "
            + known,
          nextStep: "raise kernel.perf_event_mlock_kb or end other programs that sample")
      }
      shortage = known
      bytes /= 2
    }
  }

  /// Maps all rings; the first errno, or 0.
  private func mapAll() -> Int32 {
    for owner in owners {
      var ring = unsafe ArbRing()
      let answer = unsafe arb_ring_map(&ring, owner, UInt64(bytes))
      if answer < 0 { return Int32(-answer) }
      unsafe rings.append(ring)
    }
    return 0
  }

  private func unmapAll() {
    for index in unsafe rings.indices {
      unsafe arb_ring_unmap(&rings[index])
    }
    unsafe rings = []
  }

  /// Gives rings and their owners back; a second call does nothing.
  func close() {
    unmapAll()
    for owner in owners { Glibc.close(owner) }
    owners = []
  }

  // Identities.

  /// Notes who opened an event, before it starts.
  func enter(id: UInt64, event: Int, owner: Int32) {
    if unsafe (identityCount + 1) * 2 > identities.count { makeRoomForIdentities() }
    let isEntered = unsafe arb_identity_enter(
      reader, ArbIdentity(id: id, closed: 0, event: UInt32(event), owner: owner))
    precondition(isEntered == 1, "the table of events is full")
    identityCount += 1
  }

  /// Notes that the events of a thread are closed; what they still have in the rings counts.
  func leave(owners: Set<Int32>) {
    for index in unsafe identities.indices {
      let isOpen = unsafe identities[index].id != 0 && identities[index].closed == 0
      if isOpen, unsafe owners.contains(identities[index].owner) {
        unsafe identities[index].closed = round
      }
    }
  }

  /// Forgets events that were closed before the last complete pass: nothing of them is left.
  private func makeRoomForIdentities() {
    let old = unsafe identities
    let kept = unsafe old.filter { $0.id != 0 && ($0.closed == 0 || $0.closed + 1 >= round) }
    let capacity = kept.count * 4 > old.count ? old.count * 2 : old.count
    unsafe identities = .allocate(capacity: capacity)
    unsafe identities.initialize(repeating: ArbIdentity())
    shareTables()
    for identity in kept { _ = unsafe arb_identity_enter(reader, identity) }
    identityCount = kept.count
    unsafe old.deallocate()
  }

  // Late threads.

  /// Notes that threads get events of their own although others may have handed them theirs.
  func enterLate(_ threads: [Int32]) {
    lateThreads.formUnion(threads)
    writeLate()
  }

  /// Forgets late threads that are gone, and whose records are.
  func forgetLate(_ threads: Set<Int32>) {
    guard !lateThreads.isDisjoint(with: threads) else { return }
    lateThreads.subtract(threads)
    writeLate()
  }

  private func writeLate() {
    let redundant = Set(redundantThreads)
    if unsafe lateThreads.count > late.count {
      unsafe late.deallocate()
      unsafe late = .allocate(capacity: lateThreads.count * 2)
      unsafe late.initialize(repeating: ArbLateThread())
    }
    for (index, thread) in lateThreads.sorted().enumerated() {
      unsafe late[index] = ArbLateThread(
        thread: thread, is_redundant: redundant.contains(thread) ? 1 : 0)
    }
    unsafe reader.pointee.late_count = UInt64(lateThreads.count)
    shareTables()
  }

  /// How many threads were ever found to be sampled twice.
  var redundantCount: UInt64 { unsafe reader.pointee.redundant_count }

  /// The threads that are sampled twice, of those that are not forgotten.
  var redundantThreads: [Int32] {
    unsafe late.prefix(Int(reader.pointee.late_count)).filter { $0.is_redundant != 0 }
      .map(\.thread)
  }

  // Draining.

  /// Fills the room from the rings, beginning where the last call stopped.
  func drain(into room: UnsafeMutableBufferPointer<ArbSample>) -> Int {
    guard let base = room.baseAddress, room.count > 0 else { return 0 }
    var count: UInt64 = 0
    // Each ring has its turn once; a full room ends the pass, and the next call goes on there.
    for _ in unsafe rings.indices {
      var answer = ARB_DRAIN_TASK
      // A program that never stops to start others must not keep the rest waiting.
      for _ in 0..<Self.taskEventMax where answer == ARB_DRAIN_TASK {
        answer = unsafe drainOne(base, room.count, &count)
        if answer == ARB_DRAIN_TASK { unsafe note(task) }
      }
      if answer == ARB_DRAIN_FULL { return Int(count) }
      nextRing = unsafe (nextRing + 1) % rings.count
      if nextRing == 0 { round += 1 }
    }
    return Int(count)
  }

  private func drainOne(
    _ base: UnsafeMutablePointer<ArbSample>, _ capacity: Int, _ count: inout UInt64
  ) -> Int {
    unsafe Int(
      arb_ring_drain(reader, &rings[nextRing], base, UInt64(capacity), &count, task))
  }

  private func note(_ task: UnsafePointer<ArbTask>) {
    guard waitingTasks.count < Self.taskEventMax else {
      droppedTaskCount += 1
      return
    }
    let count = Int(unsafe task.pointee.name_count)
    let start = MemoryLayout<ArbTask>.offset(of: \ArbTask.name) ?? 0
    // SAFETY: the name's bytes lie within the task.
    let bytes = unsafe UnsafeRawBufferPointer(
      start: UnsafeRawPointer(task) + start, count: count)
    let name = unsafe String(decoding: bytes, as: UTF8.self)
    if let event = unsafe TaskEvent(task.pointee, name: name) { waitingTasks.append(event) }
  }

  /// The task events that wait, each once.
  func takeTaskEvents() -> [TaskEvent] {
    defer { waitingTasks = [] }
    return waitingTasks
  }
}
