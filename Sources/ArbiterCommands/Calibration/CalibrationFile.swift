// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import ArbiterDevice
internal import ArbiterProfiles
internal import ArbiterReport
internal import Glibc

// One file for each user. Readers need no lock, since the file is only ever replaced by a whole
// one; writers take one, so that two measurements that end together are both kept.

/// The file in which a user's calibrations are kept.
package struct CalibrationFile: Sendable {
  /// Where it lies; there may be none yet.
  package let path: String

  /// Uses a file.
  package init(path: String) {
    self.path = path
  }

  /// The file of this user.
  ///
  /// - Throws: ``Failure`` where no variable of the environment says where it lies.
  package static func ofUser(
    environment: (String) -> String? = { Console.environment($0) }
  ) throws(Failure) -> CalibrationFile {
    guard let path = CalibrationDocument.path(environment: environment) else {
      throw Failure(
        ExitCode.unavailable,
        "calibrations have no place: none of ARBITER_STATE_DIR, XDG_STATE_HOME and HOME is set",
        hint: "set ARBITER_STATE_DIR to a folder of yours")
    }
    return CalibrationFile(path: path)
  }

  /// What is stored; nothing where there is no file.
  ///
  /// - Throws: ``Failure`` where the file cannot be read or is not in order. It stays as it is.
  package func read() throws(Failure) -> CalibrationBook {
    let text: String
    do {
      text = try FileSystem.read(path, bytesMax: JSONReader.bytesMax)
    } catch {
      if error.errorNumber == ENOENT || error.errorNumber == ENOTDIR { return CalibrationBook() }
      throw Self.failure("read", path, error.errorNumber)
    }
    do throws(CalibrationError) {
      return try CalibrationDocument.read(Array(text.utf8), path: path)
    } catch {
      throw Failure(error)
    }
  }

  /// Takes in calibrations in place of older ones about the same, and replaces the file as a whole.
  ///
  /// - Throws: ``Failure`` where the file is not in order or cannot be replaced; it then stays as
  ///   it is.
  package func add(_ calibrations: [ThreadCalibration]) throws(Failure) {
    if calibrations.isEmpty { return }
    try Self.makeFolder(folder)
    let lock = try takeLock()
    defer { close(lock) }
    var book = try read()
    for calibration in calibrations { book.add(calibration) }
    let target = OutputFile.resolved(path)
    let partial = "\(target).partial-\(getpid())"
    do throws(ReportError) {
      try FileSystem.write(book.json(schema: CalibrationDocument.schema).document(), to: partial)
      try FileSystem.rename(partial, to: target)
    } catch {
      _ = unsafe unlink(partial)
      throw Self.failure("write", path, error.errorNumber)
    }
  }

  private var folder: String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// Makes a folder and those above it, for this user alone.
  private static func makeFolder(_ folder: String) throws(Failure) {
    var made = folder.hasPrefix("/") ? "" : "."
    for part in folder.split(separator: "/") {
      made += "/\(part)"
      if unsafe mkdir(made, 0o700) == 0 || errno == EEXIST { continue }
      // A folder above may be one that this user can pass and not write.
      let number = errno
      var facts = stat()
      // SAFETY: `facts` outlives the call.
      if unsafe stat(made, &facts) == 0 { continue }
      throw failure("make", made, number)
    }
  }

  /// Tries for the lock, each 50 ms: whoever holds it only reads and writes a small file.
  private static let tryCount = 100

  private func takeLock() throws(Failure) -> Int32 {
    let lock = unsafe open("\(path).lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard lock >= 0 else { throw Self.failure("write", "\(path).lock", errno) }
    for _ in 0..<Self.tryCount {
      if flock(lock, LOCK_EX | LOCK_NB) == 0 { return lock }
      usleep(50_000)
    }
    close(lock)
    throw Failure(
      ExitCode.inputOutput, "cannot write '\(path)': another arbiter has held its lock for 5 s",
      hint: "end that process, then calibrate again")
  }

  private static func failure(_ action: String, _ path: String, _ number: Int32?) -> Failure {
    let number = number ?? EIO
    let isDenied = number == EACCES || number == EPERM
    return Failure(
      isDenied ? ExitCode.permission : ExitCode.inputOutput,
      "cannot \(action) '\(path)': \(Console.reason(number))",
      hint: "check the path, or set ARBITER_STATE_DIR to a folder of yours")
  }
}
