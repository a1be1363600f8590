// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlatform
internal import ArbiterProfiler
internal import CommandSpec
internal import Glibc

/// The heat map of a program that runs, from the first sample to the picture.
final class LiveHeat {
  private let options: HeatOptions
  private let place: HeatPlace
  private let choice: BackEndChoice
  private let feed: SampleFeed
  private var watch: HeatWatch
  /// When sampling ends, in nanoseconds; nil where nobody has said.
  private var endNanoseconds: Int64?
  private var isStopped = false
  private var program: ProgramFile?

  /// Nanoseconds between two looks at the rings.
  private static let drainNanoseconds: Int64 = 20_000_000

  /// Prepares to sample; nobody is sampled yet.
  ///
  /// - Throws: What keeps this machine or this user from it.
  private init(_ options: HeatOptions, place: HeatPlace) throws {
    self.options = options
    self.place = place
    choice = try BackEndProbe.choose(wanted: options.backEnd.backEnd)
    let source: any AccessSource
    switch choice.backEnd {
    case .pebs:
      let precise = try PreciseSource()
      (source, feed) = (precise, precise.feed)
    case .faults:
      let faults = try FaultSource()
      (source, feed) = (faults, faults.feed)
    case .timer, .gates:
      let period = options.period.map { UInt64($0.nanoseconds) }
      let timer = try TimerSource(
        everyNanoseconds: period ?? TimerSource.pictureNanoseconds)
      (source, feed) = (timer, timer.feed)
    }
    let (isStoresOnly, isLoadsOnly) = (options.isStoresOnly, options.isLoadsOnly)
    watch = HeatWatch(of: source, from: SystemClock.monotonicRawNanoseconds()) {
      isStoresOnly ? $0.isStore : isLoadsOnly ? $0.isLoad : true
    }
  }

  // MARK: A program

  /// Runs the program and shows what it did.
  ///
  /// - Returns: The program's own exit code.
  static func runProgram(_ options: HeatOptions, place: HeatPlace) throws -> Int32 {
    let host = ProgramHost(options.program, file: try ProgramHost.find(options.program))
    defer { host.close() }
    return try LiveHeat(options, place: place).run(host)
  }

  private func run(_ host: ProgramHost) throws -> Int32 {
    program = host.file
    if let signal = host.endBeforeStart() { return 128 + signal }
    let feed = feed
    try host.start(environment: ChildProgram.ownEnvironment) { start throws(PlatformError) in
      try feed.sampler.launch(start)
    }
    begin()
    let ending = host.attend(
      tend: {
        tend()
        return isStopped ? nil : Self.drainNanoseconds
      },
      report: { writeAnyway(isComplete: false) })
    stop()
    // The program's own exit code says more than that nobody could draw it.
    let failure = writeAnyway(isComplete: true)
    return ending.code == 0 ? failure?.code ?? 0 : ending.code
  }

  @discardableResult
  private func writeAnyway(isComplete: Bool) -> Failure? {
    do {
      try place.write(result(), isComplete: isComplete)
      return nil
    } catch {
      let failure = Failure(error)
      Console.note(failure.rendered + "\n")
      return failure
    }
  }

  // MARK: A running process

  /// Watches a process and shows what it did.
  static func runAttached(
    to process: Int32, _ options: HeatOptions, place: HeatPlace
  ) throws -> Int32 {
    let inbox = SignalInbox([SIGINT, SIGTERM, SIGHUP, SIGUSR1])
    defer { inbox.close() }
    return try LiveHeat(options, place: place).run(process, inbox)
  }

  private func run(_ process: Int32, _ inbox: SignalInbox) throws -> Int32 {
    guard let facts = ProcessFacts.read(process: process), !facts.hasEnded else {
      throw Failure(
        ExitCode.usage, "there is no process \(process)", hint: "check its number with ps")
    }
    try feed.sampler.add(process: process)
    begin()
    watch.watch(process, now: SystemClock.monotonicRawNanoseconds())
    var notice = WatchNotice(
      "heat", of: "process \(process)", during: options.duration, isQuiet: options.output.isQuiet)
    defer { notice.finish() }
    var signal: Int32?
    while signal == nil, !isStopped {
      tend()
      notice.show()
      let now = ProcessFacts.read(process: process)
      if now?.startTicks != facts.startTicks || now?.hasEnded == true { break }
      guard let arrived = inbox.next(nanoseconds: Self.drainNanoseconds) else { continue }
      if arrived.number == SIGUSR1 {
        notice.finish()
        writeAnyway(isComplete: false)
      } else {
        signal = arrived.number
      }
    }
    stop()
    notice.finish()
    try place.write(result(), isComplete: true)
    // Without a duration Ctrl-C is how watching ends.
    guard let signal, signal != SIGINT || options.duration != nil else { return ExitCode.done }
    return 128 + signal
  }

  // MARK: Both

  private func begin() {
    let now = SystemClock.monotonicRawNanoseconds()
    endNanoseconds = options.duration.map { now + Int64($0.nanoseconds) }
  }

  private func tend() {
    let now = SystemClock.monotonicRawNanoseconds()
    if let endNanoseconds, now >= endNanoseconds { return stop() }
    if !isStopped { watch.drain(now: now) }
  }

  private func stop() {
    guard !isStopped else { return }
    isStopped = true
    watch.stop(now: SystemClock.monotonicRawNanoseconds())
    feed.sampler.detach()
  }

  private func result() -> HeatResult {
    watch.refreshSizes()
    let subject =
      options.process.map { "-p \($0)" } ?? options.program.joined(separator: " ")
    var result = HeatResult(
      map: watch.map, subject: subject, source: choice.backEnd.rawValue, sourceReason: reason,
      measure: choice.backEnd.measure.rawValue, unit: unit, meaning: meaning,
      losses: watch.source.losses, lostEventCount: nil, mappingCount: options.mappingCount)
    result.unmappedWeight = watch.unmappedWeight
    if let note = ProgramHost.rightsNote(program) { result.remarks.append(note) }
    if let note = feed.resolver.note {
      result.remarks.append(note.prefix(1).uppercased() + note.dropFirst() + ".")
    }
    if choice.backEnd == .pebs {
      result.remarks.append("Copies that the kernel makes are not seen by this back-end.")
    }
    return result
  }

  private var unit: String {
    switch choice.backEnd {
    case .timer where options.isStoresOnly: "ns of store cost"
    case .timer where options.isLoadsOnly: "ns of load cost"
    case .timer, .gates: "ns of access cost"
    case .pebs, .faults: "bytes"
    }
  }

  private var meaning: String {
    let kind = options.shownKind
    switch choice.backEnd {
    case .timer, .gates:
      return "Back-end timer: colours are CPU time at instructions that \(options.verbs), "
        + "estimated by samples. They rank memory by cost and count no access."
    case .pebs: return "Back-end pebs: colours are bytes \(kind), estimated by samples."
    case .faults:
      return "Back-end faults: colours are bytes of pages that were touched for the first time."
    }
  }

  /// Why this back-end, as a sentence.
  private var reason: String? {
    let name = choice.backEnd.rawValue
    if choice.isAsked { return "Back-end \(name) was asked for." }
    guard !choice.passedOver.isEmpty else { return "Back-end \(name) is the most precise one." }
    let others = choice.passedOver.map { "not \($0.backEnd.rawValue): \($0.reason)" }
    return "Back-end \(name) was taken; \(others.joined(separator: "; "))."
  }
}
