// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice

/// Counters on their way to the controller: noisy and late as the channel says.
struct CounterChannelState {
  private let channel: CounterChannel
  private var random: SeededRandom
  private var lastTrue: CounterSnapshot?
  private var lastNoisy: CounterSnapshot?
  private var delayed: CounterSnapshot?

  init(_ channel: CounterChannel, seed: UInt64) {
    self.channel = channel
    random = SeededRandom(seed: seed, stream: 998)
  }

  /// What the controller sees when the counters truly are as given.
  mutating func pass(_ snapshot: CounterSnapshot) -> CounterSnapshot {
    let noisy = addNoise(snapshot)
    lastTrue = snapshot
    lastNoisy = noisy
    guard channel.lagPeriods > 0 else { return noisy }
    let late = delayed ?? .unavailable(atNanoseconds: snapshot.timeNanoseconds)
    delayed = noisy
    return late
  }

  private mutating func addNoise(_ snapshot: CounterSnapshot) -> CounterSnapshot {
    guard channel.noiseRatio > 0 else { return snapshot }
    var noisy = snapshot
    noisy.imcWriteBytes = noise(\.imcWriteBytes, snapshot)
    noisy.imcReadBytes = noise(\.imcReadBytes, snapshot)
    noisy.mediaWriteBytes = noise(\.mediaWriteBytes, snapshot)
    noisy.mediaReadBytes = noise(\.mediaReadBytes, snapshot)
    return noisy
  }

  /// Noise on the growth since the previous snapshot, so that counters still never fall.
  private mutating func noise(
    _ path: KeyPath<CounterSnapshot, UInt64?>, _ snapshot: CounterSnapshot
  ) -> UInt64? {
    guard let value = snapshot[keyPath: path] else { return nil }
    let before = lastTrue?[keyPath: path] ?? 0
    let shown = lastNoisy?[keyPath: path] ?? 0
    let share = Double(random.symmetric(1_000_000)) / 1_000_000
    return shown + UInt64(Double(value - before) * (1 + channel.noiseRatio * share))
  }
}
