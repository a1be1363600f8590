// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterReport
import Foundation
import Testing

private func sampleReport() -> Report {
  Report(
    title: "Schemes & threads <compared>", summary: "Modelled module, virtual time.",
    document: document([fullResult(), fullResult(scheme: "arbiter"), emptyResult()]),
    plots: [samplePlot(), samplePlot(name: "again")],
    comparisons: [
      .init(
        claim: "gain at 26 threads", published: 1.47, measured: 2.2, source: "Arbiter paper"),
      .init(
        claim: "peak", published: 2.28, measured: nil, unit: "GB/s", source: "Yang et al."),
    ])
}

/// Draws nothing but a file, so that the tests of folders do not need gnuplot.
private let pretend: Draw = { script, folder in
  let name = script.replacing(".gnuplot", with: ".svg")
  try FileSystem.write("<svg xmlns=\"http://www.w3.org/2000/svg\"/>", to: "\(folder)/\(name)")
  return .drawn
}

private let missing: Draw = { _, _ in .programMissing }

private let everyFile = [
  ".arbiter-report", "again.csv", "again.gnuplot", "again.svg", "bandwidth.csv",
  "bandwidth.gnuplot", "bandwidth.svg", "index.html", "results.csv", "results.json",
]

@discardableResult
private func write(_ path: String, draw: Draw = pretend) throws -> ReportFolder.Outcome {
  try ReportFolder.write(sampleReport(), to: path, process: 42, draw: draw)
}

/// The error of writing at a path that must be refused.
private func refusal(_ path: String, draw: Draw = pretend) -> ReportError? {
  do {
    _ = try write(path, draw: draw)
    return nil
  } catch {
    return error as? ReportError
  }
}

@Suite("Report folder")
struct ReportFolderTests {
  @Test func `a report has all its files and nothing is left beside it`() throws {
    try withFolder { folder in
      let outcome = try write(folder + "/report/")
      #expect(outcome.page == folder + "/report/index.html")
      #expect(outcome.hasPictures)
      #expect(try names(in: folder + "/report") == everyFile)
      #expect(try names(in: folder) == ["report"])
      let json = try contents(folder + "/report/results.json")
      #expect(json == sampleReport().document.json.document())
    }
  }

  @Test func `an older report and an empty folder are replaced`() throws {
    try withFolder { folder in
      let path = folder + "/report"
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
      try write(path)
      try FileSystem.write("old", to: path + "/index.html")
      try write(path)
      #expect(try contents(path + "/index.html").hasPrefix("<!DOCTYPE html>"))
      #expect(try names(in: folder) == ["report"])
    }
  }

  @Test func `a folder or file of somebody else is left alone`() throws {
    try withFolder { folder in
      try FileSystem.write("mine", to: folder + "/notes.txt")
      let error = try #require(refusal(folder))
      #expect(error.code == .notAReport)
      #expect(error.path == folder)
      #expect(try names(in: folder) == ["notes.txt"])
      #expect(refusal(folder + "/notes.txt")?.code == .notAReport)
      #expect(try contents(folder + "/notes.txt") == "mine")
    }
  }

  @Test func `a report to which somebody added a file is left alone`() throws {
    try withFolder { folder in
      let path = folder + "/report"
      try write(path)
      try FileSystem.write("mine", to: path + "/notes.txt")
      let error = try #require(refusal(path))
      #expect(error.path == path + "/notes.txt")
      #expect(try contents(path + "/notes.txt") == "mine")
      #expect(try names(in: folder) == ["report"])
    }
  }

  @Test func `a failure on the way leaves the older report and no remains`() throws {
    struct Broken: Error {}
    try withFolder { folder in
      let path = folder + "/report"
      try write(path)
      let before = try contents(path + "/index.html")
      let failing: Draw = { script, _ in
        guard script == "bandwidth.gnuplot" else { throw Broken() }
        return .programMissing
      }
      #expect(throws: Broken.self) { try write(path, draw: failing) }
      #expect(try contents(path + "/index.html") == before)
      #expect(try names(in: folder) == ["report"])
    }
  }

  @Test func `the remains of a process that was ended are cleared away`() throws {
    try withFolder { folder in
      let partial = folder + "/report.partial-42"
      try write(partial)
      try FileSystem.write("", to: partial + "/bandwidth.gnuplot.log")
      try write(folder + "/report")
      #expect(try names(in: folder) == ["report"])
    }
  }

  @Test func `a folder that cannot be made is named with the system's reason`() throws {
    try withFolder { folder in
      let error = try #require(refusal(folder + "/none/report"))
      #expect(error.code == .system)
      #expect(error.errorNumber == ENOENT)
      #expect(
        error.description
          == "cannot make the folder: No such file or directory (\(folder)/none/report.partial-42)")
    }
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/sys/kernel"), "needs sysfs"))
  func `a place where nobody may write is refused`() throws {
    // Even the superuser makes no folder in sysfs.
    let error = try #require(refusal("/sys/arbiter-report"))
    #expect([EACCES, EPERM, EROFS].contains(error.errorNumber))
    #expect(error.path == "/sys/arbiter-report.partial-42")
  }

  @Test func `a full disk is noticed and named`() throws {
    let error = try #require(throws: ReportError.self) {
      try FileSystem.write("text", to: "/dev/full")
    }
    #expect(error.errorNumber == ENOSPC)
    #expect(error.description == "cannot write the file: No space left on device (/dev/full)")
  }

  @Test(
    .enabled(if: getuid() == 0 && isInstalled("mount"), "needs the right to mount a small disk"))
  func `a disk that fills up leaves no half report`() throws {
    try withFolder { folder in
      let disk = folder + "/disk"
      try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: false)
      let mounted = try run("mount", ["-t", "tmpfs", "-o", "size=16k", "tmpfs", disk])
      guard mounted?.code == 0 else { try Test.cancel("no right to mount a small disk here") }
      defer { _ = try? run("umount", [disk]) }
      let error = try #require(refusal(disk + "/report"))
      #expect(error.errorNumber == ENOSPC)
      #expect(error.path.hasPrefix(disk + "/report.partial-42/"))
      #expect(try names(in: disk).isEmpty)
    }
  }
}

@Suite("Report page")
struct ReportPageTests {
  private func page(draw: @escaping Draw) throws -> String {
    try withFolder { folder in
      let outcome = try write(folder + "/report", draw: draw)
      if let check = try run("xmllint", ["--noout", "--nonet", outcome.page]) {
        #expect(check.code == 0, "\(check.said)")
      }
      return try contents(outcome.page)
    }
  }

  @Test func `the page holds command, seed, version, results and comparisons`() throws {
    let html = try page(draw: pretend)
    for text in [
      "<h1>Schemes &amp; threads &lt;compared&gt;</h1>", "arbiter compare --threads=1,8",
      "<dd>18446744073709551615</dd>", "<dd>arbiter 0.1.0</dd>", "<td>baseline</td>",
      "<td class=\"number\">1.54</td>", "<td>gain at 26 threads</td>",
      "<td class=\"number\">1.50</td>", "<td>Arbiter paper</td>",
      "prefers-color-scheme: dark", "<html lang=\"en\"",
    ] { #expect(html.contains(text), "\(text)") }
  }

  @Test func `the page loads nothing from elsewhere`() throws {
    let html = try page(draw: pretend)
    #expect(!html.contains("<link"))
    #expect(!html.contains("<script"))
    #expect(!html.contains("url("))
    let sources = html.components(separatedBy: "src=\"").dropFirst()
    #expect(sources.count == 2)
    #expect(sources.allSatisfy { $0.hasPrefix("data:image/svg+xml;base64,") })
  }

  @Test func `without gnuplot the page says so and shows the data`() throws {
    let html = try page(draw: missing)
    #expect(html.contains("they need the package gnuplot"))
    #expect(!html.contains("<img"))
    #expect(html.contains("<details open=\"open\">"))
    #expect(html.contains("<td>arbiter_paper&#39;s, 1.0</td>"))
    #expect(!(try page(draw: pretend)).contains("they need the package gnuplot"))
  }

  @Test(.enabled(if: isInstalled("gnuplot"), "needs the program gnuplot"))
  func `the scripts of a report make its pictures again`() throws {
    try withFolder { folder in
      let report = folder + "/report"
      try ReportFolder.write(sampleReport(), to: report, process: getpid())
      let first = try contents(report + "/again.svg")
      try FileManager.default.removeItem(atPath: report + "/again.svg")
      let again = try run("sh", ["-c", "cd '\(report)' && exec gnuplot again.gnuplot"])
      #expect(again?.code == 0)
      #expect(try contents(report + "/again.svg") == first)
      #expect(try names(in: report) == everyFile)
    }
  }
}

/// A report of other things than runs, with parts of every kind.
private func sectionedReport() -> Report {
  var small = samplePlot(name: "small", title: "A <small> one")
  small.size = .small
  var table = Table([.init("name"), .init("value", .right)])
  table.addGroup("A | group")
  table.add(["a_b", .number(1.5)])
  return Report(
    title: "Sections", summary: "A summary with <marks>.", document: document([]),
    sections: [
      .init(
        "First & only",
        [
          .text("Some * text."), .heading("Inside"), .table(table),
          .plots([small, samplePlot(name: "large")]),
        ])
    ], files: [.init("own.csv", "a,b\r\n")])
}

@Suite("Report sections")
struct ReportSectionTests {
  @Test func `sections have their files and no empty list of results`() throws {
    try withFolder { folder in
      let outcome = try ReportFolder.write(
        sectionedReport(), to: folder + "/r", process: 42, draw: pretend)
      #expect(outcome.hasPictures)
      #expect(
        try names(in: folder + "/r") == [
          ".arbiter-report", "index.html", "large.csv", "large.gnuplot", "large.svg", "own.csv",
          "small.csv", "small.gnuplot", "small.svg",
        ])
      let page = try contents(outcome.page)
      for text in [
        "<h2>First &amp; only</h2>", "<p>Some * text.</p>", "<h3>Inside</h3>",
        "<figure class=\"small\">", "<strong>A &lt;small&gt; one.</strong>",
      ] { #expect(page.contains(text), "\(text)") }
      if let check = try run("xmllint", ["--noout", "--nonet", outcome.page]) {
        #expect(check.code == 0, "\(check.said)")
      }
      // The older report knows its files, and gives way.
      try ReportFolder.write(sampleReport(), to: folder + "/r", process: 42, draw: pretend)
      #expect(try names(in: folder + "/r") == everyFile)
    }
  }

  @Test func `as Markdown every picture is beside the page and nothing is markup by accident`()
    throws
  {
    try withFolder { folder in
      let report = sectionedReport()
      let drawn = try report.drawPictures(in: folder, draw: pretend)
      #expect(drawn == ["small", "large"])
      #expect(try names(in: folder) == ["large.svg", "small.svg"])
      let page = report.markdown(note: "See [there](x.md).", pictures: "p", drawn: drawn)
      #expect(page.hasPrefix("# Sections\n\nSee [there](x.md).\n\nA summary with \\<marks\\>."))
      for text in [
        "\n## First & only\n", "\n### Inside\n", "Some \\* text.", "| **A \\| group** |  |",
        "| a\\_b | 1.50 |", "|---|---:|", "<img src=\"p/small.svg\"", "](p/large.svg)",
        "<b>A &lt;small&gt; one.</b>",
      ] { #expect(page.contains(text), "\(text)") }
      let lines = page.split(separator: "\n")
      #expect(lines.allSatisfy { $0.count <= 100 || $0.hasPrefix("|") || $0.contains("](") })
      let bare = report.markdown(note: "", pictures: "p", drawn: [])
      #expect(!bare.contains("p/large.svg") && bare.contains("| baseline | 1 | 2.28 |"))
    }
  }
}

@Suite("Base 64")
struct Base64Tests {
  @Test(arguments: 0..<70)
  func `text reads back by another reader`(count: Int) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 11) }
    #expect(Data(base64Encoded: Base64.encode(bytes)) == Data(bytes))
  }
}
