// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlatform
internal import ArbiterProfiler
internal import ArbiterReport
internal import CommandSpec
internal import Glibc

/// Options of `arbiter top`.
struct TopOptions: Equatable {
  var interval = TimeSpan.seconds(1)
  var isBatch = false
  var count: Int?
  var order = TopState.Order.written
  var processes = ProcessList([])
  var everyProcess = false
  var backEnd = WatchedSource.auto
  var format = OutputFormat.text
  var color = ColorChoice.auto
  var isQuiet = false

  static let groups: [OptionGroup<TopOptions>] = [
    OptionGroup(
      "Reading",
      [
        .init("interval", \.interval, help: "Time between two readings."),
        .init(
          "process", \.processes, short: "p",
          help: "Processes to show, and no others, whether they use slow memory or not."),
        .init(
          "every-process", \.everyProcess,
          help: "Show every process, not only those that use slow memory."),
        .init("back-end", \.backEnd, help: WatchedSource.help),
        .init("sort", \.order, help: "Order of the tasks; keys change it."),
      ]),
    OptionGroup(
      "Output",
      [
        .init("batch", \.isBatch, help: "Print frames one after the other, for scripts."),
        .init(
          "count", \.count, placeholder: "<COUNT>",
          help: "End after so many readings; without end by default."),
        .init(
          "format", \.format,
          help: "Form of frames: text, one line of JSON each, or CSV; the last two imply --batch."),
        .init("color", \.color, help: "Whether text is coloured; NO_COLOR is respected."),
        .init("quiet", \.isQuiet, short: "q", help: "No remarks on standard error."),
      ]),
  ]

  static func validate(_ options: TopOptions) throws(UsageError) {
    try checkTime("interval", options.interval, .milliseconds(100) ... .seconds(3600))
    if let count = options.count, !(1...1_000_000_000).contains(count) {
      throw UsageError(
        "--count=\(count) is not within 1 to 1000000000", hint: "leave it out to go on for ever")
    }
  }

  static let command: Command<TopOptions> = Command(
    name: "top",
    abstract: "Show live who uses slow memory, how amplified and at what CPU cost.",
    discussion: """
      Each interval it shows every interleave set with the bandwidth of memory controller and \
      medium, write and read amplification, equivalent writes, CPU seconds per GiB, the delay in \
      force and the source of these figures; and every program that uses slow memory with what it \
      stores, its share, the time its gates made it wait and its CPU time. Programs under arbiter \
      tier are shown with how much of their memory is fast and how many accesses meet it.

      What programs store is counted exactly where they run under arbiter run. Others are \
      sampled, as arbiter account does it, where they use slow memory or are named: source timer \
      then shows time-weighted store cost, which ranks and counts no bytes. A figure that \
      nothing sees is shown as - with the reason below, never as 0; so is every rate of the first \
      reading, since rates need two.

      Keys: q ends, h helps, space pauses, + and - change the interval, e shows every process, \
      w t c d m p n sort, r reverses, arrows scroll. Where standard output is no terminal, two \
      readings are printed as with --batch --count=2.
      """,
    initial: TopOptions(), groups: groups,
    examples: [
      Example("Watch", "top"),
      Example("Two readings for a script", "top --batch --count=2 --format=json"),
      Example("Two processes, on any machine", "top -p 4711,4712"),
      Example("All processes, by CPU time", "top --every-process --sort=cpu"),
    ],
    seeAlso: ["arbiter-account", "arbiter-run", "arbiter-export", "arbiter-doctor"],
    validate: { (options: TopOptions) throws(UsageError) in try validate(options) },
    run: { invocation in
      let words = [invocation.resolved.tool] + invocation.resolved.arguments()
      return try TopRun(invocation.options, words: words).run()
    })
}

/// Readings, one after the other, until somebody has seen enough.
private final class TopRun {
  private let options: TopOptions
  private let words: [String]
  private let place: TopPlace
  private var tracker = WatchTracker()

  init(_ options: TopOptions, words: [String]) {
    self.options = options
    self.words = words
    place = TopPlace(
      host: Self.hostName, processorCount: MachineTopology.read().logicalProcessorCount)
  }

  func run() throws -> Int32 {
    for process in options.processes.numbers where ProcessFacts.read(process: process) == nil {
      throw Failure(
        ExitCode.usage, "there is no process \(process)", hint: "check its number with ps")
    }
    let terminal = Console.output(options.color)
    let isScript = options.isBatch || options.format != .text
    if !isScript, let screen = TopTerminal(terminal) { return try live(on: screen) }
    var count = options.count
    if !isScript, count == nil {
      count = 2
      if !options.isQuiet {
        Console.note(
          "arbiter: note: no terminal to draw on: printing two readings (--batch --count=2)\n")
      }
    }
    return try printFrames(count: count, columns: terminal.columns)
  }

  private func makeWatcher(isScript: Bool) throws(PlatformError) -> Watcher {
    try options.backEnd.makeWatcher(
      processes: options.processes.numbers, everyProcess: options.everyProcess,
      isScript: isScript)
  }

  private func view(_ reading: WatchReading) -> TopView {
    TopView(
      place: place, clock: Self.timeOfDay, interval: tracker.add(reading),
      tiers: TierSession.notes())
  }

  // MARK: Frames

  private func printFrames(count: Int?, columns: Int) throws -> Int32 {
    // Before any thread exists.
    let inbox = SignalInbox([SIGINT, SIGTERM])
    defer { inbox.close() }
    var watcher = try makeWatcher(isScript: true)
    var state = TopState(intervalSeconds: options.interval.nanoseconds / 1e9)
    state.order = options.order
    var due = SystemClock.monotonicRawNanoseconds()
    var frame = 0
    while true {
      frame += 1
      let view = view(watcher.read())
      let now = Self.unixSeconds
      switch options.format {
      case .json:
        try Console.write(
          TopDocument.json(view, frame: frame, unixSeconds: now, command: words))
      case .csv:
        try Console.write(
          (frame == 1 ? TopDocument.csvHeader : "")
            + TopDocument.csv(view, frame: frame, unixSeconds: now))
      case .text:
        let lines = TopScreen.page(view, state, columns: columns)
        try Console.write((frame == 1 ? "" : "\n") + lines.map { $0 + "\n" }.joined())
      }
      if let count, frame >= count { return ExitCode.done }
      due = Self.next(after: due, interval: options.interval.nanoseconds)
      if let signal = watcher.tend(until: due, { inbox.next(nanoseconds: $0) }) {
        return 128 + signal.number
      }
    }
  }

  /// The next moment for a reading.
  ///
  /// Moments are an interval apart; where one is nearly or wholly missed, a new row of them begins,
  /// so that no two readings lie so close together that their rates say nothing.
  private static func next(after due: Int64, interval: Double) -> Int64 {
    let (step, now) = (Int64(interval), SystemClock.monotonicRawNanoseconds())
    return due + step > now + step / 2 ? due + step : now + step
  }

  // MARK: The live screen

  private func live(on screen: TopTerminal) throws(PlatformError) -> Int32 {
    var watcher = try makeWatcher(isScript: false)
    var state = TopState(intervalSeconds: options.interval.nanoseconds / 1e9)
    state.order = options.order
    state.showsEveryProcess = options.everyProcess
    var shown = view(watcher.read())
    var frame = 1
    screen.enter()
    defer { screen.leave() }
    var read = SystemClock.monotonicRawNanoseconds()
    while true {
      let size = screen.size
      let lines = TopScreen.lines(shown, state, columns: size.columns, rows: size.rows)
      guard screen.draw(lines) else { return ExitCode.done }
      if let count = options.count, frame >= count { return ExitCode.done }
      event: while true {
        let due = read + Int64(state.intervalSeconds * 1e9)
        let event = watcher.tend(until: due) { step in
          let event = screen.wait(nanoseconds: step)
          return event == .timeUp ? nil : event
        }
        switch event ?? .timeUp {
        case .timeUp:
          frame += 1
          // While it is paused readings go on, so that the first rates afterwards are right.
          let fresh = view(watcher.read())
          if !state.isPaused { shown = fresh }
          // The moment that was due, or a later one where that was missed.
          let step = Int64(state.intervalSeconds * 1e9)
          read = Self.next(after: read + step, interval: Double(step)) - step
          break event
        case .redraw: break event
        case .ended(let signal): return 128 + signal
        case .closed: return ExitCode.done
        case .keys(let keys):
          var isChanged = false
          for key in keys {
            switch state.press(key, taskCount: shown.interval.tasks.count) {
            case .quit: return ExitCode.done
            case .redraw: isChanged = true
            case .nothing: break
            }
          }
          if watcher.options.everyProcess != state.showsEveryProcess {
            watcher.options.everyProcess = state.showsEveryProcess
            // Seen at once, and not when the interval is over.
            read = .min / 2
          }
          if isChanged { break event }
        }
      }
    }
  }

  // MARK: Facts

  private static var hostName: String {
    var names = utsname()
    // SAFETY: the structure outlives the call; the tuple is an array of C that ends with zero.
    _ = unsafe uname(&names)
    return unsafe withUnsafeBytes(of: &names.nodename) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }

  private static var unixSeconds: Double {
    var now = timespec()
    // SAFETY: `now` outlives the call.
    _ = unsafe clock_gettime(CLOCK_REALTIME, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec / 1_000_000) / 1000
  }

  private static var timeOfDay: String {
    var now = time(nil)
    var parts = unsafe tm()
    // SAFETY: both outlive the call.
    _ = unsafe localtime_r(&now, &parts)
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : String(number) }
    return unsafe "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
  }
}
