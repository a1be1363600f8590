// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterReport
internal import ArbiterTrace
internal import Glibc

extension Failure {
  /// What an error of a recording or of a text of accesses means for a file.
  init(_ error: TraceError, of path: String) {
    let isTrouble = error.code == .inputOutput
    self.init(
      isTrouble ? ExitCode.inputOutput : ExitCode.badInput, "cannot read '\(path)': \(error.place)",
      hint: error.nextStep)
  }
}

extension TraceError {
  /// Where and what, without the next step.
  ///
  /// A fault of a text names its line, which says more than an offset.
  var place: String { code == .syntax ? reason : "byte \(offset): \(reason)" }
}

/// A file that is read, with its descriptor.
final class TraceInput: Sendable {
  let path: String
  /// Size of a plain file; nil of a pipe.
  let byteCount: UInt64?
  private let descriptor: Int32

  /// Opens a file.
  ///
  /// - Parameters:
  ///   - path: Its name.
  ///   - mayBePipe: Whether a pipe will do; to open one waits for whoever writes to it.
  /// - Throws: ``Failure`` where that is not possible.
  init(_ path: String, mayBePipe: Bool = false) throws(Failure) {
    self.path = path
    var named = stat()
    // SAFETY: `named` outlives the call.
    if !mayBePipe, unsafe stat(path, &named) == 0, named.st_mode & S_IFMT == S_IFIFO {
      throw Self.noFile(path)
    }
    descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Self.failure(path, errno) }
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    guard unsafe fstat(descriptor, &facts) == 0 else { throw Self.failure(path, errno) }
    guard facts.st_mode & S_IFMT != S_IFDIR else { throw Self.failure(path, EISDIR) }
    byteCount = facts.st_mode & S_IFMT == S_IFREG ? UInt64(max(0, facts.st_size)) : nil
  }

  deinit { close(descriptor) }

  static func failure(_ path: String, _ number: Int32) -> Failure {
    let isDenied = number == EACCES || number == EPERM
    let isTrouble = [EIO, ENOMEM, EMFILE, ENFILE].contains(number)
    return Failure(
      isDenied ? ExitCode.permission : isTrouble ? ExitCode.inputOutput : ExitCode.badInput,
      "cannot read '\(path)': \(Console.reason(number))", hint: "check the path")
  }

  private static func noFile(_ path: String) -> Failure {
    Failure(
      ExitCode.badInput,
      "cannot read '\(path)': a recording is read from a plain file, not a pipe or device",
      hint: "write it to a file first")
  }

  /// Random access, for recordings.
  func bytes() throws(Failure) -> TraceBytes {
    guard let byteCount else { throw Self.noFile(path) }
    return TraceBytes(byteCount: byteCount) { (offset, count) throws(TraceError) in
      try self.read(at: offset, count: count)
    }
  }

  /// The recording in the file.
  func recording() throws(Failure) -> TraceFile {
    let bytes = try bytes()
    do throws(TraceError) {
      return try TraceFile(bytes)
    } catch {
      throw Failure(error, of: path)
    }
  }

  private func read(at offset: UInt64, count: Int) throws(TraceError) -> [UInt8] {
    var number: Int32 = 0
    // SAFETY: each call writes at most as many bytes as are left in the buffer.
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, done in
      while done < count, let start = buffer.baseAddress {
        let got = unsafe pread(
          descriptor, start + done, count - done, off_t(offset) + off_t(done))
        if got < 0, errno == EINTR { continue }
        if got < 0 { number = errno }
        if got <= 0 { return }
        done += got
      }
    }
    guard number == 0 else {
      throw TraceError(
        .inputOutput, offset: offset, reason: Console.reason(number), nextStep: "check the disk")
    }
    return bytes
  }

  /// The next bytes of a text, at most 64 KiB; empty at the end.
  func next() throws(Failure) -> [UInt8] {
    while true {
      var number: Int32 = 0
      // SAFETY: the call writes at most as many bytes as the buffer has.
      let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, done in
        let got = unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
        if got < 0 { number = errno }
        done = max(0, got)
      }
      if number == EINTR { continue }
      guard number == 0 else { throw Self.failure(path, number) }
      return bytes
    }
  }
}

/// A progress line for work on a file.
struct TraceProgress {
  private var meter: ProgressMeter
  private let isQuiet: Bool
  private let began = Console.seconds

  init(_ title: String, isQuiet: Bool) {
    meter = ProgressMeter(title, on: Console.error())
    self.isQuiet = isQuiet
  }

  mutating func show(_ done: UInt64, of all: UInt64) {
    guard !isQuiet, all > 0 else { return }
    let share = Double(done) / Double(all)
    if let line = meter.update(share: share, atSeconds: Console.seconds - began) {
      Console.note(line)
    }
  }

  mutating func finish() {
    if let line = meter.finish() { Console.note(line) }
  }
}
