// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A folder of a test's own, removed with everything in it when the value dies.
public struct TemporaryFolder: ~Copyable {
  /// Where the folder lies.
  public let path: String

  /// Makes an empty folder below `parent`.
  public init(in parent: String = "/tmp") {
    var template = Array("\(parent)/arbiter-test-XXXXXX".utf8CString)
    // SAFETY: the template is a writable, zero-terminated text.
    guard unsafe mkdtemp(&template) != nil else {
      fatalError("cannot make a folder below \(parent)")
    }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    Self.remove(path)
  }

  /// Writes a file, and the folders above it, below this folder.
  public func write(_ text: String, to name: String) {
    var folder = path
    let parts = name.split(separator: "/")
    for part in parts.dropLast() {
      folder += "/\(part)"
      _ = unsafe mkdir(folder, 0o755)
    }
    let descriptor = unsafe open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    precondition(descriptor >= 0, "cannot write \(name)")
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    let count = unsafe bytes.withUnsafeBytes {
      unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
    }
    precondition(count == bytes.count, "cannot write \(name)")
  }

  /// Makes a folder, and those above it, below this folder.
  public func makeFolder(_ name: String) {
    var folder = path
    for part in name.split(separator: "/") {
      folder += "/\(part)"
      _ = unsafe mkdir(folder, 0o755)
    }
  }

  /// Makes a symbolic link below this folder.
  public func link(_ name: String, to target: String) {
    _ = unsafe symlink(target, "\(path)/\(name)")
  }

  /// Bytes of a file; nil where there is none.
  public func size(of name: String) -> Int? {
    var facts = stat()
    return unsafe stat("\(path)/\(name)", &facts) == 0 ? Int(facts.st_size) : nil
  }

  private static func remove(_ path: String) {
    if let folder = unsafe opendir(path) {
      while let entry = unsafe readdir(folder) {
        // SAFETY: d_name is a zero-terminated text.
        let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
          unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name == "." || name == ".." { continue }
        let isFolder = unsafe entry.pointee.d_type == 4
        if isFolder { remove("\(path)/\(name)") } else { unsafe unlink("\(path)/\(name)") }
      }
      unsafe closedir(folder)
    }
    unsafe rmdir(path)
  }
}
