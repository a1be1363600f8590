// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform

// From what a source samples to a heat map: each mapping of each process is a band. What tasks map
// is taken in, in order of time, with what they access, so that an address belongs to what was
// mapped there when it was accessed, also in programs that end before anybody can look.

/// Puts a source's samples into a heat map; for one thread.
public struct HeatWatch {
  /// The map so far.
  ///
  /// Times count from when the watch began.
  public private(set) var map = HeatMap()
  /// Where samples come from.
  public private(set) var source: any AccessSource
  /// Weight at addresses that no mapping had.
  public private(set) var unmappedWeight = 0.0
  /// Weight of samples without an address.
  public private(set) var unresolvedWeight = 0.0

  private struct BandKey: Hashable {
    var process: Int32
    var mapping: MappingIdentity
  }

  private let tree: SystemTree
  private let startNanoseconds: Int64
  private let shows: @Sendable (SampledAccess) -> Bool
  private var classifier: MappingClassifier
  private var tables: [Int32: MappingTable] = [:]
  private var bandIDs: [BandKey: UInt64] = [:]
  private var firstProcess: Int32?

  /// Processes whose mappings are kept at a time.
  private static let tableCountMax = 1024
  /// Mappings that can be told apart; what comes later goes to the map's others.
  private static let bandIDCountMax = 65_536

  /// Begins to watch.
  ///
  /// - Parameters:
  ///   - source: Where samples come from.
  ///   - start: The time that is shown as 0, in nanoseconds of CLOCK_MONOTONIC_RAW.
  ///   - classifier: Who tells what mappings are.
  ///   - tree: Where the kernel describes processes.
  ///   - shows: Whether an access is to be shown.
  public init(
    of source: any AccessSource, from start: Int64,
    classifier: MappingClassifier = MappingClassifier(), tree: SystemTree = SystemTree(),
    shows: @escaping @Sendable (SampledAccess) -> Bool = { _ in true }
  ) {
    self.source = source
    self.tree = tree
    self.shows = shows
    self.classifier = classifier
    startNanoseconds = start
  }

  /// Looks at a process before its first sample comes, so that a short life leaves more behind.
  public mutating func watch(_ process: Int32, now: Int64) {
    withTable(of: process, now: now) { _, _ in }
  }

  /// Takes in what was sampled since the last call.
  ///
  /// - Parameter now: The time, in nanoseconds of CLOCK_MONOTONIC_RAW.
  public mutating func drain(now: Int64) {
    // The source cannot be used while the map is changed by what it tells.
    var source = source
    var accesses: [SampledAccess] = []
    source.drain { accesses.append($0) }
    let events = source.takeTaskEvents()
    self.source = source
    if !events.isEmpty { accesses.sort { $0.timeNanoseconds < $1.timeNanoseconds } }
    var next = 0
    for access in accesses {
      while next < events.count, events[next].timeNanoseconds <= access.timeNanoseconds {
        take(in: events[next], now: now)
        next += 1
      }
      add(access, now: now)
    }
    for event in events[next...] { take(in: event, now: now) }
  }

  /// Ends sampling and takes in what is left.
  public mutating func stop(now: Int64) {
    source.stop()
    drain(now: now)
  }

  private mutating func add(_ access: SampledAccess, now: Int64) {
    guard let address = access.address else {
      unresolvedWeight += access.weight
      return
    }
    guard shows(access) else { return }
    let mapping = withTable(of: access.process, now: now) { table, classifier in
      table.identity(of: address, now: now, classifier: &classifier)
    }
    guard let mapping else {
      unmappedWeight += access.weight
      return
    }
    let length = min(max(1, access.byteCount), 1 << 40)
    let run = HeatRun(
      position: address, length: length,
      timeNanoseconds: UInt64(max(0, access.timeNanoseconds - startNanoseconds)),
      weightPerByte: access.weight / Double(length), isStore: access.isStore,
      isLoad: access.isLoad)
    let key = BandKey(process: access.process, mapping: mapping)
    if firstProcess == nil { firstProcess = access.process }
    guard let id = bandIDs[key] ?? newID(key) else {
      map.addToOthers(run)
      return
    }
    let range = tables[access.process]?.addresses(of: mapping)
    map.add(run, to: id) {
      let owner = access.process == firstProcess ? "" : " of process \(access.process)"
      return HeatBandInfo(
        name: mapping.name + owner, base: range?.lowerBound ?? address,
        byteCount: range.map { $0.upperBound - $0.lowerBound })
    }
  }

  private mutating func newID(_ key: BandKey) -> UInt64? {
    guard bandIDs.count < Self.bandIDCountMax else { return nil }
    bandIDs[key] = UInt64(bandIDs.count)
    return bandIDs[key]
  }

  /// Sizes as they are now: mappings grow after they were first touched.
  public mutating func refreshSizes() {
    for (key, id) in bandIDs {
      guard let range = tables[key.process]?.addresses(of: key.mapping),
        var info = map.summary(of: id)?.info
      else { continue }
      info.base = min(info.base, range.lowerBound)
      info.byteCount = max(info.byteCount ?? 0, range.upperBound - range.lowerBound)
      map.describe(id, as: info)
    }
  }

  // MARK: Mappings

  private mutating func withTable<Answer>(
    of process: Int32, now: Int64,
    _ body: (inout MappingTable, inout MappingClassifier) -> Answer
  ) -> Answer {
    var table = tables.removeValue(forKey: process) ?? newTable(of: process, now: now)
    defer { tables[process] = table }
    return body(&table, &classifier)
  }

  private mutating func newTable(of process: Int32, now: Int64) -> MappingTable {
    if tables.count >= Self.tableCountMax, let victim = tables.keys.first {
      tables[victim] = nil
    }
    var table = MappingTable(process: process, tree: tree)
    table.refresh(now: now, classifier: &classifier)
    return table
  }

  private mutating func take(in event: TaskEvent, now: Int64) {
    switch event.change {
    case .started(let parent, _):
      // What was known before of the number was of another process, which has ended.
      guard parent != event.process,
        tables[event.process]?.isOlder(than: event.timeNanoseconds) ?? true
      else { return }
      tables[event.process] = nil
      guard tables.count < Self.tableCountMax, let table = tables[parent] else { return }
      tables[event.process] = table.forked(as: event.process, at: event.timeNanoseconds)
    case .executed: tables[event.process]?.clear(at: event.timeNanoseconds)
    case .mapped(let mapping):
      let known = ProcessMapping(
        addresses: mapping.addresses, isWritable: mapping.isWritable,
        isShared: mapping.isShared, fileOffset: mapping.fileOffset,
        deviceMajor: mapping.deviceMajor, deviceMinor: mapping.deviceMinor,
        inode: mapping.inode, name: mapping.name)
      withTable(of: event.process, now: now) {
        $0.learn(known, at: event.timeNanoseconds, classifier: &$1)
      }
    case .ended, .renamed: break
    }
  }
}
