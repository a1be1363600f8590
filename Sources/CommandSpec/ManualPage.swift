// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// One generated man page.
public struct ManualPage: Equatable, Sendable {
  /// The file's name: `arbiter-simulate.1`.
  public let fileName: String

  /// The page in mdoc.
  public let text: String
}

extension CommandSet {
  /// Writes the man pages: one for the tool and one for each verb.
  ///
  /// - Parameter date: The date in mdoc's form, `January 31, 2026`. It is an argument so that
  ///   the same description gives the same bytes.
  /// - Returns: The pages, the tool's first.
  public func manualPages(date: String) -> [ManualPage] {
    [toolPage(date: date)] + verbs.map { verbPage($0, date: date) }
  }

  private func toolPage(date: String) -> ManualPage {
    var page = MdocWriter(name: name, date: date, abstract: abstract)
    page.section("SYNOPSIS")
    page.macro("Nm \(name)")
    page.macro("Ar verb")
    page.macro("Op Ar options")
    if verbs.contains(where: \.takesCommand) { page.macro("Op Fl Fl Ar command ...") }
    page.section("DESCRIPTION")
    page.prose([abstract] + paragraphs(discussion))
    for group in groups {
      page.subsection(group.title)
      page.list(
        group.verbs.map(\.description).map { verb in
          (item: "Ic \(MdocWriter.argument(verb.name))", text: verb.abstract)
        })
    }
    page.exitStatuses(exitStatuses)
    page.examples(examples, tool: name)
    page.seeAlso(verbs.map { "\(name)-\($0.name)" })
    return ManualPage(fileName: "\(name).1", text: page.text)
  }

  private func verbPage(_ verb: CommandDescription, date: String) -> ManualPage {
    let pageName = "\(name)-\(verb.name)"
    var page = MdocWriter(name: pageName, date: date, abstract: verb.abstract)
    page.section("SYNOPSIS")
    page.macro("Nm \(name) \(verb.name)")
    for option in verb.options { page.macro("Op " + mdocItem(option, isSynopsis: true)) }
    if verb.operands.areOneCommand {
      page.macro("Op Fl Fl")
      page.macro("Ar \(MdocWriter.placeholder(verb.operands[0].placeholder)) ...")
    } else {
      for operand in verb.operands { page.macro(mdocUsage(operand)) }
    }
    page.section("DESCRIPTION")
    page.prose([verb.abstract] + paragraphs(verb.discussion))
    page.list(verb.operands.map { (mdocUsage($0), $0.help) })
    page.section("OPTIONS")
    for group in verb.groups {
      page.subsection(group.title)
      page.list(group.options.map { (mdocItem($0, isSynopsis: false), mdocHelp($0)) })
    }
    page.subsection("Help")
    page.list([("Fl h , Fl Fl help", "Print a summary of this page.")])
    page.exitStatuses(exitStatuses)
    page.examples(verb.examples, tool: name)
    page.seeAlso([name] + verb.seeAlso)
    return ManualPage(fileName: "\(pageName).1", text: page.text)
  }

  private func mdocHelp(_ option: OptionDescription) -> String {
    let text = option.help + option.completion.listed
    return option.defaultText.map { "\(text) Default: \($0)" } ?? text
  }

  private func mdocItem(_ option: OptionDescription, isSynopsis: Bool) -> String {
    let value = option.placeholder.map { MdocWriter.placeholder($0) }
    let long = "Fl Fl \(option.name)" + (value.map { " Ns = Ns Ar \($0)" } ?? "")
    guard let short = option.short, !isSynopsis else { return long }
    return "Fl \(short)" + (value.map { " Ar \($0)" } ?? "") + " , " + long
  }

  private func mdocUsage(_ operand: OperandDescription) -> String {
    let name = MdocWriter.placeholder(operand.placeholder)
    switch operand.arity {
    case .required: return "Ar \(name)"
    case .optional: return "Op Ar \(name)"
    case .repeated(let minimum): return minimum > 0 ? "Ar \(name) ..." : "Op Ar \(name) ..."
    case .command(let isRequired): return (isRequired ? "" : "Op ") + "Fl Fl Ar \(name) ..."
    }
  }
}
