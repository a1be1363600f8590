// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCommands
import ArbiterMetrics
import ArbiterPlatform
import ArbiterReport
import ArbiterTestSupport
import ArbiterTiering
import Foundation
import Testing

@Suite("Tier: what is told")
struct TierTests {
  // MARK: The summary

  @Test func `a summary fits 80 columns and names every figure`() throws {
    let summary = TierFixture.summary(
      try TierFixture.note().reading, remarks: ["Back-end file: --slow names a folder."])
    let text = summary.text(width: 80)
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 }, "\(text)")
    #expect(text.hasPrefix("arbiter tier: redis-server is running (process 4801) after 10.5 s, "))
    for words in [
      "Back-end file, policy arbiter, tracker timer, now each 1.00 ms.", "75.0 %", "+- 0.500 %",
      "95.0 %", "+- 1.00 %", "1.86 GiB", "of 2.00 GiB allowed", "1.37 GiB", "800 MiB",
      "12 busy, 1 full", "at most 3.40 ms, the longest 410 us", "0.900 % of one processor",
      "8.00 % of one processor", "0.100 % of managed memory", "3 were lost",
      "Back-end file: --slow names a folder.",
    ] { #expect(text.contains(words), "\(words) is not in\n\(text)") }
  }

  @Test func `what is missing is a dash with its reason, never 0`() throws {
    let text = TierFixture.summary(try TierFixture.bareNote().reading).text(width: 80)
    #expect(text.contains("Unavailable: fast hits, last seconds: nothing was sampled."))
    #expect(text.contains("Unavailable: stalls: the kernel does not tell them."))
    #expect(text.contains("policy arbiter, tracker none."))
    let lines = text.split(separator: "\n")
    for name in ["fast hits", "last seconds", "stalls", "mover CPU"] {
      let line = try #require(lines.first { $0.hasPrefix(name) })
      #expect(line.split(separator: " ").last == "-", "\(line)")
    }
  }

  @Test func `a program that runs without Arbiter is told as such`() throws {
    let ending = ChildProgram.Ending(code: 143, signal: 15, userSeconds: 1, systemSeconds: 0)
    let summary = TierFixture.summary(nil, ending: ending)
    #expect(summary.text(width: 80).contains("redis-server was ended by SIGTERM"))
    #expect(summary.text(width: 80).contains("Nothing was placed"))
    let tier = try json(summary)
    #expect(tier["is_tiered"] as? Bool == false && tier["fast_bytes"] is NSNull)
    #expect(tier["exit_code"] as? Int == 143 && tier["exit_signal"] as? Int == 15)
    let reasons = tier["unavailable"] as? [String: String]
    #expect(reasons?["fast_bytes"] == "the program runs without Arbiter")
  }

  @Test func `where nothing was placed one line says why, and no table of zeros follows`() throws {
    var summary = TierFixture.summary(try TierFixture.bareNote().reading)
    summary.nothing = "no memory was seen"
    let text = summary.text(width: 80)
    #expect(text.hasSuffix("Nothing is placed yet: no memory was seen.\n"))
    #expect(text.split(separator: "\n").count <= 3 && !text.contains("fast memory"))
    let document = summary.json(command: ["arbiter", "tier"]).document()
    #expect(document.contains("Nothing was placed: no memory was seen."))
  }

  private func json(_ summary: TierSummary) throws -> [String: Any] {
    let data = Data(summary.json(command: ["arbiter", "tier"]).document().utf8)
    let top = try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
    #expect(top["schema"] as? String == "arbiter-tier/1")
    return top["tier"] as? [String: Any] ?? [:]
  }

  @Test func `JSON has every figure, and a reason for each that is null`() throws {
    let known = try json(TierFixture.summary(try TierFixture.note().reading))
    #expect(known["fast_hit_ratio"] as? Double == 0.75)
    #expect(known["recent_fast_hit_ratio_error"] as? Double == 0.01)
    #expect(known["stall_ns_max"] as? Int == 410_000)
    #expect(known["busy_migrations_count"] as? Int == 12)
    #expect(known["stale_migrations_count"] as? Int == 0)
    #expect((known["unavailable"] as? [String: String])?.isEmpty == true)
    let bare = try json(TierFixture.summary(try TierFixture.bareNote().reading))
    let reasons = try #require(bare["unavailable"] as? [String: String])
    let missing = Set(bare.filter { $0.value is NSNull }.keys)
    #expect(missing.subtracting(["exit_code", "exit_signal"]) == Set(reasons.keys))
    #expect(missing.isSuperset(of: ["tracker", "fast_hit_ratio", "stalls_count"]))
    for name in known.keys where name != "unavailable" {
      #expect(try arbiter("explain \(name)").code == 0, "\(name) is not explained")
    }
  }

  @Test func `CSV has a name for every column and a field for every name`() throws {
    let lines = TierFixture.summary(try TierFixture.bareNote().reading).csv
      .split(whereSeparator: \.isNewline)
    #expect(lines.count == 2)
    let fields = lines.map { $0.split(separator: ",", omittingEmptySubsequences: false) }
    #expect(fields[0].count == fields[1].count && Set(fields[0]).count == fields[0].count)
    let column = try #require(fields[0].firstIndex(of: "fast_hit_ratio"))
    #expect(fields[1][column].isEmpty)
  }

  // MARK: Live, and metrics

  @Test func `sessions are drawn in windows of every size`() throws {
    var view = TopFixture.view()
    view.tiers = [try TierFixture.note(), try TierFixture.bareNote()]
    for columns in [1, 39, 40, 63, 80, 120] {
      for rows in [0, 2, 9, 10, 16, 24, 60] {
        let lines = TopScreen.render(view, TopState(), columns: columns, rows: rows)
        #expect(lines.count == rows && lines.allSatisfy { $0.count <= columns })
      }
    }
    let page = TopScreen.page(view, TopState(), columns: 80)
    let row = try #require(page.first { $0.contains("redis-server") })
    #expect(row.contains("95.0%") && row.contains(" 2G ") && row.hasSuffix("file"))
    #expect(page.contains { $0.contains("HITS of 4800: nothing was sampled.") })
  }

  @Test func `metrics tell a session, and what is missing with its reason`() throws {
    let note = try TierFixture.note()
    let bare = try TierFixture.bareNote()
    let text = try metrics([note])
    let session = ["process": "4800", "program": "redis-server"]
    #expect(text.value("arbiter_tier_fast_hit_ratio", session) == 0.95)
    #expect(text.value("arbiter_tier_memory_bytes", ["tier": "slow"]) == 6_000_000_000)
    #expect(text.value("arbiter_tier_migrated_bytes_total", ["tier": "fast"]) == 1_468_006_400)
    #expect(text.value("arbiter_tier_refused_migrations_total", ["reason": "busy"]) == 12)
    #expect(text.value("arbiter_tier_stall_seconds_total", session) == 0.0034)
    #expect(text.value("arbiter_tier_session_info", ["back_end": "file"]) == 1)
    let less = try metrics([bare])
    #expect(less.samples("arbiter_tier_fast_hit_ratio").isEmpty)
    let reasons = less.samples("arbiter_unavailable_info")
      .filter { $0.labels["figure"] == "arbiter_tier_stalls_total" }
    #expect(reasons.map { $0.labels["reason"] } == ["the kernel does not tell them"])
  }

  private func metrics(_ notes: [TierNote]) throws -> MetricsText {
    var metrics = WatchMetrics(tasksMax: 1)
    let families = metrics.families(
      of: WatchFixture.reading(second: 1), tiers: notes,
      .init(count: 1, unixSeconds: 1.5e9, durationSeconds: 0.25))
    let page = MetricsPage(families, readNanoseconds: 0)
    return try MetricsText(page.text(.openMetrics, nowNanoseconds: 1), .openMetrics)
  }

  // MARK: The machine

  @Test func `doctor tells what moving memory needs, and what to grant`() {
    let tree = TemporaryFolder()
    func finding(mayOpen: Bool) -> Finding {
      TieringFindings.userFaultFinding(SystemTree(root: tree.path), mayOpenDevice: mayOpen)
    }
    #expect(finding(mayOpen: true).sentence.contains("this kernel has no userfaultfd"))
    tree.write("0\n", to: "proc/sys/vm/unprivileged_userfaultfd")
    tree.write("Name:\tx\nCapEff:\t0000000000000000\n", to: "proc/self/status")
    #expect(finding(mayOpen: false).status == .absent)
    #expect(finding(mayOpen: false).sentence.contains("vm.unprivileged_userfaultfd=1"))
    #expect(finding(mayOpen: true).status == .available)
    tree.write("CapEff:\t0000000000080000\n", to: "proc/self/status")
    #expect(finding(mayOpen: false).sentence.contains("CAP_SYS_PTRACE"))
    tree.write("CapEff:\t0000000000040000\n", to: "proc/self/status")
    #expect(finding(mayOpen: false).status == .absent)
    tree.write("1\n", to: "proc/sys/vm/unprivileged_userfaultfd")
    #expect(finding(mayOpen: false).status == .available)
  }

  @Test func `doctor names the nodes that memory can move to`() {
    let tree = TemporaryFolder()
    let system = SystemTree(root: tree.path)
    #expect(TieringFindings.nodeFinding(system).status == .absent)
    tree.write("0-1\n", to: "sys/devices/system/node/has_memory")
    tree.write("0\n", to: "sys/devices/system/node/has_cpu")
    #expect(TieringFindings.nodeFinding(system).sentence.hasSuffix("--slow=node:1."))
    tree.write("0-1\n", to: "sys/devices/system/node/has_cpu")
    #expect(TieringFindings.nodeFinding(system).sentence.contains("all of them have processors"))
  }

  @Test func `doctor looks for jemalloc`() {
    let tree = TemporaryFolder()
    #expect(
      TieringFindings.heapFinding(SystemTree(root: tree.path)).sentence.contains("libjemalloc2"))
    tree.write("", to: "usr/lib/x86_64-linux-gnu/libjemalloc.so.2")
    #expect(TieringFindings.heapFinding(SystemTree(root: tree.path)).status == .available)
  }
}
