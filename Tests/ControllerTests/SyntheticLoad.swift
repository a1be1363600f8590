// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterScheduler

/// Counters and gates as arithmetic, so that a controller's decisions can be told period by period.
struct SyntheticLoad {
  var writers: Int
  /// Media write bytes per iMC write byte.
  var amplification: Double
  /// Bytes that the gates store per second while open.
  var openRate = 1e9
  /// How much more they store under a delay or fence.
  var gain = 1.0
  /// Media bytes per second of a module that nobody uses.
  var idleRate = 0.0
  /// Bytes that were stored without a gate, per second.
  var ungatedRate = 0.0
  var periodNanoseconds: Int64 = 1_000_000
  var source = CounterSource.module

  private(set) var snapshot: CounterSnapshot
  private(set) var activity: GateActivity

  init(writers: Int, amplification: Double) {
    self.writers = writers
    self.amplification = amplification
    snapshot = CounterSnapshot(
      timeNanoseconds: 0, source: .module, imcWriteBytes: 0, imcReadBytes: 0, mediaWriteBytes: 0,
      mediaReadBytes: 0)
    activity = GateActivity(registeredCount: 0, writerCount: 0, storedBytes: 0, accessCount: 0)
  }

  /// Lets a period pass under the controller's settings and shows it the end.
  mutating func step(_ controller: inout some Controller) -> GateSettings {
    pass(controller.settings)
    return controller.step(snapshot: snapshot, activity: activity)
  }

  /// Lets a period pass without showing it to anybody.
  mutating func pass(_ settings: GateSettings) {
    let seconds = Double(periodNanoseconds) / 1e9
    let isOpen = settings.delayNanoseconds == 0 && !settings.isFencedAtBlocks
    let gated = openRate * (isOpen ? 1 : gain) * seconds
    let imc = gated + ungatedRate * seconds
    snapshot.timeNanoseconds += periodNanoseconds
    snapshot.source = source
    snapshot.imcWriteBytes = snapshot.imcWriteBytes.map { $0 + UInt64(imc) }
    snapshot.mediaWriteBytes = snapshot.mediaWriteBytes.map {
      $0 + UInt64(imc * amplification + idleRate * seconds)
    }
    activity.registeredCount = writers
    activity.writerCount = writers
    activity.storedBytes += UInt64(gated)
    activity.accessCount += UInt64(gated / 64)
  }

  /// The counters start again from 0, as after a reset of the module.
  mutating func resetCounters() {
    snapshot.imcWriteBytes = 0
    snapshot.mediaWriteBytes = 0
    snapshot.imcReadBytes = 0
    snapshot.mediaReadBytes = 0
  }

  /// The media counters are gone, as with the processor's own events.
  mutating func loseMediaCounters() {
    snapshot.mediaWriteBytes = nil
    snapshot.mediaReadBytes = nil
    source = .memoryController
  }
}
