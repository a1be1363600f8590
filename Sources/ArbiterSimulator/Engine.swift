// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The discrete-event engine: cores, channels and modules in virtual time.
//
// Time is in picoseconds. The engine is single-threaded and draws all randomness from the seed, so
// that equal configurations give equal bytes. Components are numbered threads first, then links,
// then media. What the engine does not model: the processor's TLB and page walks, its caches beyond
// the dirty lines of plain stores, its directory of remote lines, power limits beyond the medium's
// speed.

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterMetrics
internal import ArbiterScheduler
internal import ArbiterWorkloads

/// Core times in picoseconds.
struct CoreTimes {
  let storeIssue: Int64
  let writeBackIssue: Int64
  let loadIssue: Int64
  let storeReturn: Int64
  let writeBackReturn: Int64
  let loadReturn: Int64
  let ownership: Int64
  let fence: Int64
  let translation: Int64
  let socketLink: Int64
  let link: Int64

  init(_ profile: DeviceProfile) {
    func picoseconds(_ nanoseconds: Double) -> Int64 {
      TimeSpan.nanoseconds(nanoseconds).picoseconds
    }
    storeIssue = picoseconds(profile.storeIssueNanoseconds)
    writeBackIssue = picoseconds(profile.writeBackIssueNanoseconds)
    loadIssue = picoseconds(profile.loadIssueNanoseconds)
    storeReturn = picoseconds(profile.storeReturnNanoseconds)
    writeBackReturn = picoseconds(profile.writeBackReturnNanoseconds)
    loadReturn = picoseconds(profile.loadReturnNanoseconds)
    ownership = picoseconds(profile.ownershipNanoseconds)
    fence = picoseconds(profile.fenceNanoseconds)
    translation = picoseconds(profile.translationReadNanoseconds)
    socketLink = picoseconds(profile.socketLinkNanoseconds)
    link = picoseconds(profile.linkNanoseconds)
  }
}

/// The whole simulated machine.
struct Engine: ~Copyable {
  let profile: DeviceProfile
  let times: CoreTimes
  let moduleCount: Int
  let interleaveShift: UInt64
  /// Threads of the program; workers of the delegation scheme follow them.
  let clientCount: Int
  let threads: FixedArray<SimulatedThread>
  /// Each thread's share of the caches: the dirty lines of its plain stores.
  let caches: FixedArray<CoreCache>
  let modules: FixedArray<SimulatedModule>
  let storeQueues: FixedArray<SharedStoreQueue>
  let sharedQueueModules: Int
  let clock: EventClock
  let linkBase: Int
  let mediaBase: Int
  /// Jitter is drawn as a share of 2^16.
  let jitterShare: Int64
  let jumpShare: Int64

  var now: Int64 = 0
  var random: SeededRandom
  /// When the link between the sockets has carried every store that was accepted.
  var socketLinkEnd: Int64 = 0
  /// Whether the scheme is in force; off while a saturated start is prepared.
  var isSchemeActive = false
  var permits: VirtualPermits?
  let lock: LockParameters
  /// The longest delay of any access, in picoseconds.
  let maximumDelay: Int64
  let delegation: DelegationParameters?
  let rings: FixedArray<SimulatedRing>
  var latency = Histogram()
  var events: UInt64 = 0
  /// Whether ``trace`` grows.
  var isTracing = false
  /// Whether ``recorder`` hears of every access.
  var isRecording = false
  var recorder: AccessRecorder?
  /// Threads of the program that have not ended.
  var livingCount: Int
  /// Where the current run ends: a thread that ends brings it forward.
  var stopTime: Int64 = 0
  var trace: [TracedEvent] = []

  init(_ configuration: SimulationConfiguration) {
    profile = configuration.profile
    times = CoreTimes(configuration.profile)
    moduleCount = configuration.moduleCount
    interleaveShift = UInt64(configuration.profile.interleaveBytes.trailingZeroBitCount)
    clientCount = configuration.threads.count
    jumpShare = Int64(configuration.profile.loadJumpRatio * 65_536)
    jitterShare = Int64(configuration.profile.coreJitterRatio * 65_536)
    var lockParameters = LockParameters()
    var delegation: DelegationParameters?
    permits = nil
    switch configuration.scheme {
    case .lock(let parameters):
      lockParameters = parameters
      permits = VirtualPermits(limit: parameters.permitCount, threadCount: clientCount)
    case .delegation(let parameters): delegation = parameters
    case .fixed, .controlled: break
    }
    let lock = lockParameters
    self.lock = lock
    self.delegation = delegation
    let ringCount = delegation?.ringCount ?? 0
    let threadCount = clientCount + ringCount
    let seed = configuration.seed
    let plans = configuration.threads
    let maximumDelay = configuration.maximumDelay.picoseconds
    self.maximumDelay = maximumDelay
    let cacheLines = configuration.profile.cacheLinesPerThread
    caches = FixedArray(count: threadCount) { _ in CoreCache(capacity: cacheLines) }
    livingCount = clientCount
    let device = configuration.profile
    threads = FixedArray(count: threadCount) { index in
      let isWorker = index >= plans.count
      return SimulatedThread(
        isWorker: isWorker, isGated: isWorker ? false : plans[index].isGated,
        phases: isWorker ? [] : plans[index].phases,
        random: SeededRandom(seed: seed, stream: UInt64(index) + 1),
        share: CoreShare(of: index, among: threadCount, on: device),
        pace: Pace(maximumWaitTicks: maximumDelay), permitSpan: PermitSpan(lock))
    }
    let profile = configuration.profile
    modules = FixedArray(count: moduleCount) { index in
      SimulatedModule(profile: profile, threadCount: threadCount, seed: seed, index: index)
    }
    let queueModules = profile.sharedQueueModules
    sharedQueueModules = queueModules
    storeQueues = FixedArray(count: (moduleCount + queueModules - 1) / queueModules) { _ in
      SharedStoreQueue(profile: profile, threadCount: threadCount)
    }
    let slots = delegation?.slotCount ?? 1
    rings = FixedArray(count: ringCount) { _ in SimulatedRing(slotCount: slots) }
    linkBase = threadCount
    mediaBase = threadCount + moduleCount
    clock = EventClock(componentCount: threadCount + 2 * moduleCount)
    random = SeededRandom(seed: seed, stream: 999)
    placeThreads()
    placeRecordings(configuration)
  }

  /// Gives every thread its region and its first event.
  private mutating func placeThreads() {
    var base: UInt64 = 0
    for index in 0..<clientCount {
      let bytes = threads[index].phases.compactMap { $0.workload?.regionBytes }.max() ?? 0
      threads[index].base = base
      base += (UInt64(bytes) + 4095) & ~4095
      threads[index].step = .enter
      threads[index].phaseEnd = 0
      // Threads do not start in step.
      clock.schedule(index, at: Int64(random.below(20_000)))
    }
    for worker in clientCount..<threads.count {
      threads[worker].step = .serve
      threads[worker].block = .ring
    }
  }

  /// Executes every event before `end` and sets the time to `end`; ends early, at its time, where a
  /// thread ends.
  mutating func run(until end: Int64) {
    stopTime = end
    while true {
      let entry = clock.first
      let time = EventClock.time(of: entry)
      if time >= stopTime { break }
      assert(time >= now, "time ran backwards")
      now = time
      events &+= 1
      let component = EventClock.component(of: entry)
      if component < linkBase {
        stepThread(component)
      } else if component < mediaBase {
        stepLink(component &- linkBase)
      } else {
        stepMedium(component &- mediaBase)
      }
    }
    now = stopTime
  }

  /// A time with the core's jitter on it.
  @inline(__always)
  mutating func jittered(_ time: Int64) -> Int64 {
    if jitterShare == 0 { return time }
    return time &+ (time &* random.symmetric(jitterShare)) >> 16
  }

  /// Puts settings in force at every gate.
  mutating func apply(_ settings: GateSettings) {
    for index in 0..<clientCount where threads[index].isGated {
      threads[index].pace.apply(settings, ticksPerNanosecond: 1000)
    }
  }
}
