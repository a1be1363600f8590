// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Testing

@Suite("Run: a program as if the shell had started it")
struct RunTests {
  @Test(arguments: [
    ("sh -c 'exit 7'", Int32(7)), ("-- true", 0), ("sh -c 'kill -TERM $$'", 143),
    ("sh -c 'kill -KILL $$'", 137), ("-- sh -c 'kill -PIPE $$'", 141),
  ])
  func `the exit code is the program's`(line: String, code: Int32) throws {
    let run = try arbiter("run --quiet \(line)")
    #expect(run.code == code && run.output.isEmpty && run.error.isEmpty, "\(run.error)")
  }

  @Test func `streams and arguments reach the program untouched`() throws {
    let run = try shell(
      "printf 'in\\0put' | \"$arbiter\" run -q sh -c 'cat; printf %s, \"$@\"; echo err >&2' "
        + "-- --help -q -- '' 'a b'")
    #expect(run.code == 0)
    #expect(run.output == "in\0put--help,-q,--,,a b,")
    #expect(run.error == "err\n")
  }

  @Test func `the summary goes to standard error or a file, and not at all when quiet`() throws {
    let folder = TemporaryFolder()
    let plain = try arbiter("run echo hello")
    #expect(plain.output == "hello\n")
    #expect(plain.error.hasPrefix("arbiter run: echo ended with code 0 after "))
    #expect(plain.error.split(separator: "\n").allSatisfy { $0.count <= 80 })
    let filed = try arbiter("run --output=file echo hello", in: folder.path)
    #expect(filed.output == "hello\n" && filed.error.isEmpty)
    #expect(try text(of: "\(folder.path)/file").hasPrefix("arbiter run: echo ended with code 0"))
    let refused = try arbiter("run --output=/no/such/file touch ran", in: folder.path)
    #expect(refused.code == 74 && folder.size(of: "ran") == nil)
  }

  @Test func `a program that is not there ends with 127, one that is none with 126`() throws {
    let folder = TemporaryFolder()
    folder.write("text", to: "text")
    folder.write("#!/no/such/interpreter\n", to: "script")
    folder.makeFolder("folder")
    let missing = try arbiter("run no-such-program-here")
    #expect(missing.code == 127)
    #expect(missing.failure.message == "cannot find the program 'no-such-program-here'")
    #expect(try arbiter("run ./none", in: folder.path).code == 127)
    let text = try arbiter("run ./text", in: folder.path)
    #expect(text.code == 126)
    #expect(text.failure.message == "cannot execute './text': Permission denied")
    let place = try arbiter("run ./folder", in: folder.path)
    #expect(place.code == 126 && place.failure.hint == "name a program")
    let script = try shell("chmod +x script; exec \"$arbiter\" run ./script", in: folder.path)
    #expect(
      script.code == 126 && script.failure.message.hasSuffix("its interpreter does not exist"))
  }

  @Test func `a script without a first line runs as in a shell`() throws {
    let folder = TemporaryFolder()
    folder.write("echo \"$1\"; exit 5\n", to: "script")
    let run = try shell(
      "chmod +x script; PATH=$PWD:$PATH exec \"$arbiter\" run -q script word", in: folder.path)
    #expect(run.code == 5 && run.output == "word\n")
  }

  @Test(arguments: ["INT", "TERM", "HUP", "QUIT", "USR2"])
  func `a signal to arbiter reaches the program, which decides what comes of it`(
    name: String
  ) throws {
    let folder = TemporaryFolder()
    let run = try shell(
      """
      set -m
      program='trap "echo got; exit 9" \(name); echo up; while :; do sleep 0.05; done'
      "$arbiter" run -q -- sh -c "$program" >out & run=$!
      until grep -q up out 2>/dev/null; do sleep 0.02; done
      kill -\(name) $run; wait $run; code=$?; cat out; exit $code
      """, in: folder.path)
    #expect(run.code == 9 && run.output.hasSuffix("up\ngot\n"), "\(run)")
  }

  @Test(.enabled(if: works("command -v script"), "script(1) is not installed"))
  func `the terminal's interrupt reaches the program once, and arbiter outlives it`() throws {
    let folder = TemporaryFolder()
    folder.write(
      "trap 'echo got >>log' INT; echo up >log; sleep 1; sleep 0.3; echo end >>log; exit 4\n",
      to: "program")
    let run = try shell(
      """
      { until grep -q up log 2>/dev/null; do sleep 0.02; done; printf '\\003'; sleep 2; } |
        SHELL=/bin/sh script -qec "exec $arbiter run -q -- sh program" /dev/null >screen
      echo $?; cat log
      """, in: folder.path)
    #expect(run.output.hasSuffix("4\nup\ngot\nend\n"), "\(run.output) \(run.error)")
  }

  @Test func `the program has the signal mask, dispositions and group that arbiter was given`()
    throws
  {
    let folder = TemporaryFolder()
    let run = try shell(
      """
      look='grep -E "^Sig(Blk|Ign)" /proc/self/status; ps -o pgid= -p $$'
      trap '' PIPE; sh -c "$look" >a; "$arbiter" run -q sh -c "$look" >b; cmp a b || exit 1
      trap - PIPE; sh -c "$look" >a; "$arbiter" run -q sh -c "$look" >b; cmp a b
      """, in: folder.path)
    #expect(run.code == 0, "\(run.output)")
  }

  @Test func `where Arbiter fails the program runs without it, and one line says so`() throws {
    let folder = TemporaryFolder()
    let line = "ARBITER_PRELOAD_LIBRARY=/no/such/library \"$arbiter\" run"
    let run = try shell("\(line) --quiet sh -c 'echo $LD_PRELOAD; exit 3'")
    #expect(run.code == 3 && run.output == "\n")
    #expect(run.error.split(separator: "\n").count == 1)
    #expect(run.error.hasPrefix("arbiter: warning: the program runs without Arbiter: "))
    let strict = try shell(
      "\(line) --strict touch ran; code=$?; ls; exit $code",
      in: folder.path)
    #expect(strict.code == 69 && strict.output.isEmpty)
    let summary = try shell("\(line) --format=json true")
    let json = try RunJSON(String(summary.error.drop { $0 != "{" }))
    #expect(json.run["is_gated"] as? Bool == false)
    #expect(json.run["calls_count"] is NSNull && json.run["exit_code"] as? Int == 0)
  }

  @Test(arguments: ["2>&-", "<&-", ">&-", "<&- >&- 2>&-"])
  func `a closed stream stays closed, and nothing of ours takes its number`(
    closing: String
  ) throws {
    let place = RunPlace()
    let run = try place.script(
      """
      look='for n in 0 1 2; do test -e /proc/$$/fd/$n && s=$s$n; done; exit 1${s:-3}'
      (exec \(closing); sh -c "$look"); bare=$?
      (exec \(closing); "$arbiter" run --profile=optane-100-256g -- sh -c "$look")
      test $? = $bare
      """)
    #expect(run.code == 0, "\(run.error)")
  }

  @Test func `a program inherits its standard streams and what the caller had open, no more`()
    throws
  {
    let place = RunPlace()
    let run = try place.script(
      """
      list='ls -l /proc/self/fd | sed -n "s/.* \\([0-9]*\\) -> .*/\\1/p" | sort -n'
      exec 7</dev/null
      sh -c "$list" >a
      for more in --private --shared "--shared --scheme=lock" --strict; do
        "$arbiter" run -q --profile=optane-100-256g $more -- sh -c "$list" >b; cmp a b || exit 1
      done; cat a
      """)
    #expect(run.code == 0 && run.output.contains("7\n"), "\(run.output)\(run.error)")
  }

  @Test(.enabled(if: Machine.canMount, "may not mount"))
  func `without proc the tool says so, and takes no command line for an empty one`() throws {
    let folder = TemporaryFolder()
    let run = try shell(
      "unshare -m sh -c \"mount -t tmpfs none /proc; exec '$arbiter' run touch ran\"; "
        + "code=$?; ls; exit $code", in: folder.path)
    #expect(run.code == 69 && run.output.isEmpty)
    #expect(run.failure.message == "cannot read the command line: /proc is not mounted")
  }

  @Test func `an earlier LD_PRELOAD stays behind the library`() throws {
    let folder = TemporaryFolder()
    let run = try shell(
      "cp \"$(readlink -f /lib/x86_64-linux-gnu/libm.so.6)\" mine.so; "
        + "LD_PRELOAD=$PWD/mine.so \"$arbiter\" run -q sh -c 'echo $LD_PRELOAD'",
      in: folder.path)
    let parts = run.output.split { $0 == ":" || $0 == "\n" }
    try #require(parts.count == 2)
    #expect(parts[0].hasSuffix("/libarbiter-preload.so") && parts[1].hasSuffix("/mine.so"))
  }
}
