// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterPlatform
internal import ArbiterProfiles
internal import ArbiterRuntime
internal import ArbiterScheduler
internal import CArbiterGate
internal import CArbiterLibrary
internal import Glibc

/// A control page with its controllers, or a part in the page of an `arbiter run`.
@safe
final class LibraryRuntime: Sendable {
  /// The page.
  let page: ControlPage
  /// The `arbiter run` that this program is part of; 0 where it is on its own.
  let session: Int
  /// Sets that this program controls itself.
  private let controls: Lock<[SetControl]>
  // SAFETY: made in init, freed in deinit, which comes after the last thread has detached.
  private nonisolated(unsafe) let pool: OpaquePointer?

  /// Opens a runtime: the page of an `arbiter run` above this program, or one of its own.
  init(_ options: LibraryOptions) throws(PlatformError) {
    if let shared = Self.sharedPage() {
      (page, session) = shared
      controls = Lock([])
      unsafe pool = try Self.makePool(for: shared.0)
      return
    }
    var parameters = ControlPage.Parameters()
    parameters.slotCount = options.slotCount
    parameters.scheme = options.scheme
    let profile = try Self.profile(named: options.profile)
    let limits = try LibraryLimits(
      options, sets: PlannedSet.plan(memory: .read(), profile: options.profile))
    parameters.lock.permitCount = limits.permitCount
    parameters.delegation.ringCount = limits.workerCount
    let page = try ControlPage(parameters, clock: .measure())
    let sets = limits.sets
    page.addSets(sets)
    self.page = page
    session = 0
    unsafe pool = try Self.makePool(for: page)
    controls = Lock(try Self.startControls(of: sets, on: page, profile, options))
  }

  deinit {
    if let pool = unsafe pool { unsafe arb_delegation_destroy(pool) }
  }

  /// Starts the workers where the page's scheme is delegation; nil elsewhere.
  private static func makePool(for page: ControlPage) throws(PlatformError) -> OpaquePointer? {
    guard page.scheme == .delegation else { return nil }
    let parameters = page.delegation
    var pool: OpaquePointer?
    let status = unsafe arb_delegation_create(
      UInt32(parameters.ringCount), UInt32(parameters.slotCount), UInt32(page.slotCount), &pool)
    guard status == 0 else {
      throw PlatformError(
        errorNumber: Int32(truncatingIfNeeded: -status), path: nil, action: "start the workers")
    }
    return unsafe pool
  }

  /// The object behind a handle.
  static func of(_ handle: UnsafePointer<arbiter_runtime>) -> LibraryRuntime {
    // SAFETY: arbiter_open put a retained object there, which arbiter_close alone takes away.
    unsafe Unmanaged<LibraryRuntime>.fromOpaque(handle.pointee.object).takeUnretainedValue()
  }

  /// Ends the controllers, which opens all gates.
  func end() {
    let ended = controls.withLock { controls in
      let all = controls
      controls = []
      return all
    }
    for control in ended { control.stop() }
  }

  /// The page of the `arbiter run` that started this program; nil where there is none to be had.
  private static func sharedPage() -> (ControlPage, Int)? {
    guard let path = variable("ARBITER_CONTROL"), let page = try? ControlPage(opening: path) else {
      return nil
    }
    return (page, variable("ARBITER_SESSION").flatMap { Int($0) } ?? 0)
  }

  private static func variable(_ name: String) -> String? {
    // SAFETY: the text is copied at once.
    guard let text = unsafe getenv(name) else { return nil }
    return unsafe String(cString: text)
  }

  private static func profile(named name: String?) throws(PlatformError) -> DeviceProfile? {
    guard let name else { return nil }
    do throws(ProfileError) {
      return try ProfileLibrary.embedded.profile(named: name)
    } catch {
      throw PlatformError(
        .invalidArgument, reason: "\(error)",
        nextStep: "use one of \(ProfileLibrary.embedded.names.joined(separator: ", "))")
    }
  }

  /// Starts a controller for each set, as far as the scheme has something to decide.
  private static func startControls(
    of sets: [PlannedSet], on page: ControlPage, _ profile: DeviceProfile?,
    _ options: LibraryOptions
  ) throws(PlatformError) -> [SetControl] {
    var controls: [SetControl] = []
    let counters = SetCounters(for: sets, profile: profile)
    for index in sets.indices {
      let control = SetControl(page: page, setIndex: index + 1)
      switch options.scheme {
      case .arbiter, .arbiterPaper:
        try control.start(
          reader: try counters.reader(for: sets[index], board: control.board),
          controller: AdaptiveController(maximumDelay: .microseconds(100)),
          periodNanoseconds: options.periodNanoseconds)
      case .fence: control.board.publish(GateSettings(isFencedAtBlocks: true))
      case .baseline, .lock, .delegation: break
      }
      controls.append(control)
    }
    return controls
  }

  /// The set of a persistent-memory region.
  ///
  /// - Parameter name: The kernel's name; nil for memory that lies in none.
  /// - Returns: Its place in the page; 0 where nothing is known of the memory.
  func setIndex(ofRegionNamed name: String?) -> Int {
    let sets = page.activeSets
    if let name, let found = sets.first(where: { page.setName(at: $0) == name }) { return found }
    return sets.first { page.setMatchesAll(at: $0) } ?? 0
  }

  /// Gives the calling thread its gate and, under delegation, its lane.
  func attach(
    _ thread: UnsafeMutablePointer<arbiter_thread>, toSet setIndex: Int
  ) throws(PlatformError) {
    try unsafe page.attach(&thread.pointee.gate, toSet: setIndex, session: session)
    guard let pool = unsafe pool else { return }
    let status = unsafe arb_lane_open(pool, &thread.pointee.lane)
    guard status == 0 else {
      unsafe arb_gate_detach(&thread.pointee.gate)
      throw PlatformError(
        errorNumber: Int32(truncatingIfNeeded: -status), path: nil,
        action: "hand stores to the workers")
    }
  }

  /// What the threads of this runtime did.
  func statistics() -> arbiter_statistics {
    var answer = arbiter_statistics()
    var total = GateCounts(clock: page.clock)
    for gate in page.gates(ofSession: session) where session == 0 || gate.process == getpid() {
      total.add(gate.counts)
      if gate.isAttached { answer.thread_count += 1 }
    }
    if session == 0 { total.add(page.departed(ofSession: session).counts) }
    answer.store_count = total.accessCount
    answer.stored_bytes = total.storedBytes
    answer.wait_count = total.waits.count
    answer.delay_mean_nanoseconds = total.delayMeanNanoseconds ?? 0
    answer.delay_p99_nanoseconds = total.delayNanoseconds(atShare: 0.99) ?? 0
    answer.direct_count = total.directCount
    answer.write_amplification = .nan
    let statuses = controls.withLock { $0.map(\.status) }
    var source = CounterSource.unavailable.rawValue
    let busiest = statuses.max { ($0.delta?.imcWriteBytes ?? 0) < ($1.delta?.imcWriteBytes ?? 0) }
    if let busiest {
      answer.delay_now_nanoseconds = busiest.delayNanoseconds
      answer.write_amplification = busiest.writeAmplification ?? .nan
      source = busiest.source.rawValue
    }
    for set in [0] + page.activeSets {
      let permits = SharedPermits(page: page, setIndex: set)
      answer.permit_holders_max = max(
        answer.permit_holders_max, UInt32(permits.counts.holderCountMax))
    }
    unsafe withUnsafeMutableBytes(of: &answer.counter_source) { room in
      unsafe room.copyBytes(from: source.utf8.prefix(room.count - 1))
    }
    return answer
  }
}
