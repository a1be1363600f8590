// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// What a crash may leave by another way than the model's: a machine that takes steps. It has caches
// whose lines may be written to memory at any time, write-combining buffers whose words may be, and
// a loss of power that leaves memory. All its runs are followed at once.
//
// A word's content is the number of the operation that stored it, so that the newer of two contents
// is the greater number.

/// An operation of a small program on two lines with two words each.
public struct OracleOperation: Sendable, Hashable, CustomStringConvertible {
  /// What may be done.
  public enum Kind: Sendable, Hashable {
    /// Words through the cache, in no promised order.
    case store([Int])
    /// Words past the cache.
    case stream([Int])
    /// A line is written back, clwb.
    case writeBack(line: Int)
    /// A line is written back, clflush.
    case flush(line: Int)
    /// The thread fences.
    case fence
  }

  /// What is done.
  public var kind: Kind
  /// Who does it.
  public var thread: Int

  /// Makes an operation.
  public init(_ kind: Kind, thread: Int = 0) {
    self.kind = kind
    self.thread = thread
  }

  /// The operation, for failures.
  public var description: String { "\(kind) by \(thread)" }
}

/// The machine after a program, in all the states that it may be in.
public struct PersistenceOracle: Sendable {
  /// The words 0 and 1 are of line 0, the words 2 and 3 of line 1.
  public typealias Memory = SIMD4<UInt8>

  private struct State: Hashable {
    var memory = Memory()
    /// Write-backs under way: a bit for each thread and line.
    var writeBacks: UInt8 = 0
  }

  private let cachesSurvive: Bool
  private var states: Set<State> = [State()]
  private var cache = Memory()
  /// Words in write-combining buffers: what, where and whose.
  private var streams: [(word: Int, number: UInt8, thread: Int)] = []
  private var count: UInt8 = 0
  /// What a crash now, or while the last operation was under way, may leave.
  public private(set) var images: Set<Memory> = [Memory()]

  /// Makes a machine with empty memory.
  public init(cachesSurvive: Bool) {
    self.cachesSurvive = cachesSurvive
  }

  /// Executes an operation.
  public mutating func execute(_ operation: OracleOperation) {
    count += 1
    var during: Set<State> = []
    switch operation.kind {
    case .store(let words): during = store(words)
    case .stream(let words): streams += words.map { ($0, count, operation.thread) }
    case .writeBack(let line):
      if !cachesSurvive {
        let bit = Self.bit(operation.thread, line)
        change { $0.writeBacks |= bit }
      }
    case .flush(let line):
      let cache = cache
      if !cachesSurvive { change { Self.evict(line, cache, &$0) } }
    case .fence: fence(operation.thread)
    }
    settle()
    images = Set(states.union(during).map(\.memory))
  }

  /// Every order of the words, with everything that may happen in between.
  private mutating func store(_ words: [Int]) -> Set<State> {
    let (before, old) = (states, cache)
    var (after, during) = (Set<State>(), before)
    for order in words.count == 2 ? [words, words.reversed()] : [words] {
      (states, cache) = (before, old)
      for word in order {
        cache[word] = count
        let number = count
        if cachesSurvive { change { $0.memory[word] = number } }
        settle()
        during.formUnion(states)
      }
      after.formUnion(states)
    }
    states = after
    return during
  }

  private mutating func fence(_ thread: Int) {
    let cache = cache
    for line in 0..<2 {
      change { if $0.writeBacks & Self.bit(thread, line) != 0 { Self.evict(line, cache, &$0) } }
    }
    for stream in streams where stream.thread == thread {
      change { $0.memory[stream.word] = max($0.memory[stream.word], stream.number) }
    }
    streams.removeAll { $0.thread == thread }
  }

  private static func bit(_ thread: Int, _ line: Int) -> UInt8 { 1 << UInt8(thread * 2 + line) }

  private static func evict(_ line: Int, _ cache: Memory, _ state: inout State) {
    for word in line * 2..<line * 2 + 2 {
      state.memory[word] = max(state.memory[word], cache[word])
    }
    for thread in 0..<4 { state.writeBacks &= ~bit(thread, line) }
  }

  private mutating func change(_ body: (inout State) -> Void) {
    states = Set(
      states.map {
        var state = $0
        body(&state)
        return state
      })
  }

  /// Adds every state to which the machine may go on by itself.
  private mutating func settle() {
    var fresh = Array(states)
    while let state = fresh.popLast() {
      func reach(_ next: State) {
        if states.insert(next).inserted { fresh.append(next) }
      }
      if !cachesSurvive {
        for line in 0..<2 {
          var next = state
          Self.evict(line, cache, &next)
          reach(next)
        }
      }
      for stream in streams {
        var next = state
        next.memory[stream.word] = max(next.memory[stream.word], stream.number)
        reach(next)
      }
    }
  }
}
