// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement
internal import ArbiterPlatform
internal import ArbiterRuntime

/// The thread that surveys and moves, so that the manager's never waits for the kernel.
///
/// What goes to and fro lies behind one lock, which is held for a few list operations.
final class NumaWorker: Sendable {
  /// A decision with the chunk that it was made for.
  struct Job {
    var migration: Migration
    var key: ChunkKey
  }

  /// An end of a decision.
  struct Ending {
    var outcome: MigrationOutcome
    var key: ChunkKey
    /// How the chunk lies afterwards; nil where it is gone.
    var slow: IslandSet?
  }

  /// Decisions that are under way or not yet handed over at most.
  static let jobCountMax = 256

  struct Mail {
    var newProcesses: [Int32] = []
    var jobs: [Job] = []
    var openCount = 0
    var endings: [Ending] = []
    var changes: [ChunkKey: ChunkChange] = [:]
    var processes: [Int32] = []
    var remarks = RemarkList()
    var cpuNanoseconds: UInt64 = 0
    var isStopping = false
  }

  let mail = Lock(Mail())
  let bell = Doorbell()

  /// Hands a decision over; false where there is no room.
  func submit(_ job: Job) -> Bool {
    let isTaken = mail.withLock { mail in
      guard mail.openCount < Self.jobCountMax, !mail.isStopping else { return false }
      mail.openCount += 1
      mail.jobs.append(job)
      return true
    }
    if isTaken { bell.ring() }
    return isTaken
  }

  /// Puts a process under survey.
  func add(process: Int32) {
    mail.withLock { $0.newProcesses.append(process) }
    bell.ring()
  }

  /// Lets the thread end after what it is at.
  func stop() {
    mail.withLock { mail in
      mail.isStopping = true
      for job in mail.jobs {
        mail.endings.append(
          Ending(outcome: MigrationOutcome(job.migration, status: .stale), key: job.key))
      }
      mail.jobs.removeAll()
    }
    bell.ring()
  }

  // MARK: The thread

  /// Works until it is told to stop.
  func run(tree: SystemTree, places: NumaPlaces, movesShared: Bool) {
    var survey = NumaSurvey(tree: tree, places: places, movesShared: movesShared)
    var mover = NumaMover(tree: tree, places: places, movesShared: movesShared)
    while true {
      let heard = bell.ringCount
      let (job, added, isStopping) = mail.withLock { mail in
        defer { mail.newProcesses.removeAll() }
        let job = mail.jobs.isEmpty ? nil : mail.jobs.removeFirst()
        return (job, mail.newProcesses, mail.isStopping)
      }
      if isStopping { return }
      for process in added { survey.add(process: process) }
      var ending: Ending?
      if let job { ending = carryOut(job, &survey, &mover) }
      let now = SystemClock.monotonicRawNanoseconds()
      let isDue = now >= survey.dueNanoseconds
      if isDue { survey.advance(now: now) }
      publish(ending, &survey, &mover)
      if job == nil {
        let rest = survey.dueNanoseconds - SystemClock.monotonicRawNanoseconds()
        // Without a process there is nothing to survey until one is added.
        bell.wait(
          after: heard, nanoseconds: survey.processes.isEmpty ? 1_000_000_000 : rest)
      }
    }
  }

  private func carryOut(
    _ job: Job, _ survey: inout NumaSurvey, _ mover: inout NumaMover
  ) -> Ending {
    guard let before = survey.known[job.key] else {
      return Ending(outcome: MigrationOutcome(job.migration, status: .stale), key: job.key)
    }
    // A huge page goes as a whole: for hot islands all of it is fetched, but never sent away for
    // cold ones, or both would go on for ever.
    let isPart = !before.present.isSubset(of: job.migration.islands)
    if before.isHuge, isPart, job.migration.destination == .slow {
      return Ending(
        outcome: MigrationOutcome(job.migration, status: .busy), key: job.key, slow: before.slow)
    }
    var outcome = mover.move(job.migration, of: job.key)
    let now = SystemClock.monotonicRawNanoseconds()
    survey.lookClosely(at: job.key, now: now)
    if outcome.status == .busy { survey.hold(job.key, now: now) }
    guard let after = survey.known[job.key] else { return Ending(outcome: outcome, key: job.key) }
    let changed = before.slow.symmetricDifference(after.slow).intersection(after.present)
    if isPart, outcome.bytesCopied > 0, !changed.isSubset(of: job.migration.islands) {
      outcome.bytesCopied = max(outcome.bytesCopied, changed.bytes)
      survey.noteHuge(job.key)
    }
    return Ending(outcome: outcome, key: job.key, slow: after.slow)
  }

  private func publish(
    _ ending: Ending?, _ survey: inout NumaSurvey, _ mover: inout NumaMover
  ) {
    let changes = survey.takeChanges()
    let remarks = survey.takeRemarks() + mover.takeRemarks()
    let processes = survey.processes.map(\.number)
    let cpu = UInt64(max(0, SystemClock.threadCPUNanoseconds()))
    mail.withLock { mail in
      mail.changes.merge(changes) { _, new in new }
      for remark in remarks { mail.remarks.add(remark) }
      if let ending { mail.endings.append(ending) }
      mail.processes = processes
      mail.cpuNanoseconds = cpu
    }
  }
}
