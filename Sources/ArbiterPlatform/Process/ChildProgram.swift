// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A program that this process has started and waits for.
///
/// It runs as if the shell had started it: same process group and terminal, same streams, and the
/// signal mask from before the inbox.
@safe
public struct ChildProgram: Sendable {
  /// How a program ended, and what it used.
  public struct Ending: Sendable, Hashable {
    /// Its exit code; 128 and the signal's number where a signal ended it.
    public var code: Int32
    /// The signal that ended it; nil where it ended by itself.
    public var signal: Int32?
    /// CPU seconds in user mode, of the program and of those it waited for.
    public var userSeconds: Double
    /// CPU seconds in the kernel for the same.
    public var systemSeconds: Double

    /// Makes an ending.
    package init(code: Int32, signal: Int32?, userSeconds: Double, systemSeconds: Double) {
      self.code = code
      self.signal = signal
      self.userSeconds = userSeconds
      self.systemSeconds = systemSeconds
    }
  }

  /// The kernel's number of the process.
  public let process: Int32

  /// Starts a program.
  ///
  /// - Parameters:
  ///   - file: The program.
  ///   - arguments: Its arguments, its own name first.
  ///   - environment: Its whole environment, as NAME=value.
  ///   - inbox: The signals that are blocked here and must not be there.
  ///   - ignoresPipe: Whether the program starts with SIGPIPE ignored.
  /// - Throws: ``PlatformError`` with what the kernel said of the file.
  public init(
    _ file: ProgramFile, arguments: [String], environment: [String], inbox: SignalInbox,
    ignoresPipe: Bool
  ) throws(PlatformError) {
    var number = Int32(0)
    var child = Self.spawn(
      file.path, arguments, environment, inbox: inbox, ignoresPipe: ignoresPipe, &number)
    if number == ENOEXEC {
      // A script without a first line that names its interpreter, as shells and env(1) treat it.
      let words = ["sh", file.path] + arguments.dropFirst()
      child = Self.spawn(
        "/bin/sh", words, environment, inbox: inbox, ignoresPipe: ignoresPipe, &number)
    }
    guard number == 0 else {
      let name = arguments.first ?? file.path
      // The file is there: what the kernel misses is its interpreter.
      throw PlatformError(
        number == ENOENT ? .unsupported : .noPermission, path: file.path,
        reason: number == ENOENT
          ? "cannot execute '\(name)': its interpreter does not exist"
          : "cannot execute '\(name)': \(PlatformError.text(of: number))",
        nextStep: "check that the program was made for this machine")
    }
    process = child
  }

  private static func spawn(
    _ path: String, _ arguments: [String], _ environment: [String], inbox: SignalInbox,
    ignoresPipe: Bool, _ number: inout Int32
  ) -> pid_t {
    var attributes = posix_spawnattr_t()
    // SAFETY: strings and structs outlive the calls that take them; both lists end with nil.
    unsafe posix_spawnattr_init(&attributes)
    defer { _ = unsafe posix_spawnattr_destroy(&attributes) }
    var mask = inbox.originalMask
    unsafe posix_spawnattr_setsigmask(&attributes, &mask)
    var flags = POSIX_SPAWN_SETSIGMASK
    if !ignoresPipe {
      var defaults = sigset_t()
      unsafe sigemptyset(&defaults)
      unsafe sigaddset(&defaults, SIGPIPE)
      unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
      flags |= POSIX_SPAWN_SETSIGDEF
    }
    unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
    var words = unsafe arguments.map { unsafe strdup($0) } + [nil]
    var variables = unsafe environment.map { unsafe strdup($0) } + [nil]
    defer { unsafe (words + variables).forEach { unsafe free($0) } }
    var child: pid_t = 0
    number = unsafe posix_spawn(&child, path, nil, &attributes, &words, &variables)
    return child
  }

  /// Sends the program a signal.
  public func send(_ signal: Int32) {
    _ = kill(process, signal)
  }

  /// Takes in the program's end.
  ///
  /// - Returns: How it ended; nil while it runs or is stopped.
  public func reap() -> Ending? {
    var status: Int32 = 0
    var usage = rusage()
    // SAFETY: both outlive the call.
    guard unsafe wait4(process, &status, WNOHANG, &usage) == process else { return nil }
    let signal = status & 0x7F
    return Ending(
      code: signal == 0 ? status >> 8 & 0xFF : 128 + signal, signal: signal == 0 ? nil : signal,
      userSeconds: Self.seconds(usage.ru_utime), systemSeconds: Self.seconds(usage.ru_stime))
  }

  private static func seconds(_ time: timeval) -> Double {
    Double(time.tv_sec) + Double(time.tv_usec) / 1e6
  }

  /// The environment of this process, as NAME=value.
  public static var ownEnvironment: [String] {
    var list: [String] = []
    // SAFETY: ends with nil; the texts are copied before anything can change the environment.
    var place = unsafe environ
    while let text = unsafe place.pointee {
      list.append(unsafe String(cString: text))
      unsafe place += 1
    }
    return list
  }

  /// CPU seconds that a running program and those that it has started have used so far; nil where
  /// the kernel does not say.
  public func cpuSecondsSoFar(from tree: SystemTree = SystemTree()) -> Double? {
    var sum: Double?
    var waiting = [process]
    var seenCount = 0
    // A tree of processes changes while one looks at it; the bound ends every walk.
    while let next = waiting.popLast(), seenCount < Self.familyMax {
      seenCount += 1
      guard let seconds = Self.cpuSeconds(of: next, from: tree) else { continue }
      sum = (sum ?? 0) + seconds
      for thread in tree.entries("/proc/\(next)/task") {
        let children = tree.text("/proc/\(next)/task/\(thread)/children") ?? ""
        waiting += children.split(separator: " ").compactMap { Int32($0) }
      }
    }
    return sum
  }

  /// The most processes of a program that are looked at.
  private static let familyMax = 1024

  /// Source: proc(5): utime and stime are the 14th and 15th field of /proc/PID/stat, cutime and
  /// cstime the next two.
  private static func cpuSeconds(of process: Int32, from tree: SystemTree) -> Double? {
    guard let text = tree.text("/proc/\(process)/stat"), let end = text.lastIndex(of: ")") else {
      return nil
    }
    let fields = text[text.index(after: end)...].split(separator: " ").map { Double($0) ?? 0 }
    guard fields.count > 14 else { return nil }
    return fields[11...14].reduce(0, +) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }
}
