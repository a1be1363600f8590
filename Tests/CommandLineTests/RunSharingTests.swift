// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Testing

@Suite(
  "Run: one controller", .serialized,
  .enabled(if: RunPlace.canCompile, "no compiler or no libpmem"))
struct RunSharingTests {
  /// Gated by a set that all memory belongs to; nothing counts it, so nothing is delayed.
  private let gated = "\"$arbiter\" run --profile=optane-100-256g --format=json"

  @Test func `two runs have one controller, and each counts its own threads alone`() throws {
    let place = RunPlace()
    let run = try place.script(
      """
      \(gated) --output=a -- $write f1 2 1200 64 >ca & a=$!; sleep 0.4
      \(gated) --output=b -- $write f2 3 300 128 >cb; wait $a; cat ca cb; echo $a
      """)
    let numbers = run.output.split(separator: "\n").compactMap { Int($0) }
    try #require(numbers.count == 3, "\(run.error)")
    let (a, b) = (try place.summary("a"), try place.summary("b"))
    #expect(a.count("copy_calls_count") == numbers[0] && a.threads.count == 2)
    #expect(b.count("copy_calls_count") == numbers[1] && b.threads.count == 3)
    #expect(a.count("controller_process") == numbers[2])
    #expect(b.count("controller_process") == numbers[2])
    // Only who controls has a controller to tell of.
    #expect(a.sets.first?["controller_phase"] is String)
    #expect(b.sets.first?["controller_phase"] is NSNull)
    #expect((b.run["monitor_cpu_seconds"] as? NSNumber)?.doubleValue == 0)
    #expect(try names(in: "\(place.folder.path)/meet") == ["control"])
    #expect(place.folder.size(of: "meet/control") == 0)
  }

  @Test(arguments: ["KILL", "TERM"])
  func `when the run in control ends, another takes over the page`(signal: String) throws {
    let place = RunPlace()
    let run = try place.script(
      """
      \(gated) --quiet --output=a -- sleep 60 & a=$!; sleep 0.3
      child=$(cat /proc/$a/task/$a/children)
      \(gated) --output=b -- $write f2 2 6000 64 >cb & b=$!; sleep 0.4
      kill -USR1 $b; sleep 0.2; cp b before; kill -\(signal) $a; sleep 0.5
      kill -USR1 $b; sleep 0.2; cp b after
      \(gated) --output=c -- true
      cp meet/control note; wait $b; cat cb; echo $a; echo $b; kill -KILL $child 2>/dev/null; true
      """)
    let numbers = run.output.split(separator: "\n").compactMap { Int($0) }
    try #require(numbers.count == 3, "\(run.error)")
    let (before, after) = (try place.summary("before"), try place.summary("after"))
    #expect(before.count("controller_process") == numbers[1])
    #expect(before.sets.first?["controller_phase"] is NSNull)
    #expect(after.count("controller_process") == numbers[2])
    #expect(after.sets.first?["controller_phase"] is String)
    #expect(try place.summary("c").count("controller_process") == numbers[2])
    #expect(try place.summary("b").count("copy_calls_count") == numbers[0])
    #expect(try text(of: "\(place.folder.path)/note").contains("page /proc/\(numbers[2])/fd/"))
  }

  @Test func `a run with other settings is refused by name, and may go alone`() throws {
    let place = RunPlace()
    let run = try place.script(
      """
      \(gated) --quiet -- sleep 60 & a=$!; sleep 0.3
      \(gated) --period=20ms -- touch ran; echo $?; ls
      \(gated) --period=20ms --private -- true; echo $?
      echo $a; kill $a; wait $a
      """)
    let lines = run.output.split(separator: "\n")
    try #require(lines.count == 4, "\(run)")
    #expect(lines[0] == "64" && lines[1] == "meet" && lines[2] == "0")
    #expect(
      run.failure.message
        == "another run (process \(lines[3]), scheme arbiter) is in control with period 10ms, "
        + "not period 20ms")
    #expect(run.failure.hint == "use its settings, or add --private for a controller of its own")
  }

  @Test func `what a killed run left does not disturb the next`() throws {
    let place = RunPlace()
    let run = try place.script(
      """
      \(gated) --quiet -- sleep 60 & a=$!; sleep 0.3
      child=$(cat /proc/$a/task/$a/children); kill -KILL $a; wait $a
      echo stale >meet/member-1
      \(gated) --output=b -- $write f 1 20 64 >cb & wait $!; echo $!; ls meet; kill $child
      """)
    let lines = run.output.split(separator: "\n")
    #expect(lines.dropFirst() == ["control"], "\(run.error)")
    #expect(try place.summary("b").count("controller_process") == Int(lines[0]))
  }

  @Test func `a signal that comes before the program has started keeps it from starting`() throws {
    let place = RunPlace()
    let run = try place.script(
      """
      flock meet/control sleep 0.4 & sleep 0.1
      \(gated) --quiet -- touch ran & run=$!; sleep 0.1; kill -TERM $run; wait $run; echo $?
      wait; ls
      """)
    #expect(run.output == "143\nmeet\n", "\(run.error)")
  }

  @Test func `baseline shares only when asked`() throws {
    let place = RunPlace()
    let run = try place.script(
      """
      line="$arbiter run --quiet --scheme=baseline"
      $line -- sleep 0.5 & sleep 0.2; ls meet | wc -l; wait
      $line --shared -- sleep 0.5 & sleep 0.2; ls meet | wc -l; wait
      """)
    #expect(run.output == "0\n1\n")
  }

  @Test func `a sixteenth run is told what it can do`() throws {
    let place = RunPlace()
    let run = try place.script(
      """
      mkfifo gate; touch up
      for i in $(seq 15); do \(gated) --quiet -- sh -c 'echo up >>up; read x <gate' & done
      until [ "$(wc -l <up)" = 15 ]; do sleep 0.05; done
      \(gated) --strict --quiet -- true; echo $?
      \(gated) --strict --quiet --private -- true; echo $?
      exec 8<>gate; for i in $(seq 15); do echo >&8; done; wait
      """)
    #expect(run.output == "69\n0\n", "\(run)")
    let lines = run.error.split(separator: "\n").filter { $0.contains("arbiter: error") }
    #expect(lines == ["arbiter: error: 15 runs share one controller already"])
    #expect(run.error.contains("  hint: wait until one of them ends, or add --private\n"))
  }

  @Test func `a runtime folder that cannot be made is named with what to do`() throws {
    let place = RunPlace()
    let run = try place.script(
      """
      ARBITER_RUNTIME_DIR=/proc/none \(gated) --quiet -- true
      ARBITER_RUNTIME_DIR= XDG_RUNTIME_DIR=$PWD \(gated) --quiet --output=s -- true
      """)
    #expect(run.code == 0 && run.error.split(separator: "\n").count == 1, "\(run.error)")
    #expect(
      run.error.hasSuffix(
        "(/proc/none); set ARBITER_RUNTIME_DIR to a folder of yours, or add --private\n"))
    #expect(try place.summary("s").run["is_gated"] as? Bool == true)
  }

  @Test func `a runtime folder that others may enter is not used`() throws {
    let place = RunPlace()
    let run = try place.script("chmod 755 meet; \(gated) --quiet sh -c 'exit 6'")
    #expect(run.code == 6)
    #expect(run.error.contains("must be a folder of this user's that nobody else may enter"))
    #expect(run.error.split(separator: "\n").count == 1)
  }
}
