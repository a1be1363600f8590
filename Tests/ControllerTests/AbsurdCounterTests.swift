// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterScheduler
import ArbiterSimulator
import Testing

/// Counters and activity as no sound machine would show them.
private struct AbsurdSource {
  private var random: SeededRandom
  /// In how many of 8 looks each kind of nonsense comes; drawn once, so that runs differ in kind.
  private let rates: [Int]
  private var snapshot = CounterSnapshot(
    timeNanoseconds: 0, source: .module, imcWriteBytes: 0, imcReadBytes: 0, mediaWriteBytes: 0,
    mediaReadBytes: 0)
  private var activity = GateActivity(
    registeredCount: 26, writerCount: 26, storedBytes: 0, accessCount: 0)

  init(seed: UInt64, stream: UInt64) {
    var random = SeededRandom(seed: seed, stream: stream)
    rates = (0..<8).map { _ in random.below(3) == 0 ? random.below(5) : 0 }
    self.random = random
  }

  mutating func next() -> (CounterSnapshot, GateActivity) {
    advance()
    if comes(0) { snapshot.timeNanoseconds = edge() }
    if comes(1) { snapshot.imcWriteBytes = word() }
    if comes(2) { snapshot.mediaWriteBytes = word() }
    if comes(3) { activity.storedBytes = UInt64(bitPattern: edge()) }
    if comes(4) { activity.registeredCount = Int(truncatingIfNeeded: edge()) }
    if comes(5) { activity.writerCount = Int(truncatingIfNeeded: edge()) }
    if comes(6) { return (.unavailable(atNanoseconds: snapshot.timeNanoseconds), activity) }
    return (snapshot, activity)
  }

  /// A number of gates, sensible or not; nil where none came or left.
  mutating func registration() -> Int? {
    guard random.below(8) == 0 else { return nil }
    return comes(7) ? Int(truncatingIfNeeded: edge()) : random.below(64)
  }

  private mutating func advance() {
    let bytes = UInt64(random.below(4_000_000))
    snapshot.timeNanoseconds &+= Int64(random.below(2_000_000))
    snapshot.imcWriteBytes = (snapshot.imcWriteBytes ?? 0) &+ bytes
    snapshot.mediaWriteBytes =
      (snapshot.mediaWriteBytes ?? 0) &+ bytes &* UInt64(random.below(5))
    activity.storedBytes &+= bytes
    activity.accessCount &+= bytes / 64
    if random.below(4) == 0 { activity.registeredCount = random.below(64) }
    if random.below(4) == 0 { activity.writerCount = random.below(64) }
  }

  private mutating func comes(_ kind: Int) -> Bool { random.below(8) < rates[kind] }

  private mutating func word() -> UInt64? {
    random.below(4) == 0 ? nil : UInt64(bitPattern: edge())
  }

  /// A number at or near the ends of what a word holds, or anything.
  private mutating func edge() -> Int64 {
    let near = Int64(random.below(3))
    switch random.below(5) {
    case 0: return .min + near
    case 1: return .max - near
    case 2: return near - 1
    case 3: return -1 - near
    default: return Int64(bitPattern: random.next())
    }
  }
}

@Suite("Controllers and counters that make no sense")
struct AbsurdCounterTests {
  private func survives(_ made: some Controller, maximum: Double, stream: UInt64) {
    var controller = made
    var source = AbsurdSource(seed: Bench.seed, stream: stream)
    for look in 0..<1009 {
      let (snapshot, activity) = source.next()
      var settings = [controller.step(snapshot: snapshot, activity: activity)]
      let isOpen = settings[0].delayNanoseconds == 0 && !settings[0].isFencedAtBlocks
      let isBlind = snapshot.source == .unavailable || snapshot.mediaWriteBytes == nil
      if let count = source.registration() {
        settings.append(controller.registrationChanged(registeredCount: count))
      }
      let isWithin = settings.allSatisfy { (0...maximum).contains($0.delayNanoseconds) }
      let place = "seed \(Bench.seed), stream \(stream), look \(look)"
      guard isWithin && (isOpen || !isBlind) && settings.last == controller.settings else {
        Issue.record("\(place): \(settings) after \(snapshot) and \(activity)")
        return
      }
    }
  }

  /// NaN lies in no range, so it would be found as well.
  @Test(arguments: [0.0, 100, 100_000])
  func `a delay always lies between 0 and the maximum`(maximum: Double) {
    let span = TimeSpan.nanoseconds(maximum)
    for stream in 0..<UInt64(211) {
      survives(AdaptiveController(maximumDelay: span), maximum: maximum, stream: stream)
      survives(PaperController(maximumDelay: span), maximum: maximum, stream: stream)
    }
  }

  @Test func `a simulation under a controller can be repeated to the bit`() throws {
    for saturated in [false, true] {
      var run = Run(threads: Bench.crowd(26))
      run.isSaturated = saturated
      run.channel = CounterChannel(noiseRatio: 0.05, lagPeriods: 1)
      let first = try run.measured()
      let second = try run.measured()
      #expect(first.samples == second.samples)
      #expect(first.result == second.result)
    }
  }
}
