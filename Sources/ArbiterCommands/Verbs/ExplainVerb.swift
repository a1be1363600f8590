// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterProfiles
internal import ArbiterReport
internal import CommandSpec

/// Options of `arbiter explain`.
struct ExplainOptions: Equatable {
  var name: String?

  static let command: Command<ExplainOptions> = Command(
    name: "explain", abstract: "Say what a figure means, or where a profile's numbers come from.",
    initial: ExplainOptions(),
    operands: [
      .optional(
        "<NAME>", \.name,
        completion: .words(
          ResultField.all.map(\.flatName) + SummaryGlossary.entries.map(\.name)
            + ProfileLibrary.embedded.names),
        help: "A field of the results or a profile; all names without it.")
    ],
    examples: [
      Example("What write_amplification_ratio means", "explain write_amplification_ratio"),
      Example("Where the default profile's numbers come from", "explain optane-100-256g"),
    ],
    run: { invocation in
      try Console.write(try text(invocation.options.name))
      return ExitCode.done
    })

  private static func text(_ name: String?) throws -> String {
    guard let name else {
      let fields = ResultField.all.map { "  \($0.flatName)\n" }.joined()
      let profiles = try ProfileLibrary.embedded.names.map {
        "  \(try ProfileLibrary.embedded.profile(named: $0).label)\n"
      }.joined()
      let summary = SummaryGlossary.entries.map { "  \($0.name)\n" }.joined()
      return "Fields of a result:\n\(fields)\nMore fields of a run's summary:\n\(summary)\n"
        + "Profiles:\n\(profiles)"
    }
    if let field = ResultField.all.first(where: { $0.flatName == name }) {
      return "\(field.flatName): \(field.meaning)\n"
    }
    if let entry = SummaryGlossary.entries.first(where: { $0.name == name }) {
      return "\(entry.name): \(entry.meaning)\n"
    }
    guard ProfileLibrary.embedded.names.contains(name) else {
      let known =
        ResultField.all.map(\.flatName) + SummaryGlossary.entries.map(\.name)
        + ProfileLibrary.embedded.names
      let nearest = nearestName(to: name, among: known).map { "did you mean '\($0)'?" }
      throw Failure(
        ExitCode.usage, "nothing is named '\(name)'",
        hint: nearest ?? "'arbiter explain' lists the names")
    }
    var table = Table([.init("parameter"), .init("value", .right), .init("source")])
    let resolved = try ProfileLibrary.embedded.resolved(name)
    for fact in resolved.facts {
      table.add([.text(fact.key), .text(fact.value), .text(fact.source)])
    }
    let width = Console.output().columns
    let summary = Console.wrapped(
      "\(name): \(resolved.profile.summary)", width: width)
    return summary.joined(separator: "\n") + "\n\n" + table.text(width: width)
  }
}
