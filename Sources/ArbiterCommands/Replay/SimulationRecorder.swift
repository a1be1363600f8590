// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterTrace
internal import ArbiterWorkloads
internal import Glibc

/// Writes what simulated threads do as a recording.
///
/// The file of that name is replaced by one rename when the recording is whole.
final class SimulationRecorder {
  private let path: String
  private let partial: String
  private let descriptor: Int32
  private var writer: TraceWriter
  /// The first thing that went wrong; nothing is written after it.
  private var failure: Failure?
  private var isFinished = false

  /// Opens the file and describes the threads' regions.
  ///
  /// - Parameters:
  ///   - path: Where the recording goes.
  ///   - threadCount: Threads, each with a region of its own that has its number.
  ///   - regionBytes: Size of each.
  ///   - notes: What the recording says about itself.
  /// - Throws: ``Failure`` where the file cannot be written.
  init(
    _ path: String, threadCount: Int, regionBytes: Int, notes: [TraceNote]
  ) throws {
    self.path = path
    let isPlain = Self.isPlain(path)
    partial = isPlain ? "\(path).partial-\(getpid())" : path
    let flags = O_WRONLY | O_CLOEXEC | O_NOCTTY | (isPlain ? O_CREAT | O_EXCL : 0)
    let descriptor = unsafe open(partial, flags, 0o644)
    guard descriptor >= 0 else { throw Self.failure(path, errno) }
    self.descriptor = descriptor
    // 256 KiB of events for each thread: 128 threads are not to fill a small machine.
    writer = try unsafe TraceWriter(eventsPerChunk: 8192) { bytes in
      try unsafe Self.write(bytes, to: descriptor, path)
    }
    for note in notes { try writer.note(note.key, note.value) }
    for thread in 0..<threadCount {
      try writer.describe(
        TraceRegion(
          number: UInt8(thread), name: "thread \(thread)", byteCount: UInt64(regionBytes)))
    }
  }

  deinit {
    close(descriptor)
    if !isFinished && partial != path { _ = unsafe unlink(partial) }
  }

  /// Takes in an event of a thread.
  func add(_ event: TraceEvent, thread: Int) {
    guard failure == nil else { return }
    var event = event
    event.region = UInt8(thread)
    do {
      try writer.append(event, thread: UInt32(thread), source: .workload)
    } catch {
      failure = Failure(error)
    }
  }

  /// Throws what went wrong so far, if anything did.
  func check() throws {
    if let failure { throw failure }
  }

  /// Writes what is left and gives the file its name.
  func finish() throws {
    try check()
    try writer.finish()
    if partial != path {
      guard unsafe rename(partial, path) == 0 else { throw Self.failure(path, errno) }
    }
    isFinished = true
  }

  private static func isPlain(_ path: String) -> Bool {
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    guard unsafe stat(path, &facts) == 0 else { return true }
    return facts.st_mode & S_IFMT == S_IFREG
  }

  private static func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, _ path: String
  ) throws(Failure) {
    var done = 0
    while done < bytes.count {
      // SAFETY: the rest of the bytes is valid for the call.
      let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
      let count = unsafe Glibc.write(descriptor, rest.baseAddress, rest.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw failure(path, errno) }
      done += count
    }
  }

  private static func failure(_ path: String, _ number: Int32) -> Failure {
    let isDenied = number == EACCES || number == EPERM
    return Failure(
      isDenied ? ExitCode.permission : ExitCode.inputOutput,
      "cannot write --record=\(path): \(Console.reason(number))",
      hint: number == ENOSPC ? "free space or name another file" : "name a file that you may write")
  }
}
