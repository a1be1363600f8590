// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterPlatform
internal import ArbiterProfiles
internal import ArbiterRuntime
internal import ArbiterScheduler
internal import Glibc

/// Which scheme a run takes, and why.
struct SchemeChoice: Sendable {
  var scheme: SchemeName
  /// One or more sentences.
  var reason: String

  /// Chooses for the sets that there are.
  init(_ asked: SchemeName?, sets: [PlannedSet], profile: String?) {
    let names = sets.map(\.name).joined(separator: ", ")
    let consequence: String
    if sets.isEmpty {
      consequence =
        "no persistent memory is found"
        + (profile == nil ? " and no --profile names any" : "")
        + ", so no delay is ever inserted"
    } else if sets.contains(where: \.isDetected) {
      consequence = "this machine has \(names)"
    } else {
      consequence = "all memory is taken for \(names)"
    }
    scheme = asked ?? (sets.isEmpty ? .baseline : .arbiter)
    reason = "\(asked == nil ? "by default" : "as asked"); \(consequence)."
  }
}

/// Everything that Arbiter adds to a program: a page, a session, and control where it is ours.
final class Gating {
  let seat: ControlSeat
  let session: Int
  let library: PreloadLibrary
  let choice: SchemeChoice
  let sets: [SetControl]

  private let options: RunOptions
  private let plan: [PlannedSet]
  private let profile: DeviceProfile?
  private var isControlling = false

  /// Gates a page holds: one for each thread and set.
  private static let slotCount = 256

  /// Prepares to gate one program.
  ///
  /// - Throws: What keeps Arbiter from it.
  init(_ options: RunOptions) throws {
    self.options = options
    library = try PreloadLibrary.find(
      override: Console.environment(PreloadLibrary.variable),
      executable: PreloadLibrary.ownExecutable)
    let named = options.profile.flatMap { $0 == "auto" ? nil : $0 }
    // With auto the usual kind stands in where a set is found that nothing counts.
    profile = try options.profile.map { _ in try loadProfile(named ?? ProfileLibrary.defaultName) }
    let plan = PlannedSet.plan(memory: .read(), profile: named)
    self.plan = plan
    let choice = SchemeChoice(options.scheme, sets: plan, profile: options.profile)
    self.choice = choice
    let makePage: () throws(PlatformError) -> ControlPage = { () throws(PlatformError) in
      try Self.makePage(choice.scheme, options, plan)
    }
    if options.isAlone(under: choice.scheme) {
      seat = ControlSeat(alone: try makePage())
    } else {
      let chosen = Console.environment("ARBITER_RUNTIME_DIR") ?? ""
      let folder =
        !chosen.isEmpty
        ? chosen
        : ControlSeat.folder(
          ofUser: geteuid(), runtimeFolder: Console.environment("XDG_RUNTIME_DIR"))
      seat = try ControlSeat(
        in: folder, terms: options.terms(choice.scheme), makePage: makePage)
    }
    session = try seat.page.beginSession()
    let page = seat.page
    sets = page.activeSets.map { SetControl(page: page, setIndex: $0) }
    if case .guest = seat.role { return }
    try control()
  }

  private static func makePage(
    _ scheme: SchemeName, _ options: RunOptions, _ plan: [PlannedSet]
  ) throws(PlatformError) -> ControlPage {
    var parameters = ControlPage.Parameters()
    parameters.slotCount = slotCount
    parameters.scheme = scheme
    parameters.lock.permitCount = options.permits
    parameters.delegation.ringCount = options.workers
    parameters.maximumWaitNanoseconds = options.control.maxDelay.nanoseconds
    let page = try ControlPage(parameters, clock: .measure())
    page.addSets(plan)
    return page
  }

  /// Who controls the page now.
  var controller: Int32 {
    if case .guest(let process) = seat.role { return process }
    return getpid()
  }

  /// What else is to be done now and then: taking over, and taking back what died.
  func tend() {
    if seat.takeOver() {
      do {
        try control()
      } catch {
        Console.note("arbiter: the gates stay open: \(Failure(error).message)\n")
      }
    }
    // Monitors reap, where there are any.
    if sets.isEmpty { seat.page.reap() }
  }

  /// How often ``tend()`` is called, in nanoseconds; nil where there is nothing to do.
  var tendNanoseconds: Int64? {
    if case .guest = seat.role { return 20_000_000 }
    return sets.isEmpty && choice.scheme == .lock ? 100_000_000 : nil
  }

  private func control() throws {
    let counters = SetCounters(for: plan, profile: profile)
    for set in sets {
      let planned = plan.first { $0.name == set.status.name }
      try set.start(
        reader: try counters.reader(for: planned, board: set.board), controller: makeController(),
        periodNanoseconds: options.control.period.nanoseconds)
    }
  }

  private func makeController() -> any Controller {
    let longest = options.control.maxDelay
    return switch choice.scheme {
    case .baseline, .lock, .delegation: ConstantController(.open)
    case .fence: ConstantController(GateSettings(isFencedAtBlocks: true))
    case .arbiter: AdaptiveController(maximumDelay: longest)
    case .arbiterPaper: PaperController(maximumDelay: longest)
    }
  }

  /// Opens the gates; what the sets saw can still be read.
  func stop() {
    for set in sets { set.stop() }
  }

  /// Gives everything back.
  func close() {
    stop()
    seat.page.endSession(session)
    seat.leave()
  }

  /// The gates of this run, most bytes first, and those that are departed.
  func gates() -> (rows: [RunSummary.GateRow], departedCount: Int, departed: GateCounts) {
    let page = seat.page
    // Threads that ended with their program have not left by themselves.
    page.reap()
    let rows = page.gates(ofSession: session).map { gate in
      RunSummary.GateRow(
        process: gate.process, thread: gate.thread, name: gate.name,
        set: page.setName(at: gate.setIndex), isAttached: gate.isAttached, counts: gate.counts)
    }
    let departed = page.departed(ofSession: session)
    return (
      rows.sorted {
        ($0.counts.storedBytes, $0.counts.callTotal)
          > ($1.counts.storedBytes, $1.counts.callTotal)
      },
      departed.gateCount, departed.counts
    )
  }
}

extension RunOptions {
  /// Whether the run shares nothing: what nobody decides on needs no common controller.
  fileprivate func isAlone(under scheme: SchemeName) -> Bool {
    if isShared { return false }
    return isPrivate || [.baseline, .lock, .delegation].contains(scheme)
  }

  fileprivate func terms(_ scheme: SchemeName) -> ControlTerms {
    ControlTerms(
      scheme: scheme, profile: profile, period: control.period.description,
      maximumDelay: control.maxDelay.description, permitCount: permits, workerCount: workers)
  }
}
