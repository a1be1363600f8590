// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterMemory
internal import ArbiterMetrics
internal import ArbiterPlatform
internal import Glibc

/// One thread of a file bench.
///
/// Its loop allocates nothing and takes no lock; its system calls are those that are measured.
package struct FileWorker {
  private let shared: FileRun
  private let configuration: FileBench.Configuration
  private let thread: Int
  private let slice: Range<Int>
  private let path: String
  private let accessLimit: UInt64
  private let syncBytes: Int
  private var addresses: AddressStream
  private var sampling: SampleSpacing
  private var record = FileBench.ThreadRecord()

  /// Prepares a thread of a run; messages name the path.
  package init(_ shared: FileRun, thread: Int, slice: Range<Int>, path: String) {
    let configuration = shared.configuration
    self.shared = shared
    self.configuration = configuration
    self.thread = thread
    self.slice = slice
    self.path = path
    addresses = AddressStream(
      slice: slice, accessBytes: configuration.blockBytes, pattern: configuration.pattern,
      seed: configuration.seed, thread: thread)
    sampling = SampleSpacing(
      mean: configuration.accessesPerSample, seed: configuration.seed, thread: thread)
    accessLimit = configuration.bound.accessLimit(accessBytes: configuration.blockBytes)
    syncBytes = if case .every(let bytes) = configuration.durability { bytes } else { .max }
  }

  /// Reads or writes until the bound is reached, and reports to the run.
  package mutating func run() {
    // SAFETY: the memory is owned by this call. O_DIRECT wants it aligned as blocks of disks are.
    let buffer = UnsafeMutableRawPointer.allocate(
      byteCount: configuration.blockBytes, alignment: 4096)
    defer { unsafe buffer.deallocate() }
    unsafe FileBlock(configuration, thread: thread).fill(buffer)
    var accesses = Histogram()
    var syncs = Histogram()
    shared.meeting.waitForStart()
    let cpuStart = SystemClock.threadCPUNanoseconds()
    do throws(PlatformError) {
      unsafe try loop(buffer, &accesses, &syncs)
    } catch {
      shared.fail(error)
    }
    record.cpuNanoseconds = SystemClock.threadCPUNanoseconds() - cpuStart
    record.endNanoseconds = SystemClock.monotonicRawNanoseconds()
    shared.accessTicks.withLock { $0.merge(accesses) }
    shared.syncTicks.withLock { $0.merge(syncs) }
    shared.end(thread, record)
  }

  private mutating func loop(
    _ buffer: UnsafeMutableRawPointer, _ accesses: inout Histogram, _ syncs: inout Histogram
  ) throws(PlatformError) {
    let length = configuration.blockBytes
    let writes = configuration.method.writes
    var unsyncedBytes = 0
    var countdown = sampling.next()
    while record.accessCount < accessLimit, !shared.meeting.isStopping {
      let offset = addresses.next()
      if writes { unsafe stamp(buffer, offset) }
      countdown &-= 1
      let start = countdown == 0 ? TimeStampClock.nowOrdered() : 0
      unsafe try access(buffer, offset, length)
      if countdown == 0 {
        accesses.record(UInt64(max(0, TimeStampClock.nowOrdered() &- start)))
        countdown = sampling.next()
      }
      record.accessCount &+= 1
      if !writes {
        if configuration.checksStamps { unsafe check(buffer, offset) }
        continue
      }
      unsyncedBytes &+= length
      if unsyncedBytes >= syncBytes {
        try sync(&syncs)
        unsyncedBytes = 0
      }
    }
    if unsyncedBytes > 0, configuration.durability != .never { try sync(&syncs) }
  }

  /// Says in the block's first line whose it is.
  @inline(__always)
  private func stamp(_ buffer: UnsafeMutableRawPointer, _ offset: Int) {
    let stamp = LineStamp(
      seed: configuration.seed, thread: UInt64(truncatingIfNeeded: thread),
      sequence: record.accessCount &+ 1, offset: UInt64(truncatingIfNeeded: offset))
    // SAFETY: a block has at least one line, and the buffer is aligned.
    unsafe LineWriter.storeCached(stamp.line, to: buffer)
  }

  /// Moves one block.
  @inline(__always)
  private mutating func access(
    _ buffer: UnsafeMutableRawPointer, _ offset: Int, _ length: Int
  ) throws(PlatformError) {
    switch configuration.method {
    case .read: unsafe try transfer(buffer, offset, length, isRead: true)
    case .write: unsafe try transfer(buffer, offset, length, isRead: false)
    case .mappedRead:
      guard let base = unsafe shared.base else { return }
      // SAFETY: offset + length lies within this thread's slice of the mapping, which is aligned.
      let place = unsafe UnsafeRawPointer(base + offset)
      var sum = SIMD8<UInt64>.zero
      var line = 0
      while line < length {
        sum ^= unsafe (place + line).load(as: SIMD8<UInt64>.self)
        line &+= 64
      }
      record.folded ^= sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7]
    case .mappedWrite:
      guard let base = unsafe shared.base else { return }
      // SAFETY: as above; the buffer holds a block.
      unsafe (base + offset).copyMemory(from: buffer, byteCount: length)
    }
  }

  /// Has the kernel move one block, in several parts where it stops in between.
  private func transfer(
    _ buffer: UnsafeMutableRawPointer, _ offset: Int, _ length: Int, isRead: Bool
  ) throws(PlatformError) {
    var done = 0
    while done < length {
      // SAFETY: `done` is below the length, so that the rest lies inside the buffer.
      let count =
        unsafe isRead
        ? pread(shared.descriptor, buffer + done, length - done, off_t(offset + done))
        : pwrite(shared.descriptor, buffer + done, length - done, off_t(offset + done))
      if count > 0 {
        done += count
        continue
      }
      if count < 0 && errno == EINTR { continue }
      if count == 0 {
        throw PlatformError(
          isRead ? .truncated : .noSpace, path: path,
          reason: "the file ends at byte \(offset + done) now",
          nextStep: "keep others from changing the file while it is measured")
      }
      throw refusal(errno, isRead ? "read" : "write")
    }
  }

  private func refusal(_ number: Int32, _ action: String) -> PlatformError {
    if number == EINVAL, configuration.isDirect {
      return PlatformError(
        .unsupported, path: path,
        reason:
          "the device takes no blocks of \(configuration.blockBytes) bytes past the page cache",
        nextStep: "use blocks of 4KiB or a multiple")
    }
    return PlatformError(errorNumber: number, path: path, action: "\(action) the file")
  }

  /// Makes what was written durable.
  private mutating func sync(_ ticks: inout Histogram) throws(PlatformError) {
    let start = TimeStampClock.nowOrdered()
    var status: Int32
    if configuration.method.isMapped, let base = unsafe shared.base {
      // Whole pages: the neighbour's part of a shared page goes with this one's.
      let first = slice.lowerBound / 4096 * 4096
      // SAFETY: the pages belong to the mapping.
      status = unsafe msync(base + first, slice.upperBound - first, MS_SYNC)
    } else {
      status =
        configuration.syncCall == .fsync
        ? fsync(shared.descriptor)
        : fdatasync(shared.descriptor)
    }
    guard status == 0 else { throw refusal(errno, "make durable what was written to") }
    ticks.record(UInt64(max(0, TimeStampClock.nowOrdered() &- start)))
    record.syncCount &+= 1
  }

  /// Looks for the stamp of the block that was read.
  @inline(__always)
  private mutating func check(_ buffer: UnsafeMutableRawPointer, _ offset: Int) {
    var place = UnsafeRawPointer(buffer)
    // SAFETY: the offset lies within the mapping.
    if let base = unsafe shared.base { unsafe place = UnsafeRawPointer(base + offset) }
    // SAFETY: a block has at least one line, and both are aligned.
    let line = unsafe place.load(as: CacheLine.self)
    let stamp = LineStamp(line)
    if stamp?.offset != UInt64(truncatingIfNeeded: offset) { record.mismatchCount &+= 1 }
  }
}

/// What a thread's blocks hold apart from their first line.
struct FileBlock {
  private let configuration: FileBench.Configuration
  private let thread: Int

  init(_ configuration: FileBench.Configuration, thread: Int) {
    self.configuration = configuration
    self.thread = thread
  }

  /// The line at a place of a block; not the first.
  func line(at place: Int) -> CacheLine {
    LineStamp(
      seed: configuration.seed, thread: UInt64(thread), sequence: 0, offset: UInt64(place)
    ).line
  }

  /// Fills a block, the first line as if it were another.
  func fill(_ buffer: UnsafeMutableRawPointer) {
    for place in stride(from: 0, to: configuration.blockBytes, by: 64) {
      // SAFETY: the caller's buffer holds a block.
      unsafe LineWriter.storeCached(line(at: place), to: buffer + place)
    }
  }
}
