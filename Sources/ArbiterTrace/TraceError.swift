// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What is wrong with a recording, where, and what to do next.
public struct TraceError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The kind of a failure; an open set.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    /// The spelling of the kind in documents and tests.
    public let name: String

    /// Makes a kind from its spelling.
    public init(name: String) {
      self.name = name
    }

    /// The spelling.
    public var description: String { name }

    /// The bytes are of another kind of file.
    public static let notATrace = Code(name: "not-a-trace")
    /// A later version of Arbiter wrote the file.
    public static let version = Code(name: "version")
    /// Bytes are not what was written.
    public static let damaged = Code(name: "damaged")
    /// A line of text breaks the rules of its format.
    public static let syntax = Code(name: "syntax")
    /// A number exceeds what the format can hold.
    public static let limit = Code(name: "limit")
    /// The file could not be read or written.
    public static let inputOutput = Code(name: "input-output")
  }

  /// The kind of failure.
  public let code: Code
  /// Where it is: bytes from the start of the file.
  public let offset: UInt64
  /// What is wrong, as a clause without a final full stop.
  public let reason: String
  /// What to do next, as a clause without a final full stop.
  public let nextStep: String

  /// Makes an error.
  public init(_ code: Code, offset: UInt64, reason: String, nextStep: String) {
    self.code = code
    self.offset = offset
    self.reason = reason
    self.nextStep = nextStep
  }

  /// One sentence: the place, the reason and the next step.
  public var description: String { "byte \(offset): \(reason); \(nextStep)" }
}
