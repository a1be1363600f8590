// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The file from which node_exporter's textfile collector reads metrics.
///
/// Replaced by one rename, so that a reader finds the old metrics or the new ones, whole. Readable
/// by everybody, as the collector runs as a user of its own. Not forced to the disk: after a loss
/// of power the figures are worth nothing.
struct MetricsFile: Sendable {
  private let path: String
  private let option: String
  private let target: String
  private let partial: String

  /// Names the file; the one behind a link is replaced, not the link.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - option: The option that names it.
  init(_ path: String, option: String = "textfile") {
    self.path = path
    self.option = option
    target = OutputFile.resolved(path)
    // The collector reads names that end in .prom, so this one must not.
    partial = "\(target).partial-\(getpid())"
  }

  /// Whether the collector will look at it.
  var isCollected: Bool { path.hasSuffix(".prom") }

  /// Finds out whether the file can be written, before what it shall tell has begun.
  func check() throws(Failure) {
    try checkKind()
    // SAFETY: the path is a text that outlives the calls.
    let descriptor = unsafe open(partial, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard descriptor >= 0 else { throw failure(errno) }
    close(descriptor)
    _ = unsafe unlink(partial)
  }

  /// Writes the text whole, or leaves the file as it was.
  func write(_ text: String) throws(Failure) {
    try checkKind()
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW
    // SAFETY: paths are texts that outlive the calls.
    let descriptor = unsafe open(partial, flags, 0o644)
    guard descriptor >= 0 else { throw failure(errno) }
    // Whatever the process's mask is.
    var number = fchmod(descriptor, 0o644) == 0 ? 0 : errno
    if number == 0 { number = Console.writeAll(text, to: descriptor) }
    let closed = close(descriptor) == 0 ? 0 : errno
    if number == 0 { number = closed }
    if number == 0 { number = unsafe rename(partial, target) == 0 ? 0 : errno }
    guard number != 0 else { return }
    _ = unsafe unlink(partial)
    throw failure(number)
  }

  /// Refuses what a rename would put a file in the place of: /dev/null, a pipe, a folder.
  private func checkKind() throws(Failure) {
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    guard unsafe stat(path, &facts) == 0, facts.st_mode & S_IFMT != S_IFREG else { return }
    if facts.st_mode & S_IFMT == S_IFDIR { throw failure(EISDIR) }
    throw Failure(
      ExitCode.usage, "--\(option)=\(path) is no plain file",
      hint: option == "textfile"
        ? "name a file, or leave --textfile out and add --once to see the metrics here"
        : "name a file")
  }

  private func failure(_ number: Int32) -> Failure {
    let isDenied = number == EACCES || number == EPERM
    return Failure(
      isDenied ? ExitCode.permission : ExitCode.inputOutput,
      "cannot write --\(option)=\(path): \(Console.reason(number))",
      hint: hint(number))
  }

  private func hint(_ number: Int32) -> String {
    switch number {
    case ENOSPC, EDQUOT: "free space or name another file"
    case ENOENT: "make the folder first, or name another file"
    default: "name a file that you may write"
    }
  }
}
