// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Testing

@Suite("Run: the summary", .serialized)
struct RunSummaryTests {
  @Test(.enabled(if: RunPlace.canCompile, "no compiler or no libpmem"))
  func `every copy of every thread is counted`() throws {
    let place = RunPlace()
    let run = try place.script(
      "\"$arbiter\" run --format=json --output=s -- $write file 3 50 256")
    #expect(run.code == 0, "\(run.error)")
    let copies = Int(run.output.trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
    let summary = try place.summary("s")
    #expect(summary.top["schema"] as? String == "arbiter-run/1")
    #expect(summary.top["is_complete"] as? Bool == true)
    #expect(summary.count("copy_calls_count") == copies)
    #expect(summary.count("copy_bytes") == copies * 256)
    #expect(summary.count("stores_count") == copies)
    #expect(summary.count("program_write_bytes") == copies * 256)
    #expect(summary.threads.count == 3 && summary.count("gates") == 3)
    #expect(summary.threads.reduce(0) { $0 + ($1["copy_calls_count"] as? Int ?? 0) } == copies)
    #expect(Set(summary.threads.compactMap { $0["thread"] as? Int }).count == 3)
    #expect(summary.threads.allSatisfy { $0["name"] as? String == "writers" })
    let cpu = try #require(summary.run["cpu_seconds"] as? Double)
    let perGiB = try #require(summary.run["cpu_seconds_per_gib"] as? Double)
    #expect(cpu > 0 && abs(perGiB - cpu * Double(1 << 30) / Double(copies * 256)) < 1e-6 * perGiB)
    // Plain memory: nothing is delayed and nothing is known of a medium.
    #expect(summary.run["scheme"] as? String == "baseline" && summary.sets.isEmpty)
    #expect((summary.run["delay_ns_mean"] as? NSNumber)?.doubleValue == 0)
  }

  @Test(.enabled(if: RunPlace.canCompile, "no compiler or no libpmem"))
  func `many threads share a row beyond the limit, and every line fits`() throws {
    let place = RunPlace()
    let few = try place.script("\"$arbiter\" run --threads=3 -- $write file 20 20 64").error
    #expect(few.contains(" 17 more ") && few.contains("\ncopy "))
    #expect(few.split(separator: "\n").allSatisfy { $0.count <= 80 })
    let all = try place.script("\"$arbiter\" run --threads=all -- $write file 20 20 64").error
    #expect(all.split(separator: "\n").count { $0.contains("  writers  ") } == 20)
  }

  @Test(.enabled(if: RunPlace.canCompile, "no compiler or no libpmem"))
  func `a signal shows the summary while the program runs`() throws {
    let place = RunPlace()
    let run = try place.script(
      """
      "$arbiter" run --format=json --output=s -- $write file 2 1500 64 >copies & run=$!
      sleep 0.5; kill -USR1 $run; sleep 0.3; cp s early; wait $run; code=$?; cat copies; exit $code
      """)
    #expect(run.code == 0, "\(run.error)")
    let copies = Int(run.output.trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
    let (early, late) = (try place.summary("early"), try place.summary("s"))
    #expect(early.top["is_complete"] as? Bool == false && early.run["exit_code"] is NSNull)
    let seen = try #require(early.count("copy_calls_count"))
    #expect(seen > 0 && seen < copies && late.count("copy_calls_count") == copies)
  }

  @Test(.enabled(if: RunPlace.canCompile, "no compiler or no libpmem"))
  func `a named profile gives an estimate of WA, which says that it is one`() throws {
    let place = RunPlace()
    let line = "\"$arbiter\" run --profile=optane-100-256g --private"
    let run = try place.script(
      "\(line) --format=json --output=s -- $write f 2 1500 256; \(line) -- $write f 2 400 256")
    #expect(run.code == 0, "\(run.error)")
    let set = try #require(try place.summary("s").sets.first)
    #expect(set["counter_source"] as? String == "estimate")
    let ratio = try #require((set["write_amplification_ratio"] as? NSNumber)?.doubleValue)
    // Whole media blocks in order: there is next to nothing to amplify.
    #expect((0.9...1.5).contains(ratio))
    let words = run.error.split { $0 == "\n" || $0 == " " }.joined(separator: " ")
    #expect(words.contains("Scheme arbiter: by default; all memory is taken for optane-100-256g."))
    #expect(words.contains("WA of optane-100-256g is "))
  }

  @Test(.enabled(if: RunPlace.canCompile, "no compiler or no libpmem"))
  func `threads that outlive the program are named, and CPU time for them is not made up`() throws {
    let place = RunPlace()
    let run = try place.script(
      """
      line='$write f 2 1200 64 >/dev/null 2>&1 & sleep 0.4; kill -TERM $$'
      "$arbiter" run --format=json --output=s -- sh -c "$line"; sleep 1
      "$arbiter" run -- sh -c "$line"; sleep 1
      "$arbiter" run --format=json --output=t -- $write f 2 50 64 >/dev/null
      """)
    let summary = try place.summary("s")
    #expect(summary.count("outliving_gates") == 2)
    #expect(summary.run["cpu_seconds_per_gib"] is NSNull)
    let words = run.error.split { $0 == "\n" || $0 == " " }.joined(separator: " ")
    #expect(words.hasPrefix("arbiter run: sh was ended by SIGTERM after "))
    #expect(words.contains("2 threads run on in processes that the program left behind"))
    // Threads that ended with their program are none that outlive it.
    #expect(try place.summary("t").count("outliving_gates") == 0)
    #expect(try place.summary("t").run["cpu_seconds_per_gib"] is Double)
  }

  @Test func `on the way the CPU time of children counts too`() throws {
    let place = RunPlace()
    _ = try place.script(
      """
      busy='sh -c "while :; do :; done" & sleep 4; kill $!'
      "$arbiter" run --format=json --output=s -- sh -c "$busy" & run=$!
      sleep 0.9; kill -USR1 $run; sleep 0.2; cp s early; wait $run
      """)
    let early = try place.summary("early")
    #expect(early.run["exit_code"] is NSNull)
    #expect(try #require(early.run["cpu_seconds"] as? Double) > 0.1)
  }

  @Test(
    .enabled(if: works("command -v fio && command -v pmempool"), "fio or pmempool is missing"),
    arguments: ["baseline", "lock", "delegation", "fence", "arbiter", "arbiter-paper"])
  func `fio verifies what it wrote, and a pool is made and checked`(scheme: String) throws {
    let place = RunPlace()
    let run = try place.script(
      """
      export PMEM_IS_PMEM_FORCE=1 # fio refuses plain memory
      line="$arbiter run --scheme=\(scheme) --profile=optane-100-256g --private --strict"
      $line --format=json --output=s -- fio --name=job --ioengine=libpmem --filename=$PWD/file \\
        --size=4m --bs=4k --rw=randwrite --direct=1 --iodepth=1 --verify=crc32c \\
        --do_verify=1 --minimal >/dev/null || exit 1
      $line --quiet pmempool create --layout=x obj --size=16M pool || exit 2
      $line --quiet pmempool check pool || exit 3
      $line --format=json --output=i -- pmempool info pool >info || exit 4
      """)
    #expect(run.code == 0, "\(run.error)")
    let summary = try place.summary("s")
    #expect(summary.run["scheme"] as? String == scheme)
    #expect(summary.count("copy_bytes") == 4 << 20 && summary.count("copy_calls_count") == 1024)
    #expect(try place.summary("i").count("exit_code") == 0)
  }

  @Test(
    .enabled(if: RunPlace.canCompile, "no compiler or no libpmemobj"),
    arguments: ["baseline", "lock", "delegation", "fence", "arbiter"])
  func `transactions of libpmemobj commit and abort, and are counted`(scheme: String) throws {
    let place = RunPlace()
    let run = try place.script(
      """
      export PMEM_IS_PMEM_FORCE=1 # the pool is a file in plain memory
      line="$arbiter run --scheme=\(scheme) --profile=optane-100-256g --private --strict"
      $line --format=json --output=few -- $objects pool-a || exit 1
      $line --format=json --output=many -- $objects pool-b 500 2000 || exit 2
      pmempool check pool-b || exit 3
      """)
    #expect(run.code == 0, "\(run.error)")
    let (few, many) = (try place.summary("few"), try place.summary("many"))
    #expect(many.run["scheme"] as? String == scheme && many.count("exit_code") == 0)
    func more(_ name: String) -> Int { (many.count(name) ?? 0) - (few.count(name) ?? 0) }
    // 500 copies with a persist each; 2000 transactions, each with two copies, a set, a persist, a
    // flush and three drains.
    #expect(more("copy_calls_count") == 500 + 2 * 2000)
    #expect(more("set_calls_count") == 2000 && more("flush_calls_count") == 2000)
    #expect(more("persist_calls_count") == 500 + 2000)
    #expect(more("drain_calls_count") == 3 * 2000)
    #expect((more("copy_bytes") - 500 * 4096) % 2000 == 0)
  }

  @Test func `CSV has a row for the run and for each set, with the fields of JSON`() throws {
    let place = RunPlace()
    let run = try place.script(
      "\"$arbiter\" run --format=csv --profile=optane-100-256g --private -- true")
    let lines = run.error.split(separator: "\r\n")
    #expect(lines.count == 3)
    let columns = lines[0].split(separator: ",")
    #expect(columns.first == "row" && Set(columns).count == columns.count)
    #expect(lines[1].hasPrefix("run,arbiter,") && lines[2].hasPrefix("set,"))
    for name in columns.dropFirst() { #expect(try arbiter("explain \(name)").code == 0, "\(name)") }
  }

  @Test(.enabled(if: RunPlace.canCompile, "no compiler or no libpmem"))
  func `a program in which nothing is seen is told why`() throws {
    let place = RunPlace()
    place.folder.write("int main(void) { return 0; }\n", to: "main.c")
    let run = try place.script(
      "clang -static main.c -o still && \"$arbiter\" run -- ./still; \"$arbiter\" run -- true")
    let words = run.error.split { $0 == "\n" || $0 == " " }.joined(separator: " ")
    #expect(words.contains("./still is a static program, which LD_PRELOAD cannot reach."))
    #expect(words.contains("the program does not call libpmem or libpmem2"))
  }

  @Test func `an unknown profile is refused before the program starts`() throws {
    let place = RunPlace()
    let run = try place.script(
      "\"$arbiter\" run --profile=optane -- touch ran; code=$?; ls; exit $code")
    #expect(run.code == 64 && run.output == "meet\n")
  }

  @Test func `doctor says whether programs can be gated, and what is out of reach`() throws {
    let json = try ResultsJSON(arbiter("doctor --format=json").output)
    let findings = json.top["findings"] as? [[String: Any]] ?? []
    let preload = try #require(findings.first { $0["topic"] as? String == "preload" })
    #expect(preload["status"] as? String == "available")
    #expect((preload["sentence"] as? String)?.contains("static programs") == true)
    let without = try shell("ARBITER_PRELOAD_LIBRARY=/none exec \"$arbiter\" doctor").output
    #expect(without.contains("no  Programs cannot be gated: "))
  }
}
