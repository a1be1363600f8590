// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
public import ArbiterMemory
internal import ArbiterMetrics
public import ArbiterPlatform
internal import ArbiterScheduler
internal import Synchronization

extension RealRun {
  /// What a scheme needs beside the threads that write.
  private struct Apparatus {
    var board: GateBoard?
    var permits: (SharedPermits, LockParameters)?
    var pool: DelegationPool?
    var monitor: Monitor?
  }

  /// Runs the configuration on a region; returns when every thread has ended.
  ///
  /// - Parameters:
  ///   - region: Where the threads write.
  ///   - isCancelled: Asked some ten times a second in a run bounded by time; true ends it early.
  /// - Returns: What came of the run, also of one that ended early.
  /// - Throws: ``PlatformError`` where the region is too small or the system refuses a thread; no
  ///   thread is left behind.
  public func run(
    on region: borrowing MappedRegion, isCancelled: () -> Bool = { false }
  ) throws(PlatformError) -> Outcome {
    let slices = try configuration.slices(ofBytes: region.byteCount)
    let method = try StoreMethod(configuration.operation, processor: processor)
    let recording = RunRecording(
      path: region.path, byteCount: region.byteCount, method: method)
    let shared = unsafe RunShared(
      base: region.base, configuration, method, recording: recording)
    var apparatus = try makeApparatus()
    let workers = startWriters(shared, slices, apparatus)
    let start = waitUntilEnded(
      shared, writerCount: workers.count, isCancelled: isCancelled)
    for worker in workers { worker.join() }
    apparatus.pool?.shutdown()
    let monitor = apparatus.monitor?.stop()
    apparatus.monitor = nil
    if let failure = shared.failure.withLock({ $0 }) { throw failure }
    var outcome = Outcome(
      result: RunResult(
        counterSource: .unavailable, seconds: 0, threadCount: configuration.threadCount,
        moduleCount: configuration.moduleCount),
      threads: shared.records.withLock { $0 }, method: method,
      permitHolderMax: apparatus.permits?.0.counts.holderCountMax, monitor: monitor)
    let extra = (apparatus.pool?.workerCPUNanoseconds ?? 0) + (monitor?.cpuNanoseconds ?? 0)
    summarise(&outcome, start: start, extraCPUNanoseconds: extra)
    outcome.result.latencyNanoseconds =
      apparatus.pool.map { summary(of: $0.latencyTicks()) }
      ?? shared.latencies.withLock { summary(of: $0) }
    return outcome
  }

  private func makeApparatus() throws(PlatformError) -> Apparatus {
    var apparatus = Apparatus()
    func makeBoard() throws(PlatformError) -> GateBoard {
      try GateBoard(
        capacity: configuration.threadCount, clock: clock,
        maximumWaitNanoseconds: configuration.maximumWaitNanoseconds)
    }
    switch configuration.scheme {
    case .baseline: break
    case .lock(let parameters):
      apparatus.permits = (
        try SharedPermits(
          permitCount: parameters.permitCount, threadCount: configuration.threadCount), parameters
      )
    case .delegation(let parameters):
      apparatus.pool = try DelegationPool(parameters, laneCapacity: configuration.threadCount)
    case .fence:
      let board = try makeBoard()
      board.publish(GateSettings(isFencedAtBlocks: true))
      apparatus.board = board
    case .fixedDelay(let settings):
      let board = try makeBoard()
      board.publish(settings)
      apparatus.board = board
    case .controlled(let controller, let period):
      let board = try makeBoard()
      apparatus.monitor = try Monitor(
        board: board, reader: reader, controller: controller, periodNanoseconds: period)
      apparatus.board = board
    }
    return apparatus
  }

  /// Starts the threads; after a failure, which `shared` holds, those that run end at once.
  private func startWriters(
    _ shared: RunShared, _ slices: [Range<Int>], _ apparatus: Apparatus
  ) -> [JoinOnce] {
    let (board, permits, pool) = (apparatus.board, apparatus.permits, apparatus.pool)
    let processors = max(1, MachineTopology.read().logicalProcessorCount)
    var workers: [JoinOnce] = []
    for thread in 0..<slices.count {
      do throws(PlatformError) {
        let worker = try WorkerThread(
          onProcessor: configuration.pinsThreads ? thread % processors : nil
        ) {
          var writer = Writer(shared, thread: thread, slice: slices[thread])
          do throws(PlatformError) {
            if let board {
              var door = GateDoor(gate: try Gate(on: board))
              writer.run(through: &door)
            } else if let permits {
              var door = try PermitDoor(permits.0, permits.1)
              writer.run(through: &door)
            } else if let pool {
              var lane = try pool.makeLane()
              writer.run(through: &lane)
            } else {
              var door = OpenDoor()
              writer.run(through: &door)
            }
          } catch {
            shared.fail(error)
            shared.meeting.report()
            shared.end(thread, ThreadRecord())
          }
        }
        workers.append(JoinOnce(worker))
      } catch {
        shared.fail(error)
        break
      }
    }
    return workers
  }

  /// Lets the threads go, and returns when that was once all have ended.
  private func waitUntilEnded(
    _ shared: RunShared, writerCount: Int, isCancelled: () -> Bool
  ) -> Int64 {
    shared.meeting.waitUntilReady(writerCount)
    let start = SystemClock.monotonicRawNanoseconds()
    shared.meeting.start()
    guard case .seconds(let seconds) = configuration.bound else { return start }
    let deadline = start + Int64(seconds * 1e9)
    while true {
      let heard = shared.meeting.ringCount
      let now = SystemClock.monotonicRawNanoseconds()
      if now >= deadline || shared.meeting.haveEnded(writerCount) || isCancelled() { break }
      shared.meeting.wait(after: heard, nanoseconds: min(deadline - now, 100_000_000))
    }
    shared.meeting.stop()
    return start
  }

  private func summarise(_ outcome: inout Outcome, start: Int64, extraCPUNanoseconds: Int64) {
    let accessBytes = UInt64(configuration.accessBytes)
    let bytes = outcome.threads.map { $0.accessCount * accessBytes }
    let total = bytes.reduce(0, +)
    let end = outcome.threads.map(\.endNanoseconds).max() ?? start
    let seconds = Double(max(1, end - start)) / 1e9
    let accesses = outcome.threads.reduce(UInt64(0)) { $0 + $1.accessCount }
    // The delay that was asked for; a thread that lost its processor meanwhile waited longer.
    let waited = outcome.threads.reduce(Int64(0)) { $0 + $1.waits.requestedTicks }
    let cpu = outcome.threads.reduce(extraCPUNanoseconds) { $0 + $1.cpuNanoseconds }
    outcome.result.seconds = seconds
    outcome.result.programWriteBytes = total
    outcome.result.requestCount = total / 64
    outcome.result.effectiveBandwidth = Double(total) / seconds
    outcome.result.delayNanosecondsMean =
      accesses == 0 ? 0 : clock.nanoseconds(waited) / Double(accesses)
    if total > 0 {
      let gibibytes = Double(total) / Double(1 << 30)
      outcome.result.cpuSecondsPerGiB = Double(cpu) / 1e9 / gibibytes
    }
    outcome.result.fairness = Statistics.fairness(bytes.map { Double($0) })
  }

  private func summary(of ticks: borrowing Histogram) -> LatencySummary? {
    guard let p50 = ticks.quantile(0.5), let p99 = ticks.quantile(0.99),
      let p999 = ticks.quantile(0.999)
    else { return nil }
    func nanoseconds(_ ticks: UInt64) -> Double {
      clock.nanoseconds(Int64(truncatingIfNeeded: ticks))
    }
    return LatencySummary(
      p50: nanoseconds(p50), p99: nanoseconds(p99), p999: nanoseconds(p999),
      max: nanoseconds(ticks.maximum))
  }
}
