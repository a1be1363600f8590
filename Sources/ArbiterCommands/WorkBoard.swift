// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Which pieces of work are done, and what came of them.
final class WorkBoard<Outcome: Sendable>: Sendable {
  private struct State {
    var next = 0
    var isClosed = false
    var shares: [Double]
    var outcomes: [Result<Outcome?, Failure>?]
  }

  private let state: Mutex<State>

  init(count: Int) {
    state = Mutex(
      State(
        shares: Array(repeating: 0, count: count), outcomes: Array(repeating: nil, count: count)))
  }

  /// Hands out the next run; nil where none is left.
  func next() -> Int? {
    state.withLock { state in
      guard state.next < state.outcomes.count else { return nil }
      defer { state.next += 1 }
      return state.next
    }
  }

  /// Takes in how far a run is.
  func advance(_ index: Int, to share: Double) {
    state.withLock { $0.shares[index] = share }
  }

  /// Takes in what came of a run; nil of one that was interrupted.
  func finish(_ index: Int, _ outcome: Result<Outcome?, Failure>) {
    state.withLock { state in
      state.outcomes[index] = outcome
      state.shares[index] = 1
      if case .failure = outcome { state.next = state.outcomes.count }
    }
  }

  func close() {
    state.withLock { $0.isClosed = true }
  }

  /// The share of the work that is done; nil once nobody works any more.
  var share: Double? {
    state.withLock { state in
      state.isClosed ? nil : state.shares.reduce(0, +) / Double(max(1, state.shares.count))
    }
  }

  /// The results in order; nil of runs that were not made or not ended.
  ///
  /// - Throws: The first failure, if any run failed.
  func outcomes() throws(Failure) -> [Outcome?] {
    var results: [Outcome?] = []
    for outcome in state.withLock({ $0.outcomes }) {
      results.append(try outcome?.get())
    }
    return results
  }
}
