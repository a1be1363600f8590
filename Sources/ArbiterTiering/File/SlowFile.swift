// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement
package import ArbiterPlatform
internal import CArbiter
internal import CArbiterTier
internal import Glibc

/// The file that slow memory is made of, open for as long as the session lasts.
///
/// Nothing is allocated here: programs allocate a slot when they first use it, so that a full
/// medium is seen before anything is touched.
package final class SlowFile {
  /// What it is.
  package enum Kind: Sendable, Hashable {
    /// A file that can be read, written, mapped and allocated.
    case file
    /// A device that can only be mapped.
    case deviceDax
  }

  /// The descriptor.
  package let descriptor: Int32
  /// What it is.
  package let kind: Kind
  /// What holds it.
  package let holder: FileSystemKind
  /// Bytes of it that are used, a multiple of the size of a chunk.
  package let byteCount: UInt64
  /// Whether nobody can open it by a name.
  package let isNameless: Bool
  /// The device that holds it and its number there, as memory maps show them.
  package let identity: (major: UInt32, minor: UInt32, inode: UInt64)

  private static let chunk = UInt64(TierUnit.chunkBytes)
  /// How much larger than fast memory it is where nobody says.
  private static let usualFactor: UInt64 = 8

  /// Opens or makes the file.
  ///
  /// - Parameters:
  ///   - path: A directory, in which a file without a name is made; a file that is empty or does
  ///     not exist; or a device-DAX device.
  ///   - bytes: Its size; nil for eight times fast memory, at most three quarters of what is free.
  ///   - fastBytes: Bytes of fast memory.
  ///   - tree: Where the kernel describes the machine.
  /// - Throws: ``PlatformError`` where it cannot be slow memory.
  package init(
    path: String, bytes: UInt64?, fastBytes: UInt64, tree: SystemTree = SystemTree()
  ) throws(PlatformError) {
    let (descriptor, isNameless) = try Self.open(path, tree: tree)
    do {
      holder = try FileSystemKind.of(path: path, tree: tree)
      if case .deviceDax(let name) = holder {
        kind = .deviceDax
        byteCount = try Self.deviceBytes(name, path, asked: bytes, tree: tree)
      } else {
        kind = .file
        byteCount = try Self.fileBytes(path, descriptor, asked: bytes, fastBytes: fastBytes)
      }
      identity = Self.identity(of: descriptor)
    } catch {
      close(descriptor)
      throw error
    }
    self.descriptor = descriptor
    self.isNameless = isNameless
  }

  deinit { close(descriptor) }

  /// How many chunks fit.
  package var slotCount: Int { Int(byteCount / Self.chunk) }

  /// Gives the medium back what the file holds: only where nothing is mapped any more.
  package func empty() {
    if kind == .file { _ = arb_tier_set_length(descriptor, 0) }
  }

  // MARK: Opening

  private static func open(
    _ path: String, tree: SystemTree
  ) throws(PlatformError) -> (descriptor: Int32, isNameless: Bool) {
    var facts = stat()
    guard unsafe stat(path, &facts) == 0 else {
      guard errno == ENOENT else {
        throw PlatformError(errorNumber: errno, path: path, action: "examine slow memory")
      }
      return (try claimed(path, O_CREAT | O_EXCL), false)
    }
    switch facts.st_mode & S_IFMT {
    case S_IFDIR: return (try nameless(in: path), true)
    case S_IFREG: return (try claimed(path), false)
    case S_IFCHR:
      guard case .deviceDax = try FileSystemKind.of(path: path, tree: tree) else { break }
      return (try claimed(path), false)
    default: break
    }
    throw PlatformError(
      .unsupported, path: path, reason: "slow memory cannot lie on this kind of file",
      nextStep: "name a directory of a file system (on a block device make one first, with DAX "
        + "where the device has it) or a device-DAX device such as /dev/dax0.0")
  }

  private static func opened(_ path: String, _ flags: Int32 = 0) throws(PlatformError) -> Int32 {
    let descriptor = unsafe Glibc.open(path, O_RDWR | O_CLOEXEC | flags, 0o600)
    guard descriptor >= 0 else {
      throw PlatformError(errorNumber: errno, path: path, action: "open slow memory")
    }
    return descriptor
  }

  /// Opens what has a name, for this session alone: two that share slots would mix up the memory of
  /// their programs.
  private static func claimed(_ path: String, _ flags: Int32 = 0) throws(PlatformError) -> Int32 {
    let descriptor = try opened(path, flags)
    do throws(PlatformError) {
      guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
        guard errno == EWOULDBLOCK else {
          throw PlatformError(errorNumber: errno, path: path, action: "lock slow memory")
        }
        throw PlatformError(
          .invalidArgument, path: path, reason: "another session has it as its slow memory",
          nextStep: "name another file or a directory")
      }
      // Not before the lock is held: whoever had it until then may have left something.
      var facts = stat()
      guard unsafe fstat(descriptor, &facts) == 0 else {
        throw PlatformError(errorNumber: errno, path: path, action: "examine slow memory")
      }
      guard facts.st_size == 0 else {
        throw PlatformError(
          .invalidArgument, path: path, reason: "slow memory would overwrite what the file holds",
          nextStep: "name a new file, an empty one or a directory")
      }
    } catch {
      close(descriptor)
      throw error
    }
    return descriptor
  }

  /// A file without a name, or one whose name is taken away at once where those cannot be made.
  private static func nameless(in folder: String) throws(PlatformError) -> Int32 {
    let answer = unsafe arb_open_nameless(folder)
    if answer >= 0 { return Int32(answer) }
    guard [Int64(-EOPNOTSUPP), Int64(-EISDIR), Int64(-ENOENT)].contains(answer) else {
      throw PlatformError(
        errorNumber: Int32(-answer), path: folder, action: "make the file of slow memory")
    }
    let path = "\(folder)/.arbiter-tier-\(getpid())"
    let descriptor = try opened(path, O_CREAT | O_EXCL)
    unsafe unlink(path)
    return descriptor
  }

  // MARK: Size

  private static func fileBytes(
    _ path: String, _ descriptor: Int32, asked: UInt64?, fastBytes: UInt64
  ) throws(PlatformError) -> UInt64 {
    var facts = statvfs()
    guard unsafe fstatvfs(descriptor, &facts) == 0 else {
      throw PlatformError(errorNumber: errno, path: path, action: "ask for the room that is free")
    }
    let block = UInt64(facts.f_frsize)
    let free = UInt64(facts.f_bavail).multipliedReportingOverflow(by: block)
    let usual = fastBytes.multipliedReportingOverflow(by: usualFactor)
    var bytes = min(
      usual.overflow ? .max : usual.partialValue,
      free.overflow ? UInt64(Int64.max) / 4 * 3 : free.partialValue / 4 * 3)
    if let asked {
      guard free.overflow || asked <= free.partialValue else {
        throw PlatformError(
          .noSpace, path: path,
          reason: "slow memory of \(asked >> 20) MiB does not fit into the "
            + "\(free.partialValue >> 20) MiB that are free",
          nextStep: "ask for less or free space on the file system")
      }
      bytes = asked
    }
    bytes = bytes / chunk * chunk
    guard bytes > 0 else {
      throw PlatformError(
        .noSpace, path: path, reason: "there is no room for slow memory of 2 MiB or more",
        nextStep: "free space on the file system or name another one")
    }
    var limit = rlimit()
    // Past it the kernel would send a signal that ends programs.
    if unsafe getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0,
      limit.rlim_cur < bytes
    {
      throw PlatformError(
        .resourceLimit, path: path,
        reason: "files may grow to \(limit.rlim_cur >> 10) KiB, and slow memory has "
          + "\(bytes >> 10) KiB", nextStep: "raise the limit (ulimit -f) or ask for less")
    }
    let answer = arb_tier_set_length(descriptor, bytes)
    guard answer == 0 else {
      throw PlatformError(
        errorNumber: Int32(-answer), path: path, action: "extend the file to \(bytes >> 20) MiB")
    }
    return bytes
  }

  private static func deviceBytes(
    _ name: String, _ path: String, asked: UInt64?, tree: SystemTree
  ) throws(PlatformError) -> UInt64 {
    let folder = "/sys/bus/dax/devices/\(name)"
    guard let size = tree.number("\(folder)/size"), size >= TierUnit.chunkBytes else {
      throw PlatformError(
        .unsupported, path: path, reason: "the kernel does not tell the size of \(name)",
        nextStep: "check the device with 'daxctl list'")
    }
    if let align = tree.number("\(folder)/align"), align > TierUnit.chunkBytes {
      throw PlatformError(
        .unsupported, path: path, reason: "\(name) can only be mapped \(align >> 20) MiB at a time",
        nextStep: "make it again with an alignment of 2 MiB (ndctl create-namespace --align=2M)")
    }
    if let asked, asked > UInt64(size) {
      throw PlatformError(
        .tooSmall, path: path,
        reason: "\(name) has \(size >> 20) MiB, and slow memory is to have \(asked >> 20) MiB",
        nextStep: "ask for less")
    }
    return (asked ?? UInt64(size)) / chunk * chunk
  }

  private static func identity(
    of descriptor: Int32
  ) -> (major: UInt32, minor: UInt32, inode: UInt64) {
    var facts = stat()
    let numbers = arb_file_holder(descriptor)
    guard unsafe fstat(descriptor, &facts) == 0, numbers >= 0 else { return (0, 0, 0) }
    return (UInt32(numbers >> 32), UInt32(numbers & 0xFFFF_FFFF), UInt64(facts.st_ino))
  }
}
