// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement

// How fast the threads get on, as a fluid. Without contention an access costs its thread the time
// of the memory that answers it. Each medium has a number of seconds per second to give, of which
// migrations take their part; where the threads would use more, they are slowed to what there is,
// and the difference is waiting time at that medium. The waiting is what samples of a timer see.

/// What the accesses of one part cost, given where they are answered.
struct PartCost {
  /// Share of all accesses.
  var share: Double
  /// Share of the part's accesses that fast memory answers.
  var fastShare: Double
  /// Thread time of an access that fast memory answers, without contention.
  var fastNanoseconds: Double
  /// The same for slow memory.
  var slowNanoseconds: Double
  /// Seconds of the fast medium per access of the part.
  var fastSeconds: Double
  /// Seconds of the slow medium per access of the part.
  var slowSeconds: Double
  /// Bytes written to the slow medium per access of the part.
  var slowWriteBytes: Double

  /// The cost of a part of which a share lies in fast memory.
  init(_ part: AccessPart, fastShare: Double, on machine: TierMachine) {
    let slowShare = 1 - fastShare
    share = part.share
    self.fastShare = fastShare
    let (sequential, stores) = (part.isSequential, part.storeShare)
    fastNanoseconds = machine.fast.nanoseconds(isSequential: sequential, storeShare: stores)
    slowNanoseconds = machine.slow.nanoseconds(isSequential: sequential, storeShare: stores)
    fastSeconds = fastShare * machine.fast.seconds(isSequential: sequential, storeShare: stores)
    slowSeconds = slowShare * machine.slow.seconds(isSequential: sequential, storeShare: stores)
    slowWriteBytes = slowShare * stores * machine.slow.bytes(isSequential: sequential)
  }
}

/// The state of the threads during one quantum.
struct TierFlow {
  /// Accesses per second of all threads together.
  let accessesPerSecond: Double
  /// Share of the accesses that fast memory answers.
  let hitShare: Double
  /// Bytes per second that the program writes to the slow medium.
  let slowWriteBytesPerSecond: Double
  /// Waiting time per second of fast medium that an access takes, in nanoseconds.
  private let fastWait: Double
  /// The same for the slow medium.
  private let slowWait: Double

  /// Computes the flow.
  ///
  /// - Parameters:
  ///   - costs: The parts.
  ///   - threads: Threads that run; fewer than there are where migrations hold some up.
  ///   - fastFree: Share of the fast medium that migrations leave.
  ///   - slowFree: The same for the slow medium.
  init(_ costs: [PartCost], threads: Double, fastFree: Double, slowFree: Double) {
    var (nanoseconds, fast, slow, hits, writes) = (0.0, 0.0, 0.0, 0.0, 0.0)
    for cost in costs {
      nanoseconds +=
        cost.share
        * (cost.fastShare * cost.fastNanoseconds + (1 - cost.fastShare) * cost.slowNanoseconds)
      fast += cost.share * cost.fastSeconds
      slow += cost.share * cost.slowSeconds
      hits += cost.share * cost.fastShare
      writes += cost.share * cost.slowWriteBytes
    }
    let unbound = threads / nanoseconds * 1e9
    let fastBound = fast > 0 ? fastFree / fast : .infinity
    let slowBound = slow > 0 ? slowFree / slow : .infinity
    let rate = min(unbound, fastBound, slowBound)
    accessesPerSecond = rate
    hitShare = hits
    slowWriteBytesPerSecond = rate * writes
    let waiting = threads / rate * 1e9 - nanoseconds
    let isFastBound = fastBound <= slowBound
    fastWait = waiting > 0 && isFastBound ? waiting / fast : 0
    slowWait = waiting > 0 && !isFastBound ? waiting / slow : 0
  }

  /// Thread time of one access of a part, waiting included.
  func nanoseconds(_ cost: PartCost, in tier: Tier) -> Double {
    switch tier {
    case .fast:
      guard cost.fastShare > 0 else { return cost.fastNanoseconds }
      return cost.fastNanoseconds + fastWait * cost.fastSeconds / cost.fastShare
    case .slow:
      guard cost.fastShare < 1 else { return cost.slowNanoseconds }
      return cost.slowNanoseconds + slowWait * cost.slowSeconds / (1 - cost.fastShare)
    }
  }
}
