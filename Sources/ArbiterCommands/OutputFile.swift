// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterReport
internal import Glibc

/// The file that `--output` or another option names.
///
/// A plain file is replaced by one rename when its new contents are whole. Anything else (a
/// terminal, a pipe, a device) is written to as it stands: a rename would put a file in its place.
struct OutputFile: Sendable {
  private enum Kind {
    /// The process's own standard output.
    case standardOutput
    /// A file, or nothing yet.
    case plain
    /// A device or a pipe, by whatever name.
    case stream
  }

  private let named: String
  private let option: String
  private let target: String
  private let kind: Kind

  /// Looks at the place before a long computation.
  ///
  /// - Parameters:
  ///   - path: The place.
  ///   - option: The option that names it.
  /// - Throws: ``Failure`` where the place is a folder or could not be written.
  init(_ path: String, option: String = "output") throws(Failure) {
    named = path
    self.option = option
    if ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].contains(path) {
      (target, kind) = (path, .standardOutput)
      return
    }
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    guard unsafe stat(path, &facts) == 0 else {
      guard errno == ENOENT else { throw Self.failure(option, path, errno) }
      (target, kind) = (path, .plain)
      try probe()
      return
    }
    switch facts.st_mode & S_IFMT {
    case S_IFDIR: throw Self.failure(option, path, EISDIR)
    case S_IFREG:
      // Below /dev and /proc a plain file is an open descriptor of somebody's.
      let isDescriptor = path.hasPrefix("/dev/") && !path.hasPrefix("/dev/shm/")
      guard !isDescriptor, !path.hasPrefix("/proc/") else {
        (target, kind) = (path, .stream)
        return
      }
      (target, kind) = (Self.resolved(path), .plain)
      guard unsafe access(target, W_OK) == 0 else { throw Self.failure(option, path, errno) }
      try probe()
    default: (target, kind) = (path, .stream)
    }
  }

  private var partial: String { "\(target).partial-\(getpid())" }

  /// Follows links, so that the file behind one is replaced and not the link.
  static func resolved(_ path: String) -> String {
    // SAFETY: realpath allocates the text, which is copied and freed here.
    guard let text = unsafe realpath(path, nil) else { return path }
    defer { unsafe free(text) }
    return unsafe String(cString: text)
  }

  private func probe() throws(Failure) {
    let descriptor = unsafe open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Self.failure(option, named, errno) }
    close(descriptor)
    _ = unsafe unlink(partial)
  }

  /// Writes the text whole, or leaves a plain file as it was.
  func write(_ text: String) throws(Failure) {
    switch kind {
    case .standardOutput: try Console.write(text)
    case .stream:
      let descriptor = unsafe open(target, O_WRONLY | O_APPEND | O_CLOEXEC)
      guard descriptor >= 0 else { throw Self.failure(option, named, errno) }
      let number = Console.writeAll(text, to: descriptor)
      let closed = close(descriptor) == 0 ? 0 : errno
      for failed in [number, closed] where failed != 0 { throw Self.failure(option, named, failed) }
    case .plain:
      do throws(ReportError) {
        try FileSystem.write(text, to: partial)
        try FileSystem.rename(partial, to: target)
      } catch {
        _ = unsafe unlink(partial)
        throw Self.failure(option, named, error.errorNumber)
      }
    }
  }

  private static func failure(
    _ option: String, _ path: String, _ number: Int32
  ) -> Failure {
    let isDenied = number == EACCES || number == EPERM
    return Failure(
      isDenied ? ExitCode.permission : ExitCode.inputOutput,
      "cannot write --\(option)=\(path): \(Console.reason(number))",
      hint: hint(number))
  }

  private static func hint(_ number: Int32) -> String {
    switch number {
    case ENOSPC, EDQUOT: "free space or name another file"
    case ENOENT: "make the folder first, or name another file"
    default: "name a file that you may write"
    }
  }
}
