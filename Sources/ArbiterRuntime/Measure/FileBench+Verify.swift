// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMemory
public import ArbiterPlatform
internal import Glibc

extension FileBench {
  /// Reads every block back that a run has written, and compares each of its lines with what was
  /// last written to it.
  ///
  /// Shows that the writes are right and that other readers of the file see them, not that they
  /// would survive.
  ///
  /// - Parameters:
  ///   - outcome: What the run returned.
  ///   - path: The file as the run left it.
  ///   - byteCount: As the run was told.
  /// - Returns: How many lines were compared and which are wrong.
  /// - Throws: ``PlatformError`` where the file cannot be read, or the run has only read.
  /// - Complexity: O(accesses + bytes); 8 bytes of memory for each block of a slice.
  public func verify(
    _ outcome: Outcome, on path: String, byteCount: Int
  ) throws(PlatformError) -> RealRun.Verification {
    guard configuration.method.writes else {
      throw PlatformError(
        .invalidArgument, path: path, reason: "a run that only read has written nothing",
        nextStep: "verify runs that write")
    }
    let slices = try configuration.slices(ofBytes: byteCount)
    let descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw PlatformError(errorNumber: errno, path: path, action: "open the file")
    }
    defer { close(descriptor) }
    try Self.checkSize(of: descriptor, at: path, byteCount: byteCount)
    let length = configuration.blockBytes
    // SAFETY: the memory is owned by this call.
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: length, alignment: 4096)
    defer { unsafe buffer.deallocate() }
    var verification = RealRun.Verification()
    for (thread, slice) in slices.enumerated() {
      let rest = FileBlock(configuration, thread: thread)
      let last = lastSequences(
        thread: thread, slice: slice, accessCount: outcome.threads[thread].accessCount)
      for (place, sequence) in last.enumerated() where sequence != 0 {
        let offset = slice.lowerBound + place * length
        unsafe try Self.read(descriptor, buffer, offset, length, path)
        let stamp = LineStamp(
          seed: configuration.seed, thread: UInt64(thread), sequence: sequence,
          offset: UInt64(offset))
        for line in stride(from: 0, to: length, by: 64) {
          // SAFETY: the line lies within the buffer, which holds a block.
          let found = unsafe (buffer + line).load(as: CacheLine.self)
          verification.check(
            found, against: stamp, line: line == 0 ? stamp.line : rest.line(at: line),
            at: offset + line)
        }
      }
    }
    return verification
  }

  /// Which access of the thread came last to each block of its slice; 0 for none.
  private func lastSequences(
    thread: Int, slice: Range<Int>, accessCount: UInt64
  ) -> [UInt64] {
    let length = configuration.blockBytes
    var last = [UInt64](repeating: 0, count: slice.count / length)
    var addresses = AddressStream(
      slice: slice, accessBytes: length, pattern: configuration.pattern, seed: configuration.seed,
      thread: thread)
    var sequence: UInt64 = 0
    while sequence < accessCount {
      sequence += 1
      last[(addresses.next() - slice.lowerBound) / length] = sequence
    }
    return last
  }

  private static func read(
    _ descriptor: Int32, _ buffer: UnsafeMutableRawPointer, _ offset: Int, _ length: Int,
    _ path: String
  ) throws(PlatformError) {
    var done = 0
    while done < length {
      // SAFETY: `done` is below the length, so that the rest lies inside the buffer.
      let count = unsafe pread(descriptor, buffer + done, length - done, off_t(offset + done))
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        throw PlatformError(
          errorNumber: count < 0 ? errno : EIO, path: path, action: "read the file back")
      }
      done += count
    }
  }
}
