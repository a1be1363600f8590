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
    try work(on: scenarios, title: title) { scenario, progress in
      try scenario.run(progress: progress)
    }
  }

  /// Does something with every item on all processors, in any order.
  ///
  /// - Parameters:
  ///   - items: What is worked on.
  ///   - title: What the progress line says.
  ///   - body: Works on one item and says how far it is; nil where an interrupt ended it.
  /// - Returns: One outcome per item in their order; nil of those that an interrupt left out.
  /// - Throws: The first error of any item; the others under way end first.
  func work<Item: Sendable, Outcome: Sendable>(
    on items: [Item], title: String,
    _ body: @escaping @Sendable (Item, (Double) -> Void) throws -> Outcome?
  ) throws -> [Outcome?] {
    let board = WorkBoard<Outcome>(count: items.count)
    let work: @Sendable () -> Void = {
      while !Interrupt.isRaised, let index = board.next() {
        do {
          let outcome = try body(items[index]) { board.advance(index, to: $0) }
          board.finish(index, .success(outcome))
        } catch {
          board.finish(index, .failure(Failure(error)))
        }
      }
    }
    let processors = max(1, MachineTopology.read().logicalProcessorCount)
    let helpers = try startHelpers(min(processors, items.count) - 1, work)
    let progress = try showProgress(title) { board.share }
    work()
    for thread in helpers { thread.join() }
    board.close()
    progress.join()
    return try board.outcomes()
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
    try print(
      tables: results.isEmpty ? [] : [table], remarks: remarks, isEmpty: results.isEmpty,
      json: document(results).json, csv: document(results).csv)
  }

  /// Prints tables, or what is in them as JSON or CSV, and how to repeat them.
  ///
  /// - Parameters:
  ///   - tables: What is printed as text.
  ///   - remarks: Sentences under the tables.
  ///   - isEmpty: Whether an interrupt came before anything was done.
  ///   - json: The document.
  ///   - csv: The rows.
  /// - Throws: ``Failure`` where the text cannot be written.
  func print(
    tables: [Table], remarks: [String], isEmpty: Bool, json: @autoclosure () -> JSONValue,
    csv: @autoclosure () -> String
  ) throws {
    let text: String
    switch output.format {
    case .json: text = json().document()
    case .csv: text = csv()
    case .text:
      let width = Console.output(output.color).columns
      text =
        tables.map { $0.text(width: width) }.joined(separator: "\n")
        + remarks.map {
          "\n" + Console.wrapped($0, width: width).joined(separator: "\n") + "\n"
        }.joined()
    }
    try write(text)
    guard !output.isQuiet else { return }
    if wasInterrupted {
      Console.note(
        isEmpty
          ? "arbiter: interrupted before the first run had ended\n"
          : "arbiter: interrupted: runs that had not ended are left out\n")
    }
    guard output.format == .text else { return }
    let model = profile.map { ", profile \($0.label)" } ?? ""
    Console.note(
      "arbiter \(Version.text), seed \(seed)\(model); repeat with: \(resolved.commandLine())\n")
  }

  /// The members with which every document of this tool begins.
  func heading(schema: String, host: [JSONValue.Member] = []) -> [JSONValue.Member] {
    JSONValue.Member.heading(
      schema: schema, command: [resolved.tool] + resolved.arguments()) + [
        .init("seed", .unsigned(seed)),
        .init(
          "host",
          .object(
            [
              .init(
                "processors_count", .integer(Int64(MachineTopology.read().logicalProcessorCount))),
              .init("is_complete", .bool(!wasInterrupted)),
            ] + host)),
      ]
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
