// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
public import ArbiterPlatform
internal import CArbiter
internal import Glibc

// A load from a page that the medium has lost, or that the file no longer has, raises SIGBUS. The
// checked calls let the kernel make the access instead, which answers EFAULT: no handler is
// installed, and nothing of the program's own signals changes.
//
// A kernel that copies from lost memory for the first time may stop the machine, unless it copies
// by the path that recovers from machine checks. For files on DAX that path is pread, so it comes
// first; it also notices what the mapping has not met yet. A dax device offers no such path: what
// its memory has lost and nobody has met, a checked read meets as any other kernel access would.

extension MappedRegion {
  /// Reads a range, with an error instead of a signal where that is impossible.
  ///
  /// - Parameters:
  ///   - range: The bytes to read.
  ///   - buffer: Where to; holds at least as many bytes. Its content is undefined after an error.
  /// - Precondition: The range lies within the region and the buffer is large enough.
  /// - Throws: ``PlatformError``: `mediaError` where the medium has lost bytes, `truncated` where
  ///   the file has become too short, `unsupported` where the system forbids the call.
  /// - Complexity: O(*n*); two or three system calls, one per page where a block is bad.
  public func readChecked(
    _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer
  ) throws(PlatformError) {
    check(range)
    precondition(buffer.count >= range.count, "buffer smaller than the range")
    guard !range.isEmpty, let target = buffer.baseAddress else { return }
    if case .dax = fileSystem { unsafe try readThroughFile(range, into: target) }
    // SAFETY: the range lies within the mapping, the buffer holds as many bytes.
    let copied = unsafe arb_copy_checked(target, base + range.lowerBound, range.count, 0)
    try judge(copied, range, action: "read")
  }

  /// Stores bytes, with an error instead of a signal where that is impossible.
  ///
  /// What ``store(_:at:)`` promises: nothing survives before ``persist(_:)``. After an error a part
  /// may have been stored.
  ///
  /// - Parameters:
  ///   - bytes: What to store.
  ///   - offset: Where.
  /// - Precondition: The target lies within the region.
  /// - Throws: ``PlatformError``: `mediaError` where the medium cannot take the bytes, `truncated`
  ///   where the file has become too short, `unsupported` where the system forbids the call.
  /// - Complexity: O(*n*); two system calls.
  public func writeChecked(
    _ bytes: UnsafeRawBufferPointer, at offset: Int
  ) throws(PlatformError) {
    check(offset, count: bytes.count)
    guard unsafe !bytes.isEmpty, let source = bytes.baseAddress else { return }
    // SAFETY: the target lies within the mapping by the check above.
    let copied = unsafe arb_copy_checked(base + offset, source, bytes.count, 1)
    try judge(copied, offset..<offset + bytes.count, action: "write")
  }

  /// Reads by the kernel's own path, which recovers from machine checks.
  private func readThroughFile(
    _ range: Range<Int>, into target: UnsafeMutableRawPointer
  ) throws(PlatformError) {
    let pageBytes = sysconf(Int32(_SC_PAGESIZE))
    // The kernel refuses a request with a bad block in it as a whole: page by page shows which.
    var pieceMax = range.count
    var done = 0
    while done < range.count {
      let start = fileOffset + range.lowerBound + done
      let piece = min(
        range.count - done,
        pieceMax == pageBytes ? pageBytes - start % pageBytes : pieceMax)
      // SAFETY: the caller's buffer holds `range.count` bytes.
      let count = unsafe pread(descriptor, target + done, piece, off_t(start))
      if count < 0, errno == EINTR { continue }
      // Nothing at the end of a file that has become too short, which `judge` then finds.
      if count == 0 { return }
      if count > 0 {
        done += count
        continue
      }
      let cause = errno
      guard cause == EIO || cause == EFAULT || cause == EHWPOISON else {
        throw PlatformError(errorNumber: cause, path: path, action: "read the file")
      }
      if pieceMax == pageBytes || piece <= pageBytes - start % pageBytes {
        throw lost(at: range.lowerBound + done, "read")
      }
      pieceMax = pageBytes
    }
  }

  private func judge(_ copied: Int64, _ range: Range<Int>, action: String) throws(PlatformError) {
    if case .deviceDax = fileSystem {} else { try checkSize(range) }
    if copied == Int64(range.count) { return }
    guard copied >= 0 || copied == -Int64(EFAULT) || copied == -Int64(EHWPOISON)
    else {
      let cause = Int32(truncatingIfNeeded: -copied)
      throw cause == EPERM || cause == ENOSYS
        ? PlatformError(
          .unsupported, path: path,
          reason: "this system forbids process_vm_\(action)v, which the checked calls use",
          nextStep: "allow it to the container or use the calls without checks")
        : PlatformError(errorNumber: cause, path: path, action: "\(action) the mapping")
    }
    throw lost(at: range.lowerBound + Int(max(0, copied)), action)
  }

  private func lost(at offset: Int, _ action: String) -> PlatformError {
    PlatformError(
      .mediaError, path: path,
      reason: "cannot \(action) at offset \(fileOffset + offset): the medium has lost the page",
      nextStep: "restore it from a copy and look for bad blocks with 'arbiter doctor'")
  }

  private func checkSize(_ range: Range<Int>) throws(PlatformError) {
    var facts = stat()
    guard unsafe fstat(descriptor, &facts) == 0 else {
      throw PlatformError(errorNumber: errno, path: path, action: "examine the file")
    }
    let size = Int(facts.st_size)
    guard size >= fileOffset + range.upperBound else {
      throw PlatformError(
        .truncated, path: path,
        reason: "has shrunk to \(ByteCount(bytes: size)), and offset "
          + "\(fileOffset + range.upperBound - 1) lies behind its end",
        nextStep: "give the file its size again, restore its content and map it anew")
    }
  }
}
