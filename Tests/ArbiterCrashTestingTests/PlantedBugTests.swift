// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCrashTesting
import ArbiterMemory
import ArbiterPersistence
import Testing

@Suite("Planted bugs")
struct PlantedBugTests {
  @Test(arguments: Structure.allCases, Form.right)
  func `a correct structure passes in every domain`(structure: Structure, form: Form) throws {
    for domain in PersistenceDomain.allCases {
      for writeBack in WriteBackKind.allCases {
        let covered = try structure.explore(
          form, options: .init(domain: domain, writeBack: writeBack))
        #expect(covered.isComplete && covered.stateCount > 20, "\(covered)")
      }
    }
  }

  @Test(arguments: Structure.allCases, Form.planted)
  func `a planted bug is found and called by its name`(
    structure: Structure, planted: (form: Form, kind: CrashFailure.Kind)
  ) throws {
    let failure = try #require(throws: CrashFailure.self) {
      try structure.explore(planted.form)
    }
    #expect(failure.kind == planted.kind, "\(failure)")
    #expect(failure.lost.isEmpty == (planted.kind == .wrongOrder), "\(failure)")
  }

  @Test(arguments: Structure.allCases)
  func `with clflush no fence is missing after it`(structure: Structure) throws {
    try structure.explore(.missingFence, options: .init(writeBack: .clflush))
    // Nodes of the list are shorter than a line, and so go through the cache.
    if structure == .list { return }
    #expect(throws: CrashFailure.self) {
      try structure.explore(.streamedWithoutFence, options: .init(writeBack: .clflush))
    }
  }

  @Test(arguments: Structure.allCases)
  func `caches that survive need no flush but the fence after non-temporal stores`(
    structure: Structure
  ) throws {
    let options = CrashExplorer.Options(domain: .eadr)
    try structure.explore(.missingFlush, options: options)
    try structure.explore(.missingFence, options: options)
    if structure != .list {
      let failure = try #require(throws: CrashFailure.self) {
        try structure.explore(.streamedWithoutFence, options: options)
      }
      #expect(failure.kind == .missingFence, "\(failure)")
    }
    let order = try #require(throws: CrashFailure.self) {
      try structure.explore(.wrongOrder, options: options)
    }
    #expect(order.kind == .wrongOrder, "\(order)")
  }

  @Test func `a structure of two words that is taken for one is found torn`() throws {
    let failure = try #require(throws: CrashFailure.self) {
      try CrashExplorer(bytes: 4096).explore { region in
        for number in UInt64(1)...3 {
          unsafe try [number, number].withUnsafeBytes { bytes throws in
            unsafe try region.copyAndPersist(bytes, to: 0)
          }
        }
      } check: {
        $0.word(at: 0) == $0.word(at: 8)
      }
    }
    #expect(failure.kind == .tornStore, "\(failure)")
    #expect(failure.lost.map(\.line) == [0])
  }

  @Test func `a report names the fence, the lost line and the call`() throws {
    let failure = try #require(throws: CrashFailure.self) {
      try CountedLog.explore(.missingFlush)
    }
    let text = failure.description
    #expect(failure.fenceCount == 1)
    #expect(failure.operation == "storeAtomically of 8 B at 0")
    #expect(failure.lost.map(\.line) == [1] || failure.lost.map(\.line) == [2], "\(text)")
    #expect(text.contains("missing flush"))
    #expect(text.contains("store of 80 B at 64"))
    #if DEBUG
    #expect(text.contains("ArbiterCrashTestingTests/Structures.swift:"), "\(text)")
    #endif
  }

  @Test func `what was acknowledged must be found again`() throws {
    let failure = try #require(throws: CrashFailure.self) {
      try CrashExplorer(bytes: 4096).explore { region, run in
        region.storeAtomically(1, at: 0)
        run.acknowledge(1)
      } check: {
        $0.word(at: 0) >= $0.acknowledged
      }
    }
    #expect(failure.kind == .missingFlush, "\(failure)")
    #expect(failure.acknowledged == 1)
  }
}
