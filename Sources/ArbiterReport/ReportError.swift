// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A report that cannot be written or a picture that cannot be drawn.
public struct ReportError: Error, Hashable, CustomStringConvertible {
  /// What kind of thing went wrong.
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// The system refused an operation on a file or a process.
    case system
    /// The folder exists and is not a report of this tool, or holds more than the report.
    case notAReport = "not-a-report"
    /// The program that draws failed.
    case drawing
  }

  /// What kind of thing went wrong.
  public let code: Code
  /// The file or folder.
  public let path: String
  /// The system's error number; 0 where the system did not complain.
  public let errorNumber: Int32
  /// What is wrong, without a final full stop.
  public let reason: String

  /// Makes an error.
  public init(code: Code, path: String, errorNumber: Int32 = 0, reason: String) {
    self.code = code
    self.path = path
    self.errorNumber = errorNumber
    self.reason = reason
  }

  /// One sentence that names the path and the reason.
  public var description: String { "\(reason) (\(path))" }
}
