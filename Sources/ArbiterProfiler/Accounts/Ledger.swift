// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A process or a thread to which accesses are charged.
public struct AccountTask: Sendable, Hashable {
  /// The process.
  public var process: Int32
  /// The thread; nil where the process's threads are taken together.
  public var thread: Int32?
  /// When it started, in clock ticks since the machine did: tells two tasks of one number apart.
  ///
  /// 0 where it ended before anybody could look.
  public var startTicks: UInt64

  /// Makes a task.
  public init(process: Int32, thread: Int32? = nil, startTicks: UInt64) {
    self.process = process
    self.thread = thread
    self.startTicks = startTicks
  }
}

/// What one task did to one mapping.
public struct LedgerRow: Sendable, Hashable {
  /// Samples of it.
  public var sampleCount: UInt64 = 0
  /// What was stored.
  public var written = WeightSum()
  /// What was loaded.
  public var read = WeightSum()

  /// Makes a row of nothing.
  public init() {}

  /// Adds another row.
  public mutating func add(_ other: LedgerRow) {
    sampleCount &+= other.sampleCount
    written.add(other.written)
    read.add(other.read)
  }
}

/// Who accessed what: one row for each task and mapping, and no more rows than were agreed on.
///
/// I1  What is charged is in exactly one row, or among the unresolved: sums over the ledger are
///     sums over its input.
/// I2  Rows and tasks never exceed their limits. What finds no row is in a task's row of others; a
///     task that finds no place is in the common task of others.
public struct Ledger: Sendable {
  /// Where a row is.
  public struct Key: Sendable, Hashable {
    /// Who.
    public var task: AccountTask
    /// What.
    public var mapping: MappingIdentity
  }

  /// The task of those that found no place.
  public static let otherTasks = AccountTask(process: 0, startTicks: 0)

  /// The most rows, rows of others apart.
  public let rowCountMax: Int
  /// The most tasks; each has at most one row of others.
  public let taskCountMax: Int
  /// The rows.
  public private(set) var rows: [Key: LedgerRow] = [:]
  /// Samples of each task that could not be resolved, and their weights.
  public private(set) var unresolved: [AccountTask: WeightSum] = [:]
  /// Samples in rows of others.
  public private(set) var foldedCount: UInt64 = 0

  private var tasks: Set<AccountTask> = []
  private var plainRowCount = 0

  /// Makes an empty ledger.
  public init(rowCountMax: Int = 4096, taskCountMax: Int = 4096) {
    precondition(rowCountMax >= 0 && taskCountMax >= 0, "negative limit of a ledger")
    self.rowCountMax = rowCountMax
    self.taskCountMax = taskCountMax
  }

  /// Charges a resolved sample.
  public mutating func charge(
    _ task: AccountTask, _ mapping: MappingIdentity, isStore: Bool, isLoad: Bool, weight: Double
  ) {
    var key = Key(task: place(for: task), mapping: mapping)
    if rows[key] == nil {
      if plainRowCount < rowCountMax, key.task == task {
        plainRowCount += 1
      } else {
        key.mapping = .others
      }
    }
    if key.mapping == .others { foldedCount &+= 1 }
    var row = rows[key] ?? LedgerRow()
    row.sampleCount &+= 1
    if isStore { row.written.add(weight) }
    if isLoad { row.read.add(weight) }
    rows[key] = row
  }

  /// Charges a sample whose access could not be told.
  public mutating func chargeUnresolved(_ task: AccountTask, weight: Double) {
    unresolved[place(for: task), default: WeightSum()].add(weight)
  }

  private mutating func place(for task: AccountTask) -> AccountTask {
    if tasks.contains(task) { return task }
    guard tasks.count < taskCountMax else { return Self.otherTasks }
    tasks.insert(task)
    return task
  }

  /// Forgets tasks, so that others find room; what was charged to them is in no sum any more.
  public mutating func keep(where isKept: (AccountTask) -> Bool) {
    tasks = tasks.filter(isKept)
    rows = rows.filter { isKept($0.key.task) }
    unresolved = unresolved.filter { isKept($0.key) }
    plainRowCount = rows.keys.count { $0.mapping != .others }
  }

  /// Everything that was charged to anybody.
  public var total: LedgerRow {
    rows.values.reduce(into: LedgerRow()) { $0.add($1) }
  }

  /// What could not be resolved of anybody.
  public var unresolvedTotal: WeightSum {
    unresolved.values.reduce(into: WeightSum()) { $0.add($1) }
  }
}
