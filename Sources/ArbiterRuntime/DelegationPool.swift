// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
public import ArbiterPlatform
public import ArbiterScheduler
internal import CArbiter
internal import Synchronization

// I1  Requests of one lane are served in the order in which they were submitted: a lane always uses
//     the same ring, a ring has one worker and is first in, first out.
// I2  A request is complete when the worker has issued its stores and a fence after them.
// I3  Every accepted request is completed, shutdown or not: a closed ring accepts nothing, and its
//     worker ends only once all claimed places are served. What is not accepted throws.

/// What workers and lanes share; it outlives both.
@safe
final class DelegationCore: Sendable {
  let rings: [DelegationRing]
  let laneCapacity: Int
  // SAFETY: allocated in init, freed in deinit; atomics on cache lines of their own.
  nonisolated(unsafe) let completions: UnsafeMutablePointer<CompletionCell>
  let laneCount = Atomic<Int>(0)
  let latencies = Mutex(Histogram())
  let workerNanoseconds = Atomic<Int64>(0)

  /// Requests that one fence may cover.
  static let batchMax = 16

  struct CompletionCell: ~Copyable {
    let count = Atomic<UInt64>(0)
    private let padding = InlineArray<15, UInt64>(repeating: 0)
  }

  init(_ parameters: DelegationParameters, laneCapacity: Int) {
    self.laneCapacity = laneCapacity
    rings = (0..<parameters.ringCount).map { _ in
      DelegationRing(slotCount: parameters.slotCount)
    }
    unsafe completions = AlignedMemory.allocate(count: laneCapacity)
    for lane in 0..<laneCapacity { unsafe (completions + lane).initialize(to: CompletionCell()) }
  }

  deinit {
    unsafe completions.deinitialize(count: laneCapacity)
    unsafe completions.deallocate()
  }

  /// The life of a worker.
  func serve(ring index: Int) {
    let ring = rings[index]
    var histogram = Histogram()
    var backoff = Backoff()
    var batch = [DelegatedStore?](repeating: nil, count: Self.batchMax)
    let cpuStart = SystemClock.threadCPUNanoseconds()
    while true {
      var count = 0
      while count < Self.batchMax, let request = ring.pop() {
        unsafe request.method.copy(
          from: request.source, to: request.target, byteCount: request.byteCount)
        batch[count] = request
        count += 1
      }
      if count == 0 {
        if ring.isFinished { break }
        backoff.wait()
        continue
      }
      backoff.reset()
      // I2: nothing is complete before the stores of the whole batch are ordered.
      arb_fence_store()
      let now = TimeStampClock.nowOrdered()
      for place in 0..<count {
        guard let request = batch[place] else { continue }
        if request.startTick != 0 {
          histogram.record(UInt64(max(0, now &- request.startTick)))
        }
        // Releases the stores to DelegationLane.wait, and the source buffer back to its owner.
        unsafe request.completed.pointee.wrappingAdd(1, ordering: .releasing)
      }
    }
    workerNanoseconds.wrappingAdd(
      SystemClock.threadCPUNanoseconds() - cpuStart, ordering: .relaxed)
    latencies.withLock { $0.merge(histogram) }
  }
}

/// The workers of the delegation scheme: few threads that store for all others.
public final class DelegationPool: Sendable {
  let core: DelegationCore
  private let workers: Mutex<[JoinOnce]>

  /// Starts the workers.
  ///
  /// - Parameters:
  ///   - parameters: Rings and places.
  ///   - laneCapacity: The most lanes that can ever be made; at least 1.
  /// - Throws: ``PlatformError`` where the system refuses a thread; those already started are
  ///   ended.
  public init(_ parameters: DelegationParameters, laneCapacity: Int) throws(PlatformError) {
    precondition(laneCapacity >= 1, "delegation needs a lane")
    let core = DelegationCore(parameters, laneCapacity: laneCapacity)
    self.core = core
    workers = Mutex([])
    for index in 0..<parameters.ringCount {
      do throws(PlatformError) {
        let worker = JoinOnce(try WorkerThread { core.serve(ring: index) })
        workers.withLock { $0.append(worker) }
      } catch {
        shutdown()
        throw error
      }
    }
  }

  deinit {
    shutdown()
  }

  /// Serves what has been accepted, refuses everything new, and ends the workers.
  ///
  /// May be called more than once and from any thread.
  public func shutdown() {
    for ring in core.rings { ring.close() }
    let ended = workers.withLock { workers in
      let all = workers
      workers = []
      return all
    }
    for worker in ended { worker.join() }
  }

  /// CPU time that workers have used, in nanoseconds; complete after ``shutdown()``.
  public var workerCPUNanoseconds: Int64 { core.workerNanoseconds.load(ordering: .relaxed) }

  /// Makes a lane for the calling thread.
  ///
  /// - Throws: ``PlatformError`` with `resourceLimit` where all lanes have been handed out.
  public func makeLane() throws(PlatformError) -> DelegationLane {
    let index = core.laneCount.wrappingAdd(1, ordering: .relaxed).oldValue
    guard index < core.laneCapacity else {
      throw PlatformError(
        .resourceLimit, reason: "all \(core.laneCapacity) lanes of the pool are in use",
        nextStep: "make the pool with a larger lane capacity")
    }
    return DelegationLane(core: core, index: index)
  }
}

/// One thread's way into a delegation pool.
@safe
public struct DelegationLane: ~Copyable {
  private let core: DelegationCore
  private let ring: DelegationRing
  // SAFETY: points into the core, which the lane keeps alive.
  private let completed: UnsafeMutablePointer<Atomic<UInt64>>

  /// Requests that this lane has handed in.
  public private(set) var submittedCount: UInt64 = 0

  init(core: DelegationCore, index: Int) {
    self.core = core
    ring = core.rings[index % core.rings.count]
    // SAFETY: the count is the first field of the cell.
    unsafe completed = UnsafeMutableRawPointer(core.completions + index)
      .assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  /// Requests of this lane that are complete.
  ///
  /// Acquires what the worker wrote before it completed them.
  public var completedCount: UInt64 { unsafe completed.pointee.load(ordering: .acquiring) }

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
  /// - Throws: ``PlatformError`` with `resourceLimit` once the pool is shut down; the request is
  ///   then not carried out.
  public mutating func submit(
    from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, byteCount: Int,
    method: StoreMethod, startTick: Int64 = 0
  ) throws(PlatformError) {
    precondition(byteCount > 0 && byteCount & 63 == 0, "delegated stores are whole cache lines")
    let request = unsafe DelegatedStore(
      source: source, target: target, completed: completed, byteCount: byteCount, method: method,
      startTick: startTick)
    var backoff = Backoff()
    while true {
      switch ring.push(request) {
      case .done:
        submittedCount &+= 1
        return
      case .full: backoff.wait()
      case .closed:
        throw PlatformError(
          .resourceLimit, reason: "the delegation pool is shut down",
          nextStep: "submit before shutdown")
      }
    }
  }

  /// Waits until the given number of this lane's requests is complete.
  ///
  /// - Precondition: At most ``submittedCount``, or the wait would never end.
  public func wait(forCompleted count: UInt64) {
    precondition(count <= submittedCount, "waits for requests that were never submitted")
    var backoff = Backoff()
    while completedCount < count { backoff.wait() }
  }

  /// Waits until all of this lane's requests are complete, and for nobody else's.
  public func fence() {
    wait(forCompleted: submittedCount)
  }
}
