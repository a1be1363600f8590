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
            + ProfileParameter.all.map(\.key) + ProfileLibrary.embedded.names),
        help: "A field of the results, a profile or a number of profiles; all names without it.")
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
      let numbers = ProfileParameter.all.map { "  \($0.key)\n" }.joined()
      return "Fields of a result:\n\(fields)\nMore fields of a run's summary:\n\(summary)\n"
        + "Profiles:\n\(profiles)\nNumbers of a profile:\n\(numbers)"
    }
    if let field = ResultField.all.first(where: { $0.flatName == name }) {
      return "\(field.flatName): \(field.meaning)\n"
    }
    if let entry = SummaryGlossary.entries.first(where: { $0.name == name }) {
      return "\(entry.name): \(entry.meaning)\n"
    }
    if let parameter = ProfileParameter.all.first(where: { $0.key == name }) {
      return try self.text(of: parameter)
    }
    guard ProfileLibrary.embedded.names.contains(name) else {
      let known =
        ResultField.all.map(\.flatName) + SummaryGlossary.entries.map(\.name)
        + ProfileParameter.all.map(\.key) + ProfileLibrary.embedded.names
      let nearest = nearestName(to: name, among: known).map { "did you mean '\($0)'?" }
      throw Failure(
        ExitCode.usage, "nothing is named '\(name)'",
        hint: nearest ?? "'arbiter explain' lists the names")
    }
    let resolved = try ProfileLibrary.embedded.resolved(name)
    var facts = Table([.init("parameter"), .init("value", .right), .init("source")])
    for fact in resolved.facts {
      facts.add([.text(fact.key), .text(fact.value), .text(fact.source)])
    }
    let width = Console.output().columns
    let summary = Console.wrapped("\(name): \(resolved.profile.summary)", width: width)
    let text = summary.joined(separator: "\n") + "\n\n" + facts.text(width: width)
    guard !resolved.plausible.isEmpty else { return text }
    var ranges = Table([.init("uncertain"), .init("plausible", .right), .init("why")])
    for range in resolved.plausible {
      ranges.add([.text(range.key), .text(range.ends), .text(range.source)])
    }
    return text + "\n" + ranges.text(width: width)
  }

  /// What a number of profiles means, and what is known of it in the default profile.
  private static func text(of parameter: ProfileParameter) throws -> String {
    let profile = try ProfileLibrary.embedded.resolved(ProfileLibrary.defaultName)
    let kind = parameter.isWhole ? "a whole number" : "a number"
    var text =
      "\(parameter.key): \(parameter.meaning); \(kind) from \(plain(parameter.range.lowerBound)) "
      + "to \(plain(parameter.range.upperBound)).\n"
    if let fact = profile.facts.first(where: { $0.key == parameter.key }) {
      text += "\(profile.profile.name): \(fact.value) (\(fact.source)).\n"
    }
    if let range = profile.plausible.first(where: { $0.key == parameter.key }) {
      text += "Plausible: \(range.ends) (\(range.source)).\n"
    }
    return text
  }
}
