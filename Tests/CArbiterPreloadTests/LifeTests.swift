// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import CArbiterGate
import Foundation
import Testing

@Suite("The life of programs under preload", .serialized)
struct LifeTests {
  private func run(
    _ mode: String, _ page: ControlPage, _ environment: String = ""
  ) throws
    -> Outcome
  {
    try withStorage { folder in
      try shell("$under env \(environment) $programs/life \(mode) \(folder)/file", page: page)
    }
  }

  @Test(
    "A program of several threads forks a thousand times",
    arguments: [ARB_SCHEME_BASELINE, ARB_SCHEME_ARBITER, ARB_SCHEME_LOCK])
  func forks(scheme: ArbSchemeKind) throws {
    let page = try ControlPage(scheme)
    let outcome = try run("forks", page)
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.error.isEmpty)
    // Three threads of the parent; children with slots of their own; those that exec once more.
    #expect(page.totals.owners == 3 + 1000 + 20)
    #expect(page.attachedCount() == 0)
    #expect(page.permits.holder_count == 0)
  }

  @Test("Forked children get workers of their own")
  func forksDelegating() throws {
    let page = try ControlPage(ARB_SCHEME_DELEGATION)
    let outcome = try run("forks", page, "LIFE_FORKS=100")
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(page.totals.owners == 3 + 100 + 2)
    #expect(page.totals.direct == 0)
  }

  @Test(
    "Ten thousand threads come and go and reuse the slots",
    arguments: [ARB_SCHEME_ARBITER, ARB_SCHEME_LOCK, ARB_SCHEME_DELEGATION])
  func threads(scheme: ArbSchemeKind) throws {
    let page = try ControlPage(scheme)
    let outcome = try run("threads", page)
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.error.isEmpty)
    let totals = page.totals
    #expect(totals.owners == 10_000)
    #expect(totals.calls(ARB_CALL_COPY) == 10_000)
    #expect(totals.direct == 0)
  }

  @Test(
    "Early ends and closed descriptors are survived, and no signal gets a handler",
    arguments: ["signals", "close", "exit-in-thread", "abrupt"], TestedScheme.allCases)
  func ends(mode: String, scheme: TestedScheme) throws {
    let page = try scheme.page
    let outcome = try run(mode, page)
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.error.isEmpty)
    #expect(page.totals.calls(ARB_CALL_COPY) >= 1)
    #expect(page.attachedCount() == 0)
  }

  /// A page whose scheme makes threads wait inside calls.
  private func slowPage(_ scheme: TestedScheme) throws -> ControlPage {
    switch scheme {
    case .arbiter: try ControlPage(ARB_SCHEME_ARBITER, settings: .delay(nanoseconds: 200_000))
    case .lock: try ControlPage(ARB_SCHEME_LOCK, permits: 1)
    default: try scheme.page
    }
  }

  @Test(
    "A program that leaves calls by jumps out of a timer's handler stays gated and holds nothing",
    arguments: [TestedScheme.baseline, .fence, .arbiter, .delegation])
  func timeOut(scheme: TestedScheme) throws {
    let page = try slowPage(scheme)
    let outcome = try run("time-out", page)
    #expect(outcome.code == 0, "\(outcome.error)")
    let completed = try #require(
      UInt64(outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)))
    #expect(completed > 1000)
    #expect(page.totals.calls(ARB_CALL_COPY) >= completed)
    // A worker gives its ring up where a thread left between claiming a place and filling it.
    if scheme != .delegation { #expect(page.totals.direct == 0) }
    #expect(page.attachedCount() == 0)
  }

  @Test("Fences of the program show in a recording", arguments: [TestedScheme.baseline, .lock])
  func fences(scheme: TestedScheme) throws {
    let page = try scheme.page
    page.record()
    let outcome = try run("fences", page)
    #expect(outcome.code == 0, "\(outcome.error)")
    // After the copy with a drain, the flush and drain, and the persist; not after the others.
    let steps = page.recordedSteps
    #expect(steps.filter { $0 == 0 }.count == 3)
    #expect(steps.last == 0)
    #expect(steps.first != 0)
  }

  @Test(
    "A fork in a handler that interrupts a call is survived",
    arguments: [TestedScheme.baseline, .fence, .arbiter, .delegation])
  func forkInHandler(scheme: TestedScheme) throws {
    let page = try slowPage(scheme)
    let outcome = try run("fork-in-handler", page)
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(page.attachedCount() == 0)
    #expect(page.permits.holder_count == 0)
    // Four threads of the parent, and the children.
    #expect(page.totals.owners >= 4 + 200)
  }

  @Test(
    "Calls are no places at which a thread is cancelled", arguments: TestedScheme.allCases)
  func cancel(scheme: TestedScheme) throws {
    let page = try scheme.page
    let outcome = try run("cancel", page)
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(page.totals.calls(ARB_CALL_COPY) == 20)
    #expect(page.attachedCount() == 0)
  }

  @Test(
    "A program that leaves a copy by a jump out of SIGBUS stays gated and holds nothing",
    arguments: [TestedScheme.baseline, .fence, .arbiter, .lock])
  func fault(scheme: TestedScheme) throws {
    let page = try scheme.page
    let outcome = try run("fault", page)
    #expect(outcome.code == 0, "\(outcome.error)")
    let totals = page.totals
    #expect(totals.calls(ARB_CALL_SET) == 100)
    #expect(totals.calls(ARB_CALL_COPY) == 100)
    #expect(totals.direct == 0)
    #expect(page.permits.holder_count == 0)
  }
}
