// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterRuntime
internal import CArbiterTier
internal import Glibc

/// The thread that steps a session inside the program whose memory it places.
final class TierDriver: Sendable {
  /// What both sides know.
  private struct State: Sendable {
    /// Nil until the thread has begun.
    var outcome: Result<TierReading, PlatformError>?
    var remarks: [String] = []
    var isEnding = false
  }

  private let state: Shared
  private let thread: Lock<WorkerThread?>

  private final class Shared: Sendable {
    let state = Lock(State())
    let begun = Doorbell()
    let ending = Doorbell()
  }

  /// Remarks that wait, at most.
  private static let remarkCountMax = 256
  /// Time between two readings.
  private static let readingNanoseconds: Int64 = 100_000_000
  /// For so long the thread's beginning is waited for at a time.
  private static let waitNanoseconds: Int64 = 1_000_000_000

  /// Starts the thread, and waits until the session has begun.
  init(
    _ configuration: TierConfiguration, probe: TierProbe, tree: SystemTree
  ) throws(PlatformError) {
    let shared = Shared()
    state = shared
    shared.state.withLock { $0.remarks = probe.remarks }
    thread = Lock(
      try WorkerThread {
        Self.run(configuration, probe, tree, shared)
      })
    var outcome: Result<TierReading, PlatformError>?
    while outcome == nil {
      let heard = shared.begun.ringCount
      outcome = shared.state.withLock { $0.outcome }
      if outcome == nil { shared.begun.wait(after: heard, nanoseconds: Self.waitNanoseconds) }
    }
    if case .failure(let error)? = outcome {
      end()
      throw error
    }
  }

  deinit { end() }

  /// The last reading.
  var reading: TierReading {
    guard case .success(let reading)? = state.state.withLock({ $0.outcome }) else {
      preconditionFailure("a session that never began")
    }
    return reading
  }

  /// Adds a remark.
  func remark(_ text: String) { Self.add([text], to: state) }

  /// Hands over the remarks that wait.
  func takeRemarks() -> [String] {
    state.state.withLock { state in
      defer { state.remarks = [] }
      return state.remarks
    }
  }

  /// Ends the session and waits for the thread; a second call does nothing.
  func end() {
    state.state.withLock { $0.isEnding = true }
    state.ending.ring()
    let taken = thread.withLock { $0.take() }
    taken?.join()
  }

  private static func add(_ remarks: [String], to shared: Shared) {
    guard !remarks.isEmpty else { return }
    shared.state.withLock { state in
      state.remarks += remarks
      if state.remarks.count > remarkCountMax {
        state.remarks.removeFirst(state.remarks.count - remarkCountMax)
      }
    }
  }

  // MARK: The thread

  private static func run(
    _ configuration: TierConfiguration, _ probe: TierProbe, _ tree: SystemTree, _ shared: Shared
  ) {
    blockSignals()
    let manager: TierManager
    do throws(PlatformError) {
      manager = try begin(configuration, probe, tree)
    } catch {
      shared.state.withLock { $0.outcome = .failure(error) }
      return shared.begun.ring()
    }
    publish(manager, to: shared)
    shared.begun.ring()
    var told = SystemClock.monotonicRawNanoseconds()
    while !shared.state.withLock({ $0.isEnding }) {
      let heard = shared.ending.ringCount
      let wait = manager.step()
      let now = SystemClock.monotonicRawNanoseconds()
      if now - told >= readingNanoseconds {
        told = now
        publish(manager, to: shared)
      }
      if shared.state.withLock({ $0.isEnding }) { break }
      shared.ending.wait(after: heard, nanoseconds: wait)
    }
    manager.finish()
    publish(manager, to: shared)
  }

  /// Opens the session, samples this process but not this thread, and joins the page.
  private static func begin(
    _ configuration: TierConfiguration, _ probe: TierProbe, _ tree: SystemTree
  ) throws(PlatformError) -> TierManager {
    let manager: TierManager
    switch (configuration.slow, probe.places) {
    case (.path(let path), _):
      let backEnd = try FileBackEnd(
        fastBytes: configuration.fastBytes, path: path, slowBytes: configuration.slowBytes,
        options: FileBackEnd.options(configuration, probe), tree: tree)
      manager = TierManager(configuration, probe: probe, backEnd: backEnd)
      // Before the mover is started: the tracker knows its threads by their names.
      try manager.manageOwnProcess(tree)
      try join(backEnd)
    case (.node, let places?):
      manager = TierManager(
        configuration, probe: probe, backEnd: try NumaBackEnd(places: places, tree: tree))
      try manager.manageOwnProcess(tree)
    case (.node, nil):
      throw PlatformError(
        .invalidArgument, reason: "the session was probed for other slow memory",
        nextStep: "probe the configuration that is used")
    }
    return manager
  }

  private static func join(_ backEnd: FileBackEnd) throws(PlatformError) {
    let answer = arb_tier_join(backEnd.page.descriptor, backEnd.slow.descriptor)
    // Without permission to move, memory is placed when it is allocated: the probe has said so.
    guard answer == 0 || answer == -EPERM else {
      throw PlatformError(
        errorNumber: -answer, path: nil, action: "put this process's memory under management")
    }
    _ = arb_tier_start()
  }

  private static func publish(_ manager: TierManager, to shared: Shared) {
    let reading = manager.reading
    shared.state.withLock { $0.outcome = .success(reading) }
    add(manager.takeRemarks(), to: shared)
  }

  /// The program's signals are its own threads' business.
  private static func blockSignals() {
    var all = sigset_t()
    // SAFETY: the set outlives both calls.
    unsafe sigfillset(&all)
    unsafe pthread_sigmask(SIG_BLOCK, &all, nil)
  }
}
