// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCrashTesting
import ArbiterMemory
import ArbiterPersistence
import ArbiterPlatform
import ArbiterTestSupport
import Testing

/// A state as the check has seen it.
private struct SeenState: Hashable {
  var memory: PersistenceOracle.Memory
  var acknowledged: Int
}

/// The words of the oracle: two in the first line, two in the second.
private func offset(_ word: Int) -> Int { word / 2 * 64 + word % 2 * 8 }

private func memory(_ image: borrowing CrashImage) -> PersistenceOracle.Memory {
  var memory = PersistenceOracle.Memory()
  for word in 0..<4 { memory[word] = UInt8(image.word(at: offset(word))) }
  return memory
}

/// Does to a region what an operation says; `number` is what it stores.
private func execute(
  _ operation: OracleOperation, _ number: UInt64, on region: borrowing MappedRegion
) {
  switch operation.kind {
  case .store(let words):
    if let word = words.first, words.count == 1 {
      region.storeAtomically(number, at: offset(word))
    } else if let first = words.first {
      // Both words of a line in one copy.
      unsafe [number, number].withUnsafeBytes { unsafe region.store($0, at: offset(first)) }
    }
  case .stream: preconditionFailure("whole lines only")
  case .writeBack(let line), .flush(let line): region.flush(line * 64..<line * 64 + 1)
  case .fence: region.drain()
  }
}

@Suite("Explorer")
struct ExplorerTests {
  static let operations: [OracleOperation] = [
    .init(.store([0])), .init(.store([1])), .init(.store([2])), .init(.store([2, 3])),
    .init(.writeBack(line: 0)), .init(.writeBack(line: 1)), .init(.fence),
  ]

  /// Every program of four operations: the states that the check meets are those of the oracle
  /// after each of its operations, each of them once.
  @Test(arguments: PersistenceDomain.allCases)
  func `small programs are explored without gap or excess`(domain: PersistenceDomain) throws {
    var options = CrashExplorer.Options(domain: domain)
    options.placesMax = 0
    let explorer = CrashExplorer(bytes: 4096, options: options)
    // A random third of all programs: a region is made for each.
    for code in stride(from: Int(ProcessSeed.value % 7), to: 7 * 7 * 7 * 7, by: 7) {
      let program = [1, 7, 49, 343].map { Self.operations[code / $0 % 7] }
      var expected: Set<SeenState> = []
      var oracle = PersistenceOracle(cachesSurvive: domain == .eadr)
      expected.insert(SeenState(memory: .init(), acknowledged: 0))
      for operation in program {
        oracle.execute(operation)
        expected.formUnion(oracle.images.map { SeenState(memory: $0, acknowledged: 0) })
      }
      var seen: [SeenState] = []
      let covered = try explorer.explore { region in
        for (index, operation) in program.enumerated() {
          execute(operation, UInt64(index + 1), on: region)
        }
      } check: { image in
        seen.append(SeenState(memory: memory(image), acknowledged: 0))
        return true
      }
      let hint: Comment = "\(program), ARBITER_SEED=\(ProcessSeed.value)"
      let difference = Set(seen).symmetricDifference(expected).map(\.memory)
      #expect(difference.isEmpty, hint)
      #expect(seen.count == expected.count && covered.stateCount == seen.count, hint)
      #expect(covered.isExhaustive && covered.isComplete, hint)
    }
  }

  @Test func `stores by pointer are found before a copy past the cache`() throws {
    var images: Set<PersistenceOracle.Memory> = []
    try CrashExplorer(bytes: 4096).explore { region in
      unsafe region.base.storeBytes(of: 1, toByteOffset: 0, as: UInt64.self)
      let line = [UInt64](repeating: 0, count: 8)
      unsafe line.withUnsafeBytes { unsafe region.copy($0, to: 128, by: .nonTemporal) }
      unsafe region.base.storeBytes(of: 2, toByteOffset: 64, as: UInt64.self)
      region.flush(64..<65)
      region.drain()
      unsafe region.base.storeBytes(of: 3, toByteOffset: 8, as: UInt64.self)
    } check: {
      images.insert(memory($0))
      return true
    }
    // Word 0 is never written back; word 2 is there for certain once word 1 is stored.
    #expect(
      images == [
        .init(0, 0, 0, 0), .init(1, 0, 0, 0), .init(0, 0, 2, 0), .init(1, 0, 2, 0),
        .init(1, 3, 2, 0),
      ])
  }

  @Test(arguments: PersistenceDomain.allCases)
  func `every operation that promises survival is seen`(domain: PersistenceDomain) throws {
    let text = Array("thirty-three bytes, unaligned...".utf8) + [0]
    let places = [3, 203, 403, 603, 803, 1003, 1203]
    let long = [UInt8](repeating: 7, count: 700)
    try CrashExplorer(bytes: 4096, options: .init(domain: domain)).explore { region, run in
      unsafe try text.withUnsafeBytes { bytes throws in
        unsafe region.store(bytes, at: places[0])
        try region.persist(places[0]..<places[0] + text.count)
        run.acknowledge(1)
        unsafe try region.copyAndPersist(bytes, to: places[1])
        run.acknowledge(2)
        region.move(places[0]..<places[0] + text.count, to: places[2])
        region.drain()
        run.acknowledge(3)
        unsafe region.store(bytes, at: places[3])
        try region.deepFlush(places[3]..<places[3] + text.count)
        run.acknowledge(4)
        unsafe try region.writeChecked(bytes, at: places[4])
        try region.persist(places[4]..<places[4] + text.count)
        run.acknowledge(5)
      }
      region.fill(places[5]..<places[5] + 33, with: 7, by: .cached)
      region.drain()
      run.acknowledge(6)
      // Long enough to go past the cache, but for its ends.
      unsafe long.withUnsafeBytes { unsafe region.copy($0, to: places[6]) }
      region.drain()
      run.acknowledge(7)
    } check: { image in
      for (index, place) in places.prefix(image.acknowledged).enumerated() {
        let expected = index < 5 ? text : index == 5 ? Array(long.prefix(33)) : long
        if image.bytes(place..<place + expected.count) != expected { return false }
      }
      return true
    }
  }

  @Test func `what comes before the beginning has survived`() throws {
    let covered = try CrashExplorer(bytes: 4096).explore { region, run in
      region.storeAtomically(7, at: 0)
      run.begin()
      region.storeAtomically(8, at: 64)
    } check: {
      $0.word(at: 0) == 7
    }
    #expect(covered.stateCount == 2)
  }

  @Test func `a region may begin with content`() throws {
    var explorer = CrashExplorer(bytes: 100)
    explorer.initialBytes = [1, 2, 3]
    try explorer.explore { region in
      #expect(region.loadAtomically(at: 0) == 0x030201)
      region.storeAtomically(9, at: 8)
    } check: { image in
      image.bytes(0..<4) == [1, 2, 3, 0] && image.load(UInt16.self, at: 1) == 0x0302
        && image.byteCount == 4096
    }
  }

  @Test func `what recovery changes is gone in the next state`() throws {
    var count = 0
    try CrashExplorer(bytes: 4096).explore { region in
      for line in 0..<4 { region.storeAtomically(1, at: line * 64) }
    } check: { image in
      count += 1
      let isClean = (0..<4096 / 8).allSatisfy { image.word(at: $0 * 8) <= 1 }
      try image.withRegion { region throws(PlatformError) in
        region.fill(0..<4096, with: 0xFF)
        try region.persist(0..<4096)
      }
      return isClean
    }
    #expect(count == 16)
  }

  @Test func `equal seeds give equal states, also where states are drawn`() throws {
    func explored(_ seed: UInt64) throws -> (CrashExploration, [UInt64]) {
      var hashes: [UInt64] = []
      let covered = try CrashExplorer(
        bytes: 4096, options: .init(seed: seed, statesPerPointMax: 100, statesMax: 700)
      ).explore { region in
        for number in UInt64(1)...20 {
          region.fill(Int(number) * 64..<Int(number) * 64 + 64, with: UInt8(number))
        }
      } check: { image in
        hashes.append(image.bytes(0..<4096).reduce(17) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
        return true
      }
      return (covered, hashes)
    }
    let (first, hashes) = try explored(1)
    #expect(try explored(1).1 == hashes)
    #expect(try explored(2).1 != hashes)
    #expect(!first.isExhaustive && !first.isComplete)
    #expect(first.stateCount == 700 && Set(hashes).count == 700)
  }

  @Test func `where states are drawn, single lines and all but one are never left out`() throws {
    var masks: Set<UInt32> = []
    try CrashExplorer(bytes: 4096, options: .init(statesPerPointMax: 200)).explore { region in
      for line in 0..<24 { region.storeAtomically(1, at: line * 64) }
    } check: { image in
      masks.insert((0..<24).reduce(0) { $0 | UInt32(image.word(at: $1 * 64)) << UInt32($1) })
      return true
    }
    let all: UInt32 = 1 << 24 - 1
    #expect(masks.isSuperset(of: [0, all] + (0..<24).map { 1 << UInt32($0) }))
    #expect(masks.isSuperset(of: (0..<24).map { all & ~(1 << UInt32($0)) }))
    #expect(masks.count > 200)
  }

  @Test func `an error of the program comes through, one of the check is the reason`() throws {
    struct Stop: Error {}
    #expect(throws: Stop.self) {
      try CrashExplorer(bytes: 64).explore { _ in
        throw Stop()
      } check: { _ in
        true
      }
    }
    let failure = try #require(throws: CrashFailure.self) {
      try CrashExplorer(bytes: 64).explore {
        $0.storeAtomically(1, at: 0)
      } check: {
        if $0.word(at: 0) == 1 { throw Stop() }
        return true
      }
    }
    #expect(failure.reason == "Stop()" && failure.image[0] == 1)
  }
}
