// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Glibc
import Testing

/// A folder in which programs run with their memory placed; notes of sessions lie in it too.
private final class TierPlace {
  let folder = TemporaryFolder()

  func script(_ text: String) throws -> Outcome {
    try shell(
      "export ARBITER_RUNTIME_DIR='\(folder.path)/runtime'\n"
        // No function: of one in the background $! is a shell and not arbiter.
        + "tier=\"$arbiter tier --fast=16MiB --slow=/dev/shm --slow-size=1GiB\"\n\(text)",
      in: folder.path)
  }

  func json(_ name: String) throws -> [String: Any] {
    let data = Data(try text(of: "\(folder.path)/\(name)").utf8)
    return try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
  }

  func tier(_ name: String) throws -> [String: Any] {
    try json(name)["tier"] as? [String: Any] ?? [:]
  }

  /// Why no accesses are tracked here; nil where they are.
  static let obstacle: String? = {
    let run = try? shell("exec \"$arbiter\" tier --strict --fast=2MiB --slow=/dev/shm true")
    return run?.code == 0 ? nil : run?.error ?? "cannot run"
  }()
}

@Suite("Tier: programs", .serialized)
struct TierRunTests {
  @Test func `a program keeps its streams, its exit code and its signals`() throws {
    let place = TierPlace()
    let run = try place.script("echo in | $tier -q -- sh -c 'cat; echo out >&2; exit 23'")
    #expect(run.code == 23 && run.output == "in\n" && run.error == "out\n")
    #expect(try place.script("$tier -q -- sh -c 'kill -TERM $$'").code == 128 + SIGTERM)
    let passed = try place.script(
      "$tier -q -- sh -c 'trap \"exit 7\" TERM; echo up; while :; do sleep 0.05; done' & run=$!\n"
        + "sleep 0.5; kill -TERM $run; wait $run")
    #expect(passed.code == 7 && passed.output == "up\n")
    #expect(try place.script("$tier -- ./none").code == 127)
  }

  @Test(arguments: [
    ("tier --slow=/tmp true", "--fast is missing"),
    ("tier --fast=2GiB true", "--slow is missing"),
    ("tier --fast=1MiB --slow=/tmp true", "--fast=1MiB is less than a chunk of 2MiB"),
    ("tier --fast=2MiB --slow=node:x true", "'node:x' is neither node:N nor a path"),
    ("tier --fast=2MiB --slow=node:0 --slow-size=4MiB true", "--slow-size is for files"),
    ("tier --fast=2MiB --slow=node:0 --back-end=file true", "--back-end=file does not go with"),
    ("tier --fast=2MiB --slow=/tmp --back-end=numa true", "--back-end=numa does not go with"),
    ("tier --fast=2MiB --slow=/tmp --record= true", "--record is empty"),
    ("tier --fast=2MiB --slow=node:900 true", "there is no node 900"),
    ("tier --fast=2MiB --slow=/no/such/folder true", "/no/such"),
    ("tier --fast=2MiB --slow=/tmp --profile=ddr true", "--profile=ddr is not one of dram, cxl"),
  ])
  func `what cannot be is refused before the program starts`(line: String, words: String) throws {
    let run = try arbiter(line)
    #expect(run.code == 64 && run.failure.message.contains(words), "\(run.error)")
    #expect(run.failure.hint != nil)
  }

  @Test(arguments: ["metrics", "record", "heat", "output"])
  func `a file that cannot be written is refused before the program starts`(name: String) throws {
    let place = TierPlace()
    let run = try place.script("$tier --\(name)=no/such/file -- touch ran")
    #expect(run.code == 74 && run.failure.hint != nil, "\(run.error)")
    #expect(run.failure.message.contains("cannot write --\(name)=no/such/file: "), "\(run.error)")
    #expect(try place.script("test ! -e ran && $tier -q --\(name)=. -- touch ran").code != 0)
    #expect(try place.script("test ! -e ran").code == 0)
  }

  @Test func `without the library the program runs all the same, unless strict`() throws {
    let place = TierPlace()
    let run = try place.script(
      "export ARBITER_TIER_LIBRARY=/no/such; $tier --format=json -o s -- echo out; "
        + "$tier --strict -- echo never")
    #expect(run.output == "out\n" && run.code == 69)
    #expect(run.error.contains("warning: the program runs without Arbiter: "))
    #expect(try place.tier("s")["is_tiered"] as? Bool == false)
  }

  @Test func `a session is told at its end, on SIGUSR1, in top, as metrics and as heat`() throws {
    guard TierPlace.obstacle == nil else { return }
    let place = TierPlace()
    let run = try place.script(
      """
      cc -O2 -o hot '\(Tool.root)/Tests/CommandLineTests/Programs/hot_memory.c' || exit 90
      $tier -q --format=json -o s --record=r --heat=h.svg --metrics=m.prom \
        --policy=random -- ./hot 64 16 5 & run=$!
      sleep 2.5; kill -USR1 $run; sleep 0.5; cp s early
      "$arbiter" top --batch --count=1 --format=json --back-end=none >top
      "$arbiter" export --once --back-end=none >export
      wait $run
      """)
    #expect(run.code == 0 && run.output == "right\n", "\(run.error)")
    #expect(try place.json("early")["is_complete"] as? Bool == false)
    let tier = try place.tier("s")
    #expect(tier["is_tiered"] as? Bool == true && tier["exit_code"] as? Int == 0)
    #expect(tier["back_end"] as? String == "file")
    let sessions = try place.json("top")["tiers"] as? [[String: Any]]
    #expect(sessions?.count == 1 && sessions?.first?["program"] as? String == "hot")
    #expect(try text(of: "\(place.folder.path)/export").contains("arbiter_tier_memory_bytes{"))
    #expect(try text(of: "\(place.folder.path)/m.prom").contains("arbiter_tier_migrations_total{"))
    let recording = try text(of: "\(place.folder.path)/r").split(separator: "\n")
    #expect(recording.first?.hasPrefix("arbiter-tier-1 ") == true)
    #expect(recording.last?.hasPrefix("e ") == true)
    #expect(names(in: place, "runtime").isEmpty)
    try expectPlaced(tier, place)
  }

  @Test func `a file of slow memory serves one session after the other`() throws {
    guard TierPlace.obstacle == nil else { return }
    let place = TierPlace()
    for _ in 0..<2 {
      let run = try place.script(
        "\"$arbiter\" tier --strict --fast=4MiB --slow=slow --profile=persistent true")
      #expect(run.code == 0, "\(run.error)")
      #expect(run.error.contains("Nothing was placed: no memory of 2 MiB or more was seen"))
      #expect(!run.error.contains("figure") && !run.error.contains("are tracked by"))
    }
    let other = try place.script("\"$arbiter\" tier --fast=4MiB --slow=/dev/null true")
    #expect(other.code == 69 && other.failure.message.contains("/dev/null"))
  }

  @Test func `a recording is found by its bare name, and a slip of the pen is not a file`() throws {
    let place = TierPlace()
    let run = try place.script("echo x >session; \"$arbiter\" simulate --tiers=session")
    #expect(run.code != 0 && run.error.contains("--tiers=session: "), "\(run.error)")
    let slip = try place.script("\"$arbiter\" simulate --tiers=sesion")
    #expect(slip.error.contains("is not one of clustered, "))
  }

  private func names(in place: TierPlace, _ folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: "\(place.folder.path)/\(folder)")) ?? []
  }

  /// 64 MiB do not fit into 16, so that some of it is slow.
  private func expectPlaced(_ tier: [String: Any], _ place: TierPlace) throws {
    let fast = try #require(tier["fast_bytes"] as? Int)
    let slow = try #require(tier["slow_bytes"] as? Int)
    #expect(fast <= 16 << 20, "\(fast)")
    #expect(slow >= 32 << 20, "\(slow)")
    #expect((tier["managed_samples_count"] as? Int ?? 0) > 0)
    #expect((tier["promotions_count"] as? Int ?? 0) > 0)
    #expect(try text(of: "\(place.folder.path)/h.svg").contains("<svg"))
    #expect(complaintsIsEmpty(place))
  }

  private func complaintsIsEmpty(_ place: TierPlace) -> Bool {
    (try? complaints(ofXML: ["h.svg"], in: place.folder.path)) == ""
  }
}
