// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterMemory
internal import ArbiterMetrics
internal import ArbiterPlatform
internal import ArbiterScheduler
internal import CArbiter

/// What the threads of a run share.
///
/// The region outlives all of them: the run joins them first.
@safe
final class RunShared: Sendable {
  // SAFETY: the run borrows the region until every thread has been joined, and slices are disjoint.
  nonisolated(unsafe) let base: UnsafeMutableRawPointer
  let configuration: RealRun.Configuration
  let method: StoreMethod
  let recording: RunRecording?
  let meeting = Rendezvous()
  let records: Lock<[RealRun.ThreadRecord]>
  let latencies = Lock(Histogram())
  let failure = Lock<PlatformError?>(nil)

  init(
    base: UnsafeMutableRawPointer, _ configuration: RealRun.Configuration, _ method: StoreMethod,
    recording: RunRecording?
  ) {
    unsafe self.base = base
    self.configuration = configuration
    self.method = method
    self.recording = recording
    records = Lock(
      Array(repeating: RealRun.ThreadRecord(), count: configuration.threadCount))
  }

  func fail(_ error: PlatformError) {
    failure.withLock { $0 = $0 ?? error }
    meeting.stop()
  }

  func end(_ thread: Int, _ record: RealRun.ThreadRecord) {
    records.withLock { $0[thread] = record }
    meeting.end()
  }
}

/// One thread of a run.
struct Writer {
  let shared: RunShared
  let thread: Int
  private var addresses: AddressStream
  private var sampling: SampleSpacing
  private let accessLimit: UInt64
  private let fenceBytes: Int

  init(_ shared: RunShared, thread: Int, slice: Range<Int>) {
    let configuration = shared.configuration
    self.shared = shared
    self.thread = thread
    addresses = AddressStream(
      slice: slice, accessBytes: configuration.accessBytes, pattern: configuration.pattern,
      seed: configuration.seed, thread: thread)
    sampling = SampleSpacing(
      mean: configuration.accessesPerSample, seed: configuration.seed, thread: thread)
    accessLimit = configuration.bound.accessLimit(accessBytes: configuration.accessBytes)
    switch configuration.fence {
    case .never: fenceBytes = .max
    case .every(let bytes): fenceBytes = Int(bytes)
    }
  }

  /// Stores through a door until the bound is reached.
  mutating func run<Door: WriterDoor & ~Copyable>(through door: inout Door) {
    let (length, seed) = (shared.configuration.accessBytes, shared.configuration.seed)
    let (method, base) = unsafe (shared.method, shared.base)
    var record = RealRun.ThreadRecord()
    var histogram = Histogram()
    var unfencedBytes = 0
    var countdown = sampling.next()
    var tape = RunTape(shared.recording)
    shared.meeting.waitForStart()
    tape.begin()
    let cpuStart = SystemClock.threadCPUNanoseconds()
    while record.accessCount < accessLimit, !shared.meeting.isStopping {
      let offset = addresses.next()
      let address = UInt64(truncatingIfNeeded: offset)
      countdown &-= 1
      let start = countdown == 0 ? TimeStampClock.nowOrdered() : 0
      let taped = tape.now()
      door.enter(address, UInt64(truncatingIfNeeded: length))
      record.accessCount &+= 1
      var line = 0
      while line < length {
        let place = address &+ UInt64(truncatingIfNeeded: line)
        if line > 0 && place & 255 == 0 {
          door.enterBlock(place, UInt64(truncatingIfNeeded: min(256, length &- line)))
        }
        let stamp = LineStamp(
          seed: seed, thread: UInt64(truncatingIfNeeded: thread), sequence: record.accessCount,
          offset: place)
        // SAFETY: offset + length lies within this thread's slice of the mapping.
        unsafe method.store(stamp.line, to: base + offset + line)
        line &+= 64
      }
      if countdown == 0 {
        histogram.record(UInt64(max(0, TimeStampClock.nowOrdered() &- start)))
        countdown = sampling.next()
      }
      door.leave(address, UInt64(truncatingIfNeeded: length))
      tape.note(offset: address, length: length, since: taped)
      unfencedBytes &+= length
      if unfencedBytes >= fenceBytes {
        let fenced = tape.now()
        LineWriter.fence()
        door.noteFence()
        tape.noteFence(since: fenced)
        unfencedBytes = 0
      }
    }
    // What is still in write-combining buffers must be visible to whoever verifies.
    LineWriter.fence()
    tape.end()
    door.finish()
    record.waits = door.waits
    finish(&record, histogram, cpuStart)
  }

  /// Has workers store until the bound is reached.
  mutating func run(through lane: inout DelegationLane) {
    let (length, seed) = (shared.configuration.accessBytes, shared.configuration.seed)
    let stagedMax = 16
    // SAFETY: the memory is owned by this call, which waits for all requests before it returns.
    let staging = UnsafeMutableRawPointer.allocate(byteCount: stagedMax * length, alignment: 128)
    defer { unsafe staging.deallocate() }
    var record = RealRun.ThreadRecord()
    var unfencedBytes = 0
    var countdown = sampling.next()
    var tape = RunTape(shared.recording)
    shared.meeting.waitForStart()
    tape.begin()
    let cpuStart = SystemClock.threadCPUNanoseconds()
    do throws(PlatformError) {
      while record.accessCount < accessLimit, !shared.meeting.isStopping {
        let offset = addresses.next()
        countdown &-= 1
        let start = countdown == 0 ? TimeStampClock.now() : 0
        if countdown == 0 { countdown = sampling.next() }
        // The buffer is free again once the request that used it last is complete.
        if lane.submittedCount >= UInt64(stagedMax) {
          try lane.wait(forCompleted: lane.submittedCount - UInt64(stagedMax) + 1)
        }
        let buffer = unsafe staging + Int(lane.submittedCount % UInt64(stagedMax)) * length
        for line in stride(from: 0, to: length, by: 64) {
          let stamp = LineStamp(
            seed: seed, thread: UInt64(truncatingIfNeeded: thread),
            sequence: record.accessCount &+ 1, offset: UInt64(offset + line))
          unsafe LineWriter.storeCached(stamp.line, to: buffer + line)
        }
        let taped = tape.now()
        // SAFETY: offset + length lies within this thread's slice of the mapping.
        unsafe try lane.submit(
          from: buffer, to: shared.base + offset, byteCount: length, method: shared.method,
          startTick: start)
        tape.note(offset: UInt64(offset), length: length, since: taped)
        record.accessCount &+= 1
        unfencedBytes &+= length
        if unfencedBytes >= fenceBytes {
          let fenced = tape.now()
          try lane.fence()
          tape.noteFence(since: fenced)
          unfencedBytes = 0
        }
      }
      try lane.fence()
    } catch {
      shared.fail(error)
      // The buffer is freed below: what the workers still have of it must have ended.
      lane.settle()
    }
    tape.end()
    finish(&record, Histogram(), cpuStart)
  }

  private func finish(
    _ record: inout RealRun.ThreadRecord, _ histogram: borrowing Histogram, _ cpuStart: Int64
  ) {
    record.cpuNanoseconds = SystemClock.threadCPUNanoseconds() - cpuStart
    record.endNanoseconds = SystemClock.monotonicRawNanoseconds()
    shared.latencies.withLock { $0.merge(histogram) }
    shared.end(thread, record)
  }
}
