// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
public import ArbiterPlacement

// The samples of a recording are taken for the truth. Each stands for time that threads spent at an
// access while it lay in one memory; had it lain in the other, it had cost the other's latency
// instead, so its time is scaled by the ratio of both. Samples come at their recorded times,
// whatever the policy makes of them: a faster placement does not make the program ask sooner.

/// A policy on the samples of a session that was recorded.
public struct TierReplay {
  private static let lineBytes = Double(TierMemory.lineBytes)

  private let recording: TierRecording
  private let machine: TierMachine
  private var policy: any PlacementPolicy
  private let mechanism: TierMechanism
  private var mover: TierMover
  private var table = ChunkTable()
  /// The placement of the session itself, by which the samples' times came about.
  private var recordedSlow: [Int: IslandSet] = [:]
  private var nextStep: Int64 = 0
  private var newFastBytes = 0
  private var period: Int64
  private var recent = RecentTimes()
  /// Numbers in the table by those of the recording.
  private var numbers: [Int: Int] = [:]
  private var outcome = TierOutcome()
  private var (time, hits, pointAccesses, pointHits, pointBegin) = (0.0, 0.0, 0.0, 0.0, 0.0)

  /// Prepares a replay; `fastBytes` is the recorded session's unless given.
  public init(
    _ recording: TierRecording, policy: any PlacementPolicy, mechanism: TierMechanism,
    fastBytes: Int? = nil
  ) {
    self.recording = recording
    self.policy = policy
    self.mechanism = mechanism
    let tiers = recording.header.tiers
    machine = TierMachine(recorded: tiers, fastBytes: fastBytes ?? tiers.fastBytes)
    mover = TierMover(machine: machine, mechanism: mechanism, chunkCount: 0)
    period = recording.header.samplingPeriodNanoseconds
  }

  /// Runs the recording.
  ///
  /// - Parameter progress: Told the share of the recording that is done; false ends the run.
  /// - Returns: What it came to; its seconds are thread time at accesses and waits, not wall time.
  public mutating func run(progress: (Double) -> Bool = { _ in true }) -> TierOutcome {
    let quantum = TierSimulation.quantumNanoseconds
    let end = recording.durationNanoseconds
    var next = recording.events[...]
    var now: Int64 = 0
    while now < end || !next.isEmpty {
      now += quantum
      let moved = mover.run(nanoseconds: Double(quantum))
      finish(moved)
      while let event = next.first, event.timeNanoseconds <= now {
        next.removeFirst()
        take(event.kind, at: event.timeNanoseconds)
      }
      if now >= nextStep, !(mechanism.isSynchronous && !mover.isIdle) { decide(now) }
      let seconds = Double(now) * 1e-9
      if now % (quantum * Int64(TierSimulation.quantaPerPoint)) == 0 { closePoint(seconds) }
      guard progress(end > 0 ? Double(now) / Double(end) : 1) else { return closed(false, seconds) }
    }
    return closed(true, Double(now) * 1e-9)
  }

  private mutating func closed(_ isComplete: Bool, _ seconds: Double) -> TierOutcome {
    closePoint(seconds)
    outcome.isComplete = isComplete
    outcome.seconds = time * 1e-9 + outcome.stallSeconds
    outcome.hitShare = outcome.accesses > 0 ? hits / outcome.accesses : 0
    outcome.promotedBytes = Double(mover.promotedBytes)
    outcome.demotedBytes = Double(mover.demotedBytes)
    outcome.migrationCount = mover.migrationCount
    return outcome
  }

  private mutating func closePoint(_ seconds: Double) {
    if pointAccesses > 0, seconds > pointBegin {
      outcome.course.append(
        TierOutcome.Point(
          seconds: seconds, hitShare: pointHits / pointAccesses, hotShare: nil,
          accessesPerSecond: pointAccesses / (seconds - pointBegin),
          migratedBytes: Double(mover.promotedBytes + mover.demotedBytes)))
    }
    (pointAccesses, pointHits, pointBegin) = (0, 0, seconds)
  }

  private mutating func take(_ kind: TierEvent.Kind, at now: Int64) {
    switch kind {
    case .chunk(let number, let chunk): place(number, chunk)
    case .gone(let number):
      guard let own = numbers.removeValue(forKey: number) else { return }
      recordedSlow[number] = nil
      mover.release(own)
      table.remove(own)
      policy.forget(chunk: own)
    case .sample(let sample): record(sample, at: now)
    case .outcome(let outcome) where outcome.status == .moved:
      let (number, islands) = (Int(outcome.migration.chunk), outcome.migration.islands)
      guard let slow = recordedSlow[number] else { return }
      recordedSlow[number] =
        outcome.migration.destination == .slow ? slow.union(islands) : slow.subtracting(islands)
    case .period(let nanoseconds): period = nanoseconds
    case .decision, .outcome, .end: break
    }
  }

  /// A chunk came, or what lies behind it changed: new islands go where this placement has room.
  private mutating func place(_ number: Int, _ chunk: ManagedChunk) {
    recordedSlow[number] = chunk.slowIslands
    let own = numbers[number] ?? table.insert(chunk)
    numbers[number] = own
    mover.release(own, keeping: chunk.presentIslands.rawValue)
    newFastBytes += mover.populate(own, islands: chunk.presentIslands.rawValue)
    guard var known = table[own] else { return }
    known.slowIslands = IslandSet(rawValue: mover.slow[own])
    known.presentIslands = chunk.presentIslands
    known.isMovable = chunk.isMovable
    table[own] = known
  }

  private mutating func record(_ sample: TierSample, at now: Int64) {
    let number = Int(sample.chunk)
    guard let own = numbers[number], let before = recordedSlow[number] else { return }
    let island = IslandSet(island: Int(sample.island))
    let wasSlow = !before.isDisjoint(with: island)
    let isSlow = mover.slow[own] & island.rawValue != 0
    func cost(_ isSlow: Bool) -> Double {
      let memory = isSlow ? machine.slow : machine.fast
      return memory.nanoseconds(isSequential: false, storeShare: sample.isStore ? 1 : 0)
    }
    // In accesses, whatever the unit of the recording: what a placement cannot change.
    let unit = recording.header.weightUnit
    let accesses =
      switch unit {
      case .accesses: Double(sample.weight)
      case .nanoseconds: Double(sample.weight) / cost(wasSlow)
      case .fastNanoseconds: Double(sample.weight) / cost(false)
      }
    let spent = accesses * cost(isSlow)
    time += spent
    outcome.accesses += accesses
    if !isSlow { hits += accesses }
    pointAccesses += accesses
    if !isSlow { pointHits += accesses }
    if isSlow && sample.isStore { outcome.programWriteBytes += accesses * Self.lineBytes }
    outcome.sampleCount += 1
    recent.add(spent, chunk: own, at: now)
    var given = sample
    given.chunk = Int32(own)
    // A timer sees an access the longer the longer it takes: a sample of what lies elsewhere now
    // stands for another time.
    if unit != .accesses { given.weight = Float(spent) }
    policy.record(given)
  }

  private mutating func finish(_ moved: TierMover.Progress) {
    var outcomes = moved.outcomes
    for hold in moved.holds {
      table[hold.chunk]?.slowIslands = IslandSet(rawValue: mover.slow[hold.chunk])
      let threads = recent.threads
      guard threads > 0 else { continue }
      // Accesses of one thread to the chunk per nanosecond of its time.
      let rate =
        recent.share(ofChunk: hold.chunk) * Double(hold.islands.nonzeroBitCount) / 64
        / machine.slow.timing.loadNanoseconds
      let wait = hold.wait(accessesPerNanosecond: rate)
      outcome.stallSeconds += threads * wait.nanoseconds * 1e-9
      outcomes[hold.outcomeIndex].stallCount += Int(threads * wait.share)
    }
    for outcome in outcomes { policy.complete(outcome) }
  }

  private mutating func decide(_ now: Int64) {
    nextStep = now + max(1, policy.stepNanoseconds)
    var migrations: [Migration] = []
    let view = PlacementView(
      timeNanoseconds: now, chunks: table, tiers: machine.pair,
      samplingPeriodNanoseconds: period, newFastBytes: newFastBytes,
      sampleUnit: recording.header.weightUnit == .accesses ? .accesses : .time)
    policy.step(view, into: &migrations)
    newFastBytes = 0
    for migration in migrations where !mover.submit(migration) {
      policy.complete(MigrationOutcome(migration, status: .busy))
    }
  }
}

/// What was accessed during the last second: the time at each chunk.
private struct RecentTimes {
  private static let windowNanoseconds: Int64 = 1_000_000_000

  private var last: [Int: Double] = [:]
  private var current: [Int: Double] = [:]
  private var lastSum = 0.0
  private var currentSum = 0.0
  private var begin: Int64 = 0

  mutating func add(_ time: Double, chunk: Int, at now: Int64) {
    if now - begin >= Self.windowNanoseconds {
      (last, lastSum, begin) = (current, currentSum, now)
      (current, currentSum) = ([:], 0)
    }
    current[chunk, default: 0] += time
    currentSum += time
  }

  /// Threads that were at accesses at once.
  var threads: Double { lastSum / Double(Self.windowNanoseconds) }

  func share(ofChunk chunk: Int) -> Double {
    lastSum > 0 ? (last[chunk] ?? 0) / lastSum : 0
  }
}
