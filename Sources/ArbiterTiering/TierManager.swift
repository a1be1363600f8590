// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0
//
// A session: samples -> chunks -> the policy -> migrations -> what became of them.
//
// M1  No failure in here ends a program or the session: what is refused is told once, and what was
//     placed stays where it is.
// M2  Each decision of the policy has one outcome that it is told, also where it was never queued.
// M3  A number is forgotten by the policy before anybody uses it again.
// M4  Nothing waits: a step drains, decides, submits and returns.

public import ArbiterPlacement
public import ArbiterPlatform
internal import ArbiterProfiler
internal import CArbiter
internal import Glibc

/// Places the memory of a program and of what it starts, for as long as it runs.
///
/// Belongs to one thread: every call comes from there.
public final class TierManager {
  /// How the session works, and why so.
  public let probe: TierProbe

  let configuration: TierConfiguration
  let observer: (any TierObserver)?
  var backEnd: any TierBackEnd
  var tracker: SampleTracker?
  var trackerFailure: String?
  var policy: any PlacementPolicy
  var table = ChunkTable()
  var tiers: TierPair
  var tally = TierTally()
  var hits = HitShare()
  var costs = MigrationCosts()
  var remarks = RemarkList()
  let beganNanoseconds = SystemClock.monotonicRawNanoseconds()

  /// How much lay where before the last program ended: what a finished session shows.
  var lastPlacement = (fast: UInt64(0), slow: UInt64(0))
  /// The most bytes that were managed at a time.
  var managedBytesMax: UInt64 = 0
  /// Why no library can be put into the program; nil where nothing is known against it.
  var obstacle: String?
  /// Whether the heap is the program's too, and its growth tells nothing.
  var isInOwnProcess = false
  /// Bytes of the heap before anything was managed.
  var heapBytesBefore: UInt64 = 0

  /// What proves chunks idle; nil where nothing does.
  var idle: (any IdleEvidence)?
  private var nextIdleLook: Int64 = 0

  let preload: TierPreload?
  let file: FileBackEnd?
  private var decisions: [Migration] = []
  private var outcomes: [MigrationOutcome] = []
  private var openCount = 0
  private var nextStep: Int64 = 0
  private var nextLook: Int64 = 0
  /// The most chunks that there were.
  private var chunkCountMax = 0
  /// Chunks as the observer knows them.
  private var shown: [ManagedChunk?] = []
  private var fastBytesBefore = 0
  private var movedBytesSince = 0
  private(set) var isFinished = false

  /// Time between two looks at samples and chunks: short while something moves.
  private static let lookNanoseconds: Int64 = 10_000_000
  private static let idleLookNanoseconds: Int64 = 500_000_000
  private static let calmLookNanoseconds: Int64 = 40_000_000
  /// Time between two looks for what became of migrations.
  private static let outcomeNanoseconds: Int64 = 4_000_000

  /// Prepares a session; no program runs yet.
  ///
  /// - Parameters:
  ///   - configuration: What is placed, where and how.
  ///   - probe: How; of the same configuration.
  ///   - observer: Who is told of everything; nil for nobody.
  ///   - libraryOverride: The value of ``TierPreload/variable``; nil where it is not set.
  ///   - tree: Where the kernel describes the machine.
  /// - Throws: ``PlatformError`` where slow memory or the library cannot be had.
  public convenience init(
    _ configuration: TierConfiguration, probe: TierProbe, observer: (any TierObserver)? = nil,
    libraryOverride: String? = nil, tree: SystemTree = SystemTree()
  ) throws(PlatformError) {
    var preload: TierPreload?
    let backEnd: any TierBackEnd
    switch (probe.backEnd, configuration.slow, probe.places) {
    case (.file, .path(let path), _):
      preload = try TierPreload(
        managesHeaps: configuration.managesHeaps, override: libraryOverride,
        executable: TierPreload.ownExecutable, tree: tree)
      backEnd = try FileBackEnd(
        fastBytes: configuration.fastBytes, path: path, slowBytes: configuration.slowBytes,
        options: FileBackEnd.options(configuration, probe), tree: tree)
    case (.numa, _, let places?): backEnd = try NumaBackEnd(places: places, tree: tree)
    default:
      throw PlatformError(
        .invalidArgument, reason: "the session was probed for other slow memory",
        nextStep: "probe the configuration that is used")
    }
    self.init(
      configuration, probe: probe, backEnd: backEnd, preload: preload, observer: observer)
    openTracker(tree)
    // From outside nothing else tells what a program leaves alone; inside, the mover's faults would
    // count as the program's.
    if probe.backEnd == .numa { idle = try? ReferencedScan(tree: tree) }
    if configuration.managesHeaps, let preload, preload.allocator == nil {
      remarks.add(
        "heaps are not managed: there is no \(TierPreload.allocatorName); install Debian's package "
          + "libjemalloc2")
    }
  }

  /// A session on a back-end of the caller's.
  package init(
    _ configuration: TierConfiguration, probe: TierProbe, backEnd: any TierBackEnd,
    preload: TierPreload? = nil, observer: (any TierObserver)? = nil
  ) {
    self.configuration = configuration
    self.probe = probe
    self.backEnd = backEnd
    self.preload = preload
    self.observer = observer
    file = backEnd as? FileBackEnd
    policy = configuration.policy
    tiers = TierPair(
      fastBytes: Int(clamping: configuration.fastBytes), fast: .dram, slow: probe.slowTiming,
      migrationNanoseconds: costs.usual)
    heapBytesBefore = Self.heapBytes
    if policy.scanNanoseconds != nil {
      remarks.add(
        "policy \(policy.name) asks for scans of page tables, which a running program is not "
          + "subjected to: it sees samples alone")
    }
  }

  /// Opens what samples; without it memory is placed where it first falls.
  package func openTracker(_ tree: SystemTree) {
    do throws(PlatformError) {
      tracker = try SampleTracker(
        probe.tracker, period: policy.samplingPeriodNanoseconds,
        eventCount: policy.eventsPerSample, tree: tree)
      if let note = tracker?.note { remarks.add(note) }
      heapBytesBefore = Self.heapBytes
    } catch {
      trackerFailure = error.reason
      remarks.add("accesses are not tracked, and nothing is moved: \(error)")
    }
  }

  // MARK: A step

  /// Does what is due: takes in samples and outcomes, decides, submits.
  ///
  /// - Returns: Nanoseconds after which it is to be called again, at most.
  @discardableResult
  public func step() -> Int64 {
    guard !isFinished else { return Int64.max }
    let began = SystemClock.threadCPUNanoseconds()
    defer {
      tally.trackerNanoseconds += UInt64(max(0, SystemClock.threadCPUNanoseconds() - began))
    }
    let now = SystemClock.monotonicRawNanoseconds() - beganNanoseconds
    takeOutcomes(now)
    if now >= nextLook {
      refresh(now)
      drain(now)
      let isCalm = openCount == 0 && (tracker?.periodNanoseconds ?? 0) >= 4_000_000
      nextLook = now + (isCalm ? Self.calmLookNanoseconds : Self.lookNanoseconds)
    }
    if idle != nil, now >= nextIdleLook {
      lookForIdle(now)
      nextIdleLook = now + Self.idleLookNanoseconds
    }
    if now >= nextStep {
      decide(now)
      nextStep = now + max(1_000_000, policy.stepNanoseconds)
    }
    for remark in backEnd.takeRemarks() { remarks.add(remark) }
    let next = min(nextLook, nextStep) - now
    return max(500_000, openCount > 0 ? min(next, Self.outcomeNanoseconds) : next)
  }

  private func takeOutcomes(_ now: Int64) {
    var table = take()
    backEnd.takeOutcomes(&table) { outcomes.append($0) }
    self.table = table
    for outcome in outcomes { complete(outcome, now, wasQueued: true) }
    outcomes.removeAll(keepingCapacity: true)
  }

  /// The table, alone: what is changed while others hold it is copied.
  private func take() -> ChunkTable {
    defer { table = ChunkTable() }
    return table
  }

  private func complete(_ outcome: MigrationOutcome, _ now: Int64, wasQueued: Bool) {
    if wasQueued { openCount = max(0, openCount - 1) }
    tally.record(outcome)
    costs.record(outcome, at: now)
    if outcome.status == .moved {
      movedBytesSince +=
        outcome.migration.destination == .fast ? outcome.bytesCopied : -outcome.bytesCopied
    }
    policy.complete(outcome)
    guard let observer else { return }
    let number = Int(outcome.migration.chunk)
    if outcome.status == .moved, shown.indices.contains(number) {
      shown[number]?.note(outcome.migration)
    }
    observer.completed(outcome, of: table[number], time: now)
  }

  private func refresh(_ now: Int64) {
    var table = take()
    backEnd.refresh(&table) { number in
      policy.forget(chunk: number)
      idle?.forget(chunk: number)
      if shown.indices.contains(number), shown[number] != nil {
        shown[number] = nil
        observer?.vanished(number, time: now)
      }
    }
    self.table = table
    if table.count > chunkCountMax {
      // Here and not at decisions, which a short program may not live to see.
      chunkCountMax = table.count
      let (fast, slow) = placement
      managedBytesMax = max(managedBytesMax, fast + slow)
    }
    show(now)
  }

  /// Tells the observer what is new, and what is not as migrations have left it.
  private func show(_ now: Int64) {
    guard let observer else { return }
    while shown.count < table.capacity { shown.append(nil) }
    table.forEach { number, chunk in
      guard let known = shown[number] else {
        shown[number] = chunk
        return observer.appeared(number, chunk, time: now)
      }
      guard known != chunk else { return }
      shown[number] = chunk
      observer.changed(number, chunk, time: now)
    }
  }

  private func drain(_ now: Int64) {
    hits.advance(to: now)
    guard let tracker else { return }
    tracker.drain { access in
      guard let address = access.address,
        let number = table.index(process: access.process, address: address),
        let chunk = table[number]
      else { return }
      let offset = Int(address % UInt64(TierUnit.chunkBytes))
      let island = offset / TierUnit.islandBytes
      let sample = TierSample(
        chunk: Int32(number), island: UInt8(island), isStore: access.isStore,
        weight: Float(access.weight))
      tally.managedSampleCount += 1
      hits.record(
        weight: access.weight, isFast: !chunk.slowIslands.contains(IslandSet(island: island)))
      policy.record(sample)
      observer?.sampled(sample, process: access.process, address: address, time: now)
    }
  }

  private func lookForIdle(_ now: Int64) {
    idle?.look(at: table, now: now) { number, islands, nanoseconds in
      policy.recordIdle(chunk: number, islands: islands, forNanoseconds: nanoseconds)
    }
    for remark in idle?.takeRemarks() ?? [] { remarks.add(remark) }
  }

  private func decide(_ now: Int64) {
    tiers.migrationNanoseconds = costs.migrationNanoseconds(
      bytesPerSecond: min(
        tiers.slow.readBytesPerSecond, tiers.slow.writeBytesPerSecond,
        AdaptiveParameters().copyBytesPerSecond), at: now)
    if table.count > 0 { lastPlacement = placement }
    let fastBytes = table.fastBytes
    let newBytes = max(0, fastBytes - fastBytesBefore - movedBytesSince)
    (fastBytesBefore, movedBytesSince) = (fastBytes, 0)
    decisions.removeAll(keepingCapacity: true)
    do {
      let view = PlacementView(
        timeNanoseconds: now, chunks: table, tiers: tiers,
        samplingPeriodNanoseconds: tracker?.periodNanoseconds ?? policy.samplingPeriodNanoseconds,
        newFastBytes: newBytes, sampleUnit: weightUnit == .nanoseconds ? .time : .accesses,
        moveUnit: backEnd.moveUnit)
      policy.step(view, into: &decisions)
    }
    let isMoving = probe.staticReason == nil
    for migration in decisions {
      guard let chunk = table[Int(migration.chunk)], isMoving, chunk.isMovable else {
        complete(
          MigrationOutcome(migration, status: isMoving ? .stale : .busy), now, wasQueued: false)
        continue
      }
      if backEnd.submit(migration, of: chunk) {
        openCount += 1
        observer?.decided(migration, of: chunk, time: now)
      } else {
        complete(MigrationOutcome(migration, status: .busy), now, wasQueued: false)
      }
    }
    tracker?.select(periodNanoseconds: policy.samplingPeriodNanoseconds, now: now)
  }

  /// What weights of samples stand for.
  ///
  /// A timer meets memory that is slower more often. Where slow memory is DRAM that stands for it,
  /// it does not: an access takes as long in either, and counts the same.
  public var weightUnit: TierWeightUnit {
    guard probe.tracker.measure == .timeWeightedStoreCost else { return .accesses }
    return file?.slow.holder == .tmpfs ? .fastNanoseconds : .nanoseconds
  }

  // MARK: The end

  /// What is to be told since the last call, one line each.
  public func takeRemarks() -> [String] { remarks.take() }

  /// Stops sampling and moving, and lets the programs be: what was placed stays where it is.
  ///
  /// The reading stays as it was. A second call does nothing.
  public func finish() {
    guard !isFinished else { return }
    let now = SystemClock.monotonicRawNanoseconds() - beganNanoseconds
    drain(now)
    takeOutcomes(now)
    for remark in backEnd.takeRemarks() { remarks.add(remark) }
    tally.losses = tracker?.losses ?? tally.losses
    tally.endNanoseconds = now
    tally.trackerNanoseconds += idle?.cpuNanoseconds ?? 0
    tracker?.stop()
    idle = nil
    backEnd.stop()
    isFinished = true
  }
}
