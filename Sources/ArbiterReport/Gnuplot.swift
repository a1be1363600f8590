// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// How drawing a picture ended.
public enum Drawing: Sendable, Hashable {
  /// The picture is there.
  case drawn
  /// The program that draws is not installed.
  case programMissing
}

/// Draws the script with the given name inside a folder.
public typealias Draw = @Sendable (_ script: String, _ folder: String) throws -> Drawing

/// The program gnuplot, found by the search path.
public enum Gnuplot {
  /// Seconds after which a picture that is not finished is given up.
  public static let secondsMax = 60

  /// Draws the script with the given name inside a folder.
  ///
  /// - Throws: ``ReportError`` with gnuplot's own words where it fails, ends by a signal or takes
  ///   longer than ``secondsMax``.
  public static func draw(script: String, folder: String) throws(ReportError) -> Drawing {
    try draw(script: script, folder: folder, program: "gnuplot")
  }

  package static func draw(
    script: String, folder: String, program: String
  ) throws(ReportError) -> Drawing {
    let log = "\(folder)/\(script).log"
    defer { _ = unsafe unlink(log) }
    guard let child = try start(program, script: script, folder: folder, log: log) else {
      return .programMissing
    }
    let status = try wait(for: child, path: "\(folder)/\(script)")
    let words = (try? FileSystem.read(log)) ?? ""
    let line = words.split(separator: "\n").last { $0.contains { !$0.isWhitespace && $0 != "^" } }
    let said = line.map { ": \($0)" } ?? ""
    guard status & 0x7F == 0 else {
      throw ReportError(
        code: .drawing, path: "\(folder)/\(script)",
        reason: "\(program) ended by signal \(status & 0x7F)\(said)")
    }
    let exit = (status >> 8) & 0xFF
    // 127 is how a system without an early error reports a program that is not there.
    if exit == 127 { return .programMissing }
    guard exit == 0 else {
      throw ReportError(
        code: .drawing, path: "\(folder)/\(script)", reason: "\(program) failed\(said)")
    }
    return .drawn
  }

  /// Starts the program in the folder; nil where there is no such program.
  private static func start(
    _ program: String, script: String, folder: String, log: String
  ) throws(ReportError) -> pid_t? {
    var actions = unsafe posix_spawn_file_actions_t()
    // SAFETY: `actions` is initialised here and destroyed below; strings outlive the calls.
    unsafe posix_spawn_file_actions_init(&actions)
    defer { _ = unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    unsafe posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    unsafe posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    var child: pid_t = 0
    // SAFETY: the array ends with nil and its strings are freed after the call has copied them.
    // The C library's call that starts a child in another folder is not in Swift's view of it, so
    // that gnuplot itself goes there; the script is looked up after that.
    let words = [program, "-e", "cd \(quoted(folder))", script]
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe arguments.forEach { unsafe free($0) } }
    let number = unsafe posix_spawnp(&child, program, &actions, nil, &arguments, environ)
    if number == ENOENT { return nil }
    guard number == 0 else {
      throw FileSystem.failure("start \(program)", "\(folder)/\(script)", number)
    }
    return child
  }

  /// Waits for a child of this process, and ends it where it takes too long.
  private static func wait(for child: pid_t, path: String) throws(ReportError) -> Int32 {
    var status: Int32 = 0
    for _ in 0..<(secondsMax * 200) {
      // SAFETY: `status` outlives the call.
      let ended = unsafe waitpid(child, &status, WNOHANG)
      if ended == child { return status }
      guard ended == 0 || errno == EINTR else { throw FileSystem.failure("wait for gnuplot", path) }
      usleep(5000)
    }
    kill(child, SIGKILL)
    _ = unsafe waitpid(child, &status, 0)
    throw ReportError(
      code: .drawing, path: path, reason: "gnuplot took longer than \(secondsMax) s and was ended")
  }

  /// A path as a string of gnuplot, which would take a leading `~` for the home folder.
  private static func quoted(_ path: String) -> String {
    var text = path.hasPrefix("/") ? "'" : "'./"
    for scalar in path.unicodeScalars {
      if scalar == "'" { text += "'" }
      text.unicodeScalars.append(scalar)
    }
    return text + "'"
  }
}
