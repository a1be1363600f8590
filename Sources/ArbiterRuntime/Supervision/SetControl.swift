// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice
public import ArbiterPlatform
public import ArbiterScheduler

/// The control of one interleave set by a run, and what it saw there.
public final class SetControl: Sendable {
  /// What is known of a set at some moment.
  public struct Status: Sendable, Hashable {
    /// The set's name.
    public var name = ""
    /// Where figures of the device come from.
    public var source = CounterSource.unavailable
    /// Why figures are missing, as a clause; nil where none is.
    public var reasonForAbsence: String?
    /// What the counters said since the run began; nil before the second reading.
    public var delta: CounterDelta?
    /// Media write bytes ÷ iMC write bytes, over the periods in which both were known; nil where
    /// there was none.
    public var writeAmplification: Double?
    /// The delay in force, in nanoseconds.
    public var delayNanoseconds = 0.0
    /// The controller's state in one word.
    public var phase = ""
    /// CPU time of the monitor's thread, in nanoseconds.
    public var monitorCPUNanoseconds: Int64 = 0
  }

  /// The gates of the set.
  public let board: GateBoard
  private let notebook: Notebook
  private let monitor = Lock<Monitor?>(nil)

  /// Makes the control of a set that others may control for now.
  public init(page: ControlPage, setIndex: Int) {
    board = GateBoard(page: page, setIndex: setIndex)
    notebook = Notebook(name: page.setName(at: setIndex))
  }

  deinit { stop() }

  /// Begins to control the set.
  ///
  /// - Parameters:
  ///   - reader: The set's counters.
  ///   - controller: Who decides.
  ///   - periodNanoseconds: Time between two decisions.
  /// - Throws: ``PlatformError`` where the system refuses a thread.
  public func start(
    reader: any CounterReader, controller: any Controller, periodNanoseconds: Double
  ) throws(PlatformError) {
    notebook.begin(with: reader)
    var watched = WatchedReader(reader, notebook)
    _ = watched.snapshot()
    let started = try Monitor(
      board: board, reader: watched,
      controller: WatchedController(controller, notebook), periodNanoseconds: periodNanoseconds)
    monitor.withLock { $0 = started }
  }

  /// Ends the control and opens the gates; the status keeps what was the case before.
  public func stop() {
    let taken = monitor.withLock { $0.take() }
    guard let taken else { return }
    notebook.close(delayNanoseconds: board.publishedWord.settings.delayNanoseconds)
    let summary = taken.stop()
    notebook.finish(cpuNanoseconds: summary.cpuNanoseconds)
  }

  /// What is known of the set now.
  public var status: Status {
    var status = notebook.status
    status.delayNanoseconds =
      notebook.closingDelay ?? board.publishedWord.settings.delayNanoseconds
    return status
  }
}

/// What a monitor's thread tells and a summary reads.
private final class Notebook: Sendable {
  private struct State {
    var status = SetControl.Status()
    var first: CounterSnapshot?
    var last: CounterSnapshot?
    /// Bytes of the periods at both ends of which the media writes were known.
    var imcWriteBytes = 0.0
    var mediaWriteBytes = 0.0
    var closingDelay: Double?
  }

  private let state: Lock<State>

  init(name: String) {
    var initial = State()
    initial.status.name = name
    initial.status.reasonForAbsence = "another run reads the counters of this set"
    state = Lock(initial)
  }

  var status: SetControl.Status {
    state.withLock { state in
      var status = state.status
      if let first = state.first, let last = state.last {
        status.delta = CounterDelta(from: first, to: last)
      }
      if state.imcWriteBytes > 0 {
        status.writeAmplification = state.mediaWriteBytes / state.imcWriteBytes
      }
      return status
    }
  }

  var closingDelay: Double? { state.withLock { $0.closingDelay } }

  func begin(with reader: any CounterReader) {
    state.withLock { state in
      state.status.source = reader.source
      state.status.reasonForAbsence = reader.reasonForAbsence
    }
  }

  func add(_ snapshot: CounterSnapshot, reasonForAbsence: String?) {
    state.withLock { state in
      state.status.reasonForAbsence = reasonForAbsence
      // What was seen before a source failed stays true.
      if snapshot.source == .unavailable && state.first != nil { return }
      // A reader that turns to another source begins anew: figures of two sources have no sum.
      if state.first?.source != snapshot.source {
        state.first = snapshot
        (state.imcWriteBytes, state.mediaWriteBytes) = (0, 0)
      } else if let last = state.last, last != snapshot {
        let delta = CounterDelta(from: last, to: snapshot)
        // Counters that began anew have no sum with what they said before.
        if delta == nil { state.first = snapshot }
        if let imc = delta?.imcWriteBytes, let media = delta?.mediaWriteBytes {
          state.imcWriteBytes += imc
          state.mediaWriteBytes += media
        }
      }
      state.last = snapshot
      state.status.source = snapshot.source
    }
  }

  func note(phase: String, cpuNanoseconds: Int64) {
    state.withLock { state in
      state.status.phase = phase
      state.status.monitorCPUNanoseconds = cpuNanoseconds
    }
  }

  func close(delayNanoseconds: Double) {
    state.withLock { $0.closingDelay = delayNanoseconds }
  }

  func finish(cpuNanoseconds: Int64) {
    state.withLock { $0.status.monitorCPUNanoseconds = cpuNanoseconds }
  }
}

/// A reader whose readings are noted.
private struct WatchedReader: CounterReader {
  private var base: any CounterReader
  private let notebook: Notebook

  init(_ base: any CounterReader, _ notebook: Notebook) {
    self.base = base
    self.notebook = notebook
  }

  var source: CounterSource { base.source }
  var reasonForAbsence: String? { base.reasonForAbsence }

  mutating func snapshot() -> CounterSnapshot {
    let snapshot = base.snapshot()
    notebook.add(snapshot, reasonForAbsence: base.reasonForAbsence)
    return snapshot
  }
}

/// A controller whose state is noted.
private struct WatchedController: Controller {
  private var base: any Controller
  private let notebook: Notebook

  init(_ base: any Controller, _ notebook: Notebook) {
    self.base = base
    self.notebook = notebook
  }

  var settings: GateSettings { base.settings }
  var phase: String { base.phase }

  mutating func step(snapshot: CounterSnapshot, activity: GateActivity) -> GateSettings {
    let settings = base.step(snapshot: snapshot, activity: activity)
    notebook.note(phase: base.phase, cpuNanoseconds: SystemClock.threadCPUNanoseconds())
    return settings
  }

  mutating func registrationChanged(registeredCount: Int) -> GateSettings {
    base.registrationChanged(registeredCount: registeredCount)
  }
}

/// Settings that never change, for schemes in which nobody decides anything.
public struct ConstantController: Controller {
  /// The settings in force.
  public let settings: GateSettings

  /// Makes a controller of settings without a delay.
  public init(_ settings: GateSettings) {
    precondition(settings.delayNanoseconds == 0, "a delay needs somebody who decides on it")
    self.settings = settings
  }

  /// The state in one word.
  public var phase: String { "constant" }

  /// The settings, whatever the counters say.
  public mutating func step(snapshot: CounterSnapshot, activity: GateActivity) -> GateSettings {
    settings
  }

  /// The settings, however many gates there are.
  public mutating func registrationChanged(registeredCount: Int) -> GateSettings { settings }
}
