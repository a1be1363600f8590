// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Where a verb writes what may be longer than memory.
///
/// A plain file gets its name when its contents are whole, so that nobody takes half of them for
/// all. Standard output, pipes and devices are written to as they stand.
final class TraceOutput {
  private let path: String?
  private var descriptor: Int32
  /// The file that becomes `path`; nil where there is no renaming.
  private var partial: String?
  private var waiting: [UInt8] = []

  /// Opens a file, or standard output for nil.
  ///
  /// - Throws: ``Failure`` where that is not possible.
  init(_ path: String?) throws(Failure) {
    // Opened anew, a file behind standard output would be overwritten from its start.
    let own = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]
    guard let path, !own.contains(path) else {
      self.path = nil
      descriptor = 1
      return
    }
    self.path = path
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    let exists = unsafe stat(path, &facts) == 0
    let isPlain = !exists || facts.st_mode & S_IFMT == S_IFREG
    if exists, facts.st_mode & S_IFMT == S_IFDIR { throw Self.failure(path, EISDIR) }
    if exists, isPlain, unsafe access(path, W_OK) != 0 { throw Self.failure(path, errno) }
    // Below /dev and /proc a plain file is an open descriptor of somebody's.
    guard isPlain, !path.hasPrefix("/dev/") || path.hasPrefix("/dev/shm/"),
      !path.hasPrefix("/proc/")
    else {
      descriptor = unsafe open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
      guard descriptor >= 0 else { throw Self.failure(path, errno) }
      return
    }
    let name = "\(Self.resolved(path)).partial-\(getpid())"
    descriptor = unsafe open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw Self.failure(path, errno) }
    partial = name
    PartialFile.clean(name)
  }

  /// Whoever has not called ``finish()`` has failed: what is there of the file goes.
  deinit {
    if descriptor > 2 { close(descriptor) }
    if let partial { _ = unsafe unlink(partial) }
    if partial != nil { PartialFile.keep() }
  }

  /// Follows links, so that the file behind one is replaced and not the link.
  private static func resolved(_ path: String) -> String {
    // SAFETY: realpath allocates the text, which is copied and freed here.
    guard let text = unsafe realpath(path, nil) else { return path }
    defer { unsafe free(text) }
    return unsafe String(cString: text)
  }

  /// Adds bytes.
  func write(_ bytes: [UInt8]) throws(Failure) {
    waiting += bytes
    if waiting.count >= 1 << 16 { try flush() }
  }

  /// Adds text.
  func write(_ text: String) throws(Failure) {
    waiting += text.utf8
    if waiting.count >= 1 << 16 { try flush() }
  }

  /// Adds bytes that C holds.
  func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    // SAFETY: the bytes are copied before the call returns.
    waiting += unsafe Array(bytes)
    if waiting.count >= 1 << 16 { try flush() }
  }

  private func flush() throws(Failure) {
    var done = 0
    while done < waiting.count {
      // SAFETY: `done` is below the count, so that the rest lies inside the array.
      let count = unsafe waiting.withUnsafeBytes { bytes in
        unsafe Glibc.write(
          descriptor, bytes.baseAddress.map { unsafe $0 + done }, bytes.count - done)
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw failed(errno)
      }
      done += count
    }
    waiting.removeAll(keepingCapacity: true)
  }

  /// Writes what is left and gives the file its name.
  func finish() throws(Failure) {
    try flush()
    guard let path, descriptor > 2 else { return }
    if partial != nil, fsync(descriptor) != 0, errno != EINVAL, errno != EROFS {
      throw failed(errno)
    }
    let number = close(descriptor) == 0 ? 0 : errno
    descriptor = -1
    guard number == 0 else { throw failed(number) }
    guard let name = partial else { return }
    guard unsafe rename(name, Self.resolved(path)) == 0 else { throw failed(errno) }
    partial = nil
    PartialFile.keep()
  }

  private func failed(_ number: Int32) -> Failure {
    guard let path else {
      // A reader that has seen enough (head) is no failure of ours, but nothing more can be said.
      if number == EPIPE { exit(ExitCode.done) }
      return Failure(
        ExitCode.inputOutput, "cannot write the results: \(Console.reason(number))",
        hint: "write them elsewhere with --output=<FILE>")
    }
    return Self.failure(path, number)
  }

  private static func failure(_ path: String, _ number: Int32) -> Failure {
    let isDenied = number == EACCES || number == EPERM
    return Failure(
      isDenied ? ExitCode.permission : ExitCode.inputOutput,
      "cannot write --output=\(path): \(Console.reason(number))",
      hint: number == ENOSPC ? "free space or name another file" : "name a file that you may write")
  }
}
