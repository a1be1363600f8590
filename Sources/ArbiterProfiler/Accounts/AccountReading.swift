// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterMetrics

/// An account as it stands at one moment: plain values for whoever shows it.
public struct AccountReading: Sendable {
  /// What one task did to one mapping.
  public struct Row: Sendable, Hashable {
    /// Who.
    public var task: AccountTask
    /// The task's name; nil where it ended before anybody could look.
    public var command: String?
    /// What.
    public var mapping: MappingIdentity
    /// Where it is mapped, for memory without a name.
    public var addresses: Range<UInt64>?
    /// Accesses that samples told of it: two of a copy that both loads and stores there.
    public var sampleCount: UInt64
    /// What was stored, in the unit of the measure.
    public var written: Estimate
    /// What was loaded; the reason where the back-end does not see loads.
    public var read: Figure<Estimate>
    /// Its part of everything that was stored; nil where nothing was.
    public var share: Double?
  }

  /// One task and everything that it did.
  public struct Task: Sendable, Hashable {
    /// Who.
    public var task: AccountTask
    /// The task's name; nil where it ended before anybody could look.
    public var command: String?
    /// Whether it has ended; its figures are final then.
    public var hasEnded: Bool
    /// Samples of it that were resolved.
    public var resolvedCount: UInt64
    /// Samples of it whose access could not be told.
    public var unresolvedCount: UInt64
    /// What those samples stand for, in the unit of the measure.
    public var unresolved: Double
    /// What was stored.
    public var written: Estimate
    /// What was loaded.
    public var read: Figure<Estimate>

    /// The share of its samples whose access could be told; nil without samples.
    public var resolvedShare: Double? {
      let all = resolvedCount &+ unresolvedCount
      return all == 0 ? nil : Double(resolvedCount) / Double(all)
    }
  }

  /// Which back-end it is.
  public var backEnd: BackEnd
  /// What became of the samples.
  public var losses: SamplingLosses
  /// Everything that was stored by anybody.
  public var written: Estimate
  /// Everything that was loaded by anybody.
  public var read: Figure<Estimate>
  /// One for each task and mapping, most stored first.
  public var rows: [Row]
  /// The tasks, most stored first.
  public var tasks: [Task]
  /// Accesses in rows of others, for which there was no room.
  public var foldedCount: UInt64
}

extension BackEnd {
  /// Whether every event is counted, so that figures have no error.
  public var isExact: Bool { self == .gates || self == .faults }

  /// Why it does not tell what was loaded; nil where it does.
  public var reasonWithoutLoads: String? {
    switch self {
    case .pebs, .timer: nil
    case .faults: "page faults do not tell loads from stores"
    case .gates: "gates count stores alone"
    }
  }
}

extension Accountant {
  /// The account as it stands.
  ///
  /// - Complexity: O(*n* log *n*) in rows.
  public mutating func reading() -> AccountReading {
    let backEnd = source.backEnd
    let total = ledger.total
    let weight = total.written.typicalWeight
    // Where nothing was loaded yet, a load's sample would weigh what a store's does.
    let readWeight = total.read.count > 0 ? total.read.typicalWeight : weight
    func written(_ row: LedgerRow) -> Estimate {
      row.written.estimate(isExact: backEnd.isExact, typicalWeight: weight)
    }
    func read(_ row: LedgerRow) -> Figure<Estimate> {
      if let reason = backEnd.reasonWithoutLoads { return .unavailable(reason) }
      return .known(
        row.read.estimate(isExact: false, typicalWeight: readWeight))
    }
    var sums: [AccountTask: LedgerRow] = [:]
    var rows: [AccountReading.Row] = []
    for (key, row) in ledger.rows {
      sums[key.task, default: LedgerRow()].add(row)
      rows.append(
        AccountReading.Row(
          task: key.task, command: tasks[key.task]?.command, mapping: key.mapping,
          addresses: addresses(of: key), sampleCount: row.sampleCount, written: written(row),
          read: read(row),
          share: total.written.total > 0 ? row.written.total / total.written.total : nil))
    }
    let everybody = Set(sums.keys).union(ledger.unresolved.keys).union(tasks.keys)
    let list = everybody.map { task in
      let row = sums[task] ?? LedgerRow()
      let unresolved = ledger.unresolved[task] ?? WeightSum()
      return AccountReading.Task(
        task: task, command: tasks[task]?.command, hasEnded: tasks[task]?.hasEnded ?? false,
        resolvedCount: ledger.resolved[task] ?? 0, unresolvedCount: unresolved.count,
        unresolved: unresolved.total, written: written(row), read: read(row))
    }
    return AccountReading(
      backEnd: backEnd, losses: source.losses, written: written(total), read: read(total),
      rows: rows.sorted { Self.order($0) < Self.order($1) },
      tasks: list.sorted { Self.order($0) < Self.order($1) }, foldedCount: ledger.foldedCount)
  }

  /// Most stored first; then most loaded, and by number, so that the order is always the same.
  private static func order(
    _ row: AccountReading.Row
  ) -> (Double, Double, Int32, Int32, String, Int) {
    (
      -row.written.value, -(row.read.value?.value ?? 0), row.task.process, row.task.thread ?? 0,
      row.mapping.name, row.mapping.serial
    )
  }

  private static func order(_ task: AccountReading.Task) -> (Double, Double, Int32, Int32) {
    (
      -task.written.value, -(task.read.value?.value ?? 0), task.task.process,
      task.task.thread ?? 0
    )
  }
}
