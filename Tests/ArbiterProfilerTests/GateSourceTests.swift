// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlatform
import ArbiterProfiler
import ArbiterRuntime
import ArbiterScheduler
import ArbiterTestSupport
import Glibc
import Testing

@Suite("Gate source")
struct GateSourceTests {
  /// A run's page in a runtime folder, with one set.
  private struct Run {
    let seat: ControlSeat
    let session: Int

    init(in folder: String) throws {
      let terms = ControlTerms(
        scheme: .baseline, profile: nil, period: "10ms", maximumDelay: "1us", permitCount: 2,
        workerCount: 1)
      seat = try ControlSeat(
        in: folder, terms: terms,
        makePage: { () throws(PlatformError) in
          let page = try ControlPage(.init(), clock: TimeStampClock(ticksPerNanosecond: 2))
          page.addSet(at: 1, name: "region7", matchesAll: true)
          return page
        })
      session = try seat.page.beginSession()
    }

    /// A gate of the calling thread that lets some stores pass and leaves.
    func store(_ count: Int, of bytes: Int) throws {
      let board = GateBoard(page: seat.page, setIndex: 1, session: session)
      var gate = try Gate(on: board)
      for index in 0..<count {
        gate.pass(address: UInt64(index * bytes), length: UInt64(bytes))
      }
    }
  }

  private static func drained(_ source: inout GateSource) -> [SampledAccess] {
    var list: [SampledAccess] = []
    source.drain { list.append($0) }
    return list
  }

  @Test func `every byte that passed a gate is told once`() throws {
    let folder = TemporaryFolder()
    let run = try Run(in: folder.path + "/meet")
    defer { run.seat.leave() }
    try run.store(23, of: 64)
    var source = GateSource(folder: folder.path + "/meet", tellsWhatWasBefore: true) { [getpid()] }
    let first = Self.drained(&source)
    #expect(first.reduce(0) { $0 + $1.weight } == 23 * 64)
    #expect(first.allSatisfy { $0.place == "region7" && $0.process == getpid() && $0.isStore })
    #expect(Self.drained(&source).isEmpty)
    try run.store(7, of: 256)
    #expect(Self.drained(&source).reduce(0) { $0 + $1.weight } == 7 * 256)
    // What was counted last is told when the run has ended, too.
    try run.store(1, of: 64)
    run.seat.page.endSession(run.session)
    #expect(Self.drained(&source).reduce(0) { $0 + $1.weight } == 64)
    #expect(source.losses.resolvedShare == 1)
  }

  @Test func `what was counted before it came, and what others count, is not told`() throws {
    let folder = TemporaryFolder()
    let run = try Run(in: folder.path + "/meet")
    defer { run.seat.leave() }
    try run.store(23, of: 64)
    var source = GateSource(folder: folder.path + "/meet", tellsWhatWasBefore: false) { [getpid()] }
    #expect(Self.drained(&source).isEmpty)
    try run.store(2, of: 64)
    #expect(Self.drained(&source).reduce(0) { $0 + $1.weight } == 128)
    var others = GateSource(folder: folder.path + "/meet", tellsWhatWasBefore: true) { [1] }
    #expect(Self.drained(&others).isEmpty)
  }
}
