// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Glibc
import Testing

/// What a child process left behind.
struct Outcome {
  /// The exit code; 128 and the signal's number of a process that a signal ended.
  var code: Int32
  var output: String
  var error: String
  /// Time on the wall.
  var seconds: Double
  /// CPU time of the process and of those it waited for.
  var cpuSeconds: Double

  /// The message and the hint, without what every failure begins with.
  var failure: (message: String, hint: String?) {
    let lines = error.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    let hint = lines.count > 1 && lines[1].hasPrefix("  hint: ") ? lines[1].dropFirst(8) : nil
    return (String((lines.first ?? "").dropFirst("arbiter: error: ".count)), hint.map(String.init))
  }
}

/// Why a child process could not be run.
struct SpawnError: Error {
  let number: Int32
}

/// The built tool, which lies beside this test binary.
enum Tool {
  static let path: String = {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return (own as NSString).deletingLastPathComponent + "/arbiter"
  }()

  /// The root of this repository, found from this file's own place.
  static let root: String = {
    let file = URL(filePath: #filePath)
    let root = file.deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().path(percentEncoded: false)
    return root.hasSuffix("/") ? String(root.dropLast()) : root
  }()

  static let isRoot = geteuid() == 0
}

/// Runs a script with bash in a folder; `$arbiter` is the tool.
func shell(_ script: String, in folder: String = "/tmp") throws -> Outcome {
  let scratch = TemporaryFolder()
  let whole = "cd '\(folder)'; arbiter='\(Tool.path)'; unset NO_COLOR COLUMNS\n\(script)"
  var actions = unsafe posix_spawn_file_actions_t()
  // SAFETY: strings and structs outlive the calls that take them; the arguments end with nil.
  unsafe posix_spawn_file_actions_init(&actions)
  defer { _ = unsafe posix_spawn_file_actions_destroy(&actions) }
  unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
  for (descriptor, name) in [(Int32(1), "out"), (2, "err")] {
    unsafe posix_spawn_file_actions_addopen(
      &actions, descriptor, "\(scratch.path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
  }
  var attributes = posix_spawnattr_t()
  unsafe posix_spawnattr_init(&attributes)
  defer { _ = unsafe posix_spawnattr_destroy(&attributes) }
  // This thread may block signals, and a child would inherit that.
  var signals = sigset_t()
  unsafe sigemptyset(&signals)
  unsafe posix_spawnattr_setsigmask(&attributes, &signals)
  unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
  let words = ["bash", "-c", whole]
  var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
  defer { unsafe arguments.forEach { unsafe free($0) } }
  var child: pid_t = 0
  let began = ContinuousClock.now
  let number = unsafe posix_spawnp(&child, "bash", &actions, &attributes, &arguments, environ)
  guard number == 0 else { throw SpawnError(number: number) }
  var status: Int32 = 0
  var usage = rusage()
  while unsafe wait4(child, &status, 0, &usage) < 0 {
    guard errno == EINTR else { throw SpawnError(number: errno) }
  }
  let took = began.duration(to: .now)
  let signal = status & 0x7F
  return Outcome(
    code: signal == 0 ? (status >> 8) & 0xFF : 128 + signal,
    output: try text(of: "\(scratch.path)/out"), error: try text(of: "\(scratch.path)/err"),
    seconds: Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18,
    cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

/// Runs the tool with arguments as they are.
func arbiter(_ arguments: [String], in folder: String = "/tmp") throws -> Outcome {
  try shell("exec \"$arbiter\" \(arguments.map(quoted).joined(separator: " "))", in: folder)
}

/// Runs the tool with a line of arguments without quotes.
func arbiter(_ line: String, in folder: String = "/tmp") throws -> Outcome {
  try shell("exec \"$arbiter\" \(line)", in: folder)
}

private func seconds(_ time: timeval) -> Double {
  Double(time.tv_sec) + Double(time.tv_usec) / 1e6
}

/// A word that a shell reads as it is.
func quoted(_ word: String) -> String {
  "'" + word.replacing("'", with: "'\\''") + "'"
}

func text(of path: String) throws -> String {
  String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
}

func names(in folder: String) throws -> [String] {
  try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
}

func exists(_ path: String) -> Bool {
  FileManager.default.fileExists(atPath: path)
}

/// Whether a script succeeds, for tests that need something of the machine.
func works(_ script: String) -> Bool {
  (try? shell(script).code == 0) ?? false
}
