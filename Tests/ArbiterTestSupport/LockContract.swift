// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
public import ArbiterScheduler

// The conformance suite of the lock contract (LockParameters). It drives a subject one step at a
// time with a random stream of stores, and after every step compares who holds a permit with a
// reference model, which is a queue and nothing more. Since the model grants in the order of
// requests, equality after every step shows at once that never more than the permitted threads hold
// one, that waiters are served in order and none is forgotten, and that permits are given back
// exactly where the contract says.

/// An implementation of the lock contract, driven one step at a time.
public protocol LockContractSubject: AnyObject {
  /// Makes a subject whose threads hold nothing.
  init(parameters: LockParameters, threadCount: Int)

  /// A thread that is not waiting stores; it takes, keeps or gives back a permit as the contract
  /// says, and waits where there is none. Returns when nothing moves any more.
  func store(thread: Int, address: UInt64, length: UInt64)

  /// A thread that is not waiting has no more stores, and gives back what it holds. Returns when
  /// nothing moves any more.
  func finish(thread: Int)

  /// Threads that hold a permit.
  var holders: Set<Int> { get }

  /// Ends the subject; no thread waits any more.
  func end()
}

/// The properties that every implementation of the lock contract has.
public enum LockContract {
  /// The reference: who holds, who waits, and for which store.
  struct Model {
    struct Thread {
      var isHolding = false
      var storedBytes: UInt64 = 0
      var lastBlock = UInt64.max
      var waitingFor: (address: UInt64, length: UInt64)?
    }

    let parameters: LockParameters
    var threads: [Thread]
    var queue: [Int] = []

    var holders: Set<Int> { Set(threads.indices.filter { threads[$0].isHolding }) }

    mutating func store(_ thread: Int, _ address: UInt64, _ length: UInt64) {
      if threads[thread].isHolding, threads[thread].storedBytes >= UInt64(parameters.spanBytes),
        address / 256 != threads[thread].lastBlock
      {
        giveBack(thread)
      }
      if threads[thread].isHolding {
        perform(thread, address, length)
      } else {
        threads[thread].waitingFor = (address, length)
        queue.append(thread)
      }
      serve()
    }

    mutating func finish(_ thread: Int) {
      if threads[thread].isHolding { giveBack(thread) }
      serve()
    }

    private mutating func giveBack(_ thread: Int) {
      threads[thread].isHolding = false
      threads[thread].storedBytes = 0
    }

    private mutating func perform(_ thread: Int, _ address: UInt64, _ length: UInt64) {
      threads[thread].storedBytes += length
      threads[thread].lastBlock = (address + length - 1) / 256
      let stored = Int(threads[thread].storedBytes)
      let isAtBoundary = (address + length) % 256 == 0
      let isLate = stored >= parameters.spanBytes + max(parameters.spanBytes, 256)
      if stored >= parameters.spanBytes && (isAtBoundary || isLate) { giveBack(thread) }
    }

    private mutating func serve() {
      while holders.count < parameters.permitCount, !queue.isEmpty {
        let thread = queue.removeFirst()
        guard let store = threads[thread].waitingFor else { continue }
        threads[thread].waitingFor = nil
        threads[thread].isHolding = true
        perform(thread, store.address, store.length)
      }
    }
  }

  /// Runs one random stream of steps.
  ///
  /// - Parameters:
  ///   - subject: The implementation.
  ///   - parameters: The contract; its virtual costs are not looked at.
  ///   - threadCount: Threads; at least 1.
  ///   - stepCount: Steps of the stream.
  ///   - seed: The stream.
  /// - Returns: What went against the contract, one sentence each; empty where nothing did.
  public static func violations<Subject: LockContractSubject>(
    of subject: Subject.Type, parameters: LockParameters, threadCount: Int, stepCount: Int,
    seed: UInt64
  ) -> [String] {
    let actual = Subject(parameters: parameters, threadCount: threadCount)
    defer { actual.end() }
    var model = Model(
      parameters: parameters, threads: Array(repeating: .init(), count: threadCount))
    var random = SeededRandom(seed: seed)
    var nextAddress = (0..<threadCount).map { UInt64($0) << 20 }
    for step in 0..<stepCount {
      let ready = model.threads.indices.filter { model.threads[$0].waitingFor == nil }
      guard !ready.isEmpty else { return ["step \(step), seed \(seed): every thread waits"] }
      let thread = ready[random.below(ready.count)]
      if random.below(8) == 0 {
        model.finish(thread)
        actual.finish(thread: thread)
      } else {
        if random.below(4) == 0 {
          nextAddress[thread] = UInt64(thread) << 20 + UInt64(random.below(1024)) * 64
        }
        let length = UInt64(1 + random.below(6)) * 64
        model.store(thread, nextAddress[thread], length)
        actual.store(thread: thread, address: nextAddress[thread], length: length)
        nextAddress[thread] += length
      }
      let (expected, found) = (model.holders.sorted(), actual.holders.sorted())
      if found.count > parameters.permitCount {
        return ["step \(step), seed \(seed): \(found.count) threads hold a permit"]
      }
      if expected != found {
        return ["step \(step), seed \(seed): \(found) hold permits instead of \(expected)"]
      }
    }
    return drain(actual, &model, seed: seed)
  }

  /// Ends all threads; afterwards nobody may hold or wait.
  private static func drain<Subject: LockContractSubject>(
    _ actual: Subject, _ model: inout Model, seed: UInt64
  ) -> [String] {
    while let thread = model.holders.min() {
      model.finish(thread)
      actual.finish(thread: thread)
      if actual.holders != model.holders {
        return ["while ending, seed \(seed): a waiter was not served in its turn"]
      }
    }
    return model.queue.isEmpty ? [] : ["seed \(seed): \(model.queue.count) threads wait for ever"]
  }
}
