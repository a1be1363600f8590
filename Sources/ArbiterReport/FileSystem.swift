// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

// The few calls of the system that a report needs, with typed errors. All unsafe code of the module
// stands in this file and in Gnuplot.swift: the calls take strings and buffers that outlive them.

/// Files and folders, with errors that name the path.
package enum FileSystem {
  /// What stands at a path.
  package enum Kind: Sendable, Hashable {
    /// Nothing.
    case nothing
    /// A folder.
    case folder
    /// Anything else; links are not followed.
    case other
  }

  /// The number of this process.
  static var processNumber: Int32 { getpid() }

  /// The system's text for an error number.
  static func text(_ number: Int32) -> String {
    // SAFETY: strerror returns a string that this thread's next call may replace; it is copied.
    guard let text = unsafe strerror(number) else { return "error \(number)" }
    return unsafe String(cString: text)
  }

  static func failure(_ doing: String, _ path: String, _ number: Int32 = errno) -> ReportError {
    ReportError(
      code: .system, path: path, errorNumber: number, reason: "cannot \(doing): \(text(number))")
  }

  /// What stands at a path.
  package static func kind(_ path: String) throws(ReportError) -> Kind {
    var status = stat()
    // SAFETY: `status` outlives the call.
    guard unsafe lstat(path, &status) == 0 else {
      if errno == ENOENT { return .nothing }
      throw failure("look at the path", path)
    }
    return status.st_mode & S_IFMT == S_IFDIR ? .folder : .other
  }

  /// Makes a folder, which must not exist.
  package static func makeFolder(_ path: String) throws(ReportError) {
    guard unsafe mkdir(path, 0o777) == 0 else { throw failure("make the folder", path) }
  }

  /// The names in a folder, sorted, without `.` and `..`.
  package static func names(in path: String) throws(ReportError) -> [String] {
    guard let folder = unsafe opendir(path) else { throw failure("read the folder", path) }
    defer { _ = unsafe closedir(folder) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = unsafe readdir(folder) else { break }
      // SAFETY: d_name is a string ended by 0, valid until the next readdir.
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
        unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) { characters in
          unsafe String(cString: characters)
        }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    guard errno == 0 else { throw failure("read the folder", path) }
    return names.sorted()
  }

  /// Writes a file whole, down to the disk, so that a full disk is noticed here.
  package static func write(_ text: String, to path: String) throws(ReportError) {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw failure("write the file", path) }
    var text = text
    let number = text.withUTF8 { bytes -> Int32 in
      var done = 0
      while done < bytes.count {
        // SAFETY: `done` is below the count, so that the rest lies inside the buffer.
        let count = unsafe Glibc.write(
          descriptor, bytes.baseAddress.map { unsafe $0 + done }, bytes.count - done)
        if count < 0 {
          if errno == EINTR { continue }
          return errno
        }
        done += count
      }
      return 0
    }
    // Devices and pipes cannot be synchronised, and need not be.
    let synced = fsync(descriptor) == 0 || errno == EINVAL || errno == EROFS ? 0 : errno
    let closed = close(descriptor) == 0 ? 0 : errno
    for failed in [number, synced, closed] where failed != 0 {
      throw failure("write the file", path, failed)
    }
  }

  /// Reads a file of at most `bytesMax` bytes as text.
  package static func read(
    _ path: String, bytesMax: Int = 64 << 20
  ) throws(ReportError) -> String {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("read the file", path) }
    defer { _ = close(descriptor) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      // SAFETY: the call writes at most as many bytes as the block has.
      let count = unsafe block.withUnsafeMutableBytes { block in
        unsafe Glibc.read(descriptor, block.baseAddress, block.count)
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw failure("read the file", path)
      }
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += block[..<count]
      guard bytes.count <= bytesMax else { throw failure("read the file", path, EFBIG) }
    }
  }

  /// Removes a file.
  package static func removeFile(_ path: String) throws(ReportError) {
    guard unsafe unlink(path) == 0 else { throw failure("remove the file", path) }
  }

  /// Removes a folder that holds nothing but files.
  package static func removeFolder(_ path: String) throws(ReportError) {
    for name in try names(in: path) {
      guard unsafe unlink("\(path)/\(name)") == 0 else {
        throw failure("remove the file", "\(path)/\(name)")
      }
    }
    guard unsafe rmdir(path) == 0 else { throw failure("remove the folder", path) }
  }

  /// Gives a file or folder another name.
  package static func rename(_ path: String, to target: String) throws(ReportError) {
    guard unsafe Glibc.rename(path, target) == 0 else { throw failure("rename to \(target)", path) }
  }
}
