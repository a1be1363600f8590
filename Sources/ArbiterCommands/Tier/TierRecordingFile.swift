// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement
internal import Glibc

/// The file that a session's samples and decisions go to while the program runs.
///
/// It grows in place, so that what is there can be read should arbiter itself be killed. Where it
/// cannot be written any more, that is said once, and the program runs on.
final class TierRecordingFile {
  private let path: String
  private let descriptor: Int32
  private var bytes: [UInt8] = []
  private var writer: TierRecordingWriter
  private var errorNumber: Int32 = 0

  private static let blockBytes = 1 << 16

  /// Opens the file and writes what is known before the first event.
  ///
  /// - Throws: ``Failure`` where it cannot be written, and where it holds something else.
  init(_ path: String, _ header: TierRecordingHeader) throws(Failure) {
    self.path = path
    // A program that arbiter runs must not have it open: O_CLOEXEC.
    descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0o644)
    writer = TierRecordingWriter(header, to: &bytes)
    guard descriptor >= 0 else { throw Self.failure(path, errno) }
    do throws(Failure) {
      try prepare()
    } catch {
      close(descriptor)
      throw error
    }
  }

  deinit {
    flush()
    close(descriptor)
  }

  /// Refuses what is no recording, and empties what is one.
  private func prepare() throws(Failure) {
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    guard unsafe fstat(descriptor, &facts) == 0 else { throw Self.failure(path, errno) }
    guard facts.st_mode & S_IFMT == S_IFREG else {
      throw Failure(
        ExitCode.usage, "--record=\(path) is no plain file, and a recording grows in one",
        hint: "name a file")
    }
    guard facts.st_size > 0 else { return }
    let magic = Array(TierRecordingWriter.magic.utf8)
    var first = [UInt8](repeating: 0, count: magic.count)
    // SAFETY: the kernel writes at most the capacity that it is told.
    let count = unsafe first.withUnsafeMutableBytes { room in
      unsafe pread(descriptor, room.baseAddress, room.count, 0)
    }
    guard count == magic.count, first == magic else {
      throw Failure(
        ExitCode.usage, "--record=\(path) names a file that is no recording of tiers",
        hint: "name another file, or remove it")
    }
    guard ftruncate(descriptor, 0) == 0 else { throw Self.failure(path, errno) }
  }

  /// Appends an event.
  func append(_ event: TierEvent) {
    guard errorNumber == 0 else { return }
    writer.append(event, to: &bytes)
    if bytes.count >= Self.blockBytes { flush() }
  }

  /// Writes what has come together.
  func flush() {
    while errorNumber == 0, !bytes.isEmpty {
      // SAFETY: the buffer is valid for the call and its length is its own count.
      let count = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
      }
      if count >= 0 {
        bytes.removeFirst(count)
      } else if errno != EINTR {
        errorNumber = errno
      }
    }
  }

  /// Why the recording is not whole, as a sentence; nil where it is.
  var remark: String? {
    guard errorNumber != 0 else { return nil }
    return "The recording --record=\(path) is cut short: \(Console.reason(errorNumber))."
  }

  private static func failure(_ path: String, _ number: Int32) -> Failure {
    let isDenied = number == EACCES || number == EPERM
    return Failure(
      isDenied ? ExitCode.permission : ExitCode.inputOutput,
      "cannot write --record=\(path): \(Console.reason(number))",
      hint: number == ENOENT ? "make the folder first" : "name a file that you may write")
  }
}
