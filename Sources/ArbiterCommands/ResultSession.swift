// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterRuntime
internal import ArbiterSimulator
internal import CommandSpec
internal import Glibc
internal import Synchronization

/// What verbs that produce results share: runs with progress, output in three forms, Ctrl-C.
struct ResultSession: Sendable {
  let resolved: ResolvedCommand
  let output: OutputOptions
  let seed: UInt64
  /// The modelled module; nil on a real one.
  let profile: DeviceProfile?
  private let file: OutputFile?

  /// Begins a session; from here on Ctrl-C ends runs rather than the process.
  ///
  /// - Throws: ``Failure`` where `--output` names a place that cannot be written.
  init(
    _ resolved: ResolvedCommand, output: OutputOptions, seed: UInt64, profile: DeviceProfile?
  ) throws(Failure) {
    self.resolved = resolved
    self.output = output
    self.seed = seed
    self.profile = profile
    file = if let path = output.output { try OutputFile(path) } else { nil }
    Interrupt.listen()
  }

  /// Whether the user asked to stop.
  var wasInterrupted: Bool { Interrupt.isRaised }

  /// Runs scenarios on all processors, in any order, and returns the results in theirs.
  ///
  /// After an interrupt the runs under way end; theirs and later results are nil.
  func run(_ scenarios: [Scenario], title: String) throws -> [ReportedResult?] {
    let board = RunBoard(count: scenarios.count)
    let work: @Sendable () -> Void = {
      while !Interrupt.isRaised, let index = board.next() {
        do {
          let result = try scenarios[index].run { board.advance(index, to: $0) }
          board.finish(index, .success(result))
        } catch {
          board.finish(index, .failure(Failure(error)))
        }
      }
    }
    let processors = max(1, MachineTopology.read().logicalProcessorCount)
    let helpers = try startHelpers(min(processors, scenarios.count) - 1, work)
    let progress = try showProgress(title) { board.share }
    work()
    for thread in helpers { thread.join() }
    board.close()
    progress.join()
    return try board.results()
  }

  /// Shows how far something is, from a thread of its own that ends when the share is nil.
  func showProgress(
    _ title: String, share: @Sendable @escaping () -> Double?
  ) throws -> HelperThread {
    let output = output
    return HelperThread(
      try WorkerThread {
        guard !output.isQuiet else { return }
        ProgressLine(title, on: Console.error(output.color)).show(share)
      })
  }

  private func startHelpers(
    _ count: Int, _ work: @Sendable @escaping () -> Void
  ) throws -> [HelperThread] {
    try (0..<max(0, count)).map { _ in HelperThread(try WorkerThread(work)) }
  }

  /// The results as a document.
  func document(_ results: [ReportedResult]) -> ResultDocument {
    ResultDocument(
      toolVersion: Version.text, command: [resolved.tool] + resolved.arguments(), seed: seed,
      host: [
        .init("processors_count", .integer(Int64(MachineTopology.read().logicalProcessorCount))),
        .init("is_complete", .bool(!wasInterrupted)),
      ], results: results)
  }

  /// Writes text where results go.
  func write(_ text: String) throws(Failure) {
    if let file { try file.write(text) } else { try Console.write(text) }
  }

  /// Prints the results in the form that was asked for, and how to repeat them.
  func print(_ results: [ReportedResult], table: Table, remarks: [String] = []) throws {
    let text: String
    switch output.format {
    case .json: text = document(results).json.document()
    case .csv: text = document(results).csv
    case .text:
      let width = Console.output(output.color).columns
      text =
        (results.isEmpty ? "" : table.text(width: width))
        + remarks.map {
          "\n" + Console.wrapped($0, width: width).joined(separator: "\n") + "\n"
        }.joined()
    }
    try write(text)
    guard !output.isQuiet else { return }
    if wasInterrupted {
      Console.note(
        results.isEmpty
          ? "arbiter: interrupted before the first run had ended\n"
          : "arbiter: interrupted: runs that had not ended are left out\n")
    }
    guard output.format == .text else { return }
    let model = profile.map { ", profile \($0.label)" } ?? ""
    Console.note(
      "arbiter \(Version.text), seed \(seed)\(model); repeat with: \(resolved.commandLine())\n")
  }
}

extension ResolvedCommand {
  /// Every option under the name that a result gives it; flags are true or false.
  var parameters: [JSONValue.Member] {
    options.map { option in
      let value: JSONValue =
        option.isFlag ? .bool(option.isGiven) : option.isGiven ? .string(option.text) : .null
      return .init(option.name.replacing("-", with: "_"), value)
    }
  }
}

/// A joinable thread in a list; `WorkerThread` itself cannot be copied into one.
final class HelperThread: Sendable {
  private let thread: Mutex<WorkerThread?>

  init(_ thread: consuming WorkerThread) {
    self.thread = Mutex(thread)
  }

  func join() {
    let taken = thread.withLock { $0.take() }
    if let taken { taken.join() }
  }
}

/// Which runs are done.
final class RunBoard: Sendable {
  private struct State {
    var next = 0
    var isClosed = false
    var shares: [Double]
    var outcomes: [Result<ReportedResult?, Failure>?]
  }

  private let state: Mutex<State>

  init(count: Int) {
    state = Mutex(
      State(
        shares: Array(repeating: 0, count: count), outcomes: Array(repeating: nil, count: count)))
  }

  /// Hands out the next run; nil where none is left.
  func next() -> Int? {
    state.withLock { state in
      guard state.next < state.outcomes.count else { return nil }
      defer { state.next += 1 }
      return state.next
    }
  }

  /// Takes in how far a run is.
  func advance(_ index: Int, to share: Double) {
    state.withLock { $0.shares[index] = share }
  }

  /// Takes in what came of a run; nil of one that was interrupted.
  func finish(_ index: Int, _ outcome: Result<ReportedResult?, Failure>) {
    state.withLock { state in
      state.outcomes[index] = outcome
      state.shares[index] = 1
      if case .failure = outcome { state.next = state.outcomes.count }
    }
  }

  func close() {
    state.withLock { $0.isClosed = true }
  }

  /// The share of the work that is done; nil once nobody works any more.
  var share: Double? {
    state.withLock { state in
      state.isClosed ? nil : state.shares.reduce(0, +) / Double(max(1, state.shares.count))
    }
  }

  /// The results in order; nil of runs that were not made or not ended.
  ///
  /// - Throws: The first failure, if any run failed.
  func results() throws(Failure) -> [ReportedResult?] {
    var results: [ReportedResult?] = []
    for outcome in state.withLock({ $0.outcomes }) {
      results.append(try outcome?.get())
    }
    return results
  }
}

/// The progress line of a board, shown from a thread of its own.
private struct ProgressLine {
  private var meter: ProgressMeter

  init(_ title: String, on terminal: Terminal) {
    meter = ProgressMeter(title, on: terminal)
  }

  func show(_ share: () -> Double?) {
    var meter = meter
    let began = Console.seconds
    while let share = share() {
      if let line = meter.update(share: share, atSeconds: Console.seconds - began) {
        Console.note(line)
      }
      usleep(20_000)
    }
    if let line = meter.finish() { Console.note(line) }
  }
}

/// Set by the handler, read by everybody; nothing else is ordered by it, so relaxed is enough.
private let interruptRaised = Atomic<Bool>(false)

/// Ctrl-C: the runs under way end, the results so far are printed, the exit code is 130.
enum Interrupt {
  /// Whether Ctrl-C was pressed.
  static var isRaised: Bool { interruptRaised.load(ordering: .relaxed) }

  /// Listens for the first Ctrl-C; a second one ends the process at once.
  static func listen() {
    // SAFETY: the handler only stores to an atomic and restores the default, which signals allow.
    _ = signal(SIGINT) { _ in
      interruptRaised.store(true, ordering: .relaxed)
      _ = signal(SIGINT, SIG_DFL)
    }
  }
}
