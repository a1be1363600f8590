// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlacement
import ArbiterPlatform
import ArbiterTestSupport
import ArbiterTiering
import Glibc
import Testing

let chunkBytes = UInt64(TierUnit.chunkBytes)

/// Node 0 as the fast one and one that no machine has as the slow one.
private let fastOnly = NumaPlaces(
  fast: [0], slow: 63, fastMemoryBytes: 1 << 30, slowMemoryBytes: 1 << 30)
/// The other way round: all that there is lies on what is called slow.
private let slowOnly = NumaPlaces(
  fast: [63], slow: 0, fastMemoryBytes: 1 << 30, slowMemoryBytes: 1 << 30)

/// Whether all memory lies on node 0, which these tests rest on, and page tables can be read.
private let hasOneNode =
  NumaProbe.read().nodes.map(\.number) == [0] && LiveMemory.program != nil

@Suite struct `survey of a memory map` {
  @Test func `what is beyond the bound stays where it is, however it is cut up`() throws {
    let folder = TemporaryFolder()
    folder.write("7 (words) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0", to: "proc/7/stat")
    // Three times four chunks, with nothing in between that would make them one.
    folder.write(
      """
      7f0000000000-7f0000800000 rw-p 00000000 00:00 0
      7f1000000000-7f1000800000 rw-p 00000000 00:00 0
      7f2000000000-7f2000800000 rw-p 00000000 00:00 0
      """, to: "proc/7/maps")
    for (countMax, remarkCount) in [(12, 0), (11, 1), (3, 3)] {
      var survey = NumaSurvey(
        tree: SystemTree(root: folder.path), places: fastOnly, movesShared: true,
        chunkCountMax: countMax)
      survey.add(process: 7)
      survey.advance(now: 1)
      let remarks = survey.takeRemarks().filter { $0.contains("maps more than") }
      #expect(remarks.count == remarkCount, "\(countMax)")
    }
  }
}

@Suite(.enabled(if: hasOneNode), .timeLimit(.minutes(1)))
struct `survey of live memory` {
  /// A survey of a program, advanced until it has seen everything once.
  private func survey(
    of memory: LiveMemory, places: NumaPlaces = fastOnly, movesShared: Bool = true
  ) -> NumaSurvey {
    var survey = NumaSurvey(tree: SystemTree(), places: places, movesShared: movesShared)
    survey.add(process: memory.process)
    advance(&survey)
    return survey
  }

  /// Advances over a virtual second: everything is due several times.
  private func advance(_ survey: inout NumaSurvey) {
    for _ in 0..<20 {
      time += 1_000_000_000
      survey.advance(now: time, budgetNanoseconds: 1_000_000_000)
    }
  }

  /// The virtual time of a test.
  private final class Clock { var time: Int64 = 0 }
  private let clock = Clock()

  private var time: Int64 {
    get { clock.time }
    nonmutating set { clock.time = newValue }
  }

  @Test func `what was touched is present and lies on its node`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(4 * chunkBytes) small")
    for (places, slow) in [(fastOnly, IslandSet()), (slowOnly, IslandSet.all)] {
      let survey = survey(of: memory, places: places)
      for chunk in 0..<UInt64(4) {
        let key = ChunkKey(process: memory.process, address: address + chunk * chunkBytes)
        let known = try #require(survey.known[key])
        #expect(known.present == .all)
        #expect(known.slow == slow)
        #expect(known.isMovable)
      }
    }
  }

  @Test func `what is unmapped is gone, by chunks`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(4 * chunkBytes) small")
    var survey = survey(of: memory)
    _ = survey.takeChanges()
    // The second chunk, and one page of the third, which is no whole chunk from then on.
    _ = try memory.ask("unmap \(address + chunkBytes) \(chunkBytes + 4096)")
    advance(&survey)
    let changes = survey.takeChanges()
    for chunk in 0..<UInt64(4) {
      let key = ChunkKey(process: memory.process, address: address + chunk * chunkBytes)
      #expect((changes[key] == .gone) == (chunk == 1 || chunk == 2))
      #expect((survey.known[key] == nil) == (chunk == 1 || chunk == 2))
    }
  }

  @Test func `memory that was only read costs nothing`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(2 * chunkBytes) small")
    // Fresh memory in place of the first chunk's is only read: the kernel's page of zeros.
    _ = try memory.ask("drop \(address) \(chunkBytes)")
    _ = try memory.ask("read \(address) \(chunkBytes)")
    var survey = survey(of: memory)
    #expect(survey.known[ChunkKey(process: memory.process, address: address)] == nil)
    // One island of it is written.
    _ = try memory.ask("fill \(address + 5 * UInt64(TierUnit.islandBytes)) 32768")
    advance(&survey)
    let known = survey.known[ChunkKey(process: memory.process, address: address)]
    #expect(known?.present == IslandSet(island: 5))
  }

  @Test func `a fork is followed, and what both share counts once`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(2 * chunkBytes) small")
    let child = Int32(try memory.ask("fork"))
    var survey = survey(of: memory)
    #expect(survey.processes.map(\.number) == [memory.process, child])
    #expect(survey.known[ChunkKey(process: memory.process, address: address)] != nil)
    #expect(survey.known[ChunkKey(process: child, address: address)] == nil)
    // Without the privilege it may not be moved while both have it.
    let other = self.survey(of: memory, movesShared: false)
    let known = other.known[ChunkKey(process: memory.process, address: address)]
    #expect(known?.isMovable == false)
    // The parent writes: each has its own now.
    _ = try memory.ask("fill \(address) \(chunkBytes)")
    advance(&survey)
    #expect(survey.known[ChunkKey(process: child, address: address)]?.present == .all)
    kill(child, SIGKILL)
    for _ in 0..<100 where survey.processes.count > 1 {
      usleep(10_000)
      advance(&survey)
    }
    #expect(survey.processes.map(\.number) == [memory.process])
    #expect(survey.known.keys.allSatisfy { $0.process == memory.process })
  }

  @Test func `shared memory is looked after once, and only where it can be moved`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(2 * chunkBytes) shared")
    let child = Int32(try memory.ask("fork"))
    let with = survey(of: memory)
    #expect(with.known[ChunkKey(process: memory.process, address: address)]?.present == .all)
    #expect(with.known[ChunkKey(process: child, address: address)] == nil)
    let without = survey(of: memory, movesShared: false)
    #expect(without.known[ChunkKey(process: memory.process, address: address)] == nil)
  }

  @Test func `a process that is gone is forgotten`() throws {
    var memory: LiveMemory? = try LiveMemory()
    _ = try memory?.ask("map \(2 * chunkBytes) small")
    var survey = survey(of: try #require(memory))
    #expect(survey.known.count >= 2)
    memory = nil
    advance(&survey)
    #expect(survey.processes.isEmpty)
    #expect(survey.known.isEmpty)
    #expect(survey.takeChanges().values.allSatisfy { $0 == .gone })
  }

  @Test func `one turn ends near its budget however much there is`() throws {
    let memory = try LiveMemory()
    _ = try memory.ask("map \(128 * chunkBytes) small")
    var survey = NumaSurvey(tree: SystemTree(), places: fastOnly, movesShared: true)
    survey.add(process: memory.process)
    survey.advance(now: 0, budgetNanoseconds: 1)
    // One group of chunks was looked at, and the rest waits its turn.
    #expect((1...8).contains(survey.known.count))
    #expect(survey.dueNanoseconds > 0)
    for _ in 0..<64 {
      time += 1_000_000_000
      survey.advance(now: time, budgetNanoseconds: 1)
    }
    #expect(survey.known.count >= 128)
  }
}

@Suite(.enabled(if: hasOneNode), .timeLimit(.minutes(1)))
struct `calls for moves` {
  private func move(
    _ memory: LiveMemory, _ address: UInt64, places: NumaPlaces, to tier: Tier
  ) -> (MigrationOutcome, [String]) {
    var mover = NumaMover(tree: SystemTree(), places: places, movesShared: false)
    let outcome = mover.move(
      Migration(chunk: 0, islands: IslandSet(island: 3), to: tier, because: .random),
      of: ChunkKey(process: memory.process, address: address))
    return (outcome, mover.takeRemarks())
  }

  @Test func `what lies there already is left alone`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(chunkBytes) small")
    let (outcome, remarks) = move(memory, address, places: fastOnly, to: .fast)
    #expect(outcome.status == .moved)
    #expect(outcome.bytesCopied == 0)
    #expect(remarks.isEmpty)
  }

  // One node: the kernel is asked for pages that are there, and content is not in question.
  @Test func `a node that is not there is said and nothing is moved`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(chunkBytes) small")
    let (outcome, remarks) = move(memory, address, places: fastOnly, to: .slow)
    #expect(outcome.status == .failed)
    #expect(outcome.bytesCopied == 0)
    #expect(remarks.count == 1)
    #expect(try memory.ask("check \(address) \(chunkBytes)") == 0)
  }

  @Test func `memory that was never touched or is unmapped is stale`() throws {
    let memory = try LiveMemory()
    let address = try memory.ask("map \(2 * chunkBytes) small")
    _ = try memory.ask("drop \(address) \(chunkBytes)")
    #expect(move(memory, address, places: fastOnly, to: .slow).0.status == .stale)
    _ = try memory.ask("unmap \(address) \(2 * chunkBytes)")
    #expect(move(memory, address, places: fastOnly, to: .slow).0.status == .stale)
  }

  @Test func `a process that is gone is stale`() throws {
    var memory: LiveMemory? = try LiveMemory()
    let address = try #require(try memory?.ask("map \(chunkBytes) small"))
    let process = try #require(memory?.process)
    memory = nil
    var mover = NumaMover(tree: SystemTree(), places: fastOnly, movesShared: false)
    let outcome = mover.move(
      Migration(chunk: 0, islands: .all, to: .slow, because: .hot),
      of: ChunkKey(process: process, address: address))
    #expect(outcome.status == .stale)
  }
}
