// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlacement
import ArbiterPlatform
import ArbiterTestSupport
import ArbiterTiering
import Glibc
import Testing

/// The nodes of this machine where it has two; then pages really move.
private let twoNodes: NumaPlaces? = {
  let probe = NumaProbe.read()
  return (probe.memoryOnlyNodes.first).flatMap { try? probe.places(slow: $0) }
}()

/// What the machine has: two nodes, or one that is called both.
private let places =
  twoNodes ?? NumaPlaces(fast: [0], slow: 63, fastMemoryBytes: 1 << 30, slowMemoryBytes: 1 << 30)

/// A back-end with its table, driven as the manager drives it.
private final class Driver {
  var backEnd: NumaBackEnd
  var table = ChunkTable()
  var removedCount = 0
  let memory: LiveMemory

  init(_ memory: LiveMemory) throws {
    self.memory = memory
    backEnd = try NumaBackEnd(places: places)
    backEnd.follow(memory.process)
  }

  /// Refreshes until the condition holds, for up to 20 s.
  func refresh(until condition: (ChunkTable) -> Bool) -> Bool {
    for _ in 0..<2000 {
      backEnd.refresh(&table) { _ in removedCount += 1 }
      if condition(table) { return true }
      usleep(10_000)
    }
    return false
  }

  func submit(_ migration: Migration, of chunk: ManagedChunk) -> Bool {
    backEnd.submit(migration, of: chunk)
  }

  func remarks() -> [String] { backEnd.takeRemarks() }

  func chunk(at address: UInt64) -> ManagedChunk? {
    table.index(process: memory.process, address: address).flatMap { table[$0] }
  }

  /// Moves islands of the chunk at an address and waits for the outcome.
  func move(
    _ address: UInt64, _ islands: IslandSet = .all, to tier: Tier
  ) throws -> MigrationOutcome {
    let index = try #require(table.index(process: memory.process, address: address))
    let migration = Migration(chunk: Int32(index), islands: islands, to: tier, because: .random)
    let chunk = try #require(table[index])
    try #require(submit(migration, of: chunk))
    var outcome: MigrationOutcome?
    for _ in 0..<2000 where outcome == nil {
      backEnd.takeOutcomes(&table) { outcome = $0 }
      if outcome == nil { usleep(10_000) }
    }
    return try #require(outcome)
  }
}

@Suite(.enabled(if: LiveMemory.program != nil), .timeLimit(.minutes(2)))
struct `the back-end of memory nodes` {
  @Test func `finds chunks, follows their end and stops`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(8 * chunkBytes) small")
    let driver = try Driver(memory)
    let isFound = driver.refresh { table in
      (0..<8).allSatisfy {
        table.index(process: memory.process, address: address + UInt64($0) * chunkBytes) != nil
      }
    }
    #expect(isFound)
    #expect(driver.chunk(at: address)?.presentIslands == .all)
    #expect(driver.chunk(at: address)?.slowIslands == [])
    #expect(driver.backEnd.processes == [memory.process])
    #expect((driver.backEnd.moverNanoseconds.value ?? 0) > 0)
    #expect(driver.backEnd.stalls.reason != nil)

    _ = try memory.ask("unmap \(address) \(2 * chunkBytes)")
    let isGone = driver.refresh { table in
      table.index(process: memory.process, address: address) == nil
    }
    #expect(isGone)
    #expect(driver.removedCount >= 1)
    driver.backEnd.stop()
    let chunk = try #require(driver.chunk(at: address + 2 * chunkBytes))
    let late = Migration(chunk: 0, islands: .all, to: .slow, because: .random)
    #expect(!driver.submit(late, of: chunk))
  }

  @Test func `the queue has an end, and each decision one outcome`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(chunkBytes) small")
    let driver = try Driver(memory)
    #expect(driver.refresh { $0.index(process: memory.process, address: address) != nil })
    let chunk = try #require(driver.chunk(at: address))
    let index = try #require(driver.table.index(process: memory.process, address: address))
    var takenCount = 0
    let migration = Migration(chunk: Int32(index), islands: .all, to: .fast, because: .random)
    while takenCount < 10_000, driver.submit(migration, of: chunk) { takenCount += 1 }
    #expect((1..<10_000).contains(takenCount))
    driver.backEnd.stop()
    var outcomeCount = 0
    driver.backEnd.takeOutcomes(&driver.table) { _ in outcomeCount += 1 }
    #expect(outcomeCount == takenCount)
  }

  @Test func `a process that ends takes its chunks along, and the others go on`() throws {
    let (memory, other) = (try LiveMemory(), try LiveMemory())
    let address = try memory.ask("map \(8 * chunkBytes) small")
    let otherAddress = try other.ask("map \(2 * chunkBytes) small")
    let driver = try Driver(memory)
    driver.backEnd.follow(other.process)
    let places = (0..<8).map { address + UInt64($0) * chunkBytes }
    let isFound = driver.refresh { table in
      table.index(process: other.process, address: otherAddress) != nil
        && places.allSatisfy { table.index(process: memory.process, address: $0) != nil }
    }
    try #require(isFound)
    var submittedCount = 0
    for place in places {
      let index = try #require(driver.table.index(process: memory.process, address: place))
      let chunk = try #require(driver.table[index])
      let migration = Migration(chunk: Int32(index), islands: .all, to: .fast, because: .random)
      if driver.submit(migration, of: chunk) { submittedCount += 1 }
      // In the middle of it.
      if place == places[4] { kill(memory.process, SIGKILL) }
    }
    let isGone = driver.refresh { table in
      places.allSatisfy { table.index(process: memory.process, address: $0) == nil }
    }
    #expect(isGone)
    #expect(driver.removedCount >= 8)
    #expect(driver.table.index(process: other.process, address: otherAddress) != nil)
    // The survey finds the process itself gone when it next looks at it.
    _ = driver.refresh { _ in driver.backEnd.processes == [other.process] }
    #expect(driver.backEnd.processes == [other.process])
    var outcomeCount = 0
    for _ in 0..<2000 where outcomeCount < submittedCount {
      driver.backEnd.takeOutcomes(&driver.table) { _ in outcomeCount += 1 }
      usleep(10_000)
    }
    #expect(outcomeCount == submittedCount && submittedCount > 0)
    // An end is nothing to remark on.
    #expect(driver.remarks() == [])
    #expect(try other.ask("check \(otherAddress) \(2 * chunkBytes)") == 0)
  }

  @Test func `an outcome for a chunk whose number stands for another is stale`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(chunkBytes) small")
    let driver = try Driver(memory)
    #expect(driver.refresh { $0.index(process: memory.process, address: address) != nil })
    let index = try #require(driver.table.index(process: memory.process, address: address))
    let chunk = try #require(driver.chunk(at: address))
    let migration = Migration(chunk: Int32(index), islands: .all, to: .fast, because: .random)
    try #require(driver.submit(migration, of: chunk))
    driver.table.remove(index)
    driver.table.insert(ManagedChunk(process: 1, address: chunkBytes, slowIslands: .all))
    driver.backEnd.stop()
    var outcomes: [MigrationOutcome] = []
    driver.backEnd.takeOutcomes(&driver.table) { outcomes.append($0) }
    #expect(outcomes.map(\.status) == [.stale])
    #expect(driver.table[index]?.slowIslands == .all)
  }
}

@Suite(
  .enabled(if: twoNodes != nil && LiveMemory.program != nil), .serialized, .timeLimit(.minutes(5)))
struct `moves between two nodes` {
  @Test func `whole chunks and islands go there and back, with what they hold`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(4 * chunkBytes) small")
    let driver = try Driver(memory)
    #expect(
      driver.refresh { table in
        (0..<4).allSatisfy {
          table.index(process: memory.process, address: address + UInt64($0) * chunkBytes) != nil
        }
      })
    let outcome = try driver.move(address, to: .slow)
    #expect(outcome.status == .moved)
    #expect(outcome.bytesCopied == TierUnit.chunkBytes)
    #expect(outcome.cpuNanoseconds > 0)
    #expect(driver.chunk(at: address)?.slowIslands == .all)
    #expect(driver.chunk(at: address + chunkBytes)?.slowIslands == [])

    let some: IslandSet = [IslandSet(island: 0), IslandSet(island: 7), IslandSet(island: 63)]
    #expect(try driver.move(address + chunkBytes, some, to: .slow).bytesCopied == some.bytes)
    #expect(driver.chunk(at: address + chunkBytes)?.slowIslands == some)
    #expect(try driver.move(address, to: .fast).status == .moved)
    #expect(driver.chunk(at: address)?.slowIslands == [])
    #expect(try memory.ask("check \(address) \(4 * chunkBytes)") == 0)
    #expect(driver.remarks() == [])
  }

  @Test func `pinned pages stay, and are asked for again after a while`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(2 * chunkBytes) small")
    let driver = try Driver(memory)
    #expect(driver.refresh { $0.index(process: memory.process, address: address) != nil })
    try #require(try memory.ask("pin \(address) 65536") == 0)
    let pinned: IslandSet = [IslandSet(island: 0), IslandSet(island: 1)]
    let outcome = try driver.move(address, pinned, to: .slow)
    #expect(outcome.status == .busy)
    #expect(outcome.bytesCopied == 0)
    driver.backEnd.refresh(&driver.table) { _ in }
    #expect(driver.chunk(at: address)?.slowIslands == [])
    #expect(driver.chunk(at: address)?.isMovable == false)
    #expect(
      driver.refresh { table in
        table.index(process: memory.process, address: address)
          .flatMap { table[$0]?.isMovable } == true
      })
    // The rest of the chunk is not pinned.
    let rest = try driver.move(address, .all, to: .slow)
    #expect(rest.status == .moved)
    #expect(driver.chunk(at: address)?.slowIslands == IslandSet.all.subtracting(pinned))
    #expect(try memory.ask("check \(address) \(2 * chunkBytes)") == 0)
  }

  @Test func `a huge page moves whole, and is not torn apart again and again`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(2 * chunkBytes) huge")
    let driver = try Driver(memory)
    #expect(driver.refresh { $0.index(process: memory.process, address: address) != nil })
    let huge = Shell.succeeds(
      "grep -Eq 'AnonHugePages: +[1-9]' /proc/\(memory.process)/smaps_rollup")
    try #require(huge, "the kernel gave no huge pages")
    let one = IslandSet(island: 9)
    let outcome = try driver.move(address, one, to: .slow)
    #expect(outcome.status == .moved)
    #expect(outcome.bytesCopied == TierUnit.chunkBytes)
    #expect(driver.chunk(at: address)?.slowIslands == .all)
    #expect(try driver.move(address, one, to: .fast).bytesCopied == TierUnit.chunkBytes)
    #expect(driver.chunk(at: address)?.slowIslands == [])
    // It is known by now that a part of it cannot go.
    #expect(try driver.move(address, one, to: .slow).status == .busy)
    #expect(driver.chunk(at: address)?.slowIslands == [])
    #expect(try driver.move(address, .all, to: .slow).status == .moved)
    #expect(try memory.ask("check \(address) \(2 * chunkBytes)") == 0)
  }

  @Test func `what a fork shares is moved, and stays right for both`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(2 * chunkBytes) small")
    let child = Int32(try memory.ask("fork"))
    let driver = try Driver(memory)
    #expect(driver.refresh { $0.index(process: memory.process, address: address) != nil })
    #expect(try driver.move(address, to: .slow).status == .moved)
    #expect(try memory.ask("check \(address) \(2 * chunkBytes)") == 0)
    #expect(driver.backEnd.processes.contains(child))
    kill(child, SIGKILL)
  }

  @Test func `shared memory is moved`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(2 * chunkBytes) shared")
    _ = try memory.ask("fork")
    let driver = try Driver(memory)
    #expect(driver.refresh { $0.index(process: memory.process, address: address) != nil })
    let outcome = try driver.move(address, to: .slow)
    #expect(outcome.status == .moved)
    #expect(outcome.bytesCopied == TierUnit.chunkBytes)
    #expect(try memory.ask("check \(address) \(2 * chunkBytes)") == 0)
  }
}
