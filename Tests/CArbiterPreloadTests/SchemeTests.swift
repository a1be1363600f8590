// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import CArbiterGate
import Foundation
import Testing

/// The figures of the gauge that the tests' own libpmem keeps.
private struct Gauge {
  var insideMax: UInt32
  var calls: UInt32

  init(_ path: String) throws {
    let data = try Data(contentsOf: URL(filePath: path))
    let words = data.prefix(12).map(UInt32.init)
    func word(_ index: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | words[index * 4 + $1] << (8 * UInt32($1)) }
    }
    insideMax = word(1)
    calls = word(2)
  }
}

@Suite("Schemes under preload", .serialized)
struct SchemeTests {
  /// Environment of a program whose libpmem keeps a gauge.
  private func gauged(_ folder: String, napMicroseconds: Int) -> String {
    "GAUGE=\(folder)/gauge GAUGE_NAP=\(napMicroseconds) LD_LIBRARY_PATH=$programs/gauge"
  }

  @Test("With two permits never more than two threads of two programs copy at once")
  func lock() throws {
    let page = try ControlPage(ARB_SCHEME_LOCK, permits: 2)
    try withStorage { folder in
      let run = "$under env \(gauged(folder, napMicroseconds: 50)) $programs/writers"
      let outcome = try shell(
        "\(run) \(folder)/a 8 700 10000 & \(run) \(folder)/b 8 700 10000 & wait", page: page)
      #expect(outcome.code == 0, "\(outcome.error)")
      #expect(outcome.error.isEmpty)
      let gauge = try Gauge("\(folder)/gauge")
      #expect(gauge.insideMax == 2)
      #expect(gauge.calls > 500)
    }
    #expect(page.permits.holder_count_max == 2)
    #expect(page.permits.holder_count == 0)
    let totals = page.totals
    #expect(totals.direct == 0)
    // Spans of 4 KiB and the rest of a block: three for each copy of 10,000 bytes.
    #expect(page.permits.requested_count >= 2 * totals.accesses)
  }

  @Test("Without the lock many copy at once: the gauge can tell")
  func gaugeTells() throws {
    let page = try ControlPage(ARB_SCHEME_BASELINE)
    try withStorage { folder in
      let outcome = try shell(
        """
        $under env \(gauged(folder, napMicroseconds: 2000)) \
          $programs/writers \(folder)/a 8 300 64
        """,
        page: page)
      #expect(outcome.code == 0, "\(outcome.error)")
      #expect(try Gauge("\(folder)/gauge").insideMax > 2)
    }
  }

  @Test("The permits of a program that is killed go to others")
  func killed() throws {
    let page = try ControlPage(ARB_SCHEME_LOCK, permits: 2)
    try withStorage { folder in
      // Both permits are held for a minute, in a copy.
      let slow = gauged(folder, napMicroseconds: 60_000_000)
      let outcome = try shell(
        """
        $under env \(slow) sh -c 'echo $$ > \(folder)/number; exec "$@"' sh \
          $programs/writers \(folder)/a 2 100 64 &
        for turn in $(seq 400); do
          [ "$(od -An -tu4 -N4 \(folder)/gauge 2>&1 | tr -d ' ')" = 2 ] && break; sleep 0.05
        done
        [ "$turn" -lt 400 ] || exit 9
        kill -KILL "$(cat \(folder)/number)"
        $under $programs/writers \(folder)/b 2 300 64
        """, page: page)
      #expect(outcome.code == 0, "\(outcome.error)")
      #expect((Int(outcome.output.split(separator: "\n").last ?? "") ?? 0) > 0)
    }
    #expect(page.permits.recovered_count == 2)
    #expect(page.permits.holder_count_max == 2)
    #expect(page.permits.holder_count == 0)
    #expect(page.totals.direct == 0)
  }

  @Test("Delays end soon after the controller is gone")
  func stale() throws {
    // 16 blocks of 20 us are some 3,000 copies of 4 KiB a second.
    let page = try ControlPage(ARB_SCHEME_ARBITER, settings: .delay(nanoseconds: 20_000))
    // The last beat of a controller that allows 0.4 s (of 2.5 GHz, as the page says).
    page.beat(staleAfterTicks: 1_000_000_000)
    let outcome = try withStorage { folder in
      try shell("$under $programs/writers \(folder)/a 1 2000 4096", page: page)
    }
    #expect(outcome.code == 0, "\(outcome.error)")
    let totals = page.totals
    #expect(totals.waits > 0)
    #expect(totals.stale > 0)
    #expect(totals.accesses > 12_000, "2 s at the published delay are 6,000 copies")
  }

  @Test("A delay that is published slows a program down")
  func delayed() throws {
    let page = try ControlPage(ARB_SCHEME_ARBITER, settings: .delay(nanoseconds: 20_000))
    let outcome = try withStorage { folder in
      try shell("$under $programs/writers \(folder)/a 1 500 4096", page: page)
    }
    #expect(outcome.code == 0, "\(outcome.error)")
    let totals = page.totals
    // 1,563 at the 2.5 GHz of the page; a faster counter waits less. Ungated: some 500,000.
    #expect(totals.accesses > 0 && totals.accesses <= 4_000)
    #expect(totals.waits == totals.accesses * 16)
  }

  @Test("Only memory of the set's devices waits")
  func devices() throws {
    let page = try ControlPage(
      ARB_SCHEME_ARBITER, settings: .delay(nanoseconds: 20_000), deviceOf: "/dev/shm")
    let scratch = TemporaryFolder()
    let outcome = try withStorage { folder in
      try shell(
        """
        $under $programs/writers \(folder)/a 1 300 4096
        $under $programs/writers \(scratch.path)/b 1 300 4096
        """, page: page)
    }
    #expect(outcome.code == 0, "\(outcome.error)")
    let gated = page.totals(ofSets: 1..<8)
    let unknown = page.totals(ofSets: 0..<1)
    #expect(gated.accesses > 0 && gated.waits == 16 * gated.accesses)
    #expect(unknown.accesses > gated.accesses && unknown.waits == 0)
  }

  @Test("Threads without a slot run ungated, and one line says so")
  func slotsRunOut() throws {
    let page = try ControlPage(ARB_SCHEME_LOCK, permits: 1, slots: 2)
    let outcome = try withStorage { folder in
      try shell("$under $programs/writers \(folder)/a 6 200 4096", page: page)
    }
    #expect(outcome.code == 0)
    #expect(
      outcome.error
        == "arbiter: warning: a thread of the program runs ungated: the control page has no free "
        + "slot\n")
    #expect((UInt64(outcome.output.dropLast()) ?? 0) > page.totals.accesses)
  }
}
