// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Testing

@Suite("Top: readings for scripts")
struct TopTests {
  /// Each line of JSON as an object.
  private func frames(_ text: String) throws -> [[String: Any]] {
    try text.split(separator: "\n").map { line in
      let any = try JSONSerialization.jsonObject(with: Data(line.utf8))
      return try #require(any as? [String: Any])
    }
  }

  /// Every figure that is null has its reason, and none that is there has one.
  private func isHonest(_ object: [String: Any]) throws {
    let reasons = try #require(object["unavailable"] as? [String: String])
    let missing = object.filter { $0.value is NSNull }.map(\.key)
    #expect(Set(missing) == Set(reasons.keys))
    #expect(reasons.values.allSatisfy { !$0.isEmpty })
  }

  @Test func `a reading is one line of JSON, whose first has no rates`() throws {
    let run = try arbiter("top --every-process --format=json --count=2 --interval=100ms")
    #expect(run.code == 0 && run.error.isEmpty, "\(run.error)")
    let frames = try frames(run.output)
    #expect(frames.map { $0["frame"] as? Int } == [1, 2])
    for frame in frames {
      #expect(frame["schema"] as? String == "arbiter-top/1")
      let machine = try #require(frame["machine"] as? [String: Any])
      let devices = try #require(frame["devices"] as? [[String: Any]])
      let tasks = try #require(frame["tasks"] as? [[String: Any]])
      #expect(!tasks.isEmpty)
      for object in [machine] + devices + tasks { try isHonest(object) }
      try isHonest(try #require(frame["sampling"] as? [String: Any]))
      // No process that nothing measures has a figure of stores.
      for task in tasks where task["back_end"] is NSNull {
        #expect(task["written_bytes"] is NSNull && task["share_ratio"] is NSNull)
      }
    }
    let first = try #require(frames[0]["machine"] as? [String: Any])
    #expect(first["interval_seconds"] is NSNull && first["cpu_busy_ratio"] is NSNull)
    let second = try #require(frames[1]["machine"] as? [String: Any])
    #expect((second["interval_seconds"] as? Double ?? 0) >= 0.05)
    let names = Set(first.keys).union(
      (frames[0]["tasks"] as? [[String: Any]])?.first?.keys.map { $0 } ?? [])
    for name in names where name != "unavailable" {
      #expect(try arbiter("explain \(name)").code == 0, "\(name) is not explained")
    }
  }

  @Test func `rows of CSV have as many fields as their header`() throws {
    let run = try arbiter("top --batch --format=csv --count=2 --interval=100ms")
    let lines = run.output.split(separator: "\r\n").map(String.init)
    #expect(run.code == 0 && lines.count >= 3)
    let commas = lines.map { $0.filter { $0 == "," }.count }
    #expect(Set(commas).count == 1, "\(run.output)")
    #expect(lines[0].hasPrefix("row,frame,unix_seconds,interval_seconds,"))
    #expect(lines.count { $0.hasPrefix("machine,") } == 2)
  }

  @Test func `frames of text fit their width and say what is missing`() throws {
    for width in [40, 80] {
      let run = try shell("COLUMNS=\(width) exec \"$arbiter\" top --batch --count=1")
      #expect(run.code == 0 && run.error.isEmpty)
      #expect(run.output.hasPrefix("arbiter top  "))
      #expect(run.output.contains("measuring"))
      #expect(run.output.split(separator: "\n").allSatisfy { $0.count <= width })
      #expect(!run.output.contains("\u{1B}"))
    }
  }

  @Test func `where there is no terminal two readings are printed, and a note says so`() throws {
    let run = try arbiter("top --interval=100ms")
    #expect(run.code == 0)
    #expect(run.output.components(separatedBy: "arbiter top  ").count == 3)
    #expect(run.error.hasPrefix("arbiter: note: no terminal to draw on"))
    #expect(try arbiter("top --interval=100ms --quiet").error.isEmpty)
  }

  @Test(arguments: [("INT", Int32(130)), ("TERM", 143)])
  func `a signal ends readings without end`(name: String, code: Int32) throws {
    let folder = TemporaryFolder()
    let run = try shell(
      """
      set -m; "$arbiter" top --batch --interval=100ms >out & top=$!
      for n in $(seq 500); do test $(grep -c '^arbiter top' out) -ge 2 && break; sleep 0.02; done
      kill -\(name) $top; wait $top
      """, in: folder.path)
    #expect(run.code == code, "\(run)")
  }

  @Test func `a reader that has seen enough is no failure`() throws {
    let run = try shell("set -o pipefail; \"$arbiter\" top --batch --interval=100ms | head -1")
    #expect(run.code == 0 && run.error.isEmpty, "\(run)")
  }

  @Test(arguments: [
    ("--interval=1ms", "--interval=1ms is not within 100ms to 3600s"),
    ("--count=0", "--count=0 is not within 1 to 1000000000"),
    ("--process=1,x", "--process=1,x: 'x' is no process's number"),
  ])
  func `options that make no sense are refused`(option: String, message: String) throws {
    let run = try arbiter("top \(option)")
    #expect(run.code == 64)
    #expect(run.failure.message.contains(message.split(separator: ":").last ?? ""), "\(run.error)")
  }

  /// A shell that computes, and the same without anything that samples it.
  @Test func `a process that is named is sampled, unless that is switched off or refused`() throws {
    let run = try shell(
      """
      while :; do :; done & child=$!
      "$arbiter" top -p $child --format=json --count=2 --interval=1s
      "$arbiter" top -p $child --format=json --count=1 --back-end=none
      kill $child
      """)
    let frames = try frames(run.output)
    try #require(frames.count == 3 && run.error.isEmpty, "\(run)")
    let tasks = frames.map { ($0["tasks"] as? [[String: Any]])?.first ?? [:] }
    for task in tasks { try isHonest(task) }
    let sampling = try #require(frames[1]["sampling"] as? [String: Any])
    let spots = frames.map { $0["blind_spots"] as? [String] ?? [] }
    if let backEnd = sampling["back_end"] as? String {
      #expect(tasks[1]["back_end"] as? String == backEnd)
      #expect((sampling["samples_count"] as? Int ?? 0) > 0, "\(sampling)")
      let isTimer = backEnd == "timer"
      #expect((tasks[1]["store_cost_ns"] is NSNull) == !isTimer)
      #expect((tasks[1]["written_bytes"] is NSNull) == isTimer)
    } else {
      // Who may not sample is told why and what to do.
      #expect(spots[1].contains { $0.hasPrefix("Programs are not sampled: ") }, "\(spots)")
    }
    #expect(tasks[2]["back_end"] is NSNull && tasks[2]["written_bytes"] is NSNull)
    #expect(spots[2].contains { $0.contains("sample them with arbiter account") })
  }

  @Test(.enabled(if: RunPlace.canCompile, "libpmem-dev is not installed"))
  func `a gated program is told with its exact bytes, whether its run is shared or not`() throws {
    let place = RunPlace()
    let run = try place.script(
      """
      "$arbiter" run --private --profile=optane-100-256g --format=json --output=a -- \
        $write f1 1 60000 64 >c & a=$!
      "$arbiter" run --profile=optane-100-256g --format=json --output=b -- \
        $write f2 2 60000 256 >d & b=$!
      for run in $a $b; do
        for n in $(seq 500); do
          test -n "$(cat /proc/$run/task/$run/children)" && break; sleep 0.02
        done
        echo $(cat /proc/$run/task/$run/children)
      done >pids
      seen() { grep -Eq '"process": '$1',.{0,80}"writers", "back_end": "gates"' early; }
      for n in $(seq 40); do
        "$arbiter" top --format=json --count=1 >early
        seen $(sed -n 1p pids) && seen $(sed -n 2p pids) && break; sleep 0.05
      done
      "$arbiter" top --format=json --count=2 --interval=300ms >frames
      "$arbiter" top --batch --count=1 --quiet
      for run in $a $b; do kill -TERM $run; wait $run; done
      true
      """)
    let frames = try frames(try text(of: "\(place.folder.path)/frames"))
    try #require(frames.count == 2, "\(run)")
    // Tests of others may run such programs too.
    let own = try text(of: "\(place.folder.path)/pids").split { $0.isWhitespace }
      .compactMap { Int($0) }
    let tasks = frames.map { frame in
      (frame["tasks"] as? [[String: Any]] ?? []).filter {
        own.contains($0["process"] as? Int ?? 0)
      }
    }
    try #require(tasks.map(\.count) == [2, 2], "\(run)")
    for (before, after) in zip(tasks[0], tasks[1]) {
      let (early, late) = (before["written_bytes"] as? Int, after["written_bytes"] as? Int)
      #expect((early ?? 0) > 0 && (late ?? 0) > (early ?? 0))
      #expect((late ?? 1) % 64 == 0 && after["written_bytes_error"] as? Int == 0)
      #expect(after["back_end"] as? String == "gates")
      #expect(before["write_bytes_per_second"] is NSNull)
      let rate = after["write_bytes_per_second"] as? Double ?? 0
      let machine = frames[1]["machine"] as? [String: Any]
      let seconds = machine?["interval_seconds"] as? Double ?? 0
      #expect(abs(rate * seconds - Double((late ?? 0) - (early ?? 0))) < 1)
      #expect((0.0...1).contains(after["share_ratio"] as? Double ?? -1))
      try isHonest(after)
    }
    // What was seen is not more than what the run counted in the end.
    for name in ["a", "b"] {
      let summary = try place.summary(name)
      let process = summary.count("process")
      let task = tasks[1].first { $0["process"] as? Int == process }
      let counted = summary.count("program_write_bytes") ?? 0
      #expect((task?["written_bytes"] as? Int ?? .max) <= counted)
    }
    let devices = frames[1]["devices"] as? [[String: Any]] ?? []
    let device = devices.first { $0["device"] as? String == "optane-100-256g" }
    #expect((device?["gates"] as? Int ?? 0) >= 3 && device?["delay_ns_now"] is NSNumber)
    #expect(device?["imc_write_bytes"] is NSNull)
    #expect(run.output.contains("gates"))
  }
}

@Suite("Top: a real terminal", .enabled(if: works("command -v script"), "script(1) is missing"))
struct TopTerminalTests {
  /// Runs `arbiter top` on a terminal of its own and does something to it.
  ///
  /// `wait_for TEXT` waits until the screen has shown a text; `keys TEXT` types; `tty` names the
  /// terminal. Afterwards `code` holds the exit code, `before` and `after` the terminal's modes.
  private func session(
    in folder: borrowing TemporaryFolder, _ steps: String, options: String = ""
  ) throws -> Outcome {
    folder.write(
      """
      set -m; tty >tty; stty cols 80 rows 24; stty -g >before
      "$arbiter" top --interval=100ms \(options); echo $? >code; stty -g >middle
      while test "$(cat code)" = 148; do fg >/dev/null; echo $? >code; done
      stty -g >after
      """, to: "inner")
    return try shell(
      """
      export arbiter TERM=xterm SHELL=/bin/sh; : >screen
      wait_for() {
        for n in $(seq 600); do grep -qF -- "$1" screen && return; sleep 0.02; done
        echo "never shown: $1"
      }
      wait_count() {
        for n in $(seq 600); do
          test $(grep -oF -- "$1" screen | wc -l) -ge $2 && return; sleep 0.02
        done
        echo "not shown $2 times: $1"
      }
      pid() { pgrep -t $(sed s,/dev/,, tty) -f 'top --interval=100ms'; }
      mkfifo typed; { SHELL=/bin/sh script -qfec "bash inner" screen <typed >/dev/null; } &
      exec 9>typed; wait_for 'every 100ms'
      keys() { printf "$1" >&9; }
      \(steps)
      for n in $(seq 600); do test -e after && break; sleep 0.02; done
      test -e after || { echo 'does not end'; kill -KILL $(pid); }
      wait
      """, in: folder.path)
  }

  private func check(_ folder: borrowing TemporaryFolder, _ run: Outcome, code: String) throws {
    #expect(run.output.isEmpty, "\(run.output)\(run.error)")
    #expect(try text(of: "\(folder.path)/code") == "\(code)\n")
    #expect(try text(of: "\(folder.path)/before") == text(of: "\(folder.path)/after"))
    let screen = try text(of: "\(folder.path)/screen")
    #expect(screen.components(separatedBy: "\u{1B}[?1049h").count > 1)
    // What was entered last was left, and the cursor is there again.
    let left = try #require(screen.range(of: "\u{1B}[?1049l", options: .backwards))
    let entered = try #require(screen.range(of: "\u{1B}[?1049h", options: .backwards))
    #expect(entered.lowerBound < left.lowerBound)
    #expect(screen.contains("\u{1B}[?25h"))
  }

  @Test func `keys work, a resize is followed, and the terminal is given back`() throws {
    let folder = TemporaryFolder()
    let run = try session(
      in: folder,
      """
      keys h; wait_for 'any key leaves the help'
      keys x; keys ' '; wait_for PAUSED
      keys ' '; keys +; wait_for 'every 250ms'
      stty -F $(cat tty) cols 40 rows 10; wait_for 'CPU s/GiB'
      keys q
      """)
    try check(folder, run, code: "0")
    let screen = try text(of: "\(folder.path)/screen")
    #expect(screen.contains("\u{1B}[10;1H") && !screen.contains("\u{1B}[25;1H"))
  }

  @Test(arguments: [("INT", "130"), ("TERM", "143"), ("HUP", "129")])
  func `a signal ends it with the terminal given back`(name: String, code: String) throws {
    let folder = TemporaryFolder()
    let run = try session(in: folder, "kill -\(name) $(pid)")
    try check(folder, run, code: code)
  }

  @Test func `Ctrl-C ends it, and Ctrl-Z stops it until it is let go on`() throws {
    let folder = TemporaryFolder()
    let run = try session(
      in: folder,
      #"""
      keys '\032'; wait_count '[?1049h' 2
      cmp before middle; keys '\003'
      """#)
    try check(folder, run, code: "130")
  }

  @Test func `colour can be refused, and a count ends the live screen too`() throws {
    let folder = TemporaryFolder()
    let run = try session(in: folder, "", options: "--color=never --count=3")
    try check(folder, run, code: "0")
    #expect(!(try text(of: "\(folder.path)/screen")).contains("\u{1B}[1m"))
  }
}
