// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMemory
internal import ArbiterMetrics
public import ArbiterPlatform
public import ArbiterWorkloads
internal import Synchronization

/// Executes a measurement plan with real threads on really mapped memory.
public final class RealMeasurement: MeasurementExecutor {
  /// The memory.
  public let memory: MeasuredMemory
  /// Time of every measurement, in seconds; its warm-up comes on top.
  public let seconds: Double
  /// Time for which every measurement runs before it counts, in seconds.
  public let warmUpSeconds: Double
  /// What is stored depends on it, and where random accesses go.
  public let seed: UInt64
  private let clock: TimeStampClock
  private let processor: ProcessorFeatures
  private let tree: SystemTree

  /// Makes an executor.
  ///
  /// - Parameters:
  ///   - memory: Where bytes are moved.
  ///   - clock: The calibrated time-stamp counter.
  ///   - seconds: Time of every measurement.
  ///   - warmUpSeconds: Time before it.
  ///   - seed: Source of random offsets and of what is stored.
  ///   - processor: What the processor can do.
  ///   - tree: Where the kernel tells what time was spent on.
  public init(
    on memory: consuming MeasuredMemory, clock: TimeStampClock, seconds: Double,
    warmUpSeconds: Double, seed: UInt64 = 1, processor: ProcessorFeatures = .detect(),
    tree: SystemTree = SystemTree()
  ) {
    self.memory = memory
    self.clock = clock
    self.seconds = seconds
    self.warmUpSeconds = warmUpSeconds
    self.seed = seed
    self.processor = processor
    self.tree = tree
  }

  /// What two readings of the clock take, which is subtracted from every single latency: alone, as
  /// around loads, and with the fence without which it would not wait for stores.
  public var clockNanoseconds: (plain: Double, fenced: Double) {
    (
      clock.nanoseconds(ClockCost(isFenced: false).ticks),
      clock.nanoseconds(ClockCost(isFenced: true).ticks)
    )
  }

  /// Measures one point once.
  ///
  /// - Throws: ``PlatformError`` where the region is too small, may not be written, or the system
  ///   refuses a thread; no thread is left behind.
  public func measure(
    _ point: MeasurementPoint, repetition: Int, isCancelled: () -> Bool
  ) throws -> MeasuredRun? {
    let needed = point.workload.regionBytes * point.threadCount
    guard needed <= memory.byteCount, point.workload.regionBytes > 0 else {
      throw PlatformError(
        .tooSmall, path: memory.path,
        reason: "holds \(memory.byteCount) bytes, of which a measurement needs \(needed)",
        nextStep: "use more memory, fewer threads or smaller accesses")
    }
    if point.writes && memory.isReadOnly {
      throw PlatformError(
        .invalidArgument, path: memory.path, reason: "is mapped for reading only",
        nextStep: "measure loads alone")
    }
    if isCancelled() { return nil }
    return switch point.aspect {
    case .latency: measureLatency(point)
    case .bandwidth: try measureBandwidth(point, repetition: repetition, isCancelled)
    }
  }

  private func measureLatency(_ point: MeasurementPoint) -> MeasuredRun? {
    let workload = point.workload
    let subject: LatencyKernel.Subject =
      switch point.kind {
      case .read, .mixed: .chain(LineOrder(lineCount: workload.regionBytes / 64))
      case .nt: .nonTemporal(bytes: workload.accessBytes)
      case .clwb: .writeBack(bytes: workload.accessBytes, memory.persistOperations)
      }
    // SAFETY: the memory lives as long as this object, and holds the workload's region.
    var kernel = unsafe LatencyKernel(
      base: memory.base, byteCount: workload.regionBytes, pattern: LinePattern(seed: seed),
      subject: subject)
    let span = clock.ticks(nanoseconds: seconds * 1e9)
    kernel.run(untilTick: TimeStampClock.now() + clock.ticks(nanoseconds: warmUpSeconds * 1e9))
    kernel.reset()
    let start = CPUCost.Reading.now(from: tree)
    kernel.run(untilTick: TimeStampClock.now() + span)
    var run = CPUCost(from: start, to: .now(from: tree)).run
    let count = Double(
      kernel.groups.count * UInt64(kernel.groupSize) + kernel.histogram.count)
    let bytes = count * Double(workload.accessBytes)
    if point.writes { run.writtenBytes = bytes } else { run.readBytes = bytes }
    let mean = kernel.groupedTicks.map { $0 / clock.ticksPerNanosecond }
    let resolution = clock.nanoseconds(kernel.clock.resolutionTicks)
    run.latency = AccessLatency(kernel.histogram, mean: mean, resolution: resolution) {
      clock.nanoseconds(Int64(truncatingIfNeeded: $0))
    }
    return run
  }

  private func measureBandwidth(
    _ point: MeasurementPoint, repetition: Int, _ isCancelled: () -> Bool
  ) throws(PlatformError) -> MeasuredRun? {
    let method = try StoreMethod(point.workload.store, processor: processor)
    // SAFETY: the memory lives as long as this object, which joins all threads below.
    let shared = unsafe BandwidthShared(
      base: memory.base, point.workload, threadCount: point.threadCount, method,
      LinePattern(seed: seed), seed: seed &+ UInt64(repetition))
    var workers: [JoinOnce] = []
    do throws(PlatformError) {
      for thread in 0..<point.threadCount {
        workers.append(
          JoinOnce(
            try WorkerThread {
              var mover = Mover(shared, thread: thread)
              mover.run()
            }))
      }
    } catch {
      shared.phase.store(BandwidthShared.Phase.ended, ordering: .releasing)
      for worker in workers { worker.join() }
      throw error
    }
    var backoff = Backoff()
    while shared.readyCount.load(ordering: .acquiring) < workers.count { backoff.wait() }
    shared.phase.store(BandwidthShared.Phase.warmUp, ordering: .releasing)
    var isWhole = wait(warmUpSeconds, isCancelled)
    let start = CPUCost.Reading.now(from: tree)
    shared.phase.store(BandwidthShared.Phase.measured, ordering: .releasing)
    if isWhole { isWhole = wait(seconds, isCancelled) }
    shared.phase.store(BandwidthShared.Phase.ended, ordering: .releasing)
    for worker in workers { worker.join() }
    let moved = shared.moved.withLock { $0 }
    var run = CPUCost(from: start, to: .now(from: tree)).run
    // Threads are joined and files read after the last byte was moved.
    let end = moved.map(\.endNanoseconds).max() ?? start.wallNanoseconds
    run.seconds = Double(max(1, end - start.wallNanoseconds)) / 1e9
    let length = Double(point.workload.accessBytes)
    run.readBytes = length * moved.reduce(0.0) { $0 + Double($1.readAccesses) }
    run.writtenBytes = length * moved.reduce(0.0) { $0 + Double($1.writtenAccesses) }
    return isWhole ? run : nil
  }

  /// Sleeps while the threads work; false where somebody asked to stop.
  private func wait(_ seconds: Double, _ isCancelled: () -> Bool) -> Bool {
    let bell = Doorbell()
    let deadline = SystemClock.monotonicRawNanoseconds() + Int64(seconds * 1e9)
    while true {
      let rest = deadline - SystemClock.monotonicRawNanoseconds()
      if rest <= 0 { return true }
      if isCancelled() { return false }
      bell.wait(after: bell.ringCount, nanoseconds: min(rest, 50_000_000))
    }
  }
}

extension CPUCost {
  /// A run of which nothing is known but its cost.
  fileprivate var run: MeasuredRun {
    MeasuredRun(
      seconds: max(1e-9, wallSeconds), readBytes: 0, writtenBytes: 0,
      processCPUSeconds: process.map(\.seconds), systemCPUSeconds: machineSeconds,
      stolenSeconds: stolenSeconds)
  }
}
