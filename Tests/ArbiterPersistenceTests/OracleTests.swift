// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterPersistence
import ArbiterTestSupport
import Testing

/// The model's answer in the terms of the oracle: word 2 of the oracle is the first of line 1.
struct ModelledMachine {
  var model: PersistenceModel
  var settled = [LineWords(), LineWords()]
  var count: UInt64 = 0

  init(_ domain: PersistenceDomain) {
    model = PersistenceModel(domain: domain)
  }

  private static func place(_ word: Int) -> Int { word / 2 * 8 + word % 2 }

  mutating func execute(_ operation: OracleOperation) {
    count += 1
    let number = count
    func stores(_ words: [Int]) -> [WordStore] {
      words.map { WordStore(word: Self.place($0), value: number) }
    }
    switch operation.kind {
    case .store(let words): model.store(stores(words), thread: operation.thread)
    case .stream(let words):
      model.store(stores(words), thread: operation.thread, isNonTemporal: true)
    case .writeBack(let line): model.writeBack(lines: [line], thread: operation.thread)
    case .flush(let line):
      model.writeBack(lines: [line], by: .clflush, thread: operation.thread)
    case .fence: model.fence(thread: operation.thread)
    }
    for word in model.takeSettled() {
      settled[word.line][word.word & 7] = word.applied(to: settled[word.line][word.word & 7])
    }
  }

  /// Every image that the model allows.
  var images: Set<PersistenceOracle.Memory> {
    var random = SeededRandom(seed: 1)
    let lines = (0..<2).map { line in
      OpenLine(line: line, stores: model.open[line] ?? [], settled: settled[line])
        .variants(limit: 100_000, random: &random).variants.map(\.words)
    }
    var images: Set<PersistenceOracle.Memory> = []
    for first in lines[0] {
      for second in lines[1] {
        images.insert(
          SIMD4(
            UInt8(first[0]), UInt8(first[1]), UInt8(second[0]), UInt8(second[1])))
      }
    }
    return images
  }
}

/// Operations out of which all programs of some length are made.
struct ProgramSpace: CustomTestStringConvertible {
  var testDescription: String
  var domain = PersistenceDomain.adr
  var length: Int
  var operations: [OracleOperation]

  static let all = [
    ProgramSpace(
      testDescription: "through the cache", length: 6,
      operations: [
        .init(.store([0])), .init(.store([1])), .init(.store([2])), .init(.writeBack(line: 0)),
        .init(.writeBack(line: 1)), .init(.flush(line: 0)), .init(.fence),
      ]),
    ProgramSpace(
      testDescription: "past the cache and through it", length: 6,
      operations: [
        .init(.store([0])), .init(.store([2])), .init(.stream([0])), .init(.stream([0, 1])),
        .init(.stream([2])), .init(.writeBack(line: 0)), .init(.fence),
      ]),
    ProgramSpace(
      testDescription: "stores of two words", length: 6,
      operations: [
        .init(.store([0, 1])), .init(.store([1, 2])), .init(.store([0])), .init(.flush(line: 1)),
        .init(.writeBack(line: 0)), .init(.fence),
      ]),
    ProgramSpace(
      testDescription: "two threads", length: 5,
      operations: [
        .init(.store([0])), .init(.store([1]), thread: 1), .init(.stream([0])),
        .init(.stream([1]), thread: 1), .init(.writeBack(line: 0)),
        .init(.writeBack(line: 0), thread: 1), .init(.fence), .init(.fence, thread: 1),
      ]),
    ProgramSpace(
      testDescription: "caches that survive", domain: .eadr, length: 6,
      operations: [
        .init(.store([0])), .init(.store([1, 2])), .init(.stream([0])), .init(.stream([2, 3])),
        .init(.writeBack(line: 0)), .init(.flush(line: 1)), .init(.fence),
      ]),
  ]
}

@Suite("Model against a machine that takes steps")
struct OracleTests {
  /// Follows every continuation of a program; returns the first whose images differ.
  private func firstDifference(
    _ space: ProgramSpace, _ program: [OracleOperation], _ oracle: PersistenceOracle,
    _ machine: ModelledMachine, _ count: inout Int
  ) -> String? {
    for operation in space.operations {
      var (oracle, machine) = (oracle, machine)
      oracle.execute(operation)
      machine.execute(operation)
      count += 1
      let program = program + [operation]
      let (modelled, expected) = (machine.images, oracle.images)
      if modelled != expected {
        return "\(program): missing \(expected.subtracting(modelled)), "
          + "superfluous \(modelled.subtracting(expected))"
      }
      if program.count < space.length,
        let found = firstDifference(space, program, oracle, machine, &count)
      {
        return found
      }
    }
    return nil
  }

  @Test(arguments: ProgramSpace.all)
  func `every small program may leave exactly the images of the machine`(space: ProgramSpace) {
    var count = 0
    let difference = firstDifference(
      space, [], PersistenceOracle(cachesSurvive: space.domain == .eadr),
      ModelledMachine(space.domain), &count)
    #expect(difference == nil)
    #expect(count > 30_000)
  }
}
