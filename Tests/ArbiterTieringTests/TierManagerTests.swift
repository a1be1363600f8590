// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlacement
import ArbiterPlatform
import ArbiterProfiler
import ArbiterTestSupport
import ArbiterTiering
import CArbiterTier
import Glibc
import Testing

@Suite struct `sessions of tiers` {
  /// Moves each chunk to slow memory once, and remembers what it was told.
  private struct OnceDown: PlacementPolicy {
    // SAFETY: the test's own thread steps the session, and nobody else touches them.
    final class Notes: @unchecked Sendable {
      var outcomes: [MigrationOutcome] = []
      var forgotten: [Int] = []
      var viewedChunks: [Int] = []
    }

    let notes = Notes()
    var asked: Set<Int> = []
    let name = "once-down"
    let stepNanoseconds: Int64 = 1_000_000
    let samplingPeriodNanoseconds: Int64 = 1_000_000

    mutating func record(_ sample: TierSample) {}

    mutating func step(_ view: borrowing PlacementView, into migrations: inout [Migration]) {
      notes.viewedChunks.append(view.chunks.count)
      var list: [Int] = []
      view.chunks.forEach { number, _ in list.append(number) }
      for number in list where asked.insert(number).inserted {
        migrations.append(
          Migration(chunk: Int32(number), islands: .all, to: .slow, because: .reserve))
      }
    }

    mutating func complete(_ outcome: MigrationOutcome) { notes.outcomes.append(outcome) }
    mutating func forget(chunk: Int) {
      asked.remove(chunk)
      notes.forgotten.append(chunk)
    }
  }

  private final class Witness: TierObserver {
    var appeared: [UInt64] = []
    var changed: [ManagedChunk] = []
    var vanished: [Int] = []
    var decided: [Migration] = []
    var completed: [MigrationOutcome] = []

    func appeared(_ number: Int, _ chunk: ManagedChunk, time: Int64) {
      appeared.append(chunk.address)
    }
    func changed(_ number: Int, _ chunk: ManagedChunk, time: Int64) { changed.append(chunk) }
    func vanished(_ number: Int, time: Int64) { vanished.append(number) }
    func decided(_ migration: Migration, of chunk: ManagedChunk, time: Int64) {
      decided.append(migration)
    }
    func completed(_ outcome: MigrationOutcome, of chunk: ManagedChunk?, time: Int64) {
      completed.append(outcome)
    }
  }

  private static let chunk = UInt64(TierUnit.chunkBytes)

  private static func probe(staticReason: String? = nil) -> TierProbe {
    TierProbe(
      backEnd: .file, tracker: .timer, remarks: [], slowTiming: .cxl, staticReason: staticReason)
  }

  /// Steps until something holds, for some seconds at most.
  private static func step(_ manager: TierManager, until isDone: () -> Bool) {
    for _ in 0..<2000 where !isDone() {
      manager.step()
      usleep(2000)
    }
  }

  @Test func `tell the policy one outcome for each decision`() throws {
    let folder = TemporaryFolder()
    let policy = OnceDown()
    let configuration = TierConfiguration(
      fastBytes: 8 << 20, slow: .path(folder.path), policy: policy)
    let backEnd = try FileBackEnd(
      fastBytes: 8 << 20, path: folder.path, slowBytes: 64 << 20, options: 0)
    let witness = Witness()
    let manager = TierManager(
      configuration, probe: Self.probe(), backEnd: backEnd, observer: witness)
    let program = FakeProgram(joining: backEnd.page)
    program.put(0, address: 3 * Self.chunk, generation: 1)
    program.put(1, address: 4 * Self.chunk, generation: 2, held: 1)
    program.put(2, address: 5 * Self.chunk, generation: 3)
    Self.step(manager) { !policy.notes.outcomes.isEmpty && !witness.decided.isEmpty }
    program.work()
    Self.step(manager) { policy.notes.outcomes.count == 3 }
    let statuses = policy.notes.outcomes.map(\.status.rawValue).sorted()
    // The one that is held is refused without anybody asked.
    #expect(statuses == ["moved", "moved", "stale"])
    #expect(witness.appeared.sorted() == [3 * Self.chunk, 4 * Self.chunk, 5 * Self.chunk])
    #expect(witness.decided.count == 2)
    #expect(witness.completed.count == 3)
    let reading = manager.reading
    #expect(reading.demotionCount == 2)
    #expect(reading.promotionCount == 0)
    #expect(reading.demotedBytes == 2 * Self.chunk)
    #expect(reading.slowBytes == 2 * Self.chunk)
    #expect(reading.fastBytes == Self.chunk)
    #expect(reading.refusals == [.stale: 1])
    #expect(reading.metadataBytes > 0)
    #expect(reading.trackerNanoseconds > 0)
    #expect(reading.tracker.value == nil)
    #expect(reading.fastHitShare.value == nil)
    #expect(witness.changed.isEmpty)
    // The program brings islands home and locks the chunk: no migration tells of that.
    program.put(0, address: 3 * Self.chunk, slow: 0xF0, generation: 1, held: 1)
    Self.step(manager) { !witness.changed.isEmpty }
    #expect(witness.changed.map(\.slowIslands) == [IslandSet(rawValue: 0xF0)])
    #expect(witness.changed.first?.isMovable == false)
    program.take(0)
    Self.step(manager) { !policy.notes.forgotten.isEmpty }
    #expect(policy.notes.forgotten.count == 1)
    #expect(witness.vanished == policy.notes.forgotten)
    manager.finish()
    manager.finish()
    #expect(manager.reading.demotionCount == 2)
    #expect(program.options & UInt32(ARB_TIER_STATIC) != 0)
  }

  @Test func `move nothing where the kernel does not let them, and say so`() throws {
    let folder = TemporaryFolder()
    let policy = OnceDown()
    let configuration = TierConfiguration(
      fastBytes: 8 << 20, slow: .path(folder.path), policy: policy)
    let backEnd = try FileBackEnd(
      fastBytes: 8 << 20, path: folder.path, slowBytes: 64 << 20, options: 0)
    let manager = TierManager(
      configuration, probe: Self.probe(staticReason: "it is forbidden"), backEnd: backEnd)
    let program = FakeProgram(joining: backEnd.page)
    program.put(0, address: 3 * Self.chunk, generation: 1)
    Self.step(manager) { !policy.notes.outcomes.isEmpty }
    #expect(policy.notes.outcomes.map(\.status) == [.busy])
    #expect(program.nextRequest() == nil)
  }

  @Test func `choose the back-end that fits slow memory, and say why`() throws {
    let folder = TemporaryFolder()
    var configuration = TierConfiguration(
      fastBytes: 8 << 20, slow: .path(folder.path), policy: OnceDown())
    let probe = try TierProbe.run(configuration)
    #expect(probe.backEnd == .file)
    #expect(probe.remarks.contains { $0.contains("back-end file") })
    #expect(probe.remarks.contains { $0.contains("tracked by \(probe.tracker.rawValue)") })
    configuration.backEnd = .numa
    #expect(throws: PlatformError.self) { try TierProbe.run(configuration) }
    configuration.backEnd = nil
    configuration.tracker = .faults
    #expect(throws: PlatformError.self) { try TierProbe.run(configuration) }
    configuration.tracker = nil
    configuration.slow = .node(1023)
    #expect(throws: PlatformError.self) { try TierProbe.run(configuration) }
    configuration.slow = .path(folder.path)
    configuration.fastBytes = 1 << 44
    let large = try TierProbe.run(configuration)
    #expect(large.remarks.contains { $0.contains("fast memory of 16777216 MiB is more than the ") })
    #expect(!probe.remarks.contains { $0.contains("is more than the ") })
    configuration.fastBytes = 1 << 20
    #expect(throws: PlatformError.self) { try TierProbe.run(configuration) }
  }
}
