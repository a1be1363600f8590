// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterPlatform
import ArbiterProfiles
import ArbiterRuntime
import ArbiterScheduler
import ArbiterSimulator
import ArbiterWorkloads
import Glibc
import Synchronization

/// Hands the settings that real gates have to the virtual ones.
struct Relay: Controller {
  let board: GateBoard

  var settings: GateSettings { board.publishedWord.settings }
  var phase: String { "relay" }

  mutating func step(snapshot: CounterSnapshot, activity: GateActivity) -> GateSettings { settings }

  mutating func registrationChanged(registeredCount: Int) -> GateSettings { settings }
}

/// Counters of a machine that real threads write to and that only the model has.
///
/// Each reading lets a period of virtual time pass, in which as many virtual threads write as real
/// ones did, under the settings that the real gates have now. What they got, the real threads may
/// store in the next period, scaled down: a device holds its writers back, and so does this.
final class ModelledMachine: CounterReader {
  /// What one period came to.
  struct Period: Sendable {
    var writers: Int
    var delayNanoseconds: Double
    var isFenced: Bool
    var amplification: Double
    var bandwidth: Double
  }

  /// Bytes of the model for a byte that real threads may store.
  static let scale: UInt64 = 32
  private static let period = TimeSpan.milliseconds(1)

  private struct State: ~Copyable {
    var simulation: Simulation?
    var writers = 0
    /// What machines before this one had counted.
    var base = CounterSnapshot(timeNanoseconds: 0, source: .model)
    var last = CounterSnapshot(
      timeNanoseconds: 0, source: .model, imcWriteBytes: 0, imcReadBytes: 0, mediaWriteBytes: 0,
      mediaReadBytes: 0)
    var observer: ActivityObserver
    var periods: [Period] = []
  }

  private let board: GateBoard
  private let profile: DeviceProfile
  private let state: Mutex<State>
  /// Bytes that each thread may have stored by now.
  let allowance = Atomic<UInt64>(64 * 256)
  /// Bytes that all threads have stored.
  let consumed = Atomic<UInt64>(0)

  init(board: GateBoard) throws {
    self.board = board
    profile = try ProfileLibrary.embedded.profile(named: ProfileLibrary.defaultName)
    state = Mutex(State(observer: ActivityObserver(of: board)))
  }

  var source: CounterSource { .model }
  var reasonForAbsence: String? { nil }
  var periods: [Period] { state.withLock { $0.periods } }

  func snapshot() -> CounterSnapshot {
    waitForWriters()
    return state.withLock { state in
      // A thread that a busy machine left no time for is still one of the writers.
      let writers = state.observer.look().writerCount > 0 ? board.registeredCount : 0
      if writers != state.writers {
        state.writers = writers
        state.base = state.last
        state.simulation = Self.machine(profile: profile, writers: writers, board: board)
      }
      var next = state.last
      next.timeNanoseconds += Self.period.picoseconds / 1000
      let settings = board.publishedWord.settings
      if state.simulation != nil {
        state.simulation?.run(for: Self.period)
        if let counters = state.simulation?.snapshot() {
          next.imcWriteBytes = Self.sum(state.base.imcWriteBytes, counters.imcWriteBytes)
          next.mediaWriteBytes = Self.sum(state.base.mediaWriteBytes, counters.mediaWriteBytes)
          next.imcReadBytes = Self.sum(state.base.imcReadBytes, counters.imcReadBytes)
          next.mediaReadBytes = Self.sum(state.base.mediaReadBytes, counters.mediaReadBytes)
        }
      }
      if let delta = CounterDelta(from: state.last, to: next) {
        state.periods.append(
          Period(
            writers: writers, delayNanoseconds: settings.delayNanoseconds,
            isFenced: settings.isFencedAtBlocks, amplification: delta.writeAmplification() ?? 0,
            bandwidth: delta.effectiveBandwidth ?? 0))
        let share = delta.imcWriteBytes.map { UInt64($0) / UInt64(max(1, writers)) } ?? 0
        // At least something: who stores nothing is no writer, and the loop would stand still.
        allowance.wrappingAdd(max(4 * 256, share / Self.scale), ordering: .relaxed)
      }
      state.last = next
      return next
    }
  }

  /// Lets the real threads store what they may, so that a busy machine looks like an idle one.
  private func waitForWriters() {
    for _ in 0..<200 {
      let allowed = allowance.load(ordering: .relaxed) * UInt64(max(1, board.registeredCount))
      if consumed.load(ordering: .relaxed) >= allowed * 9 / 10 || board.registeredCount == 0 {
        return
      }
      usleep(1000)
    }
  }

  private static func sum(_ base: UInt64?, _ more: UInt64?) -> UInt64 { (base ?? 0) + (more ?? 0) }

  private static func machine(
    profile: DeviceProfile, writers: Int, board: GateBoard
  ) -> Simulation? {
    guard writers > 0 else { return nil }
    var configuration = SimulationConfiguration(
      profile: profile, threads: Array(repeating: ThreadPlan(Workload()), count: writers))
    configuration.scheme = .controlled(Relay(board: board), period: .microseconds(50))
    return try? Simulation(configuration)
  }
}
