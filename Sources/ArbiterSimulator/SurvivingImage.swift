// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// What a loss of power leaves of a simulated machine.
//
//   ADR   a store survives from the moment at which its module has accepted it into the
//         write-pending queue; a plain store only when the cache evicts its line.
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
      guard let kind = event.operation.flatMap(StoreKind.init) else { continue }
      switch event.kind {
      case .issued, .executed:
        sequence += 1
        histories[event.programAddress, default: LineHistory()].issued[kind, default: []]
          .append(sequence)
      case .cached where domain == .eadr && kind != .streamed,
        .accepted where domain == .adr || kind == .streamed:
        histories[event.programAddress, default: LineHistory()].survived[kind, default: 0] += 1
      default: break
      }
    }
    let lines = histories.map { $1.line(at: $0) }
    return SurvivingImage(domain: domain, lines: lines.sorted { $0.address < $1.address })
  }
}

/// Stores of which each kind keeps its own order.
private enum StoreKind: Hashable {
  case streamed, writtenBack, plain

  init?(_ operation: Operation) {
    switch operation {
    case .storeNonTemporal: self = .streamed
    case .storeWriteBack, .storeWriteBackCached: self = .writtenBack
    case .storePlain, .storePlainCached: self = .plain
    case .load, .writeBack, .fence: return nil
    }
  }
}

/// What happened to one line.
private struct LineHistory {
  var issued: [StoreKind: [Int]] = [:]
  var survived: [StoreKind: Int] = [:]

  func line(at address: UInt64) -> SurvivingLine {
    var line = SurvivingLine(address: address)
    for sequences in issued.values {
      line.issuedCount += sequences.count
      line.lastIssued = max(line.lastIssued, sequences.last ?? 0)
    }
    for (kind, count) in survived where count > 0 {
      let sequences = issued[kind] ?? []
      precondition(count <= sequences.count, "a store survives that was never issued (C2)")
      line.survivedCount += count
      line.lastSurvivor = max(line.lastSurvivor ?? 0, sequences[count - 1])
    }
    return line
  }
}
