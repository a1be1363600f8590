// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterWorkloads
import Testing

@Suite("Access streams")
struct AccessStreamTests {
  /// The first accesses of a stream, runs taken apart.
  private func accesses(
    _ workload: Workload, base: UInt64 = 0, count: Int, seed: UInt64 = 1
  ) -> [(address: UInt64, isLoad: Bool)] {
    var random = SeededRandom(seed: seed)
    var stream = AccessStream(workload, base: base, random: &random)
    var found: [(UInt64, Bool)] = []
    while found.count < count {
      let run = stream.next(&random)
      #expect(run.count >= 1)
      for step in 0..<UInt64(run.count) {
        found.append((run.address + step * UInt64(run.stride), run.operation == .load))
      }
    }
    return Array(found.prefix(count))
  }

  @Test(arguments: [64, 192, 4096])
  func `a sequential stream visits its region in order, again and again`(bytes: Int) {
    let region = bytes * 1009
    let base: UInt64 = 1 << 30
    let workload = Workload(accessBytes: bytes, regionBytes: region)
    let visited = accesses(workload, base: base, count: 3 * 1009).map { $0.address - base }
    for (before, after) in zip(visited, visited.dropFirst()) {
      #expect(after == (before + UInt64(bytes)) % UInt64(region))
    }
    #expect(Set(visited).count == 1009)
  }

  @Test func `a stride leaves a gap after every access and stays inside the region`() {
    var workload = Workload(accessBytes: 64, regionBytes: 192 * 101 + 64)
    workload.strideBytes = 192
    let visited = accesses(workload, count: 3 * 101).map(\.address)
    for (before, after) in zip(visited, visited.dropFirst()) {
      #expect(after == (before + 192) % (192 * 101))
    }
    #expect(Set(visited).count == 101)
  }

  @Test func `a random stream covers its region evenly and stays inside`() {
    let base: UInt64 = 1 << 20
    let workload = Workload(pattern: .random, accessBytes: 256, regionBytes: 256 * 23)
    var hits: [UInt64: Int] = [:]
    for access in accesses(workload, base: base, count: 23_000) {
      #expect(access.address >= base && access.address < base + 256 * 23)
      #expect((access.address - base) % 256 == 0)
      hits[access.address, default: 0] += 1
    }
    #expect(hits.count == 23)
    // Poisson with mean 1000: five standard deviations are 158.
    for count in hits.values { #expect(abs(count - 1000) < 158) }
  }

  @Test func `halves are all first halves, then all second halves`() {
    let workload = Workload(pattern: .halves, accessBytes: 128, regionBytes: 256 * 7)
    let visited = accesses(workload, count: 28).map(\.address)
    let firsts = (0..<UInt64(7)).map { $0 * 256 }
    let round = firsts + firsts.map { $0 + 128 }
    #expect(visited == round + round)
  }

  @Test func `halves back return through the second halves`() {
    let workload = Workload(pattern: .halvesBack, accessBytes: 128, regionBytes: 256 * 7)
    let visited = accesses(workload, count: 28).map(\.address)
    let firsts = (0..<UInt64(7)).map { $0 * 256 }
    let round = firsts + firsts.reversed().map { $0 + 128 }
    #expect(visited == round + round)
  }

  @Test(arguments: [1, 2, 3, 64, 257, 4096])
  func `a chain visits all of its region in one order without pattern`(count: Int) {
    let base: UInt64 = 1 << 30
    let workload = Workload(pattern: .chain, accessBytes: 192, regionBytes: 192 * count)
    let visited = accesses(workload, base: base, count: 2 * count).map { $0.address - base }
    #expect(Array(visited.prefix(count)) == Array(visited.suffix(count)))
    #expect(Set(visited.prefix(count)) == Set((0..<UInt64(count)).map { $0 * 192 }))
    let neighbours = zip(visited, visited.dropFirst()).count { $0 + 192 == $1 }
    if count > 64 { #expect(neighbours < count / 10) }
  }

  @Test func `loads of a chain say that they depend on each other`() {
    var random = SeededRandom(seed: 1)
    for isDependent in [false, true] {
      let workload = Workload(pattern: .chain, readShare: 1, isDependent: isDependent)
      var stream = AccessStream(workload, base: 0, random: &random)
      #expect(stream.next(&random).isDependent == isDependent)
    }
  }

  @Test(arguments: [0, 0.25, 1])
  func `the share of loads is as asked`(share: Double) {
    let workload = Workload(readShare: share)
    let loads = accesses(workload, count: 10_007).count { $0.isLoad }
    let expected = share * 10_007
    let deviation = (10_007 * share * (1 - share)).squareRoot()
    #expect(abs(Double(loads) - expected) <= 5 * deviation)
  }

  @Test(arguments: Pattern.allCases)
  func `the same seed gives the same stream`(pattern: Pattern) {
    let workload = Workload(pattern: pattern, accessBytes: 128, readShare: 0.3)
    let first = accesses(workload, count: 1009).map { "\($0)" }
    #expect(first == accesses(workload, count: 1009).map { "\($0)" })
  }

  @Test func `what makes a workload impossible is said`() {
    #expect(Workload().problem == nil)
    let wrong: [(Workload, String)] = [
      (Workload(accessBytes: 65), "65B"), (Workload(accessBytes: 0), "0B"),
      (Workload(accessBytes: 192), "multiple"), (Workload(regionBytes: 1 << 41), "1TiB"),
      (Workload(readShare: 1.5), "1.5"), (Workload(readShare: .nan), "nan"),
      (Workload(think: .nanoseconds(-1)), "negative"), (Workload(pattern: .halves), "128B"),
      (Workload(fence: .every(bytes: 0)), "never ends"), (Workload(store: .load), "load"),
    ]
    for (workload, word) in wrong {
      #expect(workload.problem?.contains(word) == true, "\(workload.problem ?? "no problem")")
    }
    for stride in [32, 100, 1 << 40] {
      var strided = Workload()
      strided.strideBytes = stride
      #expect(strided.problem?.contains("stride \(stride)B") == true)
    }
  }
}
