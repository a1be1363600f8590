// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import Glibc

/// Runs scripts as child processes of a test.
public enum Shell {
  /// What a child process left behind.
  public struct Outcome: Sendable {
    /// The exit code; 128 and the signal's number of a process that a signal ended.
    public var code: Int32
    /// What it wrote to stdout.
    public var output: String
    /// What it wrote to stderr.
    public var error: String
    /// Time on the wall.
    public var seconds: Double
    /// CPU time of the process and of those it waited for.
    public var cpuSeconds: Double
  }

  /// Why a child process could not be run.
  public struct Failure: Error, Sendable {
    /// What the system answered.
    public let errorNumber: Int32
  }

  /// Where this build lies: the folder of the test binary, of the tool and of the libraries.
  public static let buildFolder: String = {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return (own as NSString).deletingLastPathComponent
  }()

  /// The root of this repository, found from this file's own place.
  public static let repositoryFolder: String = {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().path(percentEncoded: false)
    return root.hasSuffix("/") ? String(root.dropLast()) : root
  }()

  /// Runs a script with bash, without input, with the default reaction to every signal.
  ///
  /// - Throws: ``Failure`` where bash cannot be run, or what reading its output threw.
  ///
  /// - Parameters:
  ///   - script: The script.
  ///   - folder: Where it runs; nil for wherever the tests do.
  /// - Returns: What it left behind.
  public static func run(
    _ script: String, in folder: String? = nil
  ) throws -> Outcome {
    let scratch = TemporaryFolder()
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
    // This thread may block or ignore signals, and a child would inherit that.
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe posix_spawnattr_setsigmask(&attributes, &signals)
    unsafe sigfillset(&signals)
    unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
    unsafe posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    let place = folder.map { "cd \(quoted($0)) || exit 127\n" } ?? ""
    let words = ["bash", "-c", place + script]
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe arguments.forEach { unsafe free($0) } }
    var child: pid_t = 0
    let began = ContinuousClock.now
    let number = unsafe posix_spawnp(&child, "bash", &actions, &attributes, &arguments, environ)
    guard number == 0 else { throw Failure(errorNumber: number) }
    var status: Int32 = 0
    var usage = rusage()
    while unsafe wait4(child, &status, 0, &usage) < 0 {
      guard errno == EINTR else { throw Failure(errorNumber: errno) }
    }
    let took = began.duration(to: .now)
    let signal = status & 0x7F
    return Outcome(
      code: signal == 0 ? (status >> 8) & 0xFF : 128 + signal,
      output: try text(of: "\(scratch.path)/out"), error: try text(of: "\(scratch.path)/err"),
      seconds: Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18,
      cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime))
  }

  /// Whether a script succeeds, for tests that need something of the machine.
  public static func succeeds(_ script: String) -> Bool {
    (try? run(script).code == 0) ?? false
  }

  /// Whether a program can be found.
  public static func has(_ program: String) -> Bool {
    succeeds("command -v \(quoted(program))")
  }

  /// A word that a shell reads as it is.
  public static func quoted(_ word: String) -> String {
    "'" + word.replacing("'", with: "'\\''") + "'"
  }

  /// The content of a file, as text.
  public static func text(of path: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
  }

  private static func seconds(_ time: timeval) -> Double {
    Double(time.tv_sec) + Double(time.tv_usec) / 1e6
  }
}
