// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterTrace
internal import Glibc

/// The file that a recording goes to, chunk by chunk while the program runs.
///
/// It grows in place, so that what is there can be read should arbiter itself be killed.
final class RecordingFile {
  /// Why nothing more is written: the system's error number; 0 while all is well.
  private(set) var errorNumber: Int32 = 0

  private let path: String
  private let descriptor: Int32
  private let isPlain: Bool
  private var byteCount = 0

  /// How a recording begins, so that an earlier one is known when its file is named again.
  ///
  /// Source: Documentation/TraceFormat.md.
  private static let beginning: [UInt8] = [0x89] + Array("ARBT".utf8)

  /// Opens the file.
  ///
  /// - Throws: ``Failure`` where it cannot be written, and where it holds something else.
  init(_ path: String) throws(Failure) {
    self.path = path
    // A program that arbiter runs must not have it open: O_CLOEXEC.
    descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0o644)
    guard descriptor >= 0 else { throw Self.failure(path, errno) }
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    guard unsafe fstat(descriptor, &facts) == 0 else { throw Self.failure(path, errno) }
    isPlain = facts.st_mode & S_IFMT == S_IFREG
    // A pipe that nobody empties would hold arbiter, and the program with it, for ever.
    guard facts.st_mode & S_IFMT != S_IFIFO else {
      close(descriptor)
      throw Failure(
        ExitCode.usage, "--output=\(path) names a pipe, and a recording grows in a file",
        hint: "name a file, and send it on when the program has ended")
    }
    guard isPlain else { return }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK else {
      close(descriptor)
      throw Failure(
        ExitCode.usage, "--output=\(path) is being recorded to by another arbiter",
        hint: "name another file, or wait for its program to end")
    }
    guard facts.st_size > 0 else { return }
    var first = [UInt8](repeating: 0, count: Self.beginning.count)
    // SAFETY: the kernel writes at most the capacity that it is told.
    let count = unsafe first.withUnsafeMutableBytes { bytes in
      unsafe pread(descriptor, bytes.baseAddress, bytes.count, 0)
    }
    guard count == first.count, first == Self.beginning else {
      close(descriptor)
      throw Failure(
        ExitCode.usage, "--output=\(path) names a file that is no recording",
        hint: "name another file, or remove it")
    }
    guard ftruncate(descriptor, 0) == 0 else { throw Self.failure(path, errno) }
  }

  deinit { close(descriptor) }

  /// The bytes that were written so far; nil where the file is none that can be read back.
  var bytes: TraceBytes? {
    guard isPlain else { return nil }
    let (descriptor, path) = (descriptor, path)
    return TraceBytes(byteCount: UInt64(byteCount)) { (offset, count) throws(TraceError) in
      var bytes = [UInt8](repeating: 0, count: count)
      // SAFETY: the kernel writes at most the count that it is told.
      let done = unsafe bytes.withUnsafeMutableBytes { place in
        unsafe pread(descriptor, place.baseAddress, count, off_t(offset))
      }
      guard done == count else {
        throw TraceError(
          .inputOutput, offset: offset, reason: "\(path) cannot be read back",
          nextStep: "read the file with 'arbiter trace info'")
      }
      return bytes
    }
  }

  /// Writes a chunk whole, or takes its beginning back and throws.
  func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    guard errorNumber == 0 else { throw Self.failure(path, errorNumber) }
    var done = 0
    while done < bytes.count {
      // SAFETY: the rest of the bytes is valid for the call.
      let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
      let count = unsafe Glibc.write(descriptor, rest.baseAddress, rest.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        errorNumber = count < 0 ? errno : EIO
        // A reader stops at the last whole chunk anyway; this only keeps the file tidy.
        if isPlain { _ = ftruncate(descriptor, byteCount) }
        throw Self.failure(path, errorNumber)
      }
      done += count
    }
    byteCount += bytes.count
  }

  private static func failure(_ path: String, _ number: Int32) -> Failure {
    let isDenied = number == EACCES || number == EPERM
    return Failure(
      isDenied ? ExitCode.permission : ExitCode.inputOutput,
      "cannot write --output=\(path): \(Console.reason(number))",
      hint: number == ENOSPC ? "free space or name another file" : "name a file that you may write")
  }
}
