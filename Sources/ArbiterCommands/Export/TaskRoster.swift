// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
package import ArbiterProfiler

// Which tasks get series of their own. A server that collects metrics pays for every label value it
// has ever seen, so their number is bounded; the tasks beyond the bound are told as one, "other".
//
// R1  At most `namedMax` tasks are named in one reading.
// R2  A name is kept until its process ends, or until it has done nothing for `idleNanoseconds`
//     while others wait for a place; so series do not come and go with every change of rank.
// R3  What is told of "other" only grows: it is what tasks did while they had no name, and nothing
//     is taken out when one of them gets a name or ends.

/// The tasks of a reading, divided into those with a name and the rest.
package struct TaskRoster: Sendable {
  /// Cumulative figures of a task; nil where a figure is unavailable.
  package struct Totals: Sendable, Hashable {
    /// Stores, in the unit of the back-end's measure.
    package var written: Double?
    /// Loads, likewise.
    package var read: Double?
    /// Nanoseconds that gates made it wait.
    package var delayed: Double?
    /// Nanoseconds of CPU time.
    package var cpu: Double?

    init() {}

    init(_ task: WatchedTask) {
      written = task.written.value?.value
      read = task.read.value?.value
      delayed = task.delayedNanoseconds.value
      cpu = task.cpuNanoseconds.value.map(Double.init)
    }

    private static let figures: [any WritableKeyPath<Totals, Double?> & Sendable] = [
      \.written, \.read, \.delayed, \.cpu,
    ]

    /// Adds what was done from one moment to a later one; what ran backwards adds nothing.
    mutating func add(from before: Totals, to now: Totals) {
      for figure in Self.figures {
        guard let end = now[keyPath: figure], end.isFinite else { continue }
        let growth = max(0, end - (before[keyPath: figure] ?? end))
        self[keyPath: figure] = (self[keyPath: figure] ?? 0) + growth
      }
    }
  }

  /// A process, told apart from an earlier one of the same number.
  private struct Identity: Hashable {
    var process: Int32
    var startTicks: UInt64
  }

  private struct Entry {
    var totals: Totals
    var backEnd: BackEnd?
    /// When stores or loads last grew.
    var activeNanoseconds: Int64
  }

  /// Time without a store or a load after which a name may be given to another task.
  package static let idleNanoseconds: Int64 = 300_000_000_000

  private let namedMax: Int
  private var named: [Identity: Entry] = [:]
  private var unnamed: [Identity: Entry] = [:]

  /// What tasks did while they had no name, by what their figures are.
  package private(set) var others: [BackEnd?: Totals] = [:]

  /// Makes an empty roster.
  ///
  /// - Parameter namedMax: How many tasks are named at most; at least 0.
  package init(namedMax: Int) {
    self.namedMax = namedMax
  }

  /// Takes in a reading.
  ///
  /// - Returns: The tasks that have a name, in the order of their process numbers, and the number
  ///   of those that have none.
  package mutating func divide(
    _ tasks: [WatchedTask], atNanoseconds time: Int64
  ) -> (named: [WatchedTask], otherCount: Int) {
    var present: [Identity: WatchedTask] = [:]
    for task in Self.onePerProcess(tasks) {
      present[Identity(process: task.process, startTicks: task.startTicks)] = task
    }
    update(present, time)
    named = named.filter { present[$0.key] != nil }
    unnamed = unnamed.filter { present[$0.key] != nil }
    admit(time)
    let told = present.filter { named[$0.key] != nil }.values.sorted { $0.process < $1.process }
    return (told, present.count - told.count)
  }

  /// Labels name a process by its number alone: of two with one number the later one counts.
  private static func onePerProcess(_ tasks: [WatchedTask]) -> [WatchedTask] {
    var latest: [Int32: WatchedTask] = [:]
    for task in tasks where latest[task.process].map({ $0.startTicks <= task.startTicks }) ?? true {
      latest[task.process] = task
    }
    return Array(latest.values)
  }

  private mutating func update(_ present: [Identity: WatchedTask], _ time: Int64) {
    for (identity, task) in present {
      let totals = Totals(task)
      var known = named[identity] ?? unnamed[identity]
      // Figures of another back-end are no continuation.
      if known?.backEnd != task.backEnd { known = nil }
      let isIdle = known.map {
        $0.totals.written == totals.written && $0.totals.read == totals.read
      }
      let since = isIdle == true ? known?.activeNanoseconds : nil
      let entry = Entry(totals: totals, backEnd: task.backEnd, activeNanoseconds: since ?? time)
      if named[identity] != nil {
        named[identity] = entry
      } else {
        if let known {
          others[task.backEnd, default: Totals()].add(from: known.totals, to: totals)
        }
        unnamed[identity] = entry
      }
    }
  }

  private mutating func admit(_ time: Int64) {
    guard !unnamed.isEmpty else { return }
    if named.count + unnamed.count > namedMax {
      let idle = named.filter { time - $0.value.activeNanoseconds > Self.idleNanoseconds }
      for (identity, entry) in idle {
        named[identity] = nil
        // It keeps its name after all where nobody waits who did something later.
        unnamed[identity] = entry
      }
    }
    let queue = unnamed.sorted { first, second in
      if first.value.activeNanoseconds != second.value.activeNanoseconds {
        return first.value.activeNanoseconds > second.value.activeNanoseconds
      }
      let (one, other) = (first.value.totals.written ?? -1, second.value.totals.written ?? -1)
      if one != other { return one > other }
      return first.key.process < second.key.process
    }
    for (identity, entry) in queue.prefix(max(0, namedMax - named.count)) {
      unnamed[identity] = nil
      named[identity] = entry
    }
  }
}
