// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A command whose options struct is out of sight, so that all verbs fit in one list.
public struct Verb: Sendable {
  /// What the verb says about itself.
  public let description: CommandDescription

  /// Parses the arguments after the verb.
  let prepare: @Sendable (_ arguments: [String], _ tool: String) throws(UsageError) -> PreparedRun

  /// Hides the options struct of a command.
  ///
  /// - Parameter command: The command.
  public init<Options: Sendable>(_ command: Command<Options>) {
    description = command.described
    prepare = { (arguments: [String], tool: String) throws(UsageError) in
      let invocation = try command.parse(arguments, tool: tool)
      return PreparedRun(resolved: invocation.resolved, given: invocation.given) {
        try command.run(invocation)
      }
    }
  }
}

/// The options struct of a verb that has none.
public struct NoOptions: Equatable, Sendable {
  /// Creates the only value.
  public init() {}
}

/// A verb whose arguments have been parsed and which has yet to be carried out.
public struct PreparedRun: Sendable {
  /// Every option as text.
  public let resolved: ResolvedCommand

  /// The long names of the options that stood on the command line.
  public let given: Set<String>

  /// The verb's closure with its parsed options.
  let body: @Sendable () throws -> Int32

  /// Carries the verb out.
  ///
  /// - Returns: The exit code.
  /// - Throws: Whatever the verb throws.
  public func run() throws -> Int32 { try body() }
}

/// Verbs that stand together under one title.
public struct VerbGroup: Sendable {
  /// The title, without a colon.
  public let title: String

  /// The verbs in order.
  public let verbs: [Verb]

  /// Creates a group.
  ///
  /// - Parameters:
  ///   - title: The title, without a colon.
  ///   - verbs: The verbs in order.
  public init(_ title: String, _ verbs: [Verb]) {
    self.title = title
    self.verbs = verbs
  }
}
