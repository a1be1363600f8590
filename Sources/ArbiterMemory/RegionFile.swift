// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlatform
internal import CArbiter
internal import Glibc

/// A file on its way into a region: opened, sized, and removed again where it was made in vain.
struct RegionFile {
  let path: String
  let descriptor: Int32
  let isCreated: Bool
  /// The size before it was extended; nil where it was not.
  let originalBytes: Int?

  static func open(
    path: String, byteCount: Int, options: MappedRegion.Options
  )
    throws(PlatformError) -> RegionFile
  {
    let flags = O_RDWR | O_CLOEXEC
    var isCreated = false
    var descriptor = unsafe Glibc.open(path, flags)
    if descriptor < 0, errno == ENOENT, options.createsFile {
      descriptor = unsafe Glibc.open(path, flags | O_CREAT | O_EXCL, mode_t(0o600))
      isCreated = descriptor >= 0
    }
    guard descriptor >= 0 else {
      throw PlatformError(
        errorNumber: errno, path: path,
        action: isMissing(errno) && options.createsFile ? "create the file" : "open the file")
    }
    let opened = RegionFile(
      path: path, descriptor: descriptor, isCreated: isCreated, originalBytes: nil)
    do throws(PlatformError) {
      return try opened.sized(byteCount, options: options)
    } catch {
      opened.abandon()
      throw error
    }
  }

  private static func isMissing(_ errorNumber: Int32) -> Bool { errorNumber == ENOENT }

  /// Closes the file, and removes it where this program has just created it.
  func abandon() {
    if let originalBytes { ftruncate(descriptor, off_t(originalBytes)) }
    close(descriptor)
    if isCreated { unsafe unlink(path) }
  }

  private func sized(
    _ byteCount: Int, options: MappedRegion.Options
  ) throws(PlatformError)
    -> RegionFile
  {
    var facts = stat()
    guard unsafe fstat(descriptor, &facts) == 0 else {
      throw PlatformError(errorNumber: errno, path: path, action: "examine the file")
    }
    let kind = facts.st_mode & S_IFMT
    // A dax device has a fixed size, which mmap itself checks.
    if kind == S_IFCHR { return self }
    guard kind == S_IFREG else {
      throw PlatformError(
        .invalidArgument, path: path, reason: "is neither a file nor a dax device",
        nextStep: "name a file or a device such as /dev/dax0.0")
    }
    let existing = Int(facts.st_size)
    let wanted = ByteCount(bytes: byteCount)
    guard existing >= byteCount || isCreated || options.growsFile else {
      throw PlatformError(
        .tooSmall, path: path,
        reason: "holds \(ByteCount(bytes: existing)) and \(wanted) were asked for",
        nextStep: "ask for at most its size or allow the file to grow")
    }
    // Allocate holes of an existing file too: a hole on a full disk is a bus error at the first
    // store to it.
    let status = arb_file_allocate(descriptor, Int64(byteCount))
    guard status == 0 else {
      // posix_fallocate may have extended the file before it ran out of room.
      if !isCreated { ftruncate(descriptor, off_t(existing)) }
      throw PlatformError(
        errorNumber: Int32(truncatingIfNeeded: -status), path: path,
        action: "allocate \(wanted) for the file")
    }
    return RegionFile(
      path: path, descriptor: descriptor, isCreated: isCreated,
      originalBytes: existing < byteCount && !isCreated ? existing : nil)
  }
}
