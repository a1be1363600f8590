// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
public import ArbiterPlatform
internal import Glibc

// One small file for each task, for programs that want to know what a task wrote without reading
// anybody's JSON. Documentation/Accounting.md is the contract.
//
// F1  A file is whole: it is written under another name and renamed over the one before.
// F2  When the account or the task ends, its file says so and stays.

/// Keeps the files of an account's tasks in a folder.
public struct AccountFiles: Sendable {
  /// The folder.
  public let folder: String
  private var written: [String: String] = [:]

  /// The most rows that a file lists; the rest are one more, called others.
  public static let rowCountMax = 64

  /// Uses a folder, and makes it where there is none.
  ///
  /// - Throws: ``PlatformError`` where it can be neither used nor made.
  public init(folder: String) throws(PlatformError) {
    self.folder = folder
    if unsafe mkdir(folder, 0o755) != 0 && errno != EEXIST {
      throw PlatformError(
        errorNumber: errno, path: folder, action: "make the folder for accounts",
        nextStep: "name a folder that can be written: --files=<DIR>")
    }
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    if unsafe stat(folder, &facts) == 0, facts.st_mode & S_IFMT != S_IFDIR {
      throw PlatformError(
        .invalidArgument, reason: "--files=\(folder) is no folder",
        nextStep: "name a folder, or one that is to be made")
    }
    guard unsafe access(folder, W_OK | X_OK) == 0 else {
      throw PlatformError(
        errorNumber: errno, path: folder, action: "write into the folder for accounts",
        nextStep: "name a folder that can be written: --files=<DIR>")
    }
  }

  /// The name of a task's file.
  public static func fileName(of task: AccountTask) -> String {
    task.thread.map { "\(task.process)-\($0).account" } ?? "\(task.process).account"
  }

  /// Writes the files of tasks whose figures have changed.
  ///
  /// - Parameters:
  ///   - reading: The account.
  ///   - isFinal: Whether nothing comes any more.
  /// - Throws: ``PlatformError`` where a file cannot be written; the others are written still.
  public mutating func write(_ reading: AccountReading, isFinal: Bool) throws(PlatformError) {
    let rows = Dictionary(grouping: reading.rows) { $0.task }
    var failure: PlatformError?
    let living = Set(reading.tasks.filter { !$0.hasEnded }.map { Self.fileName(of: $0.task) })
    for task in reading.tasks {
      let name = Self.fileName(of: task.task)
      // The number of a task that has ended may be another's by now, who has the file then.
      if task.hasEnded && living.contains(name) { continue }
      let text = Self.text(of: task, rows: rows[task.task] ?? [], reading, isFinal: isFinal)
      if written[name] == text { continue }
      do throws(PlatformError) {
        try replace(name, by: text)
        written[name] = text
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }

  /// What a task's file says: lines of key=value.
  static func text(
    of task: AccountReading.Task, rows: [AccountReading.Row], _ reading: AccountReading,
    isFinal: Bool
  ) -> String {
    var lines: [(String, String)] = [
      ("schema", "arbiter-account-file/1"), ("process", String(task.task.process)),
      ("thread", task.task.thread.map(String.init) ?? "all"),
      ("start_ticks", String(task.task.startTicks)), ("command", task.command ?? "unknown"),
      ("state", task.hasEnded ? "ended" : isFinal ? "left" : "running"),
      ("back_end", reading.backEnd.rawValue), ("measure", reading.backEnd.measure.rawValue),
      ("unit", reading.backEnd.measure.unit),
      ("written", number(task.written.value)),
      ("written_error", number(task.written.standardError)),
    ]
    switch task.read {
    case .known(let read):
      lines += [("read", number(read.value)), ("read_error", number(read.standardError))]
    case .unavailable(let reason): lines.append(("read_unavailable", reason))
    }
    lines += [
      ("resolved_samples", String(task.resolvedCount)),
      ("unresolved_samples", String(task.unresolvedCount)),
      ("unresolved", number(task.unresolved)),
    ]
    let sorted = rows.prefix(rowCountMax)
    lines.append(("mappings", String(sorted.count)))
    for (index, row) in sorted.enumerated() {
      lines += [
        ("mapping.\(index).name", row.mapping.name),
        ("mapping.\(index).kind", row.mapping.kind.rawValue),
        ("mapping.\(index).written", number(row.written.value)),
        ("mapping.\(index).written_error", number(row.written.standardError)),
      ]
      if let read = row.read.value {
        lines.append(("mapping.\(index).read", number(read.value)))
      }
    }
    lines.append(("mappings_left_out", String(rows.count - sorted.count)))
    return lines.map { "\($0.0)=\(escaped($0.1))\n" }.joined()
  }

  /// Whole units: files are for programs, and fractions of a byte or nanosecond mean nothing.
  private static func number(_ value: Double) -> String {
    String(UInt64(max(0, min(value.rounded(), 1.8e19))))
  }

  /// A value on one line: a backslash and control characters become escapes.
  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      if scalar == "\\" {
        result += "\\\\"
      } else if scalar.value < 0x20 || scalar.value == 0x7F {
        let digits = String(scalar.value, radix: 16)
        result += "\\x" + (digits.count < 2 ? "0" : "") + digits
      } else {
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private func replace(_ name: String, by text: String) throws(PlatformError) {
    let path = "\(folder)/\(name)"
    let temporary = "\(folder)/.\(name).\(getpid())"
    let descriptor = unsafe open(
      temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard descriptor >= 0 else {
      throw PlatformError(errorNumber: errno, path: temporary, action: "write an account")
    }
    let bytes = Array(text.utf8)
    // SAFETY: the kernel reads at most the count that it is told.
    let count = unsafe bytes.withUnsafeBytes {
      unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
    }
    let number = count < 0 ? errno : ENOSPC
    close(descriptor)
    guard count == bytes.count else {
      unlinkFile(temporary)
      throw PlatformError(errorNumber: number, path: temporary, action: "write an account")
    }
    guard unsafe rename(temporary, path) == 0 else {
      let number = errno
      unlinkFile(temporary)
      throw PlatformError(errorNumber: number, path: path, action: "replace an account")
    }
  }

  private func unlinkFile(_ path: String) { _ = unsafe unlink(path) }
}
