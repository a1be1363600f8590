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

  init(
    _ resolved: ResolvedCommand, output: OutputOptions, seed: UInt64, profile: DeviceProfile?
  ) {
    self.resolved = resolved
    self.output = output
    self.seed = seed
    self.profile = profile
    Interrupt.listen()
  }

  /// Whether the user asked to stop.
  var wasInterrupted: Bool { Interrupt.isRaised }

  /// Every option as it was resolved, with what this one run made of those that hold lists.
  func parameters(threads: Int, scheme: String) -> [JSONValue.Member] {
    resolved.options.map { option in
      switch option.name {
      case "threads": .init("threads", .string("\(threads)"))
      case "scheme": .init("scheme", .string(scheme))
      default:
        .init(
          option.name.replacing("-", with: "_"), option.isGiven ? .string(option.text) : .null)
      }
    }
  }

  /// Runs scenarios on all processors, in any order, and returns the results in theirs.
  ///
  /// After an interrupt the runs under way end and the rest is left out.
  func run(
    _ scenarios: [Scenario], title: String,
    parameters: @Sendable @escaping (Scenario) -> [JSONValue.Member]
  ) throws -> [ReportedResult] {
    let board = RunBoard(count: scenarios.count)
    let work: @Sendable () -> Void = {
      while !Interrupt.isRaised, let index = board.next() {
        let scenario = scenarios[index]
        do {
          board.finish(index, .success(try scenario.run(parameters: parameters(scenario))))
        } catch {
          board.finish(index, .failure(Failure(error)))
        }
      }
    }
    let processors = max(1, MachineTopology.read().logicalProcessorCount)
    let helpers = try startHelpers(min(processors, scenarios.count) - 1, work)
    let progress = try WorkerThread { [output] in
      guard !output.isQuiet else { return }
      ProgressLine(title, on: Console.error(output.color)).show(board)
    }
    work()
    for thread in helpers { thread.join() }
    board.close()
    progress.join()
    return try board.results()
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

  /// Prints the results in the form that was asked for, and how to repeat them.
  func print(_ results: [ReportedResult], table: Table, remarks: [String] = []) throws {
    let text: String
    switch output.format {
    case .json: text = document(results).json.document()
    case .csv: text = document(results).csv
    case .text:
      text =
        table.text(width: Console.output(output.color).columns)
        + remarks.map { "\n\($0)\n" }.joined()
    }
    if let path = output.output {
      let partial = "\(path).partial-\(getpid())"
      do {
        try FileSystem.write(text, to: partial)
        try FileSystem.rename(partial, to: path)
      } catch {
        _ = unsafe unlink(partial)
        throw error
      }
    } else {
      try Console.write(text)
    }
    guard !output.isQuiet, output.format == .text else { return }
    if wasInterrupted {
      Console.note("arbiter: interrupted: what is shown is not the whole\n")
    }
    let model = profile.map { ", profile \($0.name)" } ?? ""
    Console.note(
      "arbiter \(Version.text), seed \(seed)\(model); repeat with: \(resolved.commandLine())\n")
  }
}

/// A joinable thread in a list; `WorkerThread` itself cannot be copied into one.
private final class HelperThread: Sendable {
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
    var doneCount = 0
    var isClosed = false
    var outcomes: [Result<ReportedResult, Failure>?]
  }

  private let state: Mutex<State>

  init(count: Int) {
    state = Mutex(State(outcomes: Array(repeating: nil, count: count)))
  }

  /// Hands out the next run; nil where none is left.
  func next() -> Int? {
    state.withLock { state in
      guard state.next < state.outcomes.count else { return nil }
      defer { state.next += 1 }
      return state.next
    }
  }

  func finish(_ index: Int, _ outcome: Result<ReportedResult, Failure>) {
    state.withLock { state in
      state.outcomes[index] = outcome
      state.doneCount += 1
      if case .failure = outcome { state.next = state.outcomes.count }
    }
  }

  func close() {
    state.withLock { $0.isClosed = true }
  }

  /// The share of the runs that are done; nil once nobody works any more.
  var share: Double? {
    state.withLock { state in
      state.isClosed ? nil : Double(state.doneCount) / Double(max(1, state.outcomes.count))
    }
  }

  /// The results of the runs that were made, in order.
  ///
  /// - Throws: The first failure, if any run failed.
  func results() throws(Failure) -> [ReportedResult] {
    var results: [ReportedResult] = []
    for outcome in state.withLock({ $0.outcomes }) {
      if let outcome { results.append(try outcome.get()) }
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

  func show(_ board: RunBoard) {
    var meter = meter
    let began = Console.seconds
    while let share = board.share {
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
