// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterReport

// What documents of all verbs have in common.

extension JSONValue.Member {
  /// The members with which every document of this tool begins.
  ///
  /// - Parameters:
  ///   - schema: The document's form and its version.
  ///   - command: The command line that made it; nil where none is told.
  static func heading(schema: String, command: [String]? = nil) -> [JSONValue.Member] {
    let tool: [JSONValue.Member] = [
      .init("name", .string("arbiter")), .init("version", .string(Version.text)),
    ]
    return [.init("schema", .string(schema)), .init("tool", .object(tool))]
      + (command.map { [.init("command", .array($0.map { .string($0) }))] } ?? [])
  }

  /// Figures, null where they are missing, and the reasons of those by their names.
  static func figures(
    _ list: [(name: String, figure: Figure<JSONValue>)]
  ) -> (members: [JSONValue.Member], reasons: [JSONValue.Member]) {
    (
      list.map { .init($0.name, $0.figure.value ?? .null) },
      list.compactMap { name, figure in figure.reason.map { .init(name, .string($0)) } }
    )
  }

  /// The member that tells why figures of the same object are null.
  static func unavailable(_ reasons: [JSONValue.Member]) -> JSONValue.Member {
    .init("unavailable", .object(reasons))
  }
}
