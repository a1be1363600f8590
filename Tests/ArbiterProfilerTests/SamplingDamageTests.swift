// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterTestSupport
import CArbiterSampling
import Testing

// Every ring, room and scratch of these tests lies at a forbidden page: a read beyond kills them.

@Suite("Rings of samples with damaged content")
struct SamplingDamageTests {
  @Test("A record that claims no size, or more than there is, ends the ring and is counted")
  func badSizes() {
    for size in [UInt64(0), 1, 4, 7, 9, 12, 208, 504, 512, 520, 4096, 65_528, 65_535] {
      let ring = FakeRing(size: 512)
      ring.write(FakeSample().record(event: FakeRing.clock))
      var broken = FakeRecord(type: 9, [FakeRing.clock, 2, 3])
      broken.claimedSize = size
      ring.write(broken)
      #expect(ring.drain().samples.count == 1, "size \(size)")
      #expect(ring.counts.broken == 1, "size \(size)")
      #expect(ring.tail == ring.head)
      // What comes next is read again.
      ring.write(FakeSample().record(event: FakeRing.clock))
      #expect(ring.drain().samples.count == 1, "size \(size)")
    }
  }

  @Test("Records that are shorter than what they are count as truncated, and the next is read")
  func truncated() {
    let trailer = FakeRecord.trailer(thread: 71, time: 9, id: FakeRing.clock)
    let map: [UInt64] = [FakeRecord.pair(70, 71), 4096, 8192, 0, 0, 5, 0, 3]
    let wholes: [FakeRecord] = [
      FakeSample().record(event: FakeRing.clock),
      FakeSample(address: 1).record(event: FakeRing.stores),
      FakeRecord(type: 2, [FakeRing.clock, 3]),
      FakeRecord(type: 13, [3]),
      FakeRecord(type: 7, [1, 2, 3] + trailer),
      FakeRecord(type: 4, [1, 2, 3] + trailer),
      FakeRecord(type: 3, [1] + trailer),
      FakeRecord(type: 10, map + trailer),
    ]
    for whole in wholes {
      for wordCount in 1..<whole.words.count {
        var short = whole
        short.words = Array(whole.words.prefix(wordCount))
        short.claimedSize = UInt64(8 * wordCount)
        let ring = FakeRing(size: 1024, start: 1000)
        ring.write(short)
        ring.write(FakeSample(ip: 7).record(event: FakeRing.clock))
        let all = ring.drain()
        let type = whole.words[0] & 0xFFFF_FFFF
        #expect(all.samples.map(\.ip) == [7], "type \(type), \(wordCount) words")
        #expect(all.tasks.isEmpty, "type \(type), \(wordCount) words")
        #expect(ring.counts.truncated == 1, "type \(type), \(wordCount) words")
      }
    }
  }

  @Test("A head that ran away by more than the ring is counted, and reading goes on behind it")
  func overrun() {
    let ring = FakeRing(size: 512, start: 64)
    ring.write(FakeSample().record(event: FakeRing.clock))
    ring.setHead(64 + 520)
    #expect(ring.drain().samples.isEmpty)
    #expect(ring.counts.overrun == 1)
    #expect(ring.tail == 64 + 520)
    // A head behind the tail is one that ran around.
    ring.setHead(8)
    #expect(ring.drain().samples.isEmpty)
    #expect(ring.counts.overrun == 2)
    ring.write(FakeSample(ip: 9).record(event: FakeRing.clock))
    #expect(ring.drain().samples.map(\.ip) == [9])
  }

  @Test("Heads and tails off the grid of 8 bytes end the ring")
  func misaligned() {
    for (tail, head) in [(UInt64(4), UInt64(208)), (0, 5), (504, 515), (511, 512), (1, 2)] {
      let ring = FakeRing(size: 512)
      ring.setTail(tail)
      ring.setHead(head)
      #expect(ring.drain().samples.isEmpty)
      #expect(ring.counts.broken == 1, "from \(tail) to \(head)")
      #expect(ring.tail == head)
    }
  }

  @Test("Random bytes, and random records, end: without a read beyond the ring")
  func randomRings() {
    var random = SeededRandom(seed: ProcessSeed.value)
    let rings = [true, false].flatMap { touchesEnd in
      [64, 256, 1024].map { FakeRing(size: $0, capacity: 2, touchesEnd: touchesEnd) }
    }
    var seen = (samples: 0, tasks: 0)
    for run in 0..<100_000 {
      let ring = rings[run / 3 % rings.count]
      let isPlausible = run.isMultiple(of: 3)
      ring.fill { _ in
        let word = random.next()
        guard isPlausible, word & 3 != 0 else { return word }
        // A header of a kind that exists with a size that could be, or the number of an event.
        if word & 12 == 0 { return 1001 + word >> 8 % 4 }
        return (word >> 8) % 15 | (word >> 16 & 0xFFFF) << 32 | ((word >> 40) % 34 * 8) << 48
      }
      let tail = random.next()
      ring.setTail(isPlausible ? tail & ~7 : tail)
      let span = random.next() % UInt64(ring.size + 16)
      ring.setHead((isPlausible ? tail & ~7 : tail) &+ (isPlausible ? span & ~7 : span))
      let all = ring.drain()
      seen.samples += all.samples.count
      seen.tasks += all.tasks.count
      if ring.tail != ring.head {
        Issue.record("run \(run) left something behind; ARBITER_SEED=\(ProcessSeed.value)")
      }
    }
    // Random bytes that are never taken for a record would test nothing.
    let hint: Comment = "ARBITER_SEED=\(ProcessSeed.value)"
    #expect(seen.samples > 0 && seen.tasks > 100, hint)
    #expect(rings.allSatisfy { $0.counts.broken > 1000 && $0.counts.truncated > 100 }, hint)
    #expect(rings.allSatisfy { $0.counts.overrun > 100 && $0.counts.skipped > 100 }, hint)
  }
}

@Suite("Threads that are sampled twice")
struct SamplingDuplicateTests {
  private func sample(_ thread: Int32, _ event: UInt64) -> FakeRecord {
    FakeSample(thread: thread).record(event: event)
  }

  @Test("A late thread's own events are dropped once another's show that it has them too")
  func redundant() {
    let ring = FakeRing(size: 4096)
    ring.enter(id: 2001, event: 0, owner: 90)
    ring.enterLate(thread: 90)
    ring.write(sample(90, 2001))
    #expect(ring.drain().samples.count == 1)
    #expect(ring.redundantCount == 0)
    // The event that thread 70 has handed on: from here on thread 90's own are too much, as are
    // those of a thread 91 that it has started.
    ring.write(sample(90, FakeRing.clock))
    ring.write(sample(90, 2001))
    ring.write(sample(91, 2001))
    ring.write(sample(91, FakeRing.clock))
    #expect(ring.drain().samples.map(\.thread) == [90, 91])
    #expect(ring.counts.duplicates == 2)
    #expect(ring.redundantCount == 1)
  }

  @Test("A late thread that nobody handed an event keeps its own")
  func needed() {
    let ring = FakeRing(size: 4096)
    ring.enter(id: 2001, event: 0, owner: 90)
    ring.enterLate(thread: 90)
    for _ in 0..<5 { ring.write(sample(90, 2001)) }
    ring.write(sample(91, 2001))
    ring.write(sample(70, FakeRing.clock))
    #expect(ring.drain().samples.count == 7)
    #expect(ring.counts.duplicates == 0 && ring.redundantCount == 0)
  }
}
