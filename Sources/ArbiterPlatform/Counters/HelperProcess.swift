// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiterCounters
internal import Glibc

/// How the helper that reads module counters is started.
public struct HelperProgram: Sendable, Hashable {
  /// The executable.
  public var path: String
  /// The arguments after the program's name; `{parent}` in one stands for this process's number.
  public var arguments: [String]

  /// Makes a description.
  public init(path: String, arguments: [String]) {
    self.path = path
    self.arguments = arguments
  }

  /// The hidden verb of the tool.
  public static let verb = "read-module-counters"

  /// The tool at a path, asked to read module counters.
  ///
  /// - Parameters:
  ///   - path: The `arbiter` executable.
  ///   - library: The library, where it is another than the system's.
  /// - Returns: The description.
  public static func arbiter(
    at path: String, library: String = ModuleCounterHelper.libraryName
  ) -> HelperProgram {
    HelperProgram(
      path: path, arguments: [verb, "--every", "1s", "--parent", "{parent}", "--library", library])
  }

  /// This program where it is the tool; nil where it is any other, which has no such verb.
  public static var ofThisProgram: HelperProgram? {
    SystemTree().linkTargetName("/proc/self/exe") == "arbiter"
      ? arbiter(at: "/proc/self/exe") : nil
  }
}

/// A running helper and the end of the pipe on which its lines arrive.
struct HelperProcess: ~Copyable {
  /// Does not block.
  let descriptor: Int32
  private let process: pid_t

  /// How long a process that was killed may take to end, in milliseconds.
  private static let reapMillisecondsMax = 200

  /// Starts a helper with nothing but its pipe: no input, no terminal, no descriptor of ours.
  init(_ program: HelperProgram) throws(PlatformError) {
    var readEnd: Int32 = -1
    var writeEnd: Int32 = -1
    let opened = unsafe arb_pipe_open(&readEnd, &writeEnd)
    guard opened == 0 else {
      throw PlatformError(errorNumber: Int32(-opened), path: nil, action: "open a pipe")
    }
    var actions = unsafe posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    // SAFETY: structures and strings outlive the calls that take them; arguments end with nil.
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawnattr_init(&attributes)
    unsafe posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, writeEnd, STDOUT_FILENO)
    unsafe posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
    unsafe arb_spawn_close_from(&actions, 3)
    // The thread that starts helpers blocks every signal, and a child would inherit that.
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe posix_spawnattr_setsigmask(&attributes, &signals)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    let words = [program.path] + program.arguments.map { $0 == "{parent}" ? "\(getpid())" : $0 }
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    var child: pid_t = 0
    let status = unsafe posix_spawn(
      &child, program.path, &actions, &attributes, &arguments, environ)
    unsafe arguments.forEach { unsafe free($0) }
    unsafe posix_spawn_file_actions_destroy(&actions)
    unsafe posix_spawnattr_destroy(&attributes)
    close(writeEnd)
    guard status == 0 else {
      close(readEnd)
      throw PlatformError(
        errorNumber: status, path: program.path, action: "start the counter helper",
        nextStep: "check that the file can be executed")
    }
    descriptor = readEnd
    process = child
  }

  /// Ends the helper and says how it ended; nil where only this call ended it.
  ///
  /// Bounded: a helper that the kernel cannot end yet, in the middle of a command to the firmware,
  /// is left behind with its death decided.
  consuming func end(wasClosed: Bool) -> String? {
    close(descriptor)
    var status: Int32 = 0
    // A helper that closed its pipe is about to end by itself, and how tells what happened.
    if wasClosed, reap(&status) { return Self.describe(status) }
    // Somebody who waits for any child may have taken it; its number may be another's by now.
    guard unsafe waitpid(process, &status, WNOHANG) == 0 else { return nil }
    kill(process, SIGKILL)
    _ = reap(&status)
    return nil
  }

  private func reap(_ status: inout Int32) -> Bool {
    for _ in 0..<Self.reapMillisecondsMax {
      let ended = unsafe waitpid(process, &status, WNOHANG)
      if ended == process { return true }
      if ended < 0, errno != EINTR { return false }
      usleep(1_000)
    }
    return false
  }

  private static func describe(_ status: Int32) -> String {
    let signal = status & 0x7F
    return signal == 0
      ? "ended with exit code \((status >> 8) & 0xFF)" : "was ended by signal \(signal)"
  }
}
