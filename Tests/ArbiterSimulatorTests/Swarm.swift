// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterScheduler
import ArbiterSimulator
import ArbiterWorkloads

/// Random machines: each draws which features it uses at all, so that rare combinations meet.
struct Swarm {
  private var random: SeededRandom
  private let seed: UInt64

  init(seed: UInt64) {
    self.seed = seed
    random = SeededRandom(seed: seed, stream: 77)
  }

  private mutating func pick<Element>(_ choices: [Element]) -> Element {
    choices[random.below(choices.count)]
  }

  private mutating func oneIn(_ count: Int) -> Bool { random.below(count) == 0 }

  mutating func configuration() -> SimulationConfiguration {
    let threadCount = 1 + random.below(pick([2, 9, 33]))
    var plans: [ThreadPlan] = []
    let usesPhases = oneIn(3)
    let usesUngated = oneIn(3)
    let stores = oneIn(2) ? [pick(Self.stores)] : Self.stores
    for _ in 0..<threadCount {
      var plan = ThreadPlan(workload(stores), isGated: !(usesUngated && oneIn(3)))
      if usesPhases {
        var start = 0
        for _ in 0..<random.below(3) {
          start += 1 + random.below(150)
          plan.phases.append(
            ThreadPhase(
              start: .microseconds(Double(start)),
              workload: oneIn(3) ? nil : workload(stores)))
        }
      }
      plans.append(plan)
    }
    var configuration = SimulationConfiguration(profile: module(), threads: plans)
    configuration.moduleCount = pick([1, 1, 2, 3, 6, 12])
    configuration.scheme = scheme()
    configuration.saturation = .microseconds(Double(pick([0, 0, 37, 200])))
    configuration.maximumDelay = .microseconds(pick([0, 2, 100]))
    configuration.seed = seed
    return configuration
  }

  private static let stores: [ArbiterDevice.Operation] = [
    .storeNonTemporal, .storeWriteBack, .storeWriteBackCached, .storePlain,
  ]

  private mutating func workload(_ stores: [ArbiterDevice.Operation]) -> Workload {
    let pattern = pick(Pattern.allCases)
    let bytes = pattern.visitsHalves ? 128 : pick([64, 64, 128, 192, 256, 320, 1024, 4096])
    var workload = Workload(
      pattern: pattern, store: pick(stores), accessBytes: bytes,
      regionBytes: bytes * pick([1, 3, 64, 1009, 65_536]))
    if oneIn(2) { workload.fence = .every(bytes: UInt32(pick([1, 64, 256, 1000, 8192]))) }
    if oneIn(3) { workload.readShare = pick([0.1, 0.5, 0.9, 1]) }
    workload.isDependent = oneIn(3)
    if oneIn(4) { workload.think = .nanoseconds(Double(random.below(900))) }
    return workload
  }

  private mutating func scheme() -> SimulatedScheme {
    switch random.below(6) {
    case 0: return .fixed(.open)
    case 1:
      return .lock(
        LockParameters(permitCount: 1 + random.below(5), spanBytes: pick([64, 256, 1000, 8192])))
    case 2:
      return .delegation(
        DelegationParameters(ringCount: 1 + random.below(5), slotCount: pick([1, 2, 64])))
    case 3: return .fixed(GateSettings(isFencedAtBlocks: true))
    default:
      return .fixed(
        GateSettings(
          delayNanoseconds: Double(random.below(3000)), point: pick(DelayPoint.allCases),
          anchor: pick([.arrival, .previous]), isFencedAtBlocks: oneIn(3)))
    }
  }

  private mutating func module() -> DeviceProfile {
    var module = profile()
    module.releaseOrder = pick(ReleaseOrder.allCases)
    module.victimRule = pick(VictimRule.allCases)
    module.storeWindowLines = pick([1, 2, 10, 16])
    module.writeBackWindowLines = pick([1, 5, 16])
    module.loadWindowLines = pick([1, 12, 16])
    module.writePendingQueueLines = pick([1, 3, 8, 64])
    module.readPendingQueueLines = pick([1, 7, 48])
    module.bufferBlocks = pick([2, 5, 64])
    module.victimCandidates = pick([1, 2, 3])
    module.evictionQueueBlocks = pick([1, 4])
    module.mediaUnits = pick([1, 4, 16])
    module.readBufferBlocks = pick([1, 3, 64])
    module.mediaTurnBlocks = pick([1, 5, 64])
    module.translationBlocks = pick([0, 1, 40, 4096])
    module.translationWays = pick([1, 3, 16])
    module.translationReadNanoseconds = pick([0, 64])
    module.translationWriteNanoseconds = pick([0, 25])
    module.cacheLinesPerThread = pick([1, 10, 512])
    module.interleaveBytes = pick([256, 4096])
    module.coreJitterRatio = pick([0, 0.1, 0.95])
    module.mediaJitterRatio = pick([0, 0.1, 0.95])
    if oneIn(4) {
      module.stallPeriodNanoseconds = 50_000
      module.stallNanoseconds = pick([1000, 20_000])
    }
    return module
  }
}
