// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The page of a report for a repository: the same parts as Markdown, with the pictures beside it.
// What `Documentation/results/regenerate` writes is made of this, so that a page that people read
// on the web and the one that the tool writes cannot disagree.

extension Report {
  /// The columns that lines of text are kept to.
  private static let width = 100

  /// The page as Markdown.
  ///
  /// - Parameters:
  ///   - note: A paragraph of Markdown under the title, for example how the page was made.
  ///   - folder: Where the pictures are, as a link from the page.
  ///   - drawn: Names of the plots that have a picture there.
  /// - Returns: The page; a table in place of every picture that could not be drawn.
  package func markdown(note: String, pictures folder: String, drawn: Set<String>) -> String {
    var blocks = ["# \(title)"]
    blocks.append(Table.wrap(note, width: Self.width).joined(separator: "\n"))
    if !summary.isEmpty { blocks.append(Self.paragraph(summary)) }
    if !comparisons.isEmpty {
      blocks.append("## Beside the publications")
      blocks.append(ReportPage.comparisonTable(comparisons).markdown)
    }
    for section in sections {
      blocks.append("## \(section.title)")
      for part in section.parts {
        switch part {
        case .text(let text): blocks.append(Self.paragraph(text))
        case .heading(let text): blocks.append("### \(text)")
        case .table(let table): blocks.append(table.markdown)
        case .plots(let plots):
          blocks += plots.filter { $0.size == .full }.map { plot in
            drawn.contains(plot.name)
              ? "![\(Table.escapedMarkdown(plot.title))](\(folder)/\(plot.name).svg)"
              : plot.table.markdown
          }
          let small = plots.filter { $0.size == .small }
          if !small.isEmpty { blocks.append(Self.grid(small, in: folder, drawn: drawn)) }
        }
      }
    }
    return blocks.joined(separator: "\n\n") + "\n"
  }

  /// Small pictures side by side; Markdown itself has no such thing.
  private static func grid(_ plots: [Plot], in folder: String, drawn: Set<String>) -> String {
    var lines = ["<table>"]
    for start in stride(from: 0, to: plots.count, by: 2) {
      lines.append("<tr>")
      for plot in plots[start..<min(start + 2, plots.count)] {
        let title = ReportPage.escaped(plot.title)
        lines.append("<td width=\"50%\" valign=\"top\">")
        if drawn.contains(plot.name) {
          lines.append("<img src=\"\(folder)/\(plot.name).svg\"")
          lines.append("alt=\"\(title)\"><br>")
        }
        lines += Table.wrap(
          "<b>\(title).</b> \(ReportPage.escaped(plot.fullCaption))", width: width)
        lines.append("</td>")
      }
      lines.append("</tr>")
    }
    return (lines + ["</table>"]).joined(separator: "\n")
  }

  private static func paragraph(_ text: String) -> String {
    Table.wrap(Table.escapedMarkdown(text), width: width).joined(separator: "\n")
  }

  /// Draws the pictures into a folder, which keeps nothing else of them.
  ///
  /// - Parameters:
  ///   - folder: The folder, which exists.
  ///   - draw: Draws a script; gnuplot unless a test says otherwise.
  /// - Returns: The names of the plots that have a picture; none without gnuplot.
  /// - Throws: ``ReportError``, and what `draw` throws.
  package func drawPictures(
    in folder: String,
    draw: Draw = { script, folder in try Gnuplot.draw(script: script, folder: folder) }
  ) throws -> Set<String> {
    var drawn: Set<String> = []
    for plot in allPlots {
      let (script, data) = ("\(plot.name).gnuplot", "\(plot.name).csv")
      try FileSystem.write(plot.csv, to: "\(folder)/\(data)")
      try FileSystem.write(plot.gnuplotScript, to: "\(folder)/\(script)")
      defer { for name in [script, data] { try? FileSystem.removeFile("\(folder)/\(name)") } }
      if try draw(script, folder) == .drawn { drawn.insert(plot.name) }
    }
    return drawn
  }
}

extension Table {
  /// The table as Markdown; headings inside of it become rows.
  package var markdown: String {
    func row(_ cells: [String]) -> String { "| \(cells.joined(separator: " | ")) |" }
    var lines = [
      row(columns.map { Self.escapedMarkdown($0.header) }),
      "|" + columns.map { $0.side == .right ? "---:|" : "---|" }.joined(),
    ]
    for content in rows {
      switch content {
      case .group(let title):
        let blanks = Array(repeating: "", count: columns.count - 1)
        lines.append(row(["**\(Self.escapedMarkdown(title))**"] + blanks))
      case .cells(let cells): lines.append(row(cells.map { Self.escapedMarkdown($0.shown) }))
      }
    }
    if let caption { lines += ["", Self.escapedMarkdown(caption)] }
    return lines.joined(separator: "\n")
  }

  /// Text in which nothing is markup of Markdown.
  static func escapedMarkdown(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "|", "*", "_", "<", ">", "[", "]", "`", "\\":
        result += "\\"
        result.unicodeScalars.append(scalar)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
