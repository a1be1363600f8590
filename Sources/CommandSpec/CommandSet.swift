// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What an exit code of the tool means.
public struct ExitStatus: Equatable, Sendable {
  /// The code, or a formula such as `128 + n`.
  public let code: String

  /// When the tool exits with it, as a sentence.
  public let meaning: String

  /// Creates an exit status.
  ///
  /// - Parameters:
  ///   - code: The code, or a formula such as `128 + n`.
  ///   - meaning: When the tool exits with it, as a sentence.
  public init(_ code: String, _ meaning: String) {
    self.code = code
    self.meaning = meaning
  }
}

/// What a command line asks for.
public enum Request: Sendable {
  /// Help on a verb, or on the whole tool.
  case help(CommandDescription?)

  /// Carrying out a verb.
  case run(PreparedRun)
}

/// A tool: its verbs under their titles.
///
/// `help` is not among the verbs; the set answers it, and `--help` and `-h` everywhere.
public struct CommandSet: Sendable {
  /// The tool's name as it is typed.
  public let name: String

  /// One sentence with a full stop.
  public let abstract: String

  /// Paragraphs separated by empty lines, for the man page.
  public let discussion: String

  /// The verbs under their titles.
  public let groups: [VerbGroup]

  /// Command lines worth showing.
  public let examples: [Example]

  /// The exit codes, for the man pages.
  public let exitStatuses: [ExitStatus]

  /// Creates a tool.
  ///
  /// - Parameters:
  ///   - name: The tool's name as it is typed.
  ///   - abstract: One sentence with a full stop.
  ///   - discussion: Paragraphs separated by empty lines, for the man page.
  ///   - groups: The verbs under their titles.
  ///   - examples: Command lines worth showing.
  ///   - exitStatuses: The exit codes, for the man pages.
  /// - Precondition: No verb occurs twice, and none is `help`.
  public init(
    name: String, abstract: String, discussion: String = "", groups: [VerbGroup],
    examples: [Example] = [], exitStatuses: [ExitStatus] = []
  ) {
    let names = groups.flatMap(\.verbs).map(\.description.name) + ["help"]
    precondition(isKebabCase(name), "tool name '\(name)' is not kebab-case")
    precondition(Set(names).count == names.count, "a verb of '\(name)' occurs twice or is 'help'")
    self.name = name
    self.abstract = abstract
    self.discussion = discussion
    self.groups = groups
    self.examples = examples
    self.exitStatuses = exitStatuses
  }

  /// The verbs of all titles in order.
  public var verbs: [CommandDescription] { groups.flatMap(\.verbs).map(\.description) }

  /// Works out what a command line asks for, without doing any of it.
  ///
  /// - Parameter arguments: The arguments after the tool's name.
  /// - Returns: The request; help on the tool when there are no arguments.
  /// - Throws: `UsageError` for the first argument that does not fit.
  public func interpret(_ arguments: [String]) throws(UsageError) -> Request {
    guard let first = arguments.first else { return .help(nil) }
    let rest = Array(arguments.dropFirst())
    if first == "--help" || first == "-h" { return .help(nil) }
    if first == "help" { return .help(try topic(of: rest)) }
    // The one long option that people try before they know the verbs.
    let word = first == "--version" && verbs.contains { $0.name == "version" } ? "version" : first
    let verb = try find(word)
    // Help wins over every mistake beside it; a value can never be '-h' or '--help' on its own.
    if verb.description.ownArguments(rest).contains(where: { $0 == "--help" || $0 == "-h" }) {
      return .help(verb.description)
    }
    return .run(try verb.prepare(rest, name))
  }

  private func topic(of words: [String]) throws(UsageError) -> CommandDescription? {
    guard let first = words.first else { return nil }
    if words.count > 1 {
      let hint = "ask for one verb at a time: \(name) help \(first)"
      throw UsageError("unexpected operand '\(words[1])'", hint: hint)
    }
    return first == "help" || looksLikeOption(first) ? nil : try find(first).description
  }

  private func find(_ word: String) throws(UsageError) -> Verb {
    for verb in groups.flatMap(\.verbs) where verb.description.name == word { return verb }
    if looksLikeOption(word) {
      let hint = "options follow the verb: \(name) <verb> \(word)"
      throw UsageError("option '\(word)' stands before the verb", hint: hint)
    }
    let nearest = nearestName(to: word, among: verbs.map(\.name) + ["help"])
    let hint = nearest.map { "did you mean '\(name) \($0)'?" } ?? "'\(name) help' lists the verbs"
    throw UsageError("unknown verb '\(word)'", hint: hint)
  }

  /// Finds examples whose arguments do not parse, so that a test can keep them honest.
  ///
  /// Only the part before a pipe or a redirection is looked at; words are separated by spaces.
  ///
  /// - Returns: Each such example with the error that answers it.
  public func brokenExamples() -> [(example: Example, error: UsageError)] {
    (examples + verbs.flatMap(\.examples)).compactMap { example in
      let words = example.arguments.split(separator: " ").map(String.init)
      let own = words.prefix { !["|", ">", ">>", "&&"].contains($0) }
      do throws(UsageError) {
        _ = try interpret(Array(own))
        return nil
      } catch {
        return (example, error)
      }
    }
  }
}
