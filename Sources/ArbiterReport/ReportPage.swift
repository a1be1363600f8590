// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice

// One page that needs nothing but itself: pictures are embedded as data, neither linked nor inline,
// because gnuplot gives the same identifiers to parts of every picture. The text is well-formed XML
// as well as HTML, so that both kinds of checker accept it.

/// The page of a report.
struct ReportPage {
  let report: Report
  /// The pictures that could be drawn, as SVG, by the name of their plot.
  let pictures: [String: String]

  /// The page.
  var html: String {
    let document = report.document
    var page = """
      <!DOCTYPE html>
      <html lang="en" xml:lang="en" xmlns="http://www.w3.org/1999/xhtml">
      <head>
      <meta charset="utf-8"/>
      <meta name="viewport" content="width=device-width, initial-scale=1"/>
      <meta name="color-scheme" content="light dark"/>
      <title>\(Self.escaped(report.title))</title>
      <style>\(Self.style)</style>
      </head>
      <body>
      <main>
      <h1>\(Self.escaped(report.title))</h1>

      """
    if !report.summary.isEmpty { page += "<p>\(Self.escaped(report.summary))</p>\n" }
    page += facts(document)
    if !report.allPlots.isEmpty, pictures.isEmpty {
      page += """
        <p class="note">The plots are missing: they need the package gnuplot. Install it and run the
        command again, or run gnuplot on the scripts beside this page. The tables below hold the
        same figures.</p>

        """
    }
    if !report.comparisons.isEmpty {
      page += section(
        "Beside the publications", Self.html(Self.comparisonTable(report.comparisons)))
    }
    if !report.plots.isEmpty {
      page += section("Plots", report.plots.map(figure).joined())
    }
    for part in report.sections {
      page += section(Self.escaped(part.title), part.parts.map(html).joined())
    }
    // The longest part comes last.
    if !document.results.isEmpty {
      page += section("Results", Self.html(document.table))
    }
    return page + "</main>\n</body>\n</html>\n"
  }

  private func facts(_ document: ResultDocument) -> String {
    var rows = [("Command", "<code>\(Self.escaped(Self.shell(document.command)))</code>")]
    rows.append(("Seed", document.seed.map { "\($0)" } ?? "none"))
    rows.append(("Version", Self.escaped("\(document.toolName) \(document.toolVersion)")))
    let sources = Set(document.results.map(\.result.counterSource.rawValue)).sorted()
    if !sources.isEmpty { rows.append(("Figures from", sources.joined(separator: ", "))) }
    return "<dl>\n"
      + rows.map { "<dt>\($0.0)</dt><dd>\($0.1)</dd>\n" }.joined() + "</dl>\n"
  }

  private func section(_ title: String, _ content: String) -> String {
    "<section>\n<h2>\(title)</h2>\n\(content)</section>\n"
  }

  private func html(_ part: Report.Section.Part) -> String {
    switch part {
    case .text(let text): "<p>\(Self.escaped(text))</p>\n"
    case .heading(let text): "<h3>\(Self.escaped(text))</h3>\n"
    case .table(let table): Self.html(table)
    case .plots(let plots): "<div class=\"plots\">\n\(plots.map(figure).joined())</div>\n"
    }
  }

  private func figure(_ plot: Plot) -> String {
    var text = plot.size == .small ? "<figure class=\"small\">\n" : "<figure>\n"
    if let picture = pictures[plot.name] {
      let data = Base64.encode(Array(picture.utf8))
      text +=
        "<img alt=\"\(Self.escaped(plot.title))\" src=\"data:image/svg+xml;base64,\(data)\"/>\n"
    } else {
      text += "<h3>\(Self.escaped(plot.title))</h3>\n"
    }
    let title = plot.size == .small ? "<strong>\(Self.escaped(plot.title)).</strong> " : ""
    text += "<figcaption>\(title)\(Self.escaped(plot.fullCaption))</figcaption>\n"
    // Without a picture the data is what there is to see.
    let open = pictures[plot.name] == nil ? " open=\"open\"" : ""
    text += "<details\(open)>\n<summary>Data (\(plot.name).csv)</summary>\n"
    return text + Self.html(plot.table) + "</details>\n</figure>\n"
  }

  static func comparisonTable(_ comparisons: [Report.Comparison]) -> Table {
    var table = Table([
      .init("what"), .init("published", .right), .init("here", .right), .init("unit"),
      .init("here ÷ published", .right), .init("source"),
    ])
    for line in comparisons {
      let ratio = line.published == 0 ? nil : line.measured.map { $0 / line.published }
      table.add([
        .text(line.claim), .number(line.published), .number(line.measured), .text(line.unit),
        .number(ratio), .text(line.source),
      ])
    }
    return table
  }

  /// A table of the page; numbers stand at the right.
  static func html(_ table: Table) -> String {
    func side(_ column: Int) -> String {
      table.columns[column].side == .right ? " class=\"number\"" : ""
    }
    var text = "<div class=\"scroll\">\n<table>\n"
    if let caption = table.caption { text += "<caption>\(escaped(caption))</caption>\n" }
    text += "<thead><tr>"
    for (index, column) in table.columns.enumerated() {
      text += "<th scope=\"col\"\(side(index))>\(escaped(column.header))</th>"
    }
    text += "</tr></thead>\n<tbody>\n"
    for row in table.rows {
      switch row {
      case .group(let title):
        text += "<tr><th colspan=\"\(table.columns.count)\" scope=\"colgroup\">"
        text += "\(escaped(title))</th></tr>\n"
      case .cells(let cells):
        let shown = cells.enumerated().map {
          "<td\(side($0.offset))>\(escaped($0.element.shown))</td>"
        }
        text += "<tr>\(shown.joined())</tr>\n"
      }
    }
    return text + "</tbody>\n</table>\n</div>\n"
  }

  /// Text in which nothing is markup; characters that neither HTML nor XML has become `?`.
  static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      case "\n", "\t": result.unicodeScalars.append(scalar)
      case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value): result += "?"
      case "\u{FFFE}", "\u{FFFF}": result += "?"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// A command as a shell reads it.
  static func shell(_ words: [String]) -> String {
    words.map { word in
      let isPlain =
        !word.isEmpty
        && word.utf8.allSatisfy { byte in
          (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte)
            || (0x61...0x7A).contains(byte) || "-_=./,:+%@".utf8.contains(byte)
        }
      guard !isPlain else { return word }
      return "'"
        + word.split(separator: "'", omittingEmptySubsequences: false)
        .joined(separator: "'\\''") + "'"
    }.joined(separator: " ")
  }

  private static let style = """

    :root { color-scheme: light dark; --line: #d0d7de; --soft: #57606a; --note: #fff4d6;
      --hover: #f4f6f8; --page: #ffffff; --text: #1f2328; }
    @media (prefers-color-scheme: dark) { :root { --line: #3d444d; --soft: #9ea7b3;
      --note: #3a3114; --hover: #1c2229; --page: #14181d; --text: #e6edf3; } }
    body { margin: 0; background: var(--page); color: var(--text);
      font: 16px/1.5 system-ui, sans-serif; }
    main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
    h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
    dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
    dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
    .note { background: var(--note); padding: .7rem 1rem; border-radius: 6px; }
    .scroll { overflow-x: auto; }
    table { border-collapse: collapse; font-size: .875rem; width: 100%; }
    th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left;
      vertical-align: bottom; }
    td { vertical-align: top; }
    td:first-child { white-space: nowrap; }
    tbody tr:hover { background: var(--hover); }
    .number { text-align: right; font-variant-numeric: tabular-nums; }
    figure { margin: 2rem 0; }
    td.number { white-space: nowrap; }
    .plots { display: grid; gap: 1rem 1.5rem; margin-top: 1.5rem;
      grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); }
    .plots figure { margin: 0; grid-column: 1 / -1; }
    .plots figure.small { grid-column: auto; font-size: .875rem; }
    figcaption strong { color: var(--text); }
    h3 { margin: 2rem 0 .3rem; } h3 + p { margin-top: 0; }
    img { width: 100%; height: auto; background: #ffffff; border: 1px solid var(--line);
      border-radius: 6px; }
    figcaption, summary { color: var(--soft); margin-top: .4rem; }
    """
}

/// Base 64 after RFC 4648.
package enum Base64 {
  private static let letters = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  /// Returns the bytes as text.
  package static func encode(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let count = min(3, bytes.count - start)
      var group = 0
      for offset in 0..<3 { group = group << 8 | (offset < count ? Int(bytes[start + offset]) : 0) }
      for place in 0..<4 {
        let letter = letters[group >> (18 - 6 * place) & 63]
        text.append(place <= count ? letter : UInt8(ascii: "="))
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
