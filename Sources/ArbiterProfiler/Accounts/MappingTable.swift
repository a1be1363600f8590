// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform

// A process's memory map as it was when it was last read. It is read again when an address is not
// in it, but not more often than every 100 ms, or at once when whoever watches has seen the process
// map something. Anonymous memory has no name: it keeps its serial number as long as its addresses
// overlap what it had before, so that memory that grows stays one row.

/// Finds what a process's addresses belong to.
public struct MappingTable: Sendable {
  private struct Entry: Sendable {
    var addresses: Range<UInt64>
    var identity: MappingIdentity
  }

  /// The process.
  public let process: Int32
  private let tree: SystemTree
  private var entries: [Entry] = []
  /// When a reading was last tried, and when one last succeeded.
  private var readNanoseconds: Int64?
  private var knownNanoseconds: Int64?
  private var serialCount = 0
  private var isStale = false
  private var hasLearned = false

  /// Mappings of a process that are kept; the kernel's own limit is 65,530.
  public static let mappingCountMax = 70_000
  /// The shortest time between two readings that missing addresses cause.
  public static let rereadNanoseconds: Int64 = 100_000_000

  /// Makes a table that has not been read yet.
  public init(process: Int32, tree: SystemTree = SystemTree()) {
    self.process = process
    self.tree = tree
  }

  /// Mappings in the table.
  public var count: Int { entries.count }

  /// The addresses of an identity now; the widest where it has several.
  public func addresses(of identity: MappingIdentity) -> Range<UInt64>? {
    entries.lazy.filter { $0.identity == identity }.map(\.addresses)
      .max { $0.byteCount < $1.byteCount }
  }

  /// Bytes of slow memory that the process maps, as of the last reading.
  public var slowBytes: UInt64 {
    entries.reduce(0) { sum, entry in
      sum &+ (entry.identity.kind.isSlow ? entry.addresses.byteCount : 0)
    }
  }

  /// Says that the process has mapped something: the next lookup reads the map again.
  public mutating func invalidate() { isStale = true }

  /// What an address belongs to.
  ///
  /// - Parameters:
  ///   - address: The address.
  ///   - now: The time, in nanoseconds of a clock that nobody adjusts.
  ///   - classifier: Who tells what mappings are.
  /// - Returns: nil where no mapping has the address, or where the map may not be read.
  /// - Complexity: O(log *n*) in mappings, and a reading of the map now and then.
  public mutating func identity(
    of address: UInt64, now: Int64, classifier: inout MappingClassifier
  ) -> MappingIdentity? {
    if isStale { refresh(now: now, classifier: &classifier) }
    if let found = find(address) { return found }
    if let readNanoseconds, now - readNanoseconds < Self.rereadNanoseconds { return nil }
    refresh(now: now, classifier: &classifier)
    return find(address)
  }

  /// Reads the map; a process that is gone keeps the one it had.
  ///
  /// - Returns: Whether it could be read.
  @discardableResult
  public mutating func refresh(now: Int64, classifier: inout MappingClassifier) -> Bool {
    readNanoseconds = now
    isStale = false
    guard let mappings = ProcessMapping.read(ofProcess: process, from: tree), !mappings.isEmpty
    else { return false }
    knownNanoseconds = now
    hasLearned = false
    let former = entries.filter { $0.identity.serial > 0 }
    var next = 0
    var taken: Set<Int> = []
    entries = mappings.prefix(Self.mappingCountMax).map { mapping in
      var identity = classifier.identity(of: mapping)
      guard identity.kind == .anonymous else {
        return Entry(addresses: mapping.addresses, identity: identity)
      }
      while next < former.count, former[next].addresses.upperBound <= mapping.addresses.lowerBound {
        next += 1
      }
      var place = next
      while place < former.count, former[place].addresses.overlaps(mapping.addresses) {
        let serial = former[place].identity.serial
        if taken.insert(serial).inserted {
          identity.serial = serial
          break
        }
        place += 1
      }
      if identity.serial == 0 {
        serialCount += 1
        identity.serial = serialCount
        taken.insert(serialCount)
      }
      return Entry(addresses: mapping.addresses, identity: identity)
    }
    return true
  }

  /// Takes in a mapping that the kernel has told of, in place of what had its addresses.
  ///
  /// One that is older than the last reading is in it, or gone again.
  ///
  /// - Complexity: O(*n*) in mappings.
  public mutating func learn(
    _ mapping: ProcessMapping, at time: Int64, classifier: inout MappingClassifier
  ) {
    if let knownNanoseconds, time <= knownNanoseconds { return }
    hasLearned = true
    var identity = classifier.identity(of: mapping)
    if identity.kind == .anonymous {
      let former = entries.first {
        $0.identity.kind == .anonymous && $0.addresses.overlaps(mapping.addresses)
      }
      if former == nil { serialCount += 1 }
      identity.serial = former?.identity.serial ?? serialCount
    }
    var kept: [Entry] = []
    kept.reserveCapacity(entries.count + 2)
    let (low, high) = (mapping.addresses.lowerBound, mapping.addresses.upperBound)
    for entry in entries {
      if !entry.addresses.overlaps(mapping.addresses) {
        kept.append(entry)
        continue
      }
      for part in [(entry.addresses.lowerBound, low), (high, entry.addresses.upperBound)]
      where part.0 < part.1 {
        kept.append(Entry(addresses: part.0..<part.1, identity: entry.identity))
      }
    }
    let place = kept.firstIndex { $0.addresses.lowerBound > low } ?? kept.count
    kept.insert(Entry(addresses: mapping.addresses, identity: identity), at: place)
    entries = Array(kept.prefix(Self.mappingCountMax))
  }

  /// Reads the map where mappings were learned since: the kernel tells of none that are removed.
  public mutating func settle(now: Int64, classifier: inout MappingClassifier) {
    if hasLearned { refresh(now: now, classifier: &classifier) }
  }

  /// The table of a process that this one has started and that has everything mapped that it has.
  ///
  /// - Parameters:
  ///   - process: The new process.
  ///   - time: When it was started, by the clock of mappings that the kernel tells of.
  /// - Returns: Its table, as of that time.
  public func forked(as process: Int32, at time: Int64) -> MappingTable {
    var table = MappingTable(process: process, tree: tree)
    table.entries = entries
    table.serialCount = serialCount
    // What is not known at all is no better known for being older.
    table.knownNanoseconds = knownNanoseconds == nil ? nil : time
    return table
  }

  /// Whether all that it knows is from before a time.
  public func isOlder(than time: Int64) -> Bool { knownNanoseconds.map { $0 < time } ?? true }

  /// Forgets everything that was read before: the process has begun another program.
  public mutating func clear(at time: Int64) {
    if let knownNanoseconds, time <= knownNanoseconds { return }
    entries = []
    readNanoseconds = nil
  }

  private func find(_ address: UInt64) -> MappingIdentity? {
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].addresses.upperBound <= address { low = middle + 1 } else { high = middle }
    }
    guard low < entries.count, entries[low].addresses.contains(address) else { return nil }
    return entries[low].identity
  }
}

extension Range<UInt64> {
  /// Its bytes; a count of integers has no room for those of the upper half of memory.
  fileprivate var byteCount: UInt64 { upperBound - lowerBound }
}
