// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
public import ArbiterPlatform
public import ArbiterScheduler
internal import Synchronization

// Once per period the monitor reads the counters and the gates' activity, lets the controller
// decide and publishes the settings. A source that has nothing new yet makes the period longer: a
// module that is read once a second is controlled once a second, by what the gates did since.
// Between periods the monitor sleeps on the board's doorbell, so that a gate that registers or
// leaves is answered at once.
//
// I1  A reading without figures never delays anybody: what the controller answers to it is
//     published without its delay.
// I2  When the monitor ends, the gates are open. When it is killed, its heartbeat ends, and gates
//     stop waiting two periods later.

/// The thread that controls the gates of one module.
public final class Monitor: Sendable {
  /// What a monitor did.
  public struct Summary: Sendable, Hashable {
    /// Periods in which the controller was asked.
    public var periodCount = 0
    /// Periods that began late by more than half a period.
    public var latePeriodCount = 0
    /// Registrations and departures that the controller was told of.
    public var registrationChangeCount = 0
    /// The longest delay that was published, in nanoseconds.
    public var delayNanosecondsMax = 0.0
    /// The controller's phase at the end.
    public var finalPhase = ""
    /// CPU time of the monitor's own thread, in nanoseconds.
    public var cpuNanoseconds: Int64 = 0
  }

  private let shared: Shared
  private let thread: Lock<WorkerThread?>

  private final class Shared: Sendable {
    let isStopping = Atomic<Bool>(false)
    let summary = Lock(Summary())
    let board: GateBoard

    init(board: GateBoard) {
      self.board = board
    }
  }

  /// Starts a monitor.
  ///
  /// - Parameters:
  ///   - board: The gates.
  ///   - reader: The module's counters.
  ///   - controller: Who decides.
  ///   - periodNanoseconds: Time between two decisions; at least 10 us.
  /// - Throws: ``PlatformError`` where the system refuses a thread.
  public init(
    board: GateBoard, reader: any CounterReader, controller: any Controller,
    periodNanoseconds: Double
  ) throws(PlatformError) {
    precondition(periodNanoseconds >= 10_000, "monitor period below 10 us")
    let shared = Shared(board: board)
    self.shared = shared
    thread = Lock(
      try WorkerThread {
        Self.run(
          shared, reader: reader, controller: controller, period: Int64(periodNanoseconds))
      })
  }

  deinit {
    end()
  }

  /// Ends the monitor, opens the gates and tells what was done.
  ///
  /// May be called more than once.
  @discardableResult
  public func stop() -> Summary {
    end()
    return shared.summary.withLock { $0 }
  }

  private func end() {
    // Released by the doorbell's ring, acquired by its count.
    shared.isStopping.store(true, ordering: .relaxed)
    shared.board.page.ring()
    let taken = thread.withLock { $0.take() }
    taken?.join()
  }

  /// How often threads that died are looked for.
  private static let reapNanoseconds: Int64 = 50_000_000

  private static func run(
    _ shared: Shared, reader: any CounterReader, controller: any Controller, period: Int64
  ) {
    let board = shared.board
    var reader = reader
    var controller = controller
    var observer = ActivityObserver(of: board)
    var summary = Summary()
    var isBlind = reader.source == .unavailable
    let cpuStart = SystemClock.threadCPUNanoseconds()
    func publish(_ settings: GateSettings) {
      var settings = settings
      if isBlind { settings.delayNanoseconds = 0 }
      summary.delayNanosecondsMax = max(summary.delayNanosecondsMax, settings.delayNanoseconds)
      board.publish(settings)
    }
    // Looking for gates that registered, left or died touches every slot.
    var registeredCount = 0
    var countedRing: UInt32?
    var reapDue: Int64 = 0
    var last: CounterSnapshot?
    var due = SystemClock.monotonicRawNanoseconds() + period
    publish(controller.settings)
    while true {
      let heard = board.page.ringCount
      if shared.isStopping.load(ordering: .relaxed) { break }
      board.beat(staleAfter: 2 * Double(period))
      let now = SystemClock.monotonicRawNanoseconds()
      if now >= due {
        let snapshot = reader.snapshot()
        isBlind = snapshot.source == .unavailable
        if isBlind || snapshot != last {
          last = snapshot
          publish(controller.step(snapshot: snapshot, activity: observer.look()))
          summary.periodCount += 1
          if now - due > period / 2 { summary.latePeriodCount += 1 }
        }
        // Periods that were missed are not made up for: the next is a whole period away.
        due = max(due + period, now + period / 2)
      }
      if now >= reapDue {
        board.page.reap()
        reapDue = now + reapNanoseconds
      }
      if heard != countedRing {
        countedRing = heard
        let registered = board.registeredCount
        if registered != registeredCount {
          registeredCount = registered
          summary.registrationChangeCount += 1
          publish(controller.registrationChanged(registeredCount: registered))
        }
      }
      board.page.listen(
        after: heard, nanoseconds: due - SystemClock.monotonicRawNanoseconds())
    }
    board.publish(.open)
    board.beat(staleAfter: 0)
    // What happened since the last period counts too, for whoever keeps the readings.
    _ = reader.snapshot()
    summary.finalPhase = controller.phase
    summary.cpuNanoseconds = SystemClock.threadCPUNanoseconds() - cpuStart
    shared.summary.withLock { $0 = summary }
  }
}
