// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlatform
internal import CArbiter
internal import Glibc

/// A file on its way into a region: opened, sized, and removed again where it was made in vain.
struct RegionFile {
  /// How a file that this program makes comes to its name.
  enum Origin {
    /// It was there before.
    case existing
    /// It has its name already.
    case created
    /// It has none until ``publish(isVolatile:)``, so that nobody else can map it before.
    case unnamed
    /// It never gets one.
    case memory
  }

  let path: String
  let descriptor: Int32
  let origin: Origin
  /// The size before it was extended; nil where it was not.
  var originalBytes: Int?

  static func open(
    path: String, byteCount: Int, options: MappedRegion.Options
  ) throws(PlatformError) -> RegionFile {
    var opened = try descriptor(path: path, options: options)
    do throws(PlatformError) {
      try opened.setSize(byteCount, options: options)
      return opened
    } catch {
      opened.abandon()
      throw error
    }
  }

  /// A file in DRAM without a path.
  static func memory(name: String, byteCount: Int) throws(PlatformError) -> RegionFile {
    let descriptor = unsafe arb_memory_file(name)
    guard descriptor >= 0 else {
      throw PlatformError(
        errorNumber: Int32(truncatingIfNeeded: -descriptor), path: "memfd:\(name)",
        action: "make a file in memory")
    }
    var file = RegionFile(
      path: "memfd:\(name)", descriptor: Int32(truncatingIfNeeded: descriptor), origin: .memory)
    do throws(PlatformError) {
      try file.setSize(byteCount, options: .init())
      return file
    } catch {
      file.abandon()
      throw error
    }
  }

  private static func descriptor(
    path: String, options: MappedRegion.Options
  ) throws(PlatformError) -> RegionFile {
    let flags = O_RDWR | O_CLOEXEC
    var origin = Origin.existing
    var descriptor = unsafe Glibc.open(path, flags)
    if descriptor < 0, errno == ENOENT, options.createsFile {
      // Not every file system has nameless files; there the name comes first.
      descriptor = unsafe Int32(truncatingIfNeeded: arb_open_nameless(folder(of: path)))
      origin = .unnamed
      if descriptor < 0 {
        descriptor = unsafe Glibc.open(path, flags | O_CREAT | O_EXCL, mode_t(0o600))
        origin = .created
      }
    }
    guard descriptor >= 0 else {
      throw PlatformError(
        errorNumber: errno, path: path,
        action: errno == ENOENT && options.createsFile ? "create the file" : "open the file")
    }
    return RegionFile(path: path, descriptor: descriptor, origin: origin)
  }

  private static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// A path that leads to the open file now, whether or not it has its name yet.
  var currentPath: String {
    switch origin {
    case .existing, .created: path
    case .unnamed, .memory: descriptorPath
    }
  }

  private var descriptorPath: String { "/proc/self/fd/\(descriptor)" }

  /// Makes the size of a new file survive a loss of power.
  ///
  /// Before it is mapped: fsync takes the right to store from every mapping of a file on DAX, and
  /// each page would fault again.
  func settle(isVolatile: Bool) throws(PlatformError) {
    guard !isVolatile, origin == .unnamed || origin == .created else { return }
    guard fsync(descriptor) == 0 else {
      throw PlatformError(errorNumber: errno, path: path, action: "make the new file durable")
    }
  }

  /// Gives a new file its name, and makes the name survive a loss of power.
  func publish(isVolatile: Bool) throws(PlatformError) {
    guard origin == .unnamed || origin == .created else { return }
    if origin == .unnamed,
      unsafe linkat(AT_FDCWD, descriptorPath, AT_FDCWD, path, AT_SYMLINK_FOLLOW) != 0
    {
      throw PlatformError(errorNumber: errno, path: path, action: "create the file")
    }
    if isVolatile { return }
    let folder = unsafe Glibc.open(Self.folder(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { if folder >= 0 { close(folder) } }
    guard folder >= 0, fsync(folder) == 0 else {
      let cause = errno
      if origin == .unnamed { unsafe unlink(path) }
      throw PlatformError(errorNumber: cause, path: path, action: "make the new file durable")
    }
  }

  /// Closes the file, and removes it where this program has just created it.
  func abandon() {
    if let originalBytes { ftruncate(descriptor, off_t(originalBytes)) }
    close(descriptor)
    if origin == .created { unsafe unlink(path) }
  }

  private mutating func setSize(
    _ byteCount: Int, options: MappedRegion.Options
  ) throws(PlatformError) {
    var facts = stat()
    guard unsafe fstat(descriptor, &facts) == 0 else {
      throw PlatformError(errorNumber: errno, path: path, action: "examine the file")
    }
    let kind = facts.st_mode & S_IFMT
    // A dax device has a fixed size, and nothing to allocate.
    if kind == S_IFCHR { return }
    guard kind == S_IFREG else {
      throw PlatformError(
        .invalidArgument, path: path, reason: "is neither a file nor a dax device",
        nextStep: "name a file or a device such as /dev/dax0.0")
    }
    let existing = Int(facts.st_size)
    let wanted = ByteCount(bytes: byteCount)
    guard existing >= byteCount || origin != .existing || options.growsFile else {
      throw PlatformError(
        .tooSmall, path: path,
        reason: "holds \(ByteCount(bytes: existing)) and \(wanted) were asked for",
        nextStep: "ask for at most its size or allow the file to grow")
    }
    // Allocate holes of an existing file too: a hole on a full disk is a bus error at the first
    // store to it.
    if existing < byteCount, origin == .existing { originalBytes = existing }
    // posix_fallocate may extend the file before it runs out of room; `abandon` shortens it again.
    let status = arb_file_allocate(descriptor, Int64(byteCount))
    guard status == 0 else {
      throw PlatformError(
        errorNumber: Int32(truncatingIfNeeded: -status), path: path,
        action: "allocate \(wanted) for the file")
    }
  }
}
