// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlatform
import ArbiterRuntime
import ArbiterScheduler
import ArbiterTestSupport
import Glibc
import Testing

@Suite("Found pages")
struct FoundPagesTests {
  private static let terms = ControlTerms(
    scheme: .arbiter, profile: nil, period: "10ms", maximumDelay: "1us", permitCount: 2,
    workerCount: 1)

  private static func makePage() throws(PlatformError) -> ControlPage {
    var parameters = ControlPage.Parameters()
    parameters.slotCount = 8
    parameters.scheme = .arbiter
    let page = try ControlPage(parameters, clock: TimeStampClock(ticksPerNanosecond: 2))
    page.addSet(at: 1, name: "region7", moduleCount: 2, matchesAll: true)
    return page
  }

  @Test func `a run's note leads to its page, with its gates, settings and terms`() throws {
    let folder = TemporaryFolder()
    let path = folder.path + "/runtime"
    let seat = try ControlSeat(
      in: path, terms: Self.terms, makePage: { () throws(PlatformError) in try Self.makePage() })
    defer { seat.leave() }
    let session = try seat.page.beginSession()
    let board = GateBoard(page: seat.page, setIndex: 1, session: session)
    board.publish(GateSettings(delayNanoseconds: 250))
    board.beat(staleAfter: 0)
    let gate = try Gate(on: board)
    let found = try #require(FoundPages.find(in: path).first)
    #expect(FoundPages.find(in: path).count == 1)
    #expect(found.controllerProcess == getpid() && found.scheme == .arbiter)
    #expect(found.terms.contains("period 10ms"))
    let set = try #require(found.sets.first)
    #expect(set.name == "region7" && set.settings.delayNanoseconds == 250)
    #expect(set.gateCount == 1 && set.isControlled)
    #expect(found.gates.map(\.process) == [getpid()] && found.gates.allSatisfy(\.isAttached))
    #expect(found.sessions.map(\.process) == [getpid()])
    #expect(found.counts(ofProcess: getpid())?.storedBytes == 0)
    #expect(found.counts(ofProcess: 1) == nil)
    withExtendedLifetime(gate) {}
  }

  @Test func `notes of runs that are gone, and paths that are no descriptors, open nothing`() {
    let folder = TemporaryFolder()
    func note(_ path: String) -> String {
      "arbiter-control 1\nprocess 1\npage \(path)\nscheme arbiter\nprofile none\nend\n"
    }
    folder.write(note("/proc/999999999/fd/3"), to: "control")
    folder.write(note("/etc/passwd"), to: "member-1")
    folder.write(note("/proc/self/../self/fd/0"), to: "member-2")
    folder.write("arbiter-control 1\nprocess", to: "member-3")
    #expect(FoundPages.find(in: folder.path).isEmpty)
    #expect(FoundPages.find(in: folder.path + "/none").isEmpty)
  }

  @Test func `a program's variables lead to the page of a run that shares nothing`() throws {
    let page = try Self.makePage()
    let path = try #require(page.path)
    let folder = TemporaryFolder()
    folder.write("HOME=/\0ARBITER_CONTROL=\(path)\0ARBITER_SESSION=1\0", to: "proc/42/environ")
    folder.write("HOME=/\0", to: "proc/43/environ")
    let tree = SystemTree(root: folder.path)
    #expect(FoundPages.pagePath(ofProcess: 42, from: tree) == path)
    #expect(FoundPages.pagePath(ofProcess: 43, from: tree) == nil)
    #expect(FoundPages.pagePath(ofProcess: 44, from: tree) == nil)
    withExtendedLifetime(page) {}
  }
}
