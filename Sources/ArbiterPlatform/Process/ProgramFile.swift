// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A program on disk, found the way a shell finds it.
public struct ProgramFile: Sendable, Hashable {
  /// How the program gets its libraries.
  public enum Linkage: String, Sendable, Hashable {
    /// The dynamic linker loads them, and with them what LD_PRELOAD names.
    case dynamic
    /// They are part of the program: LD_PRELOAD reaches nothing in it.
    case `static`
    /// A text that an interpreter runs; the interpreter's own linkage decides.
    case script
    /// The file could not be read or has another format.
    case unknown
  }

  /// Where the program lies.
  public let path: String
  /// How it gets its libraries.
  public let linkage: Linkage
  /// Whether it runs with the rights of its owner or group, for which LD_PRELOAD is ignored.
  public let changesRights: Bool

  /// Finds a program.
  ///
  /// A name with a slash is a path; any other is looked for in the folders of the search path.
  ///
  /// - Parameters:
  ///   - name: The program as the user has typed it.
  ///   - searchPath: The value of PATH; nil where it is not set.
  /// - Returns: The program.
  /// - Throws: ``PlatformError`` with `notFound` or `noPermission` (exit codes 127 and 126 by the
  ///   custom of shells).
  public static func find(
    _ name: String, searchPath: String?
  ) throws(PlatformError) -> ProgramFile {
    let candidates: [String]
    if name.contains("/") || name.isEmpty {
      candidates = [name]
    } else {
      // An empty folder is the current one.
      candidates = (searchPath ?? "/bin:/usr/bin")
        .split(separator: ":", omittingEmptySubsequences: false)
        .map { $0.isEmpty ? "./\(name)" : "\($0)/\(name)" }
    }
    var refused: (path: String, reason: String)?
    var advice = "make it executable (chmod +x) or name another program"
    for path in candidates {
      var facts = stat()
      // SAFETY: `facts` outlives the call.
      guard unsafe stat(path, &facts) == 0 else {
        let number = errno
        if number != ENOENT && number != ENOTDIR && refused == nil {
          refused = (path, PlatformError.text(of: number))
        }
        continue
      }
      if facts.st_mode & S_IFMT != S_IFREG {
        if refused == nil { advice = "name a program" }
        refused =
          refused ?? (path, facts.st_mode & S_IFMT == S_IFDIR ? "it is a folder" : "it is no file")
        continue
      }
      guard unsafe faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 else {
        refused = refused ?? (path, PlatformError.text(of: errno))
        continue
      }
      return ProgramFile(
        path: path, linkage: linkage(of: path),
        changesRights: facts.st_mode & (S_ISUID | S_ISGID) != 0 && geteuid() != 0)
    }
    if let refused {
      throw PlatformError(
        .noPermission, path: refused.path,
        reason: "cannot execute '\(name)': \(refused.reason)",
        nextStep: advice)
    }
    throw PlatformError(
      .notFound, reason: "cannot find the program '\(name)'",
      nextStep: name.contains("/") ? "check the path" : "check the name and PATH")
  }

  /// Reads the program's header.
  ///
  /// Source: elf(5): e_phoff at 32, e_phentsize at 54, e_phnum at 56; PT_INTERP is 3.
  private static func linkage(of path: String) -> Linkage {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return .unknown }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    // SAFETY: the kernel writes at most the capacity that it is told.
    let count = unsafe bytes.withUnsafeMutableBytes {
      unsafe read(descriptor, $0.baseAddress, 4096)
    }
    guard count >= 64 else {
      return count >= 2 && bytes[0] == 0x23 && bytes[1] == 0x21 ? .script : .unknown
    }
    if bytes[0] == 0x23 && bytes[1] == 0x21 { return .script }
    guard bytes[0...4] == [0x7F, 0x45, 0x4C, 0x46, 2] else { return .unknown }
    func number(at offset: Int, bytes width: Int) -> Int {
      (0..<width).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
    }
    let start = number(at: 32, bytes: 4)
    let (size, entries) = (number(at: 54, bytes: 2), number(at: 56, bytes: 2))
    guard size >= 4, start + size * entries <= count else { return .unknown }
    let kinds = (0..<entries).map { number(at: start + size * $0, bytes: 4) }
    return kinds.contains(3) ? .dynamic : .static
  }
}
