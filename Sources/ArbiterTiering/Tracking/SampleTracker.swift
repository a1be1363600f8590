// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement
package import ArbiterPlatform
package import ArbiterProfiler

/// Samples accesses of programs at a period that may change while they run.
///
/// The events of all periods are opened at once, as threads inherit events when they are started
/// and those cannot be given another period later; one set of them runs at a time. For one thread.
package final class SampleTracker {
  /// How accesses are seen.
  package let backEnd: BackEnd
  /// Threads whose samples do not count: Arbiter's own.
  package var ownThreads: Set<Int32> = []

  private var source: any AccessSource
  private let feed: SampleFeed
  /// The periods that can be had; the one that a session begins with comes first.
  private let levels: [Int64]
  /// The sampler's events of each of them.
  private let events: [Set<Int>]
  private var level = 0
  private var changedNanoseconds: Int64 = .min
  private var assertedNanoseconds: Int64 = .min

  /// The names of threads that move memory inside programs.
  private static let ownNames: Set = ["arb-mover", "arb-watcher"]
  /// The shortest time between two samples: more would slow programs by some hundredths.
  private static let periodMin: Int64 = 250_000
  /// Time between two changes, at least.
  private static let changeNanoseconds: Int64 = 200_000_000
  /// A program that begins takes the first period up: so often that is put right.
  private static let assertNanoseconds: Int64 = 1_000_000_000
  /// Threads that are remembered as Arbiter's own, at most.
  private static let ownThreadMax = 4096

  /// Opens a back-end; nobody is sampled yet.
  ///
  /// - Parameters:
  ///   - backEnd: `pebs` or `timer`.
  ///   - period: The first period, in nanoseconds of a thread's CPU time.
  ///   - eventCount: Events from one precise sample to the next; nil for the usual.
  ///   - tree: Where the kernel describes the machine.
  /// - Throws: ``PlatformError`` where this machine or this user cannot sample so.
  package init(
    _ backEnd: BackEnd, period: Int64, eventCount: Int? = nil, tree: SystemTree = SystemTree()
  ) throws(PlatformError) {
    self.backEnd = backEnd
    let first = max(Self.periodMin, period)
    switch backEnd {
    case .timer:
      let short = first / 4 < Self.periodMin ? 16 * first : first / 4
      levels = [first, short, 2 * first, 4 * first]
      events = levels.indices.map { [$0] }
      let timer = try TimerSource(everyNanosecondsOfOne: levels.map { UInt64($0) }, tree: tree)
      (source, feed) = (timer, timer.feed)
    case .pebs:
      levels = [first, 8 * first]
      events = [[0, 1], [2, 3]]
      let usual = eventCount.map { UInt64(max(1, $0)) } ?? PreciseSource.defaultEventCount
      let precise = try PreciseSource(everyEvents: usual, orElse: 8 * usual, tree: tree)
      (source, feed) = (precise, precise.feed)
    case .faults, .gates:
      throw PlatformError(
        .invalidArgument,
        reason: "back-end \(backEnd.rawValue) does not see accesses again and "
          + "again, so that nothing can be placed by it", nextStep: "choose pebs or timer")
    }
  }

  /// The period in force, in nanoseconds.
  package var periodNanoseconds: Int64 { levels[level] }

  /// What became of the samples so far.
  package var losses: SamplingLosses { source.losses }

  /// What works with a reduced view, as a sentence; nil where nothing is missing.
  package var note: String? { feed.resolver.note }

  /// Starts a program and samples it, and what it starts, from its first instruction on.
  package func launch(
    _ start: () throws(PlatformError) -> ChildProgram
  ) throws(PlatformError) -> ChildProgram { try feed.sampler.launch(start) }

  /// Samples a process that runs already.
  package func add(process: Int32) throws(PlatformError) { try feed.sampler.add(process: process) }

  /// Takes the period that is nearest to the one that is wanted.
  package func select(periodNanoseconds wanted: Int64, now: Int64) {
    let nearest =
      levels.indices.min {
        Self.ratio(levels[$0], max(1, wanted)) < Self.ratio(levels[$1], max(1, wanted))
      } ?? 0
    if nearest != level,
      changedNanoseconds == .min || now - changedNanoseconds >= Self.changeNanoseconds
    {
      level = nearest
      changedNanoseconds = now
    } else if assertedNanoseconds != .min, now - assertedNanoseconds < Self.assertNanoseconds {
      return
    }
    assertedNanoseconds = now
    feed.sampler.select(events[level])
  }

  /// How many times the longer of two periods is the shorter one.
  private static func ratio(_ one: Int64, _ other: Int64) -> Double {
    Double(max(one, other)) / Double(min(one, other))
  }

  /// Hands over the accesses since the last call.
  package func drain(_ body: (SampledAccess) -> Void) {
    source.drain { access in
      if !ownThreads.isEmpty && ownThreads.contains(access.thread) { return }
      body(access)
    }
    for event in source.takeTaskEvents() {
      switch event.change {
      case .renamed(let name) where Self.ownNames.contains(name):
        if ownThreads.count < Self.ownThreadMax { ownThreads.insert(event.thread) }
      case .ended: ownThreads.remove(event.thread)
      default: break
      }
    }
  }

  /// Ends sampling and gives everything back.
  package func stop() {
    source.stop()
    feed.sampler.detach()
  }
}
