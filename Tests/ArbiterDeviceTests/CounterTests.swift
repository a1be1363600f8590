// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import Testing

@Suite("Counters")
struct CounterTests {
  private func snapshot(
    _ time: Int64, _ imcWrites: UInt64?, _ mediaWrites: UInt64?, imcReads: UInt64? = 0,
    mediaReads: UInt64? = 0
  ) -> CounterSnapshot {
    CounterSnapshot(
      timeNanoseconds: time, source: .module, imcWriteBytes: imcWrites, imcReadBytes: imcReads,
      mediaWriteBytes: mediaWrites, mediaReadBytes: mediaReads)
  }

  @Test func `amplification is media bytes over iMC bytes`() throws {
    let delta = try #require(
      CounterDelta(from: snapshot(0, 100, 200), to: snapshot(1000, 1100, 1700)))
    #expect(delta.writeAmplification() == 1.5)
    #expect(delta.effectiveBandwidth == 1e9)
    #expect(delta.mediaWriteBandwidth == 1.5e9)
  }

  @Test func `a third of the media reads counts as writes`() throws {
    let delta = try #require(
      CounterDelta(
        from: snapshot(0, 0, 0), to: snapshot(1000, 64, 256, imcReads: 64, mediaReads: 768)))
    #expect(delta.equivalentWriteBandwidth.map { abs($0 - 512e6) < 1 } == true)
    #expect(delta.readAmplification == 12)
  }

  @Test func `what a source cannot see is absent and never zero`() throws {
    let delta = try #require(CounterDelta(from: snapshot(0, 0, nil), to: snapshot(10, 640, nil)))
    #expect(delta.writeAmplification() == nil)
    #expect(delta.mediaWriteBandwidth == nil)
    #expect(delta.equivalentWriteBandwidth == nil)
    #expect(delta.effectiveBandwidth == 64e9)
  }

  @Test func `a counter that ran backwards or a clock that stood gives nothing`() {
    #expect(CounterDelta(from: snapshot(0, 5, 5), to: snapshot(10, 4, 6)) == nil)
    #expect(CounterDelta(from: snapshot(7, 5, 5), to: snapshot(7, 5, 5)) == nil)
  }

  @Test func `idle writes are taken off but never more than there were`() throws {
    func media(_ bytes: UInt64) -> Double? {
      CounterDelta(
        from: snapshot(0, 0, 0), to: snapshot(1_000_000_000, 64, bytes),
        idleMediaWriteBytesPerSecond: 512_000)?.mediaWriteBytes
    }
    #expect(media(600_000) == 88_000)
    #expect(media(100_000) == 0)
  }

  @Test func `too little traffic has no amplification`() throws {
    let delta = try #require(CounterDelta(from: snapshot(0, 0, 0), to: snapshot(1000, 64, 256)))
    #expect(delta.writeAmplification(aboveBytesPerSecond: 1e6) == 4)
    #expect(delta.writeAmplification(aboveBytesPerSecond: 1e9) == nil)
  }
}

@Suite("Profile parameters")
struct ProfileParameterTests {
  @Test func `every parameter reads what it sets and no other`() {
    let standard = DeviceProfile(name: "test", summary: "A test.")
    for parameter in ProfileParameter.all {
      var changed = standard
      let value = parameter.isWhole ? parameter.range.lowerBound.rounded(.up) + 1 : 0.625
      parameter.set(&changed, value)
      #expect(parameter.get(changed) == value, "\(parameter.key)")
      for other in ProfileParameter.all where other.key != parameter.key {
        #expect(other.get(changed) == other.get(standard), "\(parameter.key) moved \(other.key)")
      }
    }
  }

  @Test func `the defaults lie within their ranges and keys are unique`() {
    let standard = DeviceProfile(name: "test", summary: "A test.")
    for parameter in ProfileParameter.all {
      #expect(parameter.range.contains(parameter.get(standard)), "\(parameter.key)")
      #expect(!parameter.meaning.isEmpty)
    }
    #expect(Set(ProfileParameter.all.map(\.key)).count == ProfileParameter.all.count)
  }
}
