// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A command line that cannot be carried out as it was written.
///
/// The message names the offending value; the hint says what to do next. Neither ends with a full
/// stop, so that a caller can embed them.
public struct UsageError: Error, Equatable, Sendable {
  /// What is wrong, with the offending value.
  public var message: String

  /// The next step, where one is known.
  public var hint: String?

  /// Creates an error from what is wrong and what to do about it.
  ///
  /// - Parameters:
  ///   - message: What is wrong, with the offending value and without a full stop.
  ///   - hint: The next step, without a full stop.
  public init(_ message: String, hint: String? = nil) {
    self.message = message
    self.hint = hint
  }

  /// Renders the error in the two-line form that every verb uses on stderr.
  ///
  /// - Parameter tool: The tool's name, such as `arbiter`.
  /// - Returns: `tool: error: message`, then the indented hint; no newline at the end.
  public func rendered(tool: String) -> String {
    let first = "\(tool): error: \(message)"
    guard let hint else { return first }
    return first + "\n  hint: \(hint)"
  }

  /// Names the option or operand whose value is wrong, and gives a hint where there is none.
  func about(_ subject: String, otherwise hint: String) -> UsageError {
    UsageError("\(subject): \(message)", hint: self.hint ?? hint)
  }
}
