// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlatform
internal import ArbiterProfiler
internal import ArbiterRuntime
internal import Glibc

/// An account from its beginning to its end: whom it watches, and what it has seen.
final class Accounting {
  /// How accesses are seen, and why no better way.
  let choice: BackEndChoice
  /// What keeps processes from being watched under --all, and how many it concerns.
  private(set) var refusals: [String: Int] = [:]
  /// Why files could not be written; nil where they could.
  private(set) var fileFailure: PlatformError?
  /// Whether the machine has memory that --all would look for.
  var hasSlowMemory: Bool { account.classifier.hasSlowMemory }
  /// Processes that were asked for or found, and not yet seen to have ended.
  private(set) var living: [Int32: UInt64] = [:]

  private let options: AccountOptions
  private let feed: SampleFeed?
  private let family: Family
  private var account: Accountant
  private var gates: Accountant
  private var files: AccountFiles?
  private var refused: Set<Int32> = []
  private var nextLookNanoseconds: Int64 = 0
  private var nextGateNanoseconds: Int64 = 0

  /// Processes and what they have started, as of the last look.
  private final class Family {
    var members: [Int32] = []
  }

  private static let lookNanoseconds: Int64 = 1_000_000_000
  private static let gateNanoseconds: Int64 = 100_000_000
  /// Processes whose gates are looked for; beyond that those that have ended are forgotten.
  private static let familyCountMax = 4096

  /// Prepares to watch; nobody is watched yet.
  ///
  /// - Throws: What keeps this machine or this user from it.
  init(_ options: AccountOptions) throws {
    self.options = options
    let choice = try BackEndProbe.choose(wanted: options.backEnd.backEnd)
    self.choice = choice
    let family = Family()
    self.family = family
    let folder = FoundPages.folder(
      chosen: Console.environment("ARBITER_RUNTIME_DIR"),
      runtimeFolder: Console.environment("XDG_RUNTIME_DIR"))
    let gateSource = GateSource(
      folder: folder, tellsWhatWasBefore: !options.program.isEmpty
    ) { family.members }
    let session = try SamplingSession(choice.backEnd, Self.terms(options))
    feed = session?.feed
    let classifier = MappingClassifier()
    account = Accountant(
      of: session?.source ?? gateSource, by: options.by.division, classifier: classifier)
    gates = Accountant(of: gateSource, by: options.by.division, classifier: classifier)
    if let folder = options.files { files = try AccountFiles(folder: folder) }
  }

  private static func terms(_ options: AccountOptions) -> SamplingSession.Terms {
    var terms = SamplingSession.Terms()
    switch options.period {
    case .time(let span)?: terms.nanoseconds = UInt64(span.nanoseconds)
    case .events(let count)?: terms.eventCount = count
    case nil: break
    }
    return terms
  }

  /// Remarks of the back-end about itself.
  var resolverNote: String? { feed?.resolver.note }

  /// Watches a running process.
  ///
  /// - Throws: `PlatformError` where there is none or it may not be watched.
  func watch(_ process: Int32) throws(PlatformError) {
    guard let facts = ProcessFacts.read(process: process), !facts.hasEnded else {
      throw PlatformError(
        .notFound, reason: "there is no process \(process)", nextStep: "check its number with ps")
    }
    let now = SystemClock.monotonicRawNanoseconds()
    if let feed { try feed.sampler.add(process: process) }
    account.watch(process, now: now)
    living[process] = facts.startTicks
  }

  /// Starts a program and watches it from its first instruction on.
  func launch(
    _ start: () throws(PlatformError) -> ChildProgram
  ) throws(PlatformError) -> ChildProgram {
    let child = if let feed { try feed.sampler.launch(start) } else { try start() }
    living[child.process] = ProcessFacts.read(process: child.process)?.startTicks ?? 0
    account.watch(child.process, now: SystemClock.monotonicRawNanoseconds())
    return child
  }

  /// Takes in what was seen; called every few tens of milliseconds.
  func tend() {
    let now = SystemClock.monotonicRawNanoseconds()
    if now >= nextLookNanoseconds {
      nextLookNanoseconds = now + Self.lookNanoseconds
      if options.isAll { findProcesses() }
      look(now)
    }
    if now >= nextGateNanoseconds {
      nextGateNanoseconds = now + Self.gateNanoseconds
      lookAtGates(now)
    }
    account.drain(now: now)
  }

  /// Those that have ended stay members: what their gates have counted last is told later.
  private func lookAtGates(_ now: Int64) {
    var members = Set(family.members)
    for process in living.keys where !options.isAll || !members.contains(process) {
      members.formUnion(options.isAll ? [process] : ProcessFacts.family(of: process))
    }
    if members.count > Self.familyCountMax {
      members = members.filter { ProcessFacts.read(process: $0) != nil }
    }
    if members.count != family.members.count { family.members = members.sorted() }
    if choice.backEnd != .gates { gates.drain(now: now) }
  }

  private func look(_ now: Int64) {
    for (process, start) in living {
      let facts = ProcessFacts.read(process: process)
      if facts?.startTicks == start, facts?.hasEnded == false { continue }
      living[process] = nil
      // Its descriptors, and what an equal number would be refused for.
      feed?.sampler.remove(process: process)
    }
    writeFiles(isFinal: false)
  }

  private func writeFiles(isFinal: Bool) {
    guard files != nil else { return }
    do throws(PlatformError) {
      try files?.write(account.reading(), isFinal: isFinal)
    } catch {
      fileFailure = error
    }
  }

  // MARK: All processes

  private func findProcesses() {
    var classifier = account.classifier
    let own = getpid()
    let everybody = ProcessFacts.all()
    // Numbers that nobody has any more may be those of others soon.
    refused.formIntersection(everybody)
    for process in everybody where living[process] == nil && process != own {
      if refused.contains(process) { continue }
      if !options.includesEveryProcess {
        guard let mappings = ProcessMapping.read(ofProcess: process),
          mappings.contains(where: { classifier.identity(of: $0).kind.isSlow })
        else { continue }
      }
      do throws(PlatformError) {
        try watch(process)
      } catch {
        guard error.code != .notFound else { continue }
        // Said once for each reason: the number of the process is in the sentence.
        let reason = error.reason.replacing("process \(process)", with: "processes")
        refusals[reason, default: 0] += 1
        refused.insert(process)
      }
    }
  }

  /// Ends watching; what was seen before is taken in still.
  func stop() {
    let now = SystemClock.monotonicRawNanoseconds()
    look(now)
    lookAtGates(now)
    account.stop(now: now)
    if choice.backEnd != .gates { gates.stop(now: now) }
    writeFiles(isFinal: true)
    feed?.sampler.detach()
  }

  /// The account so far, and what gates have counted beside it.
  func readings() -> (account: AccountReading, gates: AccountReading?) {
    let reading = account.reading()
    if choice.backEnd == .gates { return (reading, nil) }
    let counted = gates.reading()
    return (reading, counted.rows.isEmpty ? nil : counted)
  }
}
