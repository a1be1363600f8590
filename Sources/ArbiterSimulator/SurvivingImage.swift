// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// What a loss of power leaves of a simulated machine.
//
//   ADR   a store survives from the moment at which its module has accepted it into the
//         write-pending queue; a plain store only when its line was evicted or flushed.
//   eADR  a store through the cache survives once its core has the line. A non-temporal store does
//         not pass the cache: in the core's window it is lost here too.
//
// The stores of one kind to one line survive in the order of their issue. Two of them that wait in
// a window together would be one on a real core; here the older one is taken to go first.
//
//   C1  What a completed fence of a thread covers survives: with ADR all its stores but plain ones.
//   C2  Nothing survives that no core has issued.
//   C3  What survives with ADR survives with eADR.

internal import ArbiterCore
internal import ArbiterDevice
public import ArbiterPersistence

/// A cache line of a simulated machine after a loss of power.
public struct SurvivingLine: Sendable, Hashable {
  /// Byte address by which the program knows the line.
  public var address: UInt64
  /// Stores to it that a core had issued.
  public var issuedCount = 0
  /// Stores among them that survive.
  public var survivedCount = 0
  /// The youngest issued store, numbered through the whole run from 1.
  public var lastIssued = 0
  /// The youngest store that survives, which is what the line holds; nil where none does.
  public var lastSurvivor: Int?
}

/// The memory of a simulated machine after a loss of power.
public struct SurvivingImage: Sendable, Hashable {
  /// What survives by itself.
  public var domain: PersistenceDomain
  /// Every line that the program stored to, by ascending address.
  public var lines: [SurvivingLine]

  /// Stores that were issued.
  public var issuedCount: Int { lines.reduce(0) { $0 + $1.issuedCount } }
  /// Stores that survive.
  public var survivedCount: Int { lines.reduce(0) { $0 + $1.survivedCount } }
}

extension Simulation {
  /// Starts to remember what a loss of power would leave.
  ///
  /// Costs memory for each store from now on; a simulation that is not asked pays nothing.
  ///
  /// - Precondition: Nothing has been run yet.
  public mutating func recordPersistence() {
    precondition(eventCount == 0, "a record of persistence begins with the machine")
    startTrace()
  }

  /// How many moments there are at which the memory can be looked at.
  public var persistenceEventCount: Int { trace.count }

  /// The memory after a loss of power.
  ///
  /// - Parameters:
  ///   - domain: What survives by itself.
  ///   - count: How many of the recorded events had happened; nil for all, which is now.
  /// - Returns: Every line that was stored to, with what survives of it.
  /// - Precondition: The count is at most ``persistenceEventCount``.
  /// - Complexity: O(events).
  public func survivingImage(
    in domain: PersistenceDomain, afterEvents count: Int? = nil
  ) -> SurvivingImage {
    let events = trace
    precondition((0...events.count).contains(count ?? 0), "no such event")
    var histories: [UInt64: LineHistory] = [:]
    var sequence = 0
    for event in events.prefix(count ?? events.count) {
      guard let operation = event.operation else { continue }
      if event.kind == .issued || event.kind == .executed { sequence += 1 }
      histories[event.programAddress, default: LineHistory()].add(
        event.kind, operation, thread: event.thread, sequence: sequence, domain)
    }
    let lines = histories.map { $1.line(at: $0) }
    return SurvivingImage(domain: domain, lines: lines.sorted { $0.address < $1.address })
  }
}

/// Stores that keep the order of their issue among themselves: those of one kind, and of those that
/// go through the cache those of one thread.
private struct OrderedStores: Hashable {
  enum Kind: Hashable { case streamed, writtenBack, plain }

  let kind: Kind
  let thread: Int

  init?(_ operation: Operation, thread: Int) {
    switch operation {
    case .storeNonTemporal: kind = .streamed
    case .storeWriteBack, .storeWriteBackCached: kind = .writtenBack
    case .storePlain, .storePlainCached: kind = .plain
    case .load, .writeBack, .fence: return nil
    }
    self.thread = kind == .streamed ? 0 : thread
  }
}

/// What happened to one line.
private struct LineHistory {
  /// How many stores of a thread the cache has, by kind.
  private struct Cached {
    var writtenBack = 0
    var plain = 0
  }

  private var issued: [OrderedStores: [Int]] = [:]
  private var survived: [OrderedStores: Int] = [:]
  private var cached: [Int: Cached] = [:]
  /// What the line had when it left the cache of a thread, until its module accepts it.
  private var leaving: [Int: [Cached]] = [:]

  mutating func add(
    _ kind: TracedEvent.Kind, _ operation: Operation, thread: Int, sequence: Int,
    _ domain: PersistenceDomain
  ) {
    let stores = OrderedStores(operation, thread: thread)
    switch kind {
    case .issued, .executed:
      if let stores { issued[stores, default: []].append(sequence) }
    case .cached:
      switch stores?.kind {
      case .plain: cached[thread, default: Cached()].plain += 1
      case .writtenBack: cached[thread, default: Cached()].writtenBack += 1
      default: return
      }
      if domain == .eadr { keep(cached[thread] ?? Cached(), of: thread) }
    case .left where operation != .storeNonTemporal:
      leaving[thread, default: []].append(cached[thread] ?? Cached())
    case .accepted:
      if let stores, stores.kind == .streamed {
        survived[stores, default: 0] += 1
      } else if let first = leaving[thread]?.first {
        leaving[thread]?.removeFirst()
        keep(first, of: thread)
      }
    default: break
    }
  }

  private mutating func keep(_ count: Cached, of thread: Int) {
    for (operation, count) in [
      (Operation.storePlain, count.plain), (.storeWriteBack, count.writtenBack),
    ] {
      guard let stores = OrderedStores(operation, thread: thread) else { continue }
      survived[stores] = max(survived[stores] ?? 0, count)
    }
  }

  func line(at address: UInt64) -> SurvivingLine {
    var line = SurvivingLine(address: address)
    for sequences in issued.values {
      line.issuedCount += sequences.count
      line.lastIssued = max(line.lastIssued, sequences.last ?? 0)
    }
    for (stores, count) in survived where count > 0 {
      let sequences = issued[stores] ?? []
      precondition(count <= sequences.count, "a store survives that was never issued (C2)")
      line.survivedCount += count
      line.lastSurvivor = max(line.lastSurvivor ?? 0, sequences[count - 1])
    }
    return line
  }
}
