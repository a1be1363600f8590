// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// What may survive a loss of power at an instant: a model of x86 without clock and without memory.
//
// A *group* is what one operation stores: the words of a copy, of which no order is promised, or a
// single word. A cache line is 64 bytes, its words are of 8 bytes.
//
//   P1  A word arrives whole or not at all.
//   P2  Of the cached stores to one line a prefix in program order has arrived: whole groups, then
//       any of the words of one more. The cache may evict the line at any time, so any prefix may.
//   P3  Lines are independent of each other.
//   P4  clwb and clflushopt promise the cached stores that their line had, whoever made them, from
//       the next fence of the *same thread* on. clflush promises them at once.
//   P5  A non-temporal store is promised from the next fence of its thread on. Before it any of the
//       words may have arrived; stores to one word arrive in order.
//   P6  With eADR a cached store is promised once it is visible: when the next operation begins.
//       Only the words of the operation under way are open, and P5 holds as it stands.
//
// What is promised has *settled*. The model holds only what has not: whoever wants the bytes keeps
// an image and applies ``PersistenceModel/takeSettled()`` to it. A settled word supersedes earlier
// open stores to it, so that what is open may always be applied over the image.
//
// Left out: the order in which racing stores of several threads to one word become visible, which
// is taken to be that of the calls; the store buffer, beyond the operation under way; and that a
// non-temporal store evicts its line, which would promise more than P2.

/// A store that has not settled.
public struct OpenStore: Sendable, Hashable {
  /// What is stored.
  public var store: WordStore
  /// The operation that made it; ascends.
  public var group: Int
  /// Position among all stores.
  public var sequence: Int
  /// Who made it.
  public var thread: Int
  /// Whether it goes past the caches.
  public var isNonTemporal: Bool
}

/// What is in the persistence domain, what may be, and what fences will add.
public struct PersistenceModel: Sendable {
  private struct WriteBack {
    var line: Int
    /// Stores below this position are covered.
    var end: Int
  }

  /// What survives by itself.
  public let domain: PersistenceDomain
  /// The stores that have not settled, by line, in program order.
  public private(set) var open: [Int: [OpenStore]] = [:]
  private var settled: [WordStore] = []
  /// Under eADR: lines with cached stores of the operation under way.
  private var visiting: [Int] = []
  private var writeBacks: [Int: [WriteBack]] = [:]
  /// Lines with open non-temporal stores, by thread.
  private var streamed: [Int: Set<Int>] = [:]
  /// How many operations there were: the ``OpenStore/group`` of the last one.
  public private(set) var operationCount = 0
  private var sequence = 0

  /// Makes a model of memory whose whole content has settled.
  public init(domain: PersistenceDomain = .adr) {
    self.domain = domain
  }

  /// Stores words in one operation, in no promised order.
  ///
  /// - Parameters:
  ///   - words: What is stored; no word twice.
  ///   - thread: Who stores.
  ///   - isNonTemporal: Whether the words go past the caches.
  public mutating func store(
    _ words: some Sequence<WordStore>, thread: Int = 0, isNonTemporal: Bool = false
  ) {
    begin()
    for word in words {
      let line = word.line
      let entry = OpenStore(
        store: word, group: operationCount, sequence: sequence, thread: thread,
        isNonTemporal: isNonTemporal)
      sequence += 1
      open[line, default: []].append(entry)
      if isNonTemporal {
        streamed[thread, default: []].insert(line)
      } else if domain == .eadr, visiting.last != line {
        visiting.append(line)
      }
    }
  }

  /// Asks for lines to leave the caches.
  public mutating func writeBack(
    lines: some Sequence<Int>, by kind: WriteBackKind = .clwb, thread: Int = 0
  ) {
    begin()
    for line in lines where open[line] != nil {
      if kind == .clflush {
        settle(line) { !$0.isNonTemporal }
      } else {
        writeBacks[thread, default: []].append(WriteBack(line: line, end: sequence))
      }
    }
  }

  /// Fences a thread: its write-backs and non-temporal stores settle.
  public mutating func fence(thread: Int = 0) {
    begin()
    for writeBack in writeBacks.removeValue(forKey: thread) ?? [] {
      settle(writeBack.line) { !$0.isNonTemporal && $0.sequence < writeBack.end }
    }
    for line in streamed.removeValue(forKey: thread) ?? [] {
      settle(line) { $0.isNonTemporal && $0.thread == thread }
    }
  }

  /// Takes everything that is open for promised, as a run that starts from this state does.
  public mutating func settleAll() {
    for line in open.keys.sorted() { settle(line) { _ in true } }
    writeBacks = [:]
    streamed = [:]
    visiting = []
  }

  /// The words that have settled since the last call, in the order in which they are to be applied.
  public mutating func takeSettled() -> [WordStore] {
    defer { settled.removeAll(keepingCapacity: true) }
    return settled
  }

  /// Whether a write-back that covers the store waits for its fence.
  public func isWrittenBack(_ store: OpenStore) -> Bool {
    writeBacks.values.contains { list in
      list.contains { $0.line == store.store.line && store.sequence < $0.end }
    }
  }

  /// A new operation begins: what the one before stored is visible.
  private mutating func begin() {
    operationCount += 1
    for line in visiting { settle(line) { !$0.isNonTemporal } }
    visiting.removeAll(keepingCapacity: true)
  }

  /// Moves stores of a line out of what is open; the rest may still be applied over them.
  private mutating func settle(_ line: Int, where isPromised: (OpenStore) -> Bool) {
    guard let stores = open[line] else { return }
    var kept: [OpenStore] = []
    for store in stores {
      guard isPromised(store) else {
        kept.append(store)
        continue
      }
      settled.append(store.store)
      // Whether an earlier store to the same bytes has arrived can no longer be seen.
      for index in kept.indices where kept[index].store.word == store.store.word {
        kept[index].store.mask &= ~store.store.mask
        kept[index].store.value &= ~store.store.mask
      }
    }
    kept.removeAll { $0.store.mask == 0 }
    open[line] = kept.isEmpty ? nil : kept
  }
}
