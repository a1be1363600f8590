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
  private let partial: String

  /// Names the file; a link is followed by the first write.
  init(_ path: String) {
    self.path = path
    // The collector reads names that end in .prom, so this one must not.
    partial = "\(path).partial-\(getpid())"
  }

  /// Whether the collector will look at it.
  var isCollected: Bool { path.hasSuffix(".prom") }

  /// Writes the text whole, or leaves the file as it was.
  func write(_ text: String) throws(Failure) {
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW
    // SAFETY: paths are texts that outlive the calls.
    let descriptor = unsafe open(partial, flags, 0o644)
    guard descriptor >= 0 else { throw failure(errno) }
    // Whatever the process's mask is.
    var number = fchmod(descriptor, 0o644) == 0 ? 0 : errno
    if number == 0 { number = Console.writeAll(text, to: descriptor) }
    let closed = close(descriptor) == 0 ? 0 : errno
    if number == 0 { number = closed }
    if number == 0 { number = unsafe rename(partial, path) == 0 ? 0 : errno }
    guard number != 0 else { return }
    _ = unsafe unlink(partial)
    throw failure(number)
  }

  private func failure(_ number: Int32) -> Failure {
    let isDenied = number == EACCES || number == EPERM
    return Failure(
      isDenied ? ExitCode.permission : ExitCode.inputOutput,
      "cannot write --textfile=\(path): \(Console.reason(number))",
      hint: number == ENOSPC ? "free space or name another file" : "name a file that you may write")
  }
}
