// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlacement

// One stream with one contender, in steps of a quantum. During a quantum the placement and the mix
// stand still, but for migrations, which take effect at its start and hold up threads in it:
//
//   mix of the stream -> migrations of the mover -> flow of the threads -> samples -> policy
//
// A thread that comes to islands on their way waits for the rest of the copy.

/// Runs of streams over two tiers in virtual time.
public struct TierSimulation: Sendable {
  /// Length of a quantum, in nanoseconds.
  static let quantumNanoseconds: Int64 = 10_000_000
  /// Quanta of an interval of the course.
  static let quantaPerPoint = 20
  /// How many times longer than in fast memory alone a run may take.
  static let slownessMax = 40.0

  let machine: TierMachine
  let kind: TierStreamKind
  let size: TierStreamSize
  let seed: UInt64

  /// Makes a simulation.
  ///
  /// - Parameters:
  ///   - kind: What the program does.
  ///   - machine: What it runs on.
  ///   - footprintBytes: Bytes of the program.
  ///   - hotBytes: Bytes of its hot data.
  ///   - seconds: How long the work takes where everything lies in fast memory.
  ///   - seed: Source of all randomness.
  public init(
    _ kind: TierStreamKind, on machine: TierMachine, footprintBytes: Int, hotBytes: Int,
    seconds: Double, seed: UInt64
  ) {
    self.kind = kind
    self.machine = machine
    self.seed = seed
    size = TierStreamSize(
      footprintBytes: footprintBytes, hotBytes: hotBytes, threads: machine.threads,
      accesses: Self.work(
        kind, on: machine, footprintBytes: footprintBytes, hotBytes: hotBytes, seconds: seconds))
    limit = seconds * Self.slownessMax
  }

  private let limit: Double

  /// Accesses that the threads do in a time with everything in fast memory.
  private static func work(
    _ kind: TierStreamKind, on machine: TierMachine, footprintBytes: Int, hotBytes: Int,
    seconds: Double
  ) -> Double {
    // The mix at the start tells the rate; streams that change are measured phase by phase.
    let size = TierStreamSize(
      footprintBytes: footprintBytes, hotBytes: hotBytes, threads: machine.threads, accesses: 1e9)
    var stream = kind.stream(size, seed: 1)
    let pieces = 30
    var time = 0.0
    for piece in 0..<pieces {
      let mix = stream.mix(
        done: 1e9 * (Double(piece) + 0.5) / Double(pieces), next: 1e9 / Double(pieces) / 2)
      let costs = mix.parts.map { PartCost($0, fastShare: 1, on: machine) }
      let flow = TierFlow(costs, threads: Double(machine.threads), fastFree: 1, slowFree: 1)
      time += 1 / Double(pieces) / flow.accessesPerSecond
    }
    return seconds / time
  }

  /// Runs the work with a contender.
  ///
  /// - Parameters:
  ///   - contender: Who decides where data lies.
  ///   - progress: Told the share of the work that is done; false from it ends the run.
  /// - Returns: What it came to; of an ended run, what was done until then.
  public func run(
    _ contender: TierContender, progress: (Double) -> Bool = { _ in true }
  ) -> TierOutcome {
    let stream = kind.stream(size, seed: seed)
    switch contender.kind {
    case .memoryMode:
      var run = MemoryModeRun(machine: machine, stream: stream, size: size)
      return run.outcome(limit: limit, progress: progress)
    case .oracle:
      var run = TierRun(
        machine: machine, stream: stream, size: size, mechanism: .arbiter,
        oracle: TierOracle(machine: machine), seed: seed)
      return run.outcome(limit: limit, progress: progress)
    case .policy(let make, let mechanism):
      var run = TierRun(
        machine: machine, stream: stream, size: size, mechanism: mechanism,
        policy: make(seed), seed: seed)
      return run.outcome(limit: limit, progress: progress)
    }
  }
}

/// A run under way.
struct TierRun {
  private let machine: TierMachine
  private var stream: any TierStream
  private let size: TierStreamSize
  /// Who decides, unless the oracle does.
  ///
  /// Taken out while it is used: held twice, it would be copied.
  private var policy: (any PlacementPolicy)?
  private var oracle: TierOracle?
  private var mover: TierMover
  private var sampler: TierSampler
  private var table = ChunkTable()
  private var recorder: CourseRecorder
  private var pending: ArraySlice<Migration> = []
  private var nextStep: Int64 = 0
  private var nextScan: Int64 = 0
  private var period: Int64 = 1_000_000
  private var time: Int64 = 0
  private var rate = 0.0
  /// Length of the last quantum in nanoseconds, which may have been cut.
  private var elapsed = Double(TierSimulation.quantumNanoseconds)
  /// Samples per second of a thread.
  private var samplingLoad = 0.0
  private var costs: [PartCost] = []
  private var costKey = (mix: Int.min, placement: Int.min)

  init(
    machine: TierMachine, stream: any TierStream, size: TierStreamSize, mechanism: TierMechanism,
    policy: (any PlacementPolicy)? = nil, oracle: TierOracle? = nil, seed: UInt64
  ) {
    self.machine = machine
    self.stream = stream
    self.size = size
    self.policy = policy
    self.oracle = oracle
    mover = TierMover(machine: machine, mechanism: mechanism, chunkCount: stream.chunkCount)
    sampler = TierSampler(seed: seed)
    recorder = CourseRecorder(quantaPerPoint: TierSimulation.quantaPerPoint)
    for (chunk, islands) in mover.slow.enumerated() {
      table.insert(
        ManagedChunk(
          process: 1, address: UInt64(chunk + 1) * UInt64(TierUnit.chunkBytes),
          slowIslands: IslandSet(rawValue: islands)))
    }
    if let policy { period = policy.samplingPeriodNanoseconds }
  }

  mutating func outcome(limit: Double, progress: (Double) -> Bool) -> TierOutcome {
    let quantum = Double(TierSimulation.quantumNanoseconds)
    var outcome = TierOutcome()
    var done = 0.0
    rate = Double(machine.threads) / machine.slow.timing.loadNanoseconds * 1e9
    while done < size.accesses, Double(time) < limit * 1e9 {
      let mix = stream.mix(done: done, next: max(1, rate * quantum * 1e-9))
      let moved = mover.run(nanoseconds: elapsed)
      let (flow, share) = flow(mix, moved, &outcome)
      let wanted = flow.accessesPerSecond * quantum * 1e-9
      // The quantum is cut where the mix ends, at least at one access so that the work ends.
      let accesses = min(wanted, size.accesses - done, max(1, mix.accessesLeft.rounded(.up)))
      let part = accesses / wanted
      done += accesses
      elapsed = max(1, quantum * part)
      time += Int64(elapsed)
      outcome.programWriteBytes += flow.slowWriteBytesPerSecond * quantum * 1e-9 * part
      recorder.add(
        &outcome, accesses: accesses, hits: accesses * flow.hitShare, seconds: Double(time) * 1e-9,
        mix: mix, costs: costs, movedBytes: Double(mover.promotedBytes + mover.demotedBytes))
      sample(mix, flow, accesses: accesses, cpuNanoseconds: share * quantum * part, &outcome)
      decide(mix)
      rate = flow.accessesPerSecond
      if !progress(done / size.accesses) { break }
    }
    finish(&outcome, done: done)
    return outcome
  }

  private mutating func finish(_ outcome: inout TierOutcome, done: Double) {
    outcome.isComplete = done >= size.accesses
    outcome.accesses = done
    outcome.seconds = Double(time) * 1e-9
    outcome.promotedBytes = Double(mover.promotedBytes)
    outcome.demotedBytes = Double(mover.demotedBytes)
    outcome.migrationCount = mover.migrationCount
    recorder.finish(&outcome)
  }

  /// The flow of the threads while migrations hold some of them up, and the threads that ran.
  private mutating func flow(
    _ mix: AccessMix, _ moved: TierMover.Progress, _ outcome: inout TierOutcome
  ) -> (TierFlow, threads: Double) {
    if costKey != (mix.version, mover.version) {
      costKey = (mix.version, mover.version)
      costs = mix.parts.map {
        PartCost($0, fastShare: $0.fastShare(slow: mover.slow), on: machine)
      }
    }
    // What was moved took the time of the quantum before; the next is about as long.
    let seconds = elapsed * 1e-9
    let (up, down) = (Double(moved.promotedBytes), Double(moved.demotedBytes))
    let (fast, slow) = (machine.fast.timing, machine.slow.timing)
    let fastUse = (up / fast.writeBytesPerSecond + down / fast.readBytesPerSecond) / seconds
    let slowUse = (up / slow.readBytesPerSecond + down / slow.writeBytesPerSecond) / seconds
    // A copy may take longer than a quantum, and is booked where it began.
    let (fastFree, slowFree) = (max(0.25, 1 - fastUse), max(0.25, 1 - slowUse))
    let all = Double(machine.threads)
    let free = TierFlow(costs, threads: all, fastFree: fastFree, slowFree: slowFree)
    let lost = stalls(mix, moved, perThread: free.accessesPerSecond * 1e-9 / all)
    outcome.stallSeconds += lost * 1e-9 * all
    let sampling = samplingLoad * 1e-9
    // Where there are fewer processors than threads that want one, all get the same share.
    let copying = moved.holds.reduce(0) { $0 + $1.nanoseconds } / elapsed
    let processors = all + Double(machine.spareProcessors)
    let running = min(1, processors / (all + mover.processors(copying: copying)))
    let threads = all * running * max(0.02, 1 - lost / elapsed - sampling)
    if threads == all { return (free, all) }
    return (TierFlow(costs, threads: threads, fastFree: fastFree, slowFree: slowFree), threads)
  }

  /// Nanoseconds that a thread waits for migrations; tells the policy what became of them.
  private mutating func stalls(
    _ mix: AccessMix, _ moved: TierMover.Progress, perThread rate: Double
  ) -> Double {
    var outcomes = moved.outcomes
    var lost = 0.0
    for hold in moved.holds {
      var share = 0.0
      for part in mix.parts {
        share +=
          part.share * (hold.holdsLoads ? 1 : part.storeShare)
          * part.weight(ofChunk: hold.chunk, islands: hold.islands)
      }
      if share > 0 {
        let wait = hold.wait(accessesPerNanosecond: rate * share)
        lost += wait.nanoseconds
        let waiting = Double(machine.threads) * wait.share
        outcomes[hold.outcomeIndex].stallCount += Int(waiting.rounded())
      }
      table[hold.chunk]?.slowIslands = IslandSet(rawValue: mover.slow[hold.chunk])
    }
    for outcome in outcomes { policy?.complete(outcome) }
    return lost
  }

  private mutating func sample(
    _ mix: AccessMix, _ flow: TierFlow, accesses: Double, cpuNanoseconds: Double,
    _ outcome: inout TierOutcome
  ) {
    guard var policy = policy.take() else { return }
    defer { self.policy = policy }
    var count = 0
    if let events = policy.eventsPerSample {
      sampler.drawByEvents(
        accesses: accesses, period: events, mix, costs, slow: mover.slow
      ) { sample in
        policy.record(sample)
        count += 1
      }
      samplingLoad =
        machine.recordNanoseconds * Double(count) / (elapsed * 1e-9 * Double(machine.threads))
    } else {
      samplingLoad = machine.sampleNanoseconds * 1e9 / Double(period)
      sampler.drawByTime(
        count: cpuNanoseconds / Double(period) * machine.addressedShare, weight: Float(period),
        mix, costs, flow, slow: mover.slow
      ) { sample in
        policy.record(sample)
        count += 1
      }
    }
    if let interval = policy.scanNanoseconds {
      sampler.count(accesses: accesses, mix)
      if time >= nextScan {
        nextScan = time + interval
        sampler.scan(chunkCount: stream.chunkCount) { policy.recordAccessed(chunk: $0) }
      }
    }
    outcome.sampleCount += count
  }

  private mutating func decide(_ mix: AccessMix) {
    if let plan = oracle?.plan(
      mix, slow: mover.slow, copyBytesPerSecond: mover.copyBytesPerSecond(to: .slow))
    {
      if !plan.isEmpty { pending = plan[...] }
      while let migration = pending.first, mover.submit(migration) { pending.removeFirst() }
    }
    guard time >= nextStep, !(mover.mechanism.isSynchronous && !mover.isIdle),
      var policy = policy.take()
    else { return }
    defer { self.policy = policy }
    var migrations: [Migration] = []
    let view = PlacementView(
      timeNanoseconds: time, chunks: table, tiers: machine.pair,
      samplingPeriodNanoseconds: period,
      sampleUnit: policy.eventsPerSample == nil ? .time : .accesses)
    policy.step(view, into: &migrations)
    for migration in migrations where !mover.submit(migration) {
      policy.complete(MigrationOutcome(migration, status: .busy))
    }
    nextStep = time + max(1, policy.stepNanoseconds)
    period = max(10_000, policy.samplingPeriodNanoseconds)
  }
}

/// Gathers the course of a run.
struct CourseRecorder {
  private let quantaPerPoint: Int
  private var (accesses, hits, totalAccesses, totalHits) = (0.0, 0.0, 0.0, 0.0)
  private var (quanta, begin, end) = (0, 0.0, 0.0)
  private var hot: Double?
  private var moved = 0.0
  private var version: Int?

  init(quantaPerPoint: Int) { self.quantaPerPoint = quantaPerPoint }

  mutating func add(
    _ outcome: inout TierOutcome, accesses own: Double, hits ownHits: Double, seconds: Double,
    mix: AccessMix, costs: [PartCost], movedBytes: Double
  ) {
    let hotIndex = mix.parts.firstIndex { $0.isHot }
    if let hotIndex {
      if version != mix.version {
        outcome.changes.append(end)
        // What a point says of hot data must be of one kind of hot data.
        close(&outcome)
      }
      version = mix.version
      hot = costs[hotIndex].fastShare
    } else {
      hot = nil
    }
    moved = movedBytes
    accesses += own
    hits += ownHits
    totalAccesses += own
    totalHits += ownHits
    end = seconds
    quanta += 1
    if quanta >= quantaPerPoint { close(&outcome) }
  }

  mutating func finish(_ outcome: inout TierOutcome) {
    close(&outcome)
    outcome.hitShare = totalAccesses > 0 ? totalHits / totalAccesses : 0
  }

  private mutating func close(_ outcome: inout TierOutcome) {
    guard quanta > 0, end > begin, accesses > 0 else { return }
    outcome.course.append(
      TierOutcome.Point(
        seconds: end, hitShare: hits / accesses, hotShare: hot,
        accessesPerSecond: accesses / (end - begin), migratedBytes: moved))
    (accesses, hits, quanta, begin) = (0, 0, 0, end)
  }
}
