// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterCore
public import ArbiterDevice
internal import ArbiterMetrics
public import ArbiterScheduler

/// What happened in one period of a simulation.
public struct PeriodSample: Sendable, Hashable {
  /// End of the period in seconds of virtual time.
  public var endSeconds: Double
  /// iMC write bytes per second.
  public var effectiveBandwidth: Double
  /// Media write bytes ÷ iMC write bytes; nil where nothing was written.
  public var writeAmplification: Double?
  /// Bytes that gated threads stored.
  public var gatedBytes: UInt64
  /// Settings in force during the period.
  public var settings: GateSettings
  /// The controller's phase at the end of the period; empty without a controller.
  public var phase: String
}

/// A simulated machine that can be run piece by piece.
///
/// ```swift
/// var simulation = try Simulation(configuration)
/// simulation.run(for: .milliseconds(5))      // warm-up
/// simulation.beginMeasurement()
/// simulation.run(for: .milliseconds(20))
/// let result = simulation.result()           // figures of those 20 ms
/// ```
///
/// Deterministic: equal configurations and equal calls give equal results, on every machine.
public struct Simulation: ~Copyable {
  private var engine: Engine
  private let configuration: SimulationConfiguration
  private var controller: (any Controller)?
  private let period: Int64
  private var nextPeriod: Int64
  private let boundaries: [Int64]
  private var nextBoundary = 0
  private var channel: CounterChannelState
  private var lastStoreAccesses: [UInt64]
  private var measurement: Measurement
  private var lastSample: Totals

  /// Whether ``samples`` grows by one entry per period; off saves memory in long runs.
  public var isRecordingSamples = true
  /// One entry per period that has ended since the scheme took over.
  public private(set) var samples: [PeriodSample] = []

  /// Makes a machine at time 0.
  ///
  /// - Throws: ``SimulationError`` with the configuration's ``SimulationConfiguration/problem``.
  public init(_ configuration: SimulationConfiguration) throws(SimulationError) {
    if let problem = configuration.problem { throw SimulationError(reason: problem) }
    self.configuration = configuration
    engine = Engine(configuration)
    var period = TimeSpan.milliseconds(1).picoseconds
    if case .controlled(let controller, let controllerPeriod) = configuration.scheme {
      self.controller = controller
      period = controllerPeriod.picoseconds
    }
    self.period = period
    let saturation = configuration.saturation.picoseconds
    nextPeriod = saturation
    let starts = configuration.threads.flatMap { $0.phases.map(\.start.picoseconds) }
    boundaries = Set(starts).filter { $0 > 0 }.sorted()
    channel = CounterChannelState(configuration.channel, seed: configuration.seed)
    lastStoreAccesses = Array(repeating: 0, count: configuration.threads.count)
    measurement = Measurement()
    lastSample = Totals()
    if saturation == 0 { startScheme() }
    beginMeasurement()
  }

  /// The virtual time that has passed.
  public var now: TimeSpan { TimeSpan(picoseconds: engine.now) }

  /// Events executed so far; a measure of the work of simulating, not of the machine.
  public var eventCount: UInt64 { engine.events }

  /// Starts to keep what ``trace`` shows.
  package mutating func startTrace() { engine.isTracing = true }

  /// What happened since ``startTrace()``, in order.
  package var trace: [TracedEvent] { engine.trace }

  /// Runs the machine for a span of virtual time.
  public mutating func run(for span: TimeSpan) {
    let end = engine.now + span.picoseconds
    while engine.now < end {
      var stop = min(end, nextPeriod)
      if nextBoundary < boundaries.count { stop = min(stop, boundaries[nextBoundary]) }
      engine.run(until: stop)
      if engine.now == nextPeriod { endPeriod() }
      if nextBoundary < boundaries.count && engine.now == boundaries[nextBoundary] {
        nextBoundary += 1
        registrationChanged()
      }
    }
  }

  private mutating func startScheme() {
    engine.isSchemeActive = true
    nextPeriod = engine.now + period
    lastSample = totals()
    switch configuration.scheme {
    case .fixed(let settings): engine.apply(settings)
    case .controlled: engine.apply(controller?.settings ?? .open)
    case .lock, .delegation: break
    }
    registrationChanged()
  }

  private func registeredCount(at time: Int64) -> Int {
    var count = 0
    for plan in configuration.threads where plan.isGated {
      let phase = plan.phases.last { $0.start.picoseconds <= time }
      if phase?.workload != nil { count += 1 }
    }
    return count
  }

  private mutating func registrationChanged() {
    guard engine.isSchemeActive, controller != nil else { return }
    let count = registeredCount(at: engine.now)
    if let settings = controller?.registrationChanged(registeredCount: count) {
      engine.apply(settings)
    }
  }

  private mutating func endPeriod() {
    if !engine.isSchemeActive {
      startScheme()
      return
    }
    nextPeriod += period
    let settings = controller?.settings ?? fixedSettings
    if controller != nil {
      let snapshot = channel.pass(snapshot())
      let activity = activity()
      if let next = controller?.step(snapshot: snapshot, activity: activity) { engine.apply(next) }
    }
    if isRecordingSamples { record(settings) }
  }

  private var fixedSettings: GateSettings {
    if case .fixed(let settings) = configuration.scheme { return settings }
    return .open
  }

  private mutating func record(_ settings: GateSettings) {
    let current = totals()
    let seconds = Double(current.time - lastSample.time) / 1e12
    let lines = current.acceptedStores - lastSample.acceptedStores
    let blocks = current.mediaBlockWrites - lastSample.mediaBlockWrites
    samples.append(
      PeriodSample(
        endSeconds: Double(current.time) / 1e12,
        effectiveBandwidth: Double(lines * 64) / seconds,
        writeAmplification: lines == 0 ? nil : Double(blocks * 256) / Double(lines * 64),
        gatedBytes: current.gatedBytes - lastSample.gatedBytes, settings: settings,
        phase: controller?.phase ?? ""))
    lastSample = current
  }

  /// The cumulative counters of all modules, as hardware would show them: idle writes included.
  public func snapshot() -> CounterSnapshot {
    let totals = totals()
    let seconds = Double(totals.time) / 1e12
    let idle = configuration.profile.idleMediaWritesPerSecond * Double(engine.moduleCount) * seconds
    return CounterSnapshot(
      timeNanoseconds: totals.time / 1000, source: .model,
      imcWriteBytes: totals.acceptedStores * 64, imcReadBytes: totals.acceptedLoads * 64,
      mediaWriteBytes: (totals.mediaBlockWrites + UInt64(idle)) * 256,
      mediaReadBytes: totals.mediaBlockReads * 256)
  }

  private mutating func activity() -> GateActivity {
    var writers = 0
    var bytes: UInt64 = 0
    var accesses: UInt64 = 0
    for index in 0..<engine.clientCount where engine.threads[index].isGated {
      let counts = engine.threads[index].counts
      if counts.storeAccesses > lastStoreAccesses[index] { writers += 1 }
      lastStoreAccesses[index] = counts.storeAccesses
      bytes += counts.storedBytes
      accesses += counts.storeAccesses
    }
    return GateActivity(
      registeredCount: registeredCount(at: engine.now), writerCount: writers, storedBytes: bytes,
      accessCount: accesses)
  }

  private func totals() -> Totals {
    var totals = Totals()
    totals.time = engine.now
    for module in 0..<engine.moduleCount {
      let counts = engine.modules[module].counts
      totals.acceptedStores += counts.acceptedStores
      totals.acceptedLoads += counts.acceptedLoads
      totals.mediaBlockWrites += counts.mediaBlockWrites
      totals.mediaBlockReads += counts.mediaBlockReads
    }
    for index in 0..<engine.clientCount {
      let counts = engine.threads[index].counts
      totals.storedBytes += counts.storedBytes
      totals.loadedBytes += counts.loadedBytes
      totals.accesses += counts.accesses
      totals.delay += counts.delay
      if engine.threads[index].isGated { totals.gatedBytes += counts.storedBytes }
    }
    return totals
  }

  /// Starts the measuring window of ``result()`` now.
  public mutating func beginMeasurement() {
    measurement.start = totals()
    measurement.threadBytes = threadBytes()
    engine.latency.reset()
  }

  /// Bytes that each thread of the program has stored and loaded so far.
  public func threadBytes() -> [UInt64] {
    (0..<engine.clientCount).map {
      engine.threads[$0].counts.storedBytes + engine.threads[$0].counts.loadedBytes
    }
  }

  /// The figures of the window since ``beginMeasurement()``.
  ///
  /// - Precondition: some time has passed since then.
  public func result() -> RunResult {
    let start = measurement.start
    let end = totals()
    precondition(end.time > start.time, "empty measuring window")
    let seconds = Double(end.time - start.time) / 1e12
    func rate(_ units: UInt64, _ bytes: UInt64) -> Double { Double(units * bytes) / seconds }
    var result = RunResult(
      counterSource: .model, seconds: seconds, threadCount: engine.clientCount,
      moduleCount: engine.moduleCount)
    let stores = end.acceptedStores - start.acceptedStores
    let loads = end.acceptedLoads - start.acceptedLoads
    let writes = end.mediaBlockWrites - start.mediaBlockWrites
    let reads = end.mediaBlockReads - start.mediaBlockReads
    let stored = end.storedBytes - start.storedBytes
    let loaded = end.loadedBytes - start.loadedBytes
    result.programWriteBytes = stored
    result.requestCount = (stored + loaded) / 64
    result.effectiveBandwidth = rate(stores, 64)
    result.mediaWriteBandwidth = rate(writes, 256)
    result.mediaReadBandwidth = rate(reads, 256)
    result.imcReadBandwidth = rate(loads, 64)
    result.equivalentWriteBandwidth = rate(writes, 256) + rate(reads, 256) / 3
    if stores > 0 { result.writeAmplification = Double(writes * 256) / Double(stores * 64) }
    if loads > 0 { result.readAmplification = Double(reads * 256) / Double(loads * 64) }
    if stored > 0 { result.cacheAmplification = Double(stores * 64) / Double(stored) }
    result.latencyNanoseconds = latencySummary()
    let accesses = end.accesses - start.accesses
    if accesses > 0 {
      result.delayNanosecondsMean = Double(end.delay - start.delay) / 1e3 / Double(accesses)
    }
    // Every thread occupies its core throughout: it stalls, spins or works, but never sleeps.
    let busyThreads = Double(engine.threads.count)
    let moved = Double(stored + loaded) / 1_073_741_824
    if moved > 0 { result.cpuSecondsPerGiB = busyThreads * seconds / moved }
    let shares = zip(threadBytes(), measurement.threadBytes).map { Double($0 - $1) }
    result.fairness = Statistics.fairness(shares)
    return result
  }

  /// A quantile of the latencies of lines since ``beginMeasurement()``, in nanoseconds.
  package func latencyQuantile(_ share: Double) -> UInt64? { engine.latency.quantile(share) }

  /// Stalls of wear levelling since the start, of all modules.
  package var wearStallCount: UInt64 {
    var sum: UInt64 = 0
    for module in 0..<engine.moduleCount { sum += engine.modules[module].counts.wearStalls }
    return sum
  }

  private func latencySummary() -> LatencySummary? {
    guard let p50 = engine.latency.quantile(0.5), let p99 = engine.latency.quantile(0.99),
      let p999 = engine.latency.quantile(0.999)
    else { return nil }
    return LatencySummary(
      p50: Double(p50), p99: Double(p99), p999: Double(p999), max: Double(engine.latency.maximum))
  }

  /// Checks that nothing was lost or duplicated anywhere (invariants M1 to M3 of a module).
  ///
  /// - Returns: A sentence for every violation; none in a sound run.
  public func violations() -> [String] {
    var found: [String] = []
    for module in 0..<engine.moduleCount { found += engine.modules[module].violations(module) }
    for index in 0..<engine.threads.count { found += engine.threads[index].violations(index) }
    return found
  }
}

/// A configuration that cannot be simulated.
public struct SimulationError: Error, Equatable, CustomStringConvertible {
  /// What is wrong with it, as one clause.
  public let reason: String

  /// The reason.
  public var description: String { reason }
}

/// Cumulative totals over all modules and threads.
private struct Totals {
  var time: Int64 = 0
  var acceptedStores: UInt64 = 0
  var acceptedLoads: UInt64 = 0
  var mediaBlockWrites: UInt64 = 0
  var mediaBlockReads: UInt64 = 0
  var storedBytes: UInt64 = 0
  var loadedBytes: UInt64 = 0
  var gatedBytes: UInt64 = 0
  var accesses: UInt64 = 0
  var delay: Int64 = 0
}

/// The start of a measuring window.
private struct Measurement {
  var start = Totals()
  var threadBytes: [UInt64] = []
}
