// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlacement
import ArbiterPlatform
import ArbiterTiering
import CArbiterTier
import Glibc
import Testing

@Suite struct `file back-end of tiers` {
  private static let chunk = UInt64(TierUnit.chunkBytes)

  private static func make(_ folder: TestFolder) throws -> FileBackEnd {
    try FileBackEnd(
      fastBytes: 8 << 20, path: folder.path, slowBytes: 16 << 20, options: 0)
  }

  @Test func `shows what programs map and forgets what they unmap`() throws {
    let folder = TestFolder()
    let backEnd = try Self.make(folder)
    let program = FakeProgram(joining: backEnd.page)
    var table = ChunkTable()
    var removed: [Int] = []
    program.put(0, address: 3 * Self.chunk, generation: 1)
    program.put(1, address: 5 * Self.chunk, slow: 0b11, generation: 2, held: 1)
    backEnd.refresh(&table) { removed.append($0) }
    #expect(table.count == 2)
    #expect(backEnd.processes == [getpid()])
    let first = try #require(table.index(process: getpid(), address: 3 * Self.chunk + 100))
    let second = try #require(table.index(process: getpid(), address: 5 * Self.chunk))
    #expect(table[first]?.isMovable == true)
    #expect(table[second]?.isMovable == false)
    #expect(table[second]?.slowIslands == IslandSet(rawValue: 0b11))
    // The entry gets another chunk, and the other one goes.
    program.put(0, address: 9 * Self.chunk, generation: 3)
    program.take(1)
    backEnd.refresh(&table) { removed.append($0) }
    #expect(Set(removed) == [first, second])
    #expect(table.count == 1)
    #expect(table.index(process: getpid(), address: 9 * Self.chunk) != nil)
  }

  @Test func `keeps a chunk that moves to another entry of the table`() throws {
    let folder = TestFolder()
    let backEnd = try Self.make(folder)
    let program = FakeProgram(joining: backEnd.page)
    var table = ChunkTable()
    program.put(0, address: 3 * Self.chunk, generation: 1)
    backEnd.refresh(&table) { _ in }
    program.take(0)
    program.put(4, address: 3 * Self.chunk, generation: 2)
    var removedCount = 0
    backEnd.refresh(&table) { _ in removedCount += 1 }
    #expect(removedCount == 1)
    #expect(table.count == 1)
    #expect(table.index(process: getpid(), address: 3 * Self.chunk) != nil)
  }

  @Test func `asks a mover and notes what it says`() throws {
    let folder = TestFolder()
    let backEnd = try Self.make(folder)
    let program = FakeProgram(joining: backEnd.page)
    var table = ChunkTable()
    program.put(0, address: 3 * Self.chunk, generation: 7)
    backEnd.refresh(&table) { _ in }
    let number = try #require(table.index(process: getpid(), address: 3 * Self.chunk))
    let chunk = try #require(table[number])
    let down = Migration(
      chunk: Int32(number), islands: IslandSet(rawValue: 0xFF), to: .slow, because: .reserve)
    #expect(backEnd.submit(down, of: chunk))
    var outcomes: [MigrationOutcome] = []
    backEnd.takeOutcomes(&table) { outcomes.append($0) }
    #expect(outcomes.isEmpty)
    let request = try #require(program.nextRequest())
    #expect(request.generation == 7)
    #expect(request.islands == 0xFF)
    program.answer(request, slow: 0xFF)
    backEnd.takeOutcomes(&table) { outcomes.append($0) }
    #expect(outcomes.map(\.status) == [.moved])
    #expect(outcomes.first?.bytesCopied == 8 * TierUnit.islandBytes)
    #expect(table[number]?.slowIslands == IslandSet(rawValue: 0xFF))
    // What lies there already needs nobody.
    #expect(backEnd.submit(down, of: try #require(table[number])))
    #expect(program.nextRequest() == nil)
    backEnd.takeOutcomes(&table) { outcomes.append($0) }
    #expect(outcomes.map(\.status) == [.moved, .moved])
    #expect(outcomes.last?.bytesCopied == 0)
  }

  @Test func `refuses what a full queue cannot take`() throws {
    let folder = TestFolder()
    let backEnd = try Self.make(folder)
    let program = FakeProgram(joining: backEnd.page)
    var table = ChunkTable()
    program.put(0, address: 3 * Self.chunk, generation: 7)
    backEnd.refresh(&table) { _ in }
    let migration = Migration(chunk: 0, islands: .all, to: .slow, because: .random)
    let chunk = try #require(table[0])
    for _ in 0..<Int(ARB_TIER_RING_COUNT) { #expect(backEnd.submit(migration, of: chunk)) }
    #expect(!backEnd.submit(migration, of: chunk))
    program.work()
    var count = 0
    backEnd.takeOutcomes(&table) { _ in count += 1 }
    #expect(count == Int(ARB_TIER_RING_COUNT))
    #expect(table[0]?.slowIslands == .all)
  }

  @Test func `answers for a program that is gone and gives its slots back`() throws {
    let folder = TestFolder()
    let backEnd = try Self.make(folder)
    // No process has so high a number: the kernel's limit is 2^22.
    let program = FakeProgram(joining: backEnd.page, seat: 3, process: 1 << 23)
    program.put(0, address: 3 * Self.chunk, generation: 7)
    program.claim(slot: 2)
    program.count(cpuNanoseconds: 1234, placingNanoseconds: 77)
    var table = ChunkTable()
    var outcomes: [MigrationOutcome] = []
    var removedCount = 0
    // The first look takes the chunk in or finds the process gone, whichever it does first.
    backEnd.refresh(&table) { _ in removedCount += 1 }
    for _ in 0..<40 where program.state != ARB_TIER_SEAT_FREE.rawValue {
      usleep(20_000)
      backEnd.refresh(&table) { _ in removedCount += 1 }
    }
    backEnd.takeOutcomes(&table) { outcomes.append($0) }
    #expect(program.state == ARB_TIER_SEAT_FREE.rawValue)
    #expect(program.slotCount == 0)
    #expect(table.count == 0)
    #expect(backEnd.processes.isEmpty)
    #expect(backEnd.moverNanoseconds.value == 1234)
    #expect(backEnd.placingNanoseconds.value == 77)
  }

  @Test func `keeps the slots of a program that was forked while somebody maps them`() throws {
    let folder = TestFolder()
    let backEnd = try Self.make(folder)
    let program = FakeProgram(joining: backEnd.page, process: 1 << 23)
    program.claim(slot: 1)
    program.count(forks: 1)
    var table = ChunkTable()
    // SAFETY: a mapping of the test's own, given back below; nobody touches it.
    let mapped = unsafe mmap(
      nil, Int(Self.chunk), PROT_READ, MAP_SHARED, backEnd.slow.descriptor, off_t(Self.chunk))
    for _ in 0..<12 {
      backEnd.refresh(&table) { _ in }
      usleep(50_000)
    }
    #expect(program.slotCount == 1)
    unsafe munmap(mapped, Int(Self.chunk))
    for _ in 0..<1200 where program.slotCount > 0 {
      backEnd.refresh(&table) { _ in }
      usleep(50_000)
    }
    #expect(program.slotCount == 0)
  }

  @Test(arguments: [(1 << 23, true), (getpid(), false)])
  func `empties a file with a name at the end unless a program lives`(
    process: Int32, isEmptied: Bool
  ) throws {
    let folder = TestFolder()
    let path = "\(folder.path)/slow"
    let backEnd = try FileBackEnd(
      fastBytes: 8 << 20, path: path, slowBytes: 16 << 20, options: 0)
    // Nobody has looked at the page since it joined.
    let program = FakeProgram(joining: backEnd.page, process: process)
    #expect(backEnd.hasReachedAnything && program.slotCount == 0)
    backEnd.stop()
    var facts = stat()
    #expect(unsafe stat(path, &facts) == 0 && facts.st_size == (isEmptied ? 0 : 16 << 20))
  }

  @Test func `seats that nobody had take no memory`() throws {
    let folder = TestFolder()
    let backEnd = try Self.make(folder)
    var table = ChunkTable()
    backEnd.refresh(&table) { _ in }
    #expect(!backEnd.hasReachedAnything && backEnd.metadataBytes <= 16 << 10)
    let program = FakeProgram(joining: backEnd.page)
    program.put(0, address: 3 * Self.chunk, generation: 1)
    backEnd.refresh(&table) { _ in }
    #expect(table.count == 1 && backEnd.hasReachedAnything)
    #expect(backEnd.metadataBytes <= 64 << 10)
  }

  @Test func `leaves a program alone that has opened a file without the page cache`() throws {
    let folder = TestFolder()
    let backEnd = try Self.make(folder)
    let program = FakeProgram(joining: backEnd.page)
    program.put(0, address: 3 * Self.chunk, generation: 7)
    program.remark("something is odd")
    var table = ChunkTable()
    backEnd.refresh(&table) { _ in }
    #expect(table[0]?.isMovable == true)
    #expect(backEnd.takeRemarks() == ["process \(getpid()): something is odd"])
    let direct = Int32(0o40000)
    let path = "\(folder.path)/direct"
    let descriptor = unsafe open(path, O_RDWR | O_CREAT | direct, 0o600)
    // Some file systems know no such flag.
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    for _ in 0..<100 where !program.isFrozen {
      usleep(20_000)
      backEnd.refresh(&table) { _ in }
    }
    #expect(program.isFrozen)
    #expect(table[0]?.isMovable == false)
    #expect(backEnd.takeRemarks().contains { $0.contains("O_DIRECT") })
  }

  @Test func `stops for good and says so to the programs`() throws {
    let folder = TestFolder()
    let backEnd = try Self.make(folder)
    let program = FakeProgram(joining: backEnd.page)
    program.put(0, address: 3 * Self.chunk, generation: 7)
    var table = ChunkTable()
    backEnd.refresh(&table) { _ in }
    backEnd.stop()
    #expect(program.options & UInt32(ARB_TIER_STATIC) != 0)
    let migration = Migration(chunk: 0, islands: .all, to: .slow, because: .random)
    #expect(backEnd.submit(migration, of: try #require(table[0])))
    var outcomes: [MigrationOutcome] = []
    backEnd.takeOutcomes(&table) { outcomes.append($0) }
    #expect(outcomes.map(\.status) == [.stale])
    #expect(program.nextRequest() == nil)
  }
}
