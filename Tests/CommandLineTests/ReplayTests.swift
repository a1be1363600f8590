// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Testing

@Suite("Replay on the command line")
struct ReplayTests {
  /// Records four threads and runs a script beside the recording, `four.trace`.
  private func replay(_ script: String) throws -> Outcome {
    let folder = TemporaryFolder()
    return try shell(
      """
      "$arbiter" simulate -q --threads=4 --scheme=baseline --warm-up=0s --duration=1ms \
        --record=four.trace > recorded || exit 99
      \(script)
      """, in: folder.path)
  }

  @Test func `a recording is repeated, and what was cloned or left out is said`() throws {
    let run = try replay("\"$arbiter\" simulate --trace=four.trace --threads=2,4,26")
    #expect(run.code == 0)
    let rows = run.output.split(separator: "\n").prefix(8).dropFirst(2)
    #expect(rows.map { $0.split(separator: " ")[0] } == ["2", "2", "4", "4", "26", "26"])
    let text = run.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(text.contains("Replay of four.trace: 4 recorded threads, "))
    #expect(text.contains("26 threads: 4 recorded, 22 clones in ranges of their own."))
    #expect(text.contains("2 threads: 2 recorded. The last 2 recorded threads are left out."))
    #expect(!text.contains("4 threads: 4 recorded"))
    #expect(run.output.split(separator: "\n").allSatisfy { $0.count <= 80 })
  }

  @Test func `a replay has the figures of what was recorded, in a document that says so`() throws {
    let run = try replay(
      "\"$arbiter\" simulate --trace=four.trace --scheme=baseline -q --format=json")
    let document = try ResultsJSON(run.output)
    let result = try #require(document.results.first)
    #expect(document.results.count == 1 && document.resultKeys == ResultsJSON.keys)
    #expect(result["pattern"] as? String == "trace" && result["access_bytes"] is NSNull)
    let parameters = try #require(result["parameters"] as? [String: Any])
    #expect(parameters["trace"] as? String == "four.trace")
    #expect(parameters["threads"] as? String == "4" && parameters["pattern"] == nil)
    let replay = try #require(result["replay"] as? [String: Any])
    #expect(number(replay["recorded_threads"]) == 4 && number(replay["cloned_threads"]) == 0)
    #expect(replay["is_complete"] as? Bool == true)
    #expect(number(replay["lost_events_count"]) == 0)
    let built = try ResultsJSON(
      arbiter("simulate --threads=4 --scheme=baseline --warm-up=0s --duration=1ms -q --format=json")
        .output)
    let before = try #require(number(built.results.first?["write_amplification_ratio"]))
    let after = try #require(number(result["write_amplification_ratio"]))
    #expect(abs(after / before - 1) < 0.03)
  }

  @Test(arguments: ["baseline", "lock", "delegation", "fence", "arbiter", "arbiter-paper"])
  func `a replay goes with every scheme and repeats to the byte`(scheme: String) throws {
    let line = "\"$arbiter\" simulate --trace=four.trace --threads=6 --scheme=\(scheme) -q"
    let run = try replay("\(line) --output=a; \(line) --output=b; cmp a b && cat a")
    #expect(run.code == 0 && run.output.contains("6  \(scheme)"))
  }

  @Test func `the same seed records the same bytes`() throws {
    let run = try replay(
      """
      "$arbiter" simulate -q --threads=4 --scheme=baseline --warm-up=0s --duration=1ms \
        --record=again.trace > repeated
      cmp four.trace again.trace && cmp recorded repeated && ls
      """)
    #expect(run.code == 0)
    #expect(!run.output.contains("partial"))
  }

  @Test func `a limit ends a replay early, and how far it got is said`() throws {
    let run = try replay(
      "\"$arbiter\" simulate --trace=four.trace --scheme=baseline --duration=100us -q")
    #expect(run.code == 0 && run.output.contains("--duration ended the replay after"))
    let late = try replay("\"$arbiter\" simulate --trace=four.trace --warm-up=1s")
    #expect(late.code == 64 && late.failure.message.hasPrefix("the replay ended after "))
  }

  @Test func `a dry run names what repeats the replay`() throws {
    let run = try replay(
      """
      "$arbiter" simulate --trace=four.trace --think-scale=0.5 --scheme=baseline --dry-run -q
      """)
    #expect(run.output.contains(" --threads=4 --trace=four.trace --think-scale=0.5 "))
    #expect(!run.output.contains("--pattern") && !run.output.contains("--region"))
  }

  @Test(arguments: [
    (
      "--trace=four.trace --pattern=sequential --store=nt --region=1MiB",
      "--pattern, --store and --region do not go with --trace=four.trace, which says what the "
        + "threads do", "leave out --pattern, --store and --region"
    ),
    (
      "--trace=four.trace --access=64B",
      "--access does not go with --trace=four.trace, which says what the threads do",
      "leave out --access"
    ),
    (
      "--trace=four.trace --record=x", "--record=x does not go with --trace=four.trace",
      "leave out one of them; the trace is a recording already"
    ),
    (
      "--think-scale=2", "--think-scale=2.0 has no recording whose times it could change",
      "add --trace=<FILE>"
    ),
    (
      "--trace=four.trace --think-scale=-1", "--think-scale=-1.0 is not within 0 to 1000.0",
      "0 leaves no own time, 1 that of the recording"
    ),
    (
      "--record=x", "--record=x records one run, and these are 12",
      "name one number with --threads and one scheme with --scheme"
    ),
    ("--trace=", "--trace is empty", "name a file, or leave the option out"),
  ])
  func `options that do not fit a recording are refused`(
    options: String, message: String, hint: String
  ) throws {
    let run = try replay("exec \"$arbiter\" simulate \(options)")
    #expect(run.code == 64 && run.output.isEmpty)
    #expect(run.failure.message == message && run.failure.hint == hint)
  }

  @Test func `files that are no sound recording are refused in one sentence`() throws {
    let missing = try replay("exec \"$arbiter\" simulate --trace=nowhere")
    #expect(missing.code == 65)
    #expect(missing.failure.message == "cannot read 'nowhere': No such file or directory")
    let text = try replay("echo hello > text; exec \"$arbiter\" simulate --trace=text")
    #expect(text.code == 65 && text.failure.message.hasPrefix("cannot read 'text': byte 0: "))
    let damaged = try replay(
      """
      size=$(stat -c %s four.trace)
      printf '\\377\\377\\377\\377' | dd of=four.trace bs=1 seek=$((size / 2)) conv=notrunc 2>dd
      exec "$arbiter" simulate --trace=four.trace --scheme=baseline -q
      """)
    #expect(damaged.code == 65 && damaged.output.isEmpty)
    #expect(damaged.failure.message.hasPrefix("cannot read 'four.trace': byte "))
    #expect(damaged.error.split(separator: "\n").count == 2)
    let cut = try replay(
      """
      truncate -s -40 four.trace
      exec "$arbiter" simulate --trace=four.trace --scheme=baseline -q
      """)
    #expect(cut.code == 0 && cut.output.contains("The recording's end is missing"))
  }

  @Test func `a recording goes nowhere it may not, and leaves nothing behind`() throws {
    let line = "\"$arbiter\" simulate -q --threads=1 --scheme=baseline --duration=1ms"
    let run = try replay("\(line) --record=/nowhere/x")
    #expect(run.code == 74 && run.failure.message.hasPrefix("cannot write --record=/nowhere/x: "))
    let full = try replay("\(line) --record=/dev/full; code=$?; ls; exit $code")
    #expect(full.code == 74 && !full.output.contains("partial"))
    let folder = try replay("mkdir folder; \(line) --record=folder")
    #expect(folder.code != 0)
  }
}
