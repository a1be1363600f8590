// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Testing

@Suite("Output")
struct OutputTests {
  private let quick = "simulate --threads=1 --scheme=baseline --duration=1ms"

  @Test func `results go to a file whole, and nothing is left beside it`() throws {
    let folder = TemporaryFolder()
    let shown = try arbiter("\(quick) -q", in: folder.path).output
    let run = try arbiter("\(quick) -q --output=table.txt", in: folder.path)
    #expect(run.code == 0 && run.output.isEmpty && run.error.isEmpty)
    #expect(try text(of: "\(folder.path)/table.txt") == shown)
    #expect(try arbiter("\(quick) -q -o table.txt", in: folder.path).code == 0)
    #expect(try text(of: "\(folder.path)/table.txt") == shown)
    #expect(try names(in: folder.path) == ["table.txt"])
  }

  @Test func `a file behind a link is replaced and the link stays`() throws {
    let folder = TemporaryFolder()
    folder.write("old", to: "real")
    folder.link("link", to: "real")
    #expect(try arbiter("\(quick) -q --output=link", in: folder.path).code == 0)
    #expect(try text(of: "\(folder.path)/real").hasPrefix("threads"))
    let kind = try FileManager.default.attributesOfItem(atPath: "\(folder.path)/link")[.type]
    #expect(kind as? FileAttributeType == .typeSymbolicLink)
  }

  @Test func `the standard streams and pipes are written to, not replaced`() throws {
    let shown = try arbiter("\(quick) -q").output
    #expect(try arbiter("\(quick) -q --output=/dev/stdout").output == shown)
    #expect(try arbiter("\(quick) -q --output=/dev/stderr").error == shown)
    let folder = TemporaryFolder()
    let pipe = try shell(
      "mkfifo pipe; cat pipe & \"$arbiter\" \(quick) -q --output=pipe; wait; test -p pipe",
      in: folder.path)
    #expect(pipe.code == 0 && pipe.output == shown)
  }

  @Test func `a full disk is an error, and the device is still there`() throws {
    let full = "No space left on device"
    let file = try arbiter("\(quick) -q --output=/dev/full")
    #expect(file.code == 74)
    #expect(file.failure.message == "cannot write --output=/dev/full: \(full)")
    #expect(works("test -c /dev/full"))
    let stream = try shell("exec \"$arbiter\" \(quick) -q > /dev/full")
    #expect(stream.code == 74)
    #expect(stream.failure.message == "cannot write the results: \(full)")
  }

  @Test(.enabled(if: Tool.isRoot && Machine.canMount, "needs root that may mount"))
  func `a file on a full disk stays as it was`() throws {
    let folder = TemporaryFolder()
    let run = try shell(
      """
      mkdir small; mount -t tmpfs -o size=64k tmpfs small || exit 99
      echo mine > small/results; head -c 100k /dev/zero > small/fill 2>/dev/null
      "$arbiter" \(quick) --format=json -q --output=small/results; code=$?
      cat small/results; ls small; umount small; exit $code
      """, in: folder.path)
    #expect(run.code == 74)
    #expect(run.output == "mine\nfill\nresults\n")
    #expect(
      run.failure.message == "cannot write --output=small/results: No space left on device")
  }

  @Test(.enabled(if: Machine.canDropPrivileges, "cannot become an ordinary user"))
  func `what may not be read or written is a matter of permission`() throws {
    let folder = TemporaryFolder()
    folder.write("{}", to: "secret.json")
    folder.write("mine", to: "closed")
    let prepare = "chmod 755 .; chmod 600 secret.json closed; chown 0:0 . secret.json closed\n"
    func run(_ line: String) throws -> Outcome {
      try shell(
        "\(Tool.isRoot ? prepare : "chmod 000 *; chmod 555 .\n")\(Machine.asUser) \(line)",
        in: folder.path)
    }
    let profile = try run("simulate --profile=secret.json")
    #expect(profile.code == 77)
    #expect(profile.failure.message == "cannot read --profile=secret.json: Permission denied")
    for (line, message) in [
      ("\(quick) --output=closed", "cannot write --output=closed: Permission denied"),
      ("\(quick) --output=new", "cannot write --output=new: Permission denied"),
      ("compare", "cannot write the report --report=arbiter-report: Permission denied"),
    ] {
      let outcome = try run(line)
      #expect(outcome.code == 77)
      #expect(outcome.failure.message == message)
    }
    #expect(try run("bench --file=new --size=4KiB").code == 77)
    if !Tool.isRoot { _ = try shell("chmod 755 .; chmod 600 *", in: folder.path) }
  }

  @Test func `a reader that has seen enough is no error`() throws {
    let run = try shell(
      "{ sleep 0.2; \"$arbiter\" explain; echo \"code $?\" >&2; } | true; exit ${PIPESTATUS[0]}")
    #expect(run.error == "code 0\n")
    let head = try shell("\"$arbiter\" \(quick) --format=json -q | head -n 1")
    #expect(head.output == "{\n" && head.error.isEmpty)
  }

  @Test func `colour is for terminals that have it, unless the user says otherwise`() throws {
    let escape = "\u{1B}["
    func terminal(_ line: String) throws -> Bool {
      try shell("\(line)").output.contains(escape)
    }
    #expect(try !terminal("TERM=xterm \"$arbiter\" doctor"))
    #expect(try terminal("TERM=dumb NO_COLOR=1 \"$arbiter\" doctor --color=always"))
    let run = { (setting: String, option: String) in
      "\(setting) SHELL=/bin/sh script -qec \"exec $arbiter doctor \(option)\" /dev/null"
    }
    #expect(try terminal(run("TERM=xterm", "")))
    #expect(try terminal(run("TERM=xterm NO_COLOR=", "")))
    #expect(try !terminal(run("TERM=xterm NO_COLOR=1", "")))
    #expect(try !terminal(run("TERM=dumb", "")))
    #expect(try !terminal(run("TERM=xterm", "--color=never")))
  }

  @Test func `progress is one rewritten line on a terminal and a few lines in a file`() throws {
    // Some four seconds of work: progress is not shown before the first.
    let line = "simulate --threads=26 --scheme=baseline --duration=3s"
    let file = try arbiter(line)
    let steps = file.error.split(separator: "\n").filter { $0.hasPrefix("simulate ") }
    #expect((1...10).contains(steps.count))
    #expect(steps.allSatisfy { $0.contains(" %") } && !file.error.contains("\r"))
    #expect(try arbiter("\(line) --quiet").error.isEmpty)
    let terminal = try shell("SHELL=/bin/sh script -qec \"exec $arbiter \(line)\" /dev/null").output
    #expect(terminal.contains("\rsimulate ") && terminal.contains(" left"))
    #expect(terminal.contains("\r\u{1B}[K"))
  }

  @Test func `an interrupt leaves the results so far, and says that they are not all`() throws {
    // One thread takes some tenths of a second, more beside other tests; 128 take half a minute.
    let long = "simulate --scheme=baseline --think=100us --duration=200s --warm-up=0"
    let run = try shell(
      "exec timeout --signal=INT 10 \"$arbiter\" \(long) --threads=1,128 --format=json")
    // timeout answers 124 for the tool's own 130, so that is asked for below.
    #expect(run.seconds < 25)
    let document = try ResultsJSON(run.output)
    #expect(document.host["is_complete"] as? Bool == false)
    #expect(document.results.map { number($0["threads"]) } == [1])
    #expect(run.error.contains("arbiter: interrupted: runs that had not ended are left out\n"))
    let code = try shell(
      "\"$arbiter\" \(long) --threads=128 --quiet & sleep 0.5; kill -INT $!; wait $!")
    #expect(code.code == 130 && code.output.isEmpty)
  }
}

/// What a test may need of the machine.
enum Machine {
  static let canMount = works(
    "d=$(mktemp -d); mount -t tmpfs -o size=64k tmpfs $d && umount $d; c=$?; rmdir $d; exit $c")

  /// The tool as an ordinary user, from a place where that user may run it.
  static let asUser: String = {
    guard Tool.isRoot else { return "\"$arbiter\"" }
    return "setpriv --reuid=65534 --regid=65534 --clear-groups \"$arbiter\""
  }()

  static let canDropPrivileges = works("\(asUser) version")
  static let hasGnuplot = works("command -v gnuplot")
}
