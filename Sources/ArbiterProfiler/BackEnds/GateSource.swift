// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterRuntime

// Gates count what passes them; this source tells what they have counted since it was last asked.
//
// G1  What is told of a session, over all calls, is never more than what its gates have counted:
//     the sum of the departed is read before the slots, so that a slot that is handed on in between
//     is missing for one look and never there twice.
// G2  What a slot that was handed on had not told yet is told of the session as a whole: of its
//     only process where it has one, of the `arbiter run` itself where it has several. A slot that
//     is handed on between the last look and the end of its run tells no more.

/// Exact counts of the programs that `arbiter run` has started.
public struct GateSource: AccessSource {
  /// Which back-end it is.
  public let backEnd = BackEnd.gates
  /// What became of the samples so far; each look at a gate that has counted something is one.
  public private(set) var losses = SamplingLosses()

  private struct Place: Hashable {
    var page: UInt64
    var process: Int32
    var thread: Int32
    var set: Int
  }

  private struct Session: Hashable {
    var page: UInt64
    var number: Int
    var process: Int32
  }

  private let tellsWhatWasBefore: Bool
  private let processes: () -> [Int32]
  private let find: ([Int32]) -> [FoundPage]
  private var pages: [FoundPage] = []
  private var told: [Place: UInt64] = [:]
  private var toldOfSession: [Session: UInt64] = [:]
  private var foundNanoseconds: Int64?

  /// Time between two searches for pages.
  private static let searchNanoseconds: Int64 = 100_000_000

  /// Watches the gates of some processes.
  ///
  /// - Parameters:
  ///   - folder: The runtime folder.
  ///   - tellsWhatWasBefore: Whether what gates had counted when they were found is told too: it
  ///     is for programs that are watched from their start.
  ///   - processes: Which processes count; asked again each time.
  public init(
    folder: String, tellsWhatWasBefore: Bool, processes: @escaping () -> [Int32]
  ) {
    self.init(tellsWhatWasBefore: tellsWhatWasBefore, processes: processes) {
      FoundPages.find(in: folder, ofProcesses: $0)
    }
  }

  init(
    tellsWhatWasBefore: Bool, processes: @escaping () -> [Int32],
    find: @escaping ([Int32]) -> [FoundPage]
  ) {
    self.tellsWhatWasBefore = tellsWhatWasBefore
    self.processes = processes
    self.find = find
  }

  /// Whether a page was found so far.
  public var hasPages: Bool { !pages.isEmpty }

  /// Hands over what was counted since the last call.
  public mutating func drain(_ body: (SampledAccess) -> Void) {
    let now = SystemClock.monotonicRawNanoseconds()
    let wanted = processes()
    if foundNanoseconds.map({ now - $0 >= Self.searchNanoseconds }) ?? true {
      foundNanoseconds = now
      // Pages that are known stay open: their figures outlive their runs.
      let known = Set(pages.map(\.inode))
      let new = find(wanted).filter { !known.contains($0.inode) }
        .prefix(FoundPages.pageCountMax - min(pages.count, FoundPages.pageCountMax))
      if !tellsWhatWasBefore {
        for page in new { drain(page, Set(wanted), now) { _ in } }
        losses = SamplingLosses()
      }
      pages += new
    }
    let family = Set(wanted)
    for page in pages { drain(page, family, now, body) }
  }

  private mutating func drain(
    _ page: FoundPage, _ wanted: Set<Int32>, _ now: Int64, _ body: (SampledAccess) -> Void
  ) {
    let sessions = page.sessions
    let gates = page.gates
    let names = Dictionary(page.sets.map { ($0.index, $0.name) }) { first, _ in first }
    var slots: [Place: UInt64] = [:]
    for gate in gates {
      let place = Place(
        page: page.inode, process: gate.process, thread: gate.thread, set: gate.setIndex)
      slots[place, default: 0] &+= gate.counts.storedBytes
    }
    var sums: [Int32: UInt64] = [:]
    for (place, bytes) in slots where wanted.contains(place.process) {
      // A thread that left and came back begins anew in another slot.
      let former = told[place] ?? 0
      let difference = bytes >= former ? bytes - former : bytes
      told[place] = bytes
      guard difference > 0 else { continue }
      sums[place.process, default: 0] &+= difference
      tell(place.process, place.thread, now, difference, names[place.set] ?? "unknown", body)
    }
    for session in sessions {
      let members = Set(gates.filter { $0.session == session.session }.map(\.process))
      guard members.isSubset(of: wanted), wanted.contains(session.process) || !members.isEmpty
      else { continue }
      let key = Session(
        page: page.inode, number: session.session, process: session.process)
      let total = gates.filter { $0.session == session.session }
        .reduce(session.departed.storedBytes) { $0 &+ $1.counts.storedBytes }
      let soFar = (toldOfSession[key] ?? 0) &+ members.reduce(0) { $0 &+ (sums[$1] ?? 0) }
      let rest = total > soFar ? total - soFar : 0
      toldOfSession[key] = soFar &+ rest
      guard rest > 0 else { continue }
      let only = members.count == 1 ? members.first : nil
      tell(only ?? session.process, only ?? session.process, now, rest, "departed threads", body)
    }
  }

  private mutating func tell(
    _ process: Int32, _ thread: Int32, _ now: Int64, _ bytes: UInt64, _ place: String,
    _ body: (SampledAccess) -> Void
  ) {
    losses.sampleCount += 1
    losses.resolvedCount += 1
    body(
      SampledAccess(
        process: process, thread: thread, timeNanoseconds: now, address: nil, byteCount: bytes,
        isStore: true, isLoad: false, weight: Double(bytes), place: place))
  }

  /// Looks a last time at the next call.
  public mutating func stop() {}
}
