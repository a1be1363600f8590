// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice
package import CArbiterCounters
internal import Glibc

// Which units belong to an interleave set: a set lies on the modules of one package, every memory
// controller of the package has a part of it, and nothing tells the parts of two sets of one
// package apart. So the figures are the sum over the package's units: exact where the package has
// one set, which is how sets are made unless somebody asks otherwise, and the sum of its sets where
// not. The region's NUMA node names the package.
//
// A unit has few counters and may lend them to others in turn. Growth is therefore scaled by the
// time for which the unit counted, period by period, which unlike scaling of the totals never
// runs backwards.

/// A pair of events on one unit and processor, before it is opened.
package struct PlannedEvents: Sendable {
  package var unit: String
  package var processor: Int
  package var reads: ArbEvent
  package var writes: ArbEvent

  package init(unit: String, processor: Int, reads: ArbEvent, writes: ArbEvent) {
    self.unit = unit
    self.processor = processor
    self.reads = reads
    self.writes = writes
  }
}

/// Commands that one unit has counted, made whole where it counted only part of the time.
package struct ScaledCounts: Sendable, Hashable {
  package private(set) var reads: UInt64 = 0
  package private(set) var writes: UInt64 = 0
  /// Whether the unit has counted at all.
  package private(set) var hasRun = false

  private var enabled: UInt64 = 0
  private var running: UInt64 = 0
  private var rawReads: UInt64 = 0
  private var rawWrites: UInt64 = 0

  package init() {}

  /// Takes in what the kernel tells; growth in time without counting waits for the next time.
  package mutating func add(enabled: UInt64, running: UInt64, reads: UInt64, writes: UInt64) {
    let ran = running &- self.running
    guard running > self.running, reads >= rawReads, writes >= rawWrites else { return }
    let passed = max(ran, enabled &- self.enabled)
    self.reads &+= Self.scaled(reads - rawReads, passed, ran)
    self.writes &+= Self.scaled(writes - rawWrites, passed, ran)
    self.enabled = enabled
    self.running = running
    rawReads = reads
    rawWrites = writes
    hasRun = true
  }

  private static func scaled(_ growth: UInt64, _ passed: UInt64, _ ran: UInt64) -> UInt64 {
    if passed == ran { return growth }
    return UInt64((Double(growth) * (Double(passed) / Double(ran))).rounded())
  }
}

/// The processor's own counts of the commands that it sends to persistent memory, through perf.
///
/// Media bytes are unavailable from here.
///
/// - Complexity: A snapshot is one system call per unit of the package, 8 at most on processors of
///   today, each of a few microseconds.
public struct ControllerCounters: CounterReader {
  /// An open pair of events.
  private final class Pair: Sendable {
    let leader: Int32
    let member: Int32

    init(leader: Int32, member: Int32) {
      self.leader = leader
      self.member = member
    }

    deinit {
      close(member)
      close(leader)
    }
  }

  private let pairs: [Pair]
  private var counts: [ScaledCounts]
  private var reason: String?

  /// Opens the events; they count from now on.
  ///
  /// - Parameters:
  ///   - plan: The events; at least one pair.
  ///   - paranoid: The kernel's limit on measuring by users, for the message.
  /// - Throws: ``PlatformError`` for the first event that the kernel refuses.
  package init(_ plan: [PlannedEvents], paranoid: Int?) throws(PlatformError) {
    precondition(!plan.isEmpty, "a plan without events")
    var pairs: [Pair] = []
    for events in plan {
      let leader = try Self.open(events.reads, events, joining: -1, paranoid)
      do {
        let member = try Self.open(events.writes, events, joining: leader, paranoid)
        pairs.append(Pair(leader: leader, member: member))
      } catch {
        close(leader)
        throw error
      }
    }
    self.pairs = pairs
    counts = [ScaledCounts](repeating: ScaledCounts(), count: pairs.count)
  }

  /// The memory controller; unavailable once it cannot be read.
  public var source: CounterSource { reason == nil ? .memoryController : .unavailable }

  /// Why figures are missing.
  public var reasonForAbsence: String? {
    reason ?? "the memory controller does not see what modules do with their media"
  }

  /// Bytes of commands since the events were opened; none before every unit has counted.
  public mutating func snapshot() -> CounterSnapshot {
    let before = SystemClock.monotonicRawNanoseconds()
    for index in pairs.indices where reason == nil {
      var answer = ArbEventCounts()
      let status = unsafe arb_event_read_pair(pairs[index].leader, &answer)
      if status != 0 {
        let error = PlatformError(
          errorNumber: Int32(-status), path: nil, action: "read the memory controller's events")
        reason = error.reason
        break
      }
      counts[index].add(
        enabled: answer.enabled_nanoseconds, running: answer.running_nanoseconds,
        reads: answer.first, writes: answer.second)
    }
    let after = SystemClock.monotonicRawNanoseconds()
    let time = before + (after - before) / 2
    guard reason == nil, counts.allSatisfy(\.hasRun) else {
      return .unavailable(atNanoseconds: time)
    }
    return CounterSnapshot(
      timeNanoseconds: time, source: .memoryController,
      imcWriteBytes: Self.bytes(counts.map(\.writes)),
      imcReadBytes: Self.bytes(counts.map(\.reads)))
  }

  /// Commands of 64 B in bytes; nil where the counts are beyond any machine.
  private static func bytes(_ commands: [UInt64]) -> UInt64? {
    var total: UInt64 = 0
    for count in commands {
      let (sum, isOver) = total.addingReportingOverflow(count)
      if isOver { return nil }
      total = sum
    }
    let (bytes, isOver) = total.multipliedReportingOverflow(by: 64)
    return isOver ? nil : bytes
  }

  private static func open(
    _ event: ArbEvent, _ events: PlannedEvents, joining leader: Int32, _ paranoid: Int?
  ) throws(PlatformError) -> Int32 {
    var event = event
    let answer = unsafe arb_event_open(&event, Int32(events.processor), leader)
    guard answer < 0 else { return Int32(answer) }
    throw Self.refusal(
      Int32(-answer), "count on \(events.unit), processor \(events.processor)", paranoid)
  }

  /// What the kernel's refusal of an event means, with what would have to be granted.
  package static func refusal(
    _ number: Int32, _ action: String, _ paranoid: Int?
  ) -> PlatformError {
    guard number == EACCES || number == EPERM else {
      return PlatformError(
        errorNumber: number, path: nil, action: action,
        nextStep: "see the kernel's documentation of the unit")
    }
    let now = paranoid.map { " (now \($0))" } ?? ""
    return PlatformError(
      errorNumber: number, path: nil, action: action,
      nextStep: "grant the program CAP_PERFMON or set kernel.perf_event_paranoid\(now) to 0")
  }
}
