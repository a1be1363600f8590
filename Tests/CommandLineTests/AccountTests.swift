// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Glibc
import Testing

/// A folder with the program of the known pattern in it.
private final class AccountPlace {
  let folder = TemporaryFolder()

  init() throws {
    let built = try shell(
      "cc -O2 -o pattern '\(Tool.root)/Tests/CommandLineTests/Programs/known_pattern.c'",
      in: folder.path)
    try #require(built.code == 0, "\(built.error)")
  }

  func script(_ text: String) throws -> Outcome { try shell(text, in: folder.path) }

  func json(_ name: String) throws -> AccountJSON {
    try AccountJSON(text(of: "\(folder.path)/\(name)"))
  }

  /// Why nothing can be sampled here; nil where it can.
  static let obstacle: String? = {
    let run = try? shell("exec $arbiter account --back-end=timer -p $$ --duration=10ms")
    return run?.code == 0 ? nil : run?.error ?? "cannot run"
  }()
}

/// An account as JSON.
struct AccountJSON {
  let top: [String: Any]

  init(_ text: String) throws {
    let any = try JSONSerialization.jsonObject(with: Data(text.utf8))
    top = any as? [String: Any] ?? [:]
  }

  var account: [String: Any] { top["account"] as? [String: Any] ?? [:] }
  var tasks: [[String: Any]] { top["tasks"] as? [[String: Any]] ?? [] }
  var mappings: [[String: Any]] { top["mappings"] as? [[String: Any]] ?? [] }
  var remarks: [String] { top["remarks"] as? [String] ?? [] }

  /// The share of everything stored that mappings of a name have.
  func share(_ prefix: String) -> Double {
    mappings.filter { ($0["mapping"] as? String)?.hasPrefix(prefix) == true }
      .reduce(0) { $0 + ($1["share"] as? Double ?? 0) }
  }
}

@Suite("arbiter account")
struct AccountTests {
  @Test func `a program keeps its output, its exit code and its signals`() throws {
    guard AccountPlace.obstacle == nil else { return }
    let run = try shell("exec $arbiter account -- sh -c 'echo out; exit 23'")
    #expect(run.code == 23 && run.output == "out\n")
    #expect(run.error.hasPrefix("arbiter account: time-weighted store cost by back-end timer"))
    let quiet = try shell("exec $arbiter account -q -- sh -c 'kill -TERM $$'")
    #expect(quiet.code == 128 + SIGTERM && quiet.error.isEmpty)
  }

  @Test func `shares of a known pattern are found, and hardly a sample is left unresolved`() throws
  {
    guard AccountPlace.obstacle == nil else { return }
    let place = try AccountPlace()
    let run = try place.script(
      "exec $arbiter account --format=json -o a.json --period=250us -- ./pattern store 64 16 80 2")
    try #require(run.code == 0, "\(run.error)")
    let json = try place.json("a.json")
    let truth = try #require(Double(run.output.filter { $0 != "\n" }))
    let (a, b) = (json.share("/memfd:a"), json.share("/memfd:b"))
    // Wide: machines that run tests are busy. Tests/Scripts/account-accuracy judges closely.
    #expect(abs(100 * a / (a + b) - truth) < 12, "\(a) and \(b), truly \(truth)")
    let resolved = try #require(json.account["resolved_share"] as? Double)
    #expect(resolved > 0.75, "\(resolved)")
    #expect(json.account["measure"] as? String == "time-weighted-store-cost")
  }

  @Test func `JSON names what is missing and why, and time is never called bytes`() throws {
    guard AccountPlace.obstacle == nil else { return }
    let place = try AccountPlace()
    let run = try place.script(
      "exec $arbiter account --back-end=timer --format=json -o a.json -- ./pattern fill 4 4 50 0.3")
    try #require(run.code == 0, "\(run.error)")
    let json = try place.json("a.json")
    #expect(json.top["schema"] as? String == "arbiter-account/1")
    for object in [json.account] + json.tasks + json.mappings {
      let reasons = try #require(object["unavailable"] as? [String: String])
      for name in ["written_bytes", "read_bytes", "touched_bytes"] {
        #expect(object[name] is NSNull && reasons[name]?.isEmpty == false, "\(name)")
      }
      #expect(object["store_cost_ns"] is NSNumber && reasons["store_cost_ns"] == nil)
    }
    let reasons = json.account["unavailable"] as? [String: String]
    #expect(reasons?["kernel_copies_bytes"]?.isEmpty == false)
    #expect(json.account["lost_count"] is NSNumber)
  }

  @Test func `a table fits 80 columns and says what is not in it`() throws {
    guard AccountPlace.obstacle == nil else { return }
    let place = try AccountPlace()
    let run = try place.script(
      "exec $arbiter account -o a.txt --by=thread -- ./pattern copy 4 4 50 0.3")
    try #require(run.code == 0, "\(run.error)")
    let lines = try text(of: "\(place.folder.path)/a.txt").split(separator: "\n")
    #expect(lines.allSatisfy { $0.count <= 80 }, "\(lines.filter { $0.count > 80 })")
    let text = lines.joined(separator: " ")
    #expect(text.contains("Unavailable: copies by the kernel"))
    #expect(text.contains("thread ") && text.contains("memory-file"))
  }

  @Test func `a running process is watched until it ends, and its threads with it`() throws {
    guard AccountPlace.obstacle == nil else { return }
    let place = try AccountPlace()
    let run = try place.script(
      """
      ./pattern store 4 4 50 1 >true & pid=$!
      $arbiter account -p $pid --format=json -o a.json --files=files; code=$?
      wait $pid || exit 1
      grep -q '^state=ended$' files/$pid.account || exit 2
      exit $code
      """)
    #expect(run.code == 0, "\(run.error)")
    let task = try #require(try place.json("a.json").tasks.first)
    #expect(task["name"] as? String == "pattern" && task["has_ended"] as? Bool == true)
  }

  @Test func `watching stops where it was told to, and the process runs on`() throws {
    guard AccountPlace.obstacle == nil else { return }
    let run = try shell(
      """
      sleep 60 & pid=$!
      $arbiter account -p $pid --duration=100ms >/dev/null; code=$?
      kill -0 $pid || code=99
      kill $pid
      exit $code
      """)
    #expect(run.code == 0, "\(run.error)")
  }

  @Test func `first touches are counted page by page`() throws {
    guard AccountPlace.obstacle == nil else { return }
    let run = try shell(
      "exec $arbiter account --back-end=faults --format=csv -- head -c 8388608 /dev/zero >/dev/null"
    )
    #expect(run.code == 0 && run.error.contains("touched_bytes"), "\(run.error)")
    let rows = run.error.split(separator: "\r\n").filter { $0.hasPrefix("mapping,") }
    #expect(rows.count > 3, "\(run.error)")
  }

  @Test(arguments: [
    ("account", "nobody is named to watch"),
    ("account -p 1 --all", "-p, --all and a program exclude each other"),
    ("account -p x", "'x' is no process's number"),
    ("account -p 0", "'0' is no process's number"),
    ("account -p 1 --every-process", "--every-process widens --all alone"),
    ("account --back-end=timer --period=10000 -p 1", "is no period of back-end 'timer'"),
    ("account --back-end=pebs --period=1ms -p 1", "is no period of back-end 'pebs'"),
    ("account --period=1us -p 1", "is not within"),
    ("account --period=5 -p 1", "not within 100 to"),
    ("account --duration=1s -- true", "a program is watched to its end"),
  ])
  func `a command line that makes no sense is refused`(line: String, message: String) throws {
    let run = try arbiter(line)
    #expect(run.code == 64 && run.failure.message.contains(message), "\(run.error)")
    #expect(run.failure.hint != nil)
  }

  @Test func `a process that is not there is named`() throws {
    guard AccountPlace.obstacle == nil else { return }
    let run = try shell("true & pid=$!; wait $pid; $arbiter account -p $pid || { c=$?; exit $c; }")
    #expect(run.code == 64 && run.failure.message.contains("there is no process"), "\(run.error)")
  }

  @Test func `a program that is not there is refused before anything is watched`() throws {
    let run = try arbiter("account -- /nonexistent/program")
    #expect(run.code == 127, "\(run.error)")
  }

  @Test func `without the right to sample the setting is named`() throws {
    // The process of another user, seen by one who may not look into it.
    guard Tool.isRoot, works("command -v setpriv"), AccountPlace.obstacle == nil else { return }
    let folder = TemporaryFolder()
    let run = try shell(
      """
      chmod 755 . && cp "$arbiter" tool && chmod 755 tool
      exec setpriv --reuid=65534 --regid=65534 --clear-groups ./tool account -p 1
      """, in: folder.path)
    #expect(run.code == 77 && run.error.contains("perf_event_paranoid"), "\(run.error)")
  }

  @Test func `all without slow memory names the option that widens it`() throws {
    guard AccountPlace.obstacle == nil, !works("ls /sys/bus/nd/devices/region*"),
      !works("grep -q dax /proc/self/mounts")
    else { return }
    let run = try arbiter("account --all --duration=100ms")
    #expect(run.code == 69 && run.failure.hint?.contains("--every-process") == true)
  }
}
