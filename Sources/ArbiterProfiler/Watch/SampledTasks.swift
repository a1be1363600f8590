// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterMetrics
public import ArbiterPlatform

// Samples the processes that a watcher shows, and keeps the account of each for as long as it is
// shown.
//
// S1  Until somebody is followed nothing is opened: no ring, no library.
// S2  Whoever is followed no more has no event, no row and no descriptor left.
// S3  Who may not be sampled is told with the reason, and tried again once a minute.

/// The sampling back-ends as a watcher uses them.
public struct SampledTasks: TaskSampler {
  /// A running source and how processes come to it and leave.
  package struct Engine {
    package var choice: BackEndChoice
    package var account: Accountant
    package var add: (Int32) throws(PlatformError) -> Void
    package var remove: (Int32) -> Void

    package init(
      choice: BackEndChoice, account: Accountant,
      add: @escaping (Int32) throws(PlatformError) -> Void, remove: @escaping (Int32) -> Void
    ) {
      self.choice = choice
      self.account = account
      self.add = add
      self.remove = remove
    }
  }

  /// Why a process is not sampled.
  private struct Refusal {
    var startTicks: UInt64
    var error: PlatformError
    var triedNanoseconds: Int64
  }

  private let makeEngine: () throws(PlatformError) -> Engine
  private let tree: SystemTree
  private let clock: () -> Int64
  private var engine: Engine?
  /// Why there is no engine though somebody was to be followed.
  private var failure: (error: PlatformError, triedNanoseconds: Int64)?
  /// Those that are sampled, by when they started.
  private var followed: [Int32: UInt64] = [:]
  private var refused: [Int32: Refusal] = [:]
  /// What each has done, of the memory that counts; nil where samples came since.
  private var sums: [Int32: LedgerRow]?

  /// Time after which what was refused is tried again.
  package static let retryNanoseconds: Int64 = 60_000_000_000
  /// Samples below which a share says nothing.
  private static let tellingCount: UInt64 = 100
  /// The share of resolved samples below which it is said.
  private static let resolvedShareMin = 0.85

  /// Prepares to sample; nothing is opened before somebody is followed.
  ///
  /// - Parameters:
  ///   - wanted: The back-end; nil for the best that works.
  ///   - tree: Where the kernel's files are read.
  public init(wanted: BackEnd?, tree: SystemTree = SystemTree()) {
    self.init(tree: tree, clock: { SystemClock.monotonicRawNanoseconds() }) {
      () throws(PlatformError) -> Engine in
      let choice = try BackEndProbe.choose(wanted: wanted, tree: tree)
      let source: any AccessSource
      let feed: SampleFeed
      if choice.backEnd == .pebs {
        let precise = try PreciseSource(followsChildren: false, tree: tree)
        (source, feed) = (precise, precise.feed)
      } else {
        let timer = try TimerSource(followsChildren: false, tree: tree)
        (source, feed) = (timer, timer.feed)
      }
      let account = Accountant(
        of: source, by: .process, ledger: Ledger(rowCountMax: 16_384),
        classifier: MappingClassifier(tree: tree), tree: tree)
      return Engine(choice: choice, account: account) {
        (process: Int32) throws(PlatformError) in
        try feed.sampler.add(process: process)
      } remove: {
        feed.sampler.remove(process: $0)
      }
    }
  }

  package init(
    tree: SystemTree, clock: @escaping () -> Int64,
    makeEngine: @escaping () throws(PlatformError) -> Engine
  ) {
    self.tree = tree
    self.clock = clock
    self.makeEngine = makeEngine
  }

  // MARK: What it is

  /// What its figures are; nil while nobody was sampled.
  public var backEnd: BackEnd? { engine?.choice.backEnd }

  /// What it samples and what became of the samples.
  public var sampling: Figure<WatchedSampling> {
    if let engine {
      return .known(
        WatchedSampling(
          backEnd: engine.choice.backEnd, memory: memory(of: engine),
          losses: engine.account.source.losses))
    }
    if let failure { return .unavailable(failure.error.reason) }
    return .unavailable("no program to sample was found: none maps slow memory")
  }

  /// How long samples may lie; those of precise events fill a ring sooner.
  public var tendNanoseconds: Int64? {
    guard let engine, !followed.isEmpty else { return nil }
    return engine.choice.backEnd == .pebs ? 20_000_000 : 100_000_000
  }

  private func memory(of engine: Engine) -> WatchedSampling.Memory {
    engine.account.classifier.hasSlowMemory ? .slow : .all
  }

  // MARK: Whom it follows

  /// Follows these processes from now on, and no others.
  public mutating func follow(_ processes: [Int32]) {
    let now = clock()
    tend()
    var wanted: [Int32: UInt64] = [:]
    for process in processes {
      guard let facts = ProcessFacts.read(process: process, from: tree), !facts.hasEnded else {
        continue
      }
      wanted[process] = facts.startTicks
    }
    // Whoever has another's number by now is somebody else.
    let leaving = followed.filter { wanted[$0.key] != $0.value }
    refused = refused.filter { wanted[$0.key] == $0.value.startTicks }
    if !leaving.isEmpty {
      for process in leaving.keys {
        engine?.remove(process)
        followed[process] = nil
      }
      // What they left in the rings must not bring them back.
      engine?.account.drain(now: now)
    }
    for (process, startTicks) in wanted.sorted(by: { $0.key < $1.key })
    where followed[process] == nil { add(process, startTicks, now: now) }
    let kept = followed
    engine?.account.keep { kept[$0.process] == $0.startTicks }
    sums = nil
  }

  private mutating func add(_ process: Int32, _ startTicks: UInt64, now: Int64) {
    if let refusal = refused[process], now - refusal.triedNanoseconds < Self.retryNanoseconds {
      return
    }
    guard prepare(now: now) else { return }
    do throws(PlatformError) {
      try engine?.add(process)
      engine?.account.watch(process, now: now)
      followed[process] = startTicks
      refused[process] = nil
    } catch {
      // One that is gone is no blind spot.
      guard error.code != .notFound else { return }
      refused[process] = Refusal(startTicks: startTicks, error: error, triedNanoseconds: now)
    }
  }

  /// Opens what is needed the first time that somebody is to be followed.
  private mutating func prepare(now: Int64) -> Bool {
    if engine != nil { return true }
    if let failure, now - failure.triedNanoseconds < Self.retryNanoseconds { return false }
    do throws(PlatformError) {
      engine = try makeEngine()
      failure = nil
    } catch {
      failure = (error, now)
    }
    return engine != nil
  }

  // MARK: What was seen

  /// Takes in what was sampled.
  public mutating func tend() {
    let now = clock()
    engine?.account.drain(now: now)
    sums = nil
  }

  /// What a process stored and loaded since it was followed first.
  public mutating func account(
    ofProcess process: Int32
  ) -> (
    written: Figure<Estimate>, read: Figure<Estimate>
  ) {
    guard let engine, followed[process] != nil else {
      let reason = reasonWithout(process)
      return (.unavailable(reason), .unavailable(reason))
    }
    if sums == nil { sums = Self.sum(engine.account.ledger, memory(of: engine)) }
    let row = sums?[process] ?? LedgerRow()
    let total = engine.account.ledger.total
    // Where nothing came yet, a sample would weigh what others do, or what the first one will.
    let first = Self.firstWeight(engine.choice.backEnd)
    let weight = total.written.count > 0 ? total.written.typicalWeight : first
    let readWeight = total.read.count > 0 ? total.read.typicalWeight : weight
    return (
      .known(row.written.estimate(isExact: false, typicalWeight: weight)),
      .known(row.read.estimate(isExact: false, typicalWeight: readWeight))
    )
  }

  private static func sum(
    _ ledger: Ledger, _ memory: WatchedSampling.Memory
  ) -> [Int32: LedgerRow] {
    var sums: [Int32: LedgerRow] = [:]
    for (key, row) in ledger.rows where memory == .all || key.mapping.kind.isSlow {
      sums[key.task.process, default: LedgerRow()].add(row)
    }
    return sums
  }

  private static func firstWeight(_ backEnd: BackEnd) -> Double {
    // Eight bytes are what most instructions store.
    backEnd == .pebs
      ? 8 * Double(PreciseSource.defaultEventCount) : Double(TimerSource.defaultNanoseconds)
  }

  private func reasonWithout(_ process: Int32) -> String {
    if let refusal = refused[process] {
      return refusal.error.reason.replacing("process \(process)", with: "it")
    }
    if let failure { return failure.error.reason }
    return "it maps no slow memory and was not named, so that it is not sampled"
  }

  // MARK: What it cannot see

  /// What it cannot see, as sentences that name the remedy.
  public var blindSpots: [String] {
    var spots: [String] = []
    if let failure {
      spots.append("Programs are not sampled: \(failure.error.reason); \(failure.error.nextStep).")
    }
    var reasons: [String: (count: Int, nextStep: String)] = [:]
    for (process, refusal) in refused {
      let reason = refusal.error.reason.replacing("process \(process)", with: "them")
      reasons[reason, default: (0, refusal.error.nextStep)].count += 1
    }
    for (reason, entry) in reasons.sorted(by: { $0.key < $1.key }) {
      let programs = entry.count == 1 ? "1 program is" : "\(entry.count) programs are"
      spots.append("\(programs) not sampled: \(reason); \(entry.nextStep).")
    }
    guard let engine, !followed.isEmpty else { return spots }
    return spots + cautions(of: engine) + losses(of: engine)
  }

  private func cautions(of engine: Engine) -> [String] {
    var spots: [String] = []
    if engine.choice.backEnd == .timer {
      spots.append(
        "Source timer measures time-weighted store cost, the CPU time of samples at stores: it "
          + "ranks programs and counts no bytes.")
    }
    for missed in engine.choice.passedOver {
      spots.append(
        "Source \(missed.backEnd.rawValue) is not used: \(missed.reason); \(missed.nextStep).")
    }
    if memory(of: engine) == .all {
      spots.append("As no slow memory was found, sampled is what programs do to all memory.")
    }
    return spots
  }

  private func losses(of engine: Engine) -> [String] {
    let losses = engine.account.source.losses
    var spots: [String] = []
    if losses.lostCount > 0 {
      spots.append(
        "\(losses.lostCount) samples were lost in the kernel's rings, beside "
          + "\(losses.sampleCount) that were taken: figures are that much too low.")
    }
    if losses.throttleCount > 0 {
      spots.append(
        "The kernel held sampling back \(losses.throttleCount) times: figures are too low. A "
          + "higher kernel.perf_event_max_sample_rate avoids it.")
    }
    if losses.sampleCount >= Self.tellingCount, let share = losses.resolvedShare,
      share < Self.resolvedShareMin
    {
      let percent = Int((share * 100).rounded())
      spots.append(
        "Of the samples \(percent) % could be told to be at an access; the rest is in no figure.")
    }
    if engine.account.ledger.foldedCount > 0 {
      spots.append(
        "\(engine.account.ledger.foldedCount) samples found no row of their own: there are too "
          + "many mappings.")
    }
    return spots
  }
}
