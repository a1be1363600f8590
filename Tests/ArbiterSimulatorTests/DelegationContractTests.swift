// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterScheduler
import ArbiterSimulator
import ArbiterTestSupport
import ArbiterWorkloads
import Testing

/// The rings and workers of the simulator under the delegation contract.
struct VirtualDelegationSubject: DelegationContractSubject {
  /// The stores that fit into a worker's window, and the one that it has just taken.
  static let inHandMax = 17

  static let accessBytes = 128

  static func history(of plan: DelegationPlan) throws -> [DelegationEvent] {
    let sharers = (plan.threadCount + plan.parameters.ringCount - 1) / plan.parameters.ringCount
    let span = TimeSpan.nanoseconds(Double(plan.requestCount * sharers) * 800)
    let workload = Workload(
      accessBytes: accessBytes,
      fence: .every(bytes: UInt32(accessBytes * plan.requestsPerFence)))
    // Stores of a worker are accepted in order only where the core's window is in order.
    var configuration = machine(
      workload, threads: plan.threadCount, profile: profile { $0.releaseOrder = .inOrder },
      scheme: .delegation(plan.parameters), seed: plan.seed)
    for thread in configuration.threads.indices {
      configuration.threads[thread].phases.append(ThreadPhase(start: span, workload: nil))
    }
    var simulation = try Simulation(configuration)
    simulation.startTrace()
    simulation.run(for: span + span)
    return events(of: simulation.trace, plan)
  }

  /// Tells requests by their addresses: which one a store belongs to is not assumed.
  private static func events(
    of trace: [TracedEvent], _ plan: DelegationPlan
  ) -> [DelegationEvent] {
    var open = Array(repeating: [(number: Int, linesLeft: Set<UInt64>)](), count: plan.threadCount)
    var requestCounts = Array(repeating: 0, count: plan.threadCount)
    var events: [DelegationEvent] = []
    for event in trace {
      let thread = event.thread
      func note(_ kind: DelegationEvent.Kind) {
        let ring = thread % plan.parameters.ringCount
        events.append(DelegationEvent(kind, thread: thread, ring: ring))
      }
      switch event.kind {
      case .requested:
        requestCounts[thread] += 1
        let lines = stride(from: 0, to: UInt64(accessBytes), by: 64).map { event.address + $0 }
        open[thread].append((requestCounts[thread], Set(lines)))
        note(.submitted(requestCounts[thread]))
        note(.accepted(requestCounts[thread]))
      case .accepted:
        guard let place = open[thread].firstIndex(where: { $0.linesLeft.contains(event.address) })
        else {
          // A store that nobody asked for is request 0.
          note(.executed(0))
          continue
        }
        open[thread][place].linesLeft.remove(event.address)
        if open[thread][place].linesLeft.isEmpty {
          note(.executed(open[thread].remove(at: place).number))
        }
      case .fenced: note(.fenced)
      default: break
      }
    }
    return events
  }
}

@Suite("Delegation contract in virtual time")
struct DelegationContractTests {
  @Test(arguments: [(1, 1, 4), (1, 3, 8), (2, 64, 5), (3, 5, 8), (4, 2, 11), (2, 8, 11)])
  func `virtual workers keep the delegation contract`(
    ringCount: Int, slotCount: Int, threadCount: Int
  ) throws {
    for seed in UInt64(1)...20 {
      let plan = DelegationPlan(
        DelegationParameters(ringCount: ringCount, slotCount: slotCount),
        threadCount: threadCount, requestCount: 200, requestsPerFence: 5, seed: seed)
      let violations = try DelegationContract.violations(
        of: VirtualDelegationSubject.self, plan: plan)
      #expect(violations == [])
    }
  }
}
