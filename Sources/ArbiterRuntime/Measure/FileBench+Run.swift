// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
public import ArbiterPlatform
internal import CArbiter
internal import Glibc

/// What the threads of a file bench share; the run joins them before it gives any of it back.
@safe
package final class FileRun: Sendable {
  let configuration: FileBench.Configuration
  let descriptor: Int32
  // SAFETY: mapped before the threads start and unmapped after the last was joined; slices are
  // disjoint.
  nonisolated(unsafe) let base: UnsafeMutableRawPointer?
  let meeting = Rendezvous()
  let records: Lock<[FileBench.ThreadRecord]>
  let accessTicks = Lock(Histogram())
  let syncTicks = Lock(Histogram())
  let failure = Lock<PlatformError?>(nil)

  /// Shares an open file, and its mapping where it is mapped.
  package init(
    _ configuration: FileBench.Configuration, descriptor: Int32, base: UnsafeMutableRawPointer?
  ) {
    self.configuration = configuration
    self.descriptor = descriptor
    unsafe self.base = unsafe base
    records = Lock(
      Array(repeating: FileBench.ThreadRecord(), count: configuration.threadCount))
  }

  /// Lets the threads go; releases what was written before.
  package func start() { meeting.start() }

  func fail(_ error: PlatformError) {
    failure.withLock { $0 = $0 ?? error }
    meeting.stop()
  }

  func end(_ thread: Int, _ record: FileBench.ThreadRecord) {
    records.withLock { $0[thread] = record }
    meeting.end()
  }
}

extension FileBench {
  /// Runs on a file; returns when every thread has ended.
  ///
  /// The file must exist, must hold `byteCount` bytes and keep them: whoever shortens it meanwhile
  /// ends the process where it is mapped. Whether its blocks are allocated is the caller's affair;
  /// the first writes to a hole pay for them.
  ///
  /// - Parameters:
  ///   - path: The file; `/proc/self/fd/N` for one that has no name.
  ///   - byteCount: Bytes of it that are read or written.
  ///   - isCancelled: Asked some ten times a second; true ends the run after the accesses that are
  ///     on their way.
  /// - Returns: What came of the run, also of one that ended early.
  /// - Throws: ``PlatformError``: `unsupported` where the file system has no O_DIRECT, `tooSmall`
  ///   where the file is, and what the system reports of opening, mapping and accesses. No thread
  ///   is left behind.
  public func run(
    on path: String, byteCount: Int, isCancelled: () -> Bool = { false }
  ) throws(PlatformError) -> Outcome {
    let slices = try configuration.slices(ofBytes: byteCount)
    let descriptor = try open(path)
    defer { close(descriptor) }
    try Self.checkSize(of: descriptor, at: path, byteCount: byteCount)
    let base = unsafe try map(descriptor, path, byteCount)
    // SAFETY: the length is that of the mapping, and nobody uses it after the run.
    defer { if let base = unsafe base { unsafe munmap(base, byteCount) } }
    let shared = unsafe FileRun(configuration, descriptor: descriptor, base: base)
    let workers = startWorkers(shared, slices, path)
    shared.meeting.waitUntilReady(workers.count)
    let before = CPUCost.Reading.now()
    shared.start()
    waitUntilEnded(shared, workers.count, since: before.wallNanoseconds, isCancelled)
    let after = CPUCost.Reading.now()
    for worker in workers { worker.join() }
    if let failure = shared.failure.withLock({ $0 }) { throw failure }
    return outcome(of: shared, CPUCost(from: before, to: after), since: before.wallNanoseconds)
  }

  private func outcome(of shared: FileRun, _ cost: CPUCost, since start: Int64) -> Outcome {
    let threads = shared.records.withLock { $0 }
    let accessCount = threads.reduce(UInt64(0)) { $0 + $1.accessCount }
    let end = threads.map(\.endNanoseconds).max() ?? start
    return Outcome(
      movedBytes: Int(accessCount) * configuration.blockBytes,
      seconds: Double(max(1, end - start)) / 1e9, threads: threads,
      accessLatencies: shared.accessTicks.withLock { Latencies($0, clock: clock) },
      syncLatencies: shared.syncTicks.withLock { Latencies($0, clock: clock) }, cost: cost,
      threadCPUSeconds: Double(threads.reduce(Int64(0)) { $0 + $1.cpuNanoseconds }) / 1e9)
  }

  private func open(_ path: String) throws(PlatformError) -> Int32 {
    let access = configuration.method.writes ? O_RDWR : O_RDONLY
    guard configuration.isDirect else {
      let descriptor = unsafe Glibc.open(path, access | O_CLOEXEC)
      if descriptor >= 0 { return descriptor }
      throw PlatformError(errorNumber: errno, path: path, action: "open the file")
    }
    let answer = unsafe arb_open_direct(path, access)
    if answer >= 0 { return Int32(truncatingIfNeeded: answer) }
    guard answer == -Int64(EINVAL) else {
      throw PlatformError(
        errorNumber: Int32(truncatingIfNeeded: -answer), path: path, action: "open the file")
    }
    throw PlatformError(
      .unsupported, path: path, reason: "the file system has no access past its cache (O_DIRECT)",
      nextStep: "measure without O_DIRECT")
  }

  static func checkSize(
    of descriptor: Int32, at path: String, byteCount: Int
  ) throws(PlatformError) {
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    guard unsafe fstat(descriptor, &facts) == 0 else {
      throw PlatformError(errorNumber: errno, path: path, action: "examine the file")
    }
    guard facts.st_mode & S_IFMT == S_IFREG else {
      throw PlatformError(
        .invalidArgument, path: path, reason: "is no file of a file system",
        nextStep: "name a file; a device is measured by raw access")
    }
    guard Int(facts.st_size) >= byteCount else {
      throw PlatformError(
        .tooSmall, path: path,
        reason: "holds \(facts.st_size) bytes and \(byteCount) were asked for",
        nextStep: "allocate the file first, or ask for less")
    }
  }

  private func map(
    _ descriptor: Int32, _ path: String, _ byteCount: Int
  ) throws(PlatformError) -> UnsafeMutableRawPointer? {
    guard configuration.method.isMapped else { return nil }
    let protection = PROT_READ | (configuration.method.writes ? PROT_WRITE : 0)
    let flags = MAP_SHARED | (configuration.populates ? Int32(MAP_POPULATE) : 0)
    // SAFETY: a new mapping, where the kernel likes it.
    let base = unsafe mmap(nil, byteCount, protection, flags, descriptor, 0)
    guard let base = unsafe base, unsafe base != MAP_FAILED else {
      throw PlatformError(errorNumber: errno, path: path, action: "map the file")
    }
    return unsafe base
  }

  /// Starts the threads; after a failure, which `shared` holds, those that run end at once.
  private func startWorkers(
    _ shared: FileRun, _ slices: [Range<Int>], _ path: String
  ) -> [JoinOnce] {
    var workers: [JoinOnce] = []
    for (thread, slice) in slices.enumerated() {
      do throws(PlatformError) {
        let worker = try WorkerThread {
          var worker = FileWorker(shared, thread: thread, slice: slice, path: path)
          worker.run()
        }
        workers.append(JoinOnce(worker))
      } catch {
        shared.fail(error)
        break
      }
    }
    return workers
  }

  private func waitUntilEnded(
    _ shared: FileRun, _ workerCount: Int, since start: Int64, _ isCancelled: () -> Bool
  ) {
    var deadline = Int64.max
    if case .seconds(let seconds) = configuration.bound { deadline = start + Int64(seconds * 1e9) }
    var isStopping = false
    while true {
      let heard = shared.meeting.ringCount
      if shared.meeting.haveEnded(workerCount) { return }
      let now = SystemClock.monotonicRawNanoseconds()
      if !isStopping && (now >= deadline || isCancelled()) {
        shared.meeting.stop()
        isStopping = true
      }
      let longest: Int64 = 100_000_000
      shared.meeting.wait(
        after: heard, nanoseconds: isStopping ? longest : min(longest, max(1, deadline - now)))
    }
  }
}

extension FileBench.Latencies {
  /// Sums up ticks; nil where there are none.
  init?(_ ticks: borrowing Histogram, clock: TimeStampClock) {
    guard let mean = ticks.mean, let p50 = ticks.quantile(0.5), let p90 = ticks.quantile(0.9),
      let p99 = ticks.quantile(0.99), let p999 = ticks.quantile(0.999)
    else { return nil }
    func nanoseconds(_ ticks: UInt64) -> Double {
      clock.nanoseconds(Int64(truncatingIfNeeded: ticks))
    }
    self.init(
      count: ticks.count, mean: mean / clock.ticksPerNanosecond, p50: nanoseconds(p50),
      p90: nanoseconds(p90), p99: nanoseconds(p99), p999: nanoseconds(p999),
      max: nanoseconds(ticks.maximum))
  }
}
