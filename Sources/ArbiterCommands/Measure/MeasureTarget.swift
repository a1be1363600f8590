// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterMemory
internal import ArbiterPlatform
internal import ArbiterRuntime
internal import CArbiter
internal import CommandSpec
internal import Glibc

// A measurement never costs anybody data: what holds something is left alone unless the user says
// otherwise, a folder gets a file without a name, and what was made here is gone at the end.

/// The place that `arbiter measure` was given, and what may be done to it.
struct MeasureTarget {
  /// What is there.
  enum Kind: Equatable {
    /// Nothing: the folder above takes its place.
    case nothing
    /// A file of so many bytes.
    case file(bytes: Int)
    /// A dax device.
    case device
    /// A folder: a file without a name is made in it.
    case folder
  }

  let path: String
  let kind: Kind
  private let nameless: NamelessFile?
  /// The file that is mapped; nil of a device, to which no file system leads.
  var filePath: String? { kind == .device ? nil : nameless?.path ?? path }

  /// The folder in which room is needed.
  private var folder: String? {
    switch kind {
    case .device: nil
    case .folder: path
    case .nothing, .file: Self.folder(above: path)
    }
  }

  private static func folder(above path: String) -> String {
    path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
  }

  /// Looks at a place, and refuses one that holds what a measurement would destroy.
  init(_ options: MeasureOptions) throws(Failure) {
    path = options.path ?? ""
    kind = try Self.kind(of: path)
    switch kind {
    case .nothing where options.isReadOnly:
      throw Failure(
        ExitCode.usage, "nothing is there to read: \(path)", hint: "name a file that exists")
    case .folder where options.isReadOnly:
      throw Failure(
        ExitCode.usage, "\(path) is a folder", hint: "name a file in it, or leave --read-only out")
    case .file(let bytes) where bytes > 0 && !options.overwrite && !options.isReadOnly:
      throw Failure(
        ExitCode.usage, "\(path) holds \(ByteCount(bytes: bytes)) that measure would write over",
        hint: "name a new file or a folder, or add --read-only or --overwrite")
    case .device where !options.overwrite && !options.isReadOnly:
      throw Failure(
        ExitCode.usage, "\(path) is a device whose contents measure would write over",
        hint: "add --read-only, or --overwrite if nothing on it is needed")
    default: break
    }
    nameless =
      switch kind {
      case .folder: try NamelessFile(in: path)
      case .nothing: try NamelessFile(in: Self.folder(above: path))
      case .file, .device: nil
      }
  }

  private static func kind(of path: String) throws(Failure) -> Kind {
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    guard unsafe stat(path, &facts) == 0 else {
      let number = errno
      // A name in /dev that is mistyped would become a file in DRAM that looks like the device.
      if number == ENOENT && !(path.hasPrefix("/dev/") && folder(above: path) == "/dev") {
        return .nothing
      }
      throw Failure(
        number == EACCES ? ExitCode.permission : ExitCode.inputOutput,
        "cannot look at \(path): \(Console.reason(number))", hint: "check the path")
    }
    switch facts.st_mode & S_IFMT {
    case S_IFREG where !path.hasPrefix("/proc/") && !path.hasPrefix("/sys/"):
      return .file(bytes: Int(facts.st_size))
    case S_IFCHR where isDax(path): return .device
    case S_IFDIR: return .folder
    default:
      throw Failure(
        ExitCode.usage, "\(path) is neither a file nor a folder nor a dax device",
        hint: "name a file, a folder, or a device such as /dev/dax0.0")
    }
  }

  private static func isDax(_ path: String) -> Bool {
    if case .deviceDax? = try? FileSystemKind.of(path: path) { return true }
    return false
  }

  /// Bytes of memory to use.
  ///
  /// - Throws: ``Failure`` where there is less room than the points need.
  func byteCount(_ options: MeasureOptions, processors: Int) throws(Failure) -> ByteCount {
    let least = options.sizeMin(processors: processors)
    if let size = options.size { return try limited(size, least) }
    let usual = ByteCount.mebibytes(256)
    guard let free = freeBytes(), kind != .device else { return try limited(usual, least) }
    // Powers of two, so that chains and regions are alike from machine to machine.
    guard free > 0 else {
      throw Failure(
        ExitCode.inputOutput, "no room is left for a file: \(path)",
        hint: "free space, or name another place")
    }
    let half = max(1, free / 2)
    let power = 1 << (Int.bitWidth - 1 - half.leadingZeroBitCount)
    return try limited(min(usual, ByteCount(bytes: power)), least)
  }

  /// A file is never made longer or shorter than it was, unless it was empty.
  private func limited(_ size: ByteCount, _ least: ByteCount) throws(Failure) -> ByteCount {
    var size = size
    if case .file(let bytes) = kind, bytes > 0 {
      size = min(size, ByteCount(bytes: bytes / 4096 * 4096))
    }
    guard size >= least else {
      throw Failure(
        ExitCode.usage, "\(path) has room for \(size) and the measurements need \(least)",
        hint: "name a larger place, or fewer --threads or --sizes")
    }
    return size
  }

  /// Bytes that an ordinary user may still write to the file system.
  private func freeBytes() -> Int? {
    if case .file(let bytes) = kind, bytes > 0 { return nil }
    guard let folder else { return nil }
    var facts = statvfs()
    // SAFETY: `facts` outlives the call.
    guard unsafe statvfs(folder, &facts) == 0, facts.f_blocks > 0 else { return nil }
    return Int(clamping: UInt64(facts.f_bavail) * UInt64(facts.f_frsize))
  }

  /// Maps the memory.
  func open(_ byteCount: ByteCount, _ options: MeasureOptions) throws -> MeasuredMemory {
    do throws(PlatformError) {
      return try map(byteCount, options)
    } catch {
      // Nobody knows a file without a name by its descriptor.
      throw PlatformError(error.code, path: path, reason: error.reason, nextStep: error.nextStep)
    }
  }

  private func map(
    _ byteCount: ByteCount, _ options: MeasureOptions
  ) throws(PlatformError) -> MeasuredMemory {
    if options.isReadOnly {
      return MeasuredMemory(try ReadOnlyMapping(path: path, byteCountMax: byteCount))
    }
    return MeasuredMemory(try MappedRegion(path: filePath ?? path, byteCount: byteCount))
  }

  /// Puts the place back as it was: a file that was empty is empty again.
  func restore() {
    if kind == .file(bytes: 0) { _ = unsafe truncate(path, 0) }
  }
}

/// A file without a name, that is gone when nobody has it open or mapped.
final class NamelessFile {
  private let descriptor: Int32

  /// A path by which this process can open it once more.
  var path: String { "/proc/self/fd/\(descriptor)" }

  /// Makes a file in a folder.
  ///
  /// - Throws: ``Failure`` where the folder may not be written.
  init(in folder: String) throws(Failure) {
    let nameless = unsafe arb_open_nameless(folder)
    if nameless >= 0 {
      descriptor = Int32(truncatingIfNeeded: nameless)
      return
    }
    // Not every file system has nameless files; there the name goes at once.
    let name = "\(folder)/.arbiter-measure-\(getpid())"
    descriptor = unsafe Glibc.open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(0o600))
    guard descriptor >= 0 else {
      let number = errno
      throw Failure(
        number == EACCES || number == EROFS ? ExitCode.permission : ExitCode.inputOutput,
        "cannot make a file in \(folder): \(Console.reason(number))",
        hint: "name a folder that you may write")
    }
    _ = unsafe unlink(name)
  }

  deinit { close(descriptor) }
}
