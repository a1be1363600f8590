// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterSimulator

/// FNV-1a over words: the same on every machine, unlike `Hasher`.
struct Fingerprint {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func add(_ word: UInt64) {
    for shift in stride(from: UInt64(0), to: 64, by: 8) {
      value = (value ^ ((word >> shift) & 0xFF)) &* 0x100_0000_01B3
    }
  }

  /// Absent numbers differ from every number.
  mutating func add(_ number: Double?) {
    add(number == nil ? 1 : 2)
    add((number ?? 0).bitPattern)
  }

  /// Everything that a run shows to the outside.
  init(of simulation: borrowing Simulation) {
    let counters = simulation.snapshot()
    add(UInt64(counters.timeNanoseconds))
    for count in [
      counters.imcWriteBytes, counters.imcReadBytes, counters.mediaWriteBytes,
      counters.mediaReadBytes,
    ] { add(count ?? .max) }
    for bytes in simulation.threadBytes() { add(bytes) }
    let result = simulation.result()
    add(result.requestCount)
    for figure in [
      result.effectiveBandwidth, result.mediaWriteBandwidth, result.mediaReadBandwidth,
      result.imcReadBandwidth, result.writeAmplification, result.readAmplification,
      result.cacheAmplification, result.latencyNanoseconds?.p50, result.latencyNanoseconds?.p99,
      result.latencyNanoseconds?.p999, result.latencyNanoseconds?.max, result.delayNanosecondsMean,
      result.fairness,
    ] { add(figure) }
    for sample in simulation.samples {
      add(sample.effectiveBandwidth)
      add(sample.writeAmplification)
    }
  }
}
