// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterReport
internal import CommandSpec
internal import Glibc

/// The folder that `--report` names; the word `none` names none.
struct ReportPlace: Sendable {
  let path: String

  init(_ path: String) {
    self.path = path
  }

  /// Whether there is a report to write.
  var isWanted: Bool { path != "none" }

  /// The option of verbs that write no report unless they are told where.
  static func group<Options>(
    _ path: any WritableKeyPath<Options, String> & Sendable
  ) -> OptionGroup<Options> {
    OptionGroup(
      "Report",
      [
        .init(
          "report", path, placeholder: "<FOLDER|none>", completion: .directory,
          help: "Folder for a page with plots and their data; none writes no report.")
      ])
  }

  func validate() throws(UsageError) {
    if path.isEmpty {
      throw UsageError("--report is empty", hint: "name a folder, or give --report=none")
    }
  }

  /// Checks before a long computation that the report can be written.
  func check() throws {
    guard isWanted else { return }
    try explained { try ReportFolder.checkWritable(path) }
  }

  /// Writes the report and returns the remark on where it is.
  func write(_ report: Report, for session: ResultSession) throws -> String {
    let outcome = try explained { try ReportFolder.write(report, to: path) }
    let missing = outcome.hasPictures ? "" : " (no pictures: install the package gnuplot-nox)"
    if session.output.format != .text && !session.output.isQuiet {
      Console.note("arbiter: report: \(outcome.page)\(missing)\n")
    }
    return "Report: \(outcome.page)\(missing)"
  }

  /// Says what is wrong with the report's place in the words of the command line.
  private func explained<T>(_ body: () throws -> T) throws -> T {
    do {
      return try body()
    } catch let error as ReportError where error.code == .notAReport {
      throw Failure(
        ExitCode.usage, "\(error)", hint: "name another folder: --report=<FOLDER>")
    } catch let error as ReportError where error.code == .system {
      let isDenied = error.errorNumber == EACCES || error.errorNumber == EPERM
      throw Failure(
        isDenied ? ExitCode.permission : ExitCode.inputOutput,
        "cannot write the report --report=\(path): \(Console.reason(error.errorNumber))",
        hint: "name a folder that you may write, or give --report=none")
    }
  }
}
