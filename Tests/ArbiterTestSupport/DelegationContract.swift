// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterScheduler

// The conformance suite of the delegation contract (DelegationParameters). Which thread runs when
// is the subject's own affair, so a subject carries out a plan and hands over its history; the
// suite checks the history. A subject notes `submitted` before and `accepted` after it hands a
// request in, so that what the history shows as open is open at most for longer than it was.

/// What happened in an implementation of the delegation contract, in order.
public struct DelegationEvent: Sendable, Hashable {
  /// Kinds of events.
  public enum Kind: Sendable, Hashable {
    /// The thread is about to hand in its request of that number; numbers count from 1.
    case submitted(Int)
    /// The request has a place in the ring.
    case accepted(Int)
    /// A worker has carried the request out.
    case executed(Int)
    /// A fence of the thread has ended.
    case fenced
  }

  /// What happened.
  public var kind: Kind
  /// To whose request, or to whom.
  public var thread: Int
  /// The ring that the thread uses.
  public var ring: Int

  /// Makes an event.
  public init(_ kind: Kind, thread: Int, ring: Int) {
    self.kind = kind
    self.thread = thread
    self.ring = ring
  }
}

/// What a subject is to do.
public struct DelegationPlan: Sendable {
  /// The contract; virtual costs are for virtual subjects.
  public var parameters: DelegationParameters
  /// Threads that hand in requests.
  public var threadCount: Int
  /// About how many requests each hands in; a subject in virtual time cannot count them exactly.
  public var requestCount: Int
  /// Requests between two fences of a thread.
  public var requestsPerFence: Int
  /// The stream of a subject's random choices.
  public var seed: UInt64

  /// Makes a plan.
  public init(
    _ parameters: DelegationParameters, threadCount: Int, requestCount: Int, requestsPerFence: Int,
    seed: UInt64
  ) {
    self.parameters = parameters
    self.threadCount = threadCount
    self.requestCount = requestCount
    self.requestsPerFence = requestsPerFence
    self.seed = seed
  }
}

/// An implementation of the delegation contract.
public protocol DelegationContractSubject {
  /// Requests that a worker may have taken out of its ring and not executed yet.
  static var inHandMax: Int { get }

  /// Carries out a plan, to its end: nothing is under way any more.
  static func history(of plan: DelegationPlan) throws -> [DelegationEvent]
}

/// The properties that every implementation of the delegation contract has.
public enum DelegationContract {
  /// The requests of one thread.
  private struct Thread {
    var ring: Int?
    var submitted = 0
    var accepted = 0
    var executed = 0

    /// Requests that lie in the ring or in a worker's hand.
    var open: Int { max(0, accepted - executed) }
  }

  /// Carries out a plan and checks the history.
  ///
  /// - Returns: What went against the contract, one sentence each; empty where nothing did.
  public static func violations<Subject: DelegationContractSubject>(
    of subject: Subject.Type, plan: DelegationPlan
  ) throws -> [String] {
    let history = try subject.history(of: plan)
    return violations(in: history, plan: plan, inHandMax: subject.inHandMax)
      .map { "seed \(plan.seed): \($0)" }
  }

  /// Checks a history.
  public static func violations(
    in history: [DelegationEvent], plan: DelegationPlan, inHandMax: Int
  ) -> [String] {
    var threads = Array(repeating: Thread(), count: plan.threadCount)
    var (fenceCount, fencesAmidOthers) = (0, 0)
    for (place, event) in history.enumerated() {
      let name = "event \(place), thread \(event.thread)"
      var thread = threads[event.thread]
      if let ring = thread.ring, ring != event.ring {
        return ["\(name): went from ring \(ring) to ring \(event.ring)"]
      }
      thread.ring = event.ring
      switch event.kind {
      case .submitted(let number):
        thread.submitted += 1
        if number != thread.submitted { return ["\(name): submitted \(number) out of turn"] }
      case .accepted(let number):
        thread.accepted += 1
        if number != thread.accepted { return ["\(name): accepted \(number) out of turn"] }
        if number > thread.submitted { return ["\(name): accepted \(number) unasked"] }
      case .executed(let number):
        thread.executed += 1
        if number != thread.executed {
          return ["\(name): executed \(number) instead of \(thread.executed)"]
        }
        if number > thread.submitted { return ["\(name): executed \(number) unasked"] }
      case .fenced:
        fenceCount += 1
        if thread.executed < thread.submitted {
          return ["\(name): a fence ended before request \(thread.executed + 1) was executed"]
        }
        let others = threads.indices.contains { $0 != event.thread && threads[$0].open > 0 }
        if others { fencesAmidOthers += 1 }
      }
      threads[event.thread] = thread
      let open = threads.reduce(0) { $0 + ($1.ring == event.ring ? $1.open : 0) }
      if open > plan.parameters.slotCount + inHandMax {
        return ["\(name): \(open) requests are open in ring \(event.ring)"]
      }
    }
    return ending(threads, plan, fenceCount: fenceCount, fencesAmidOthers: fencesAmidOthers)
  }

  /// The one finding that chance can bring about, where threads hardly run at the same time: only
  /// if several histories show it does the subject break the contract.
  public static let fencesAlone =
    "no fence ended while other threads had requests open: fences wait for everybody"

  /// What must hold once everything has ended.
  private static func ending(
    _ threads: [Thread], _ plan: DelegationPlan, fenceCount: Int, fencesAmidOthers: Int
  ) -> [String] {
    for (index, thread) in threads.enumerated() {
      if thread.executed < thread.submitted {
        return ["thread \(index): \(thread.submitted - thread.executed) requests never ended"]
      }
      // A plan that was hardly carried out proves nothing.
      if thread.submitted < plan.requestCount / 2 {
        return ["thread \(index): only \(thread.submitted) requests were handed in"]
      }
    }
    let rings = Set(threads.compactMap(\.ring))
    if rings.count != min(plan.parameters.ringCount, plan.threadCount) {
      return ["\(threads.count) threads use \(rings.count) rings"]
    }
    if fenceCount < plan.threadCount { return ["only \(fenceCount) fences ended"] }
    if plan.threadCount > plan.parameters.ringCount, fencesAmidOthers == 0 {
      return [fencesAlone]
    }
    return []
  }
}
