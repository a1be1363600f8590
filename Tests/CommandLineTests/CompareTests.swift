// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Testing

@Suite("Compare", .serialized)
struct CompareTests {
  static let plots = [
    "figure-3d-delay", "figure-4a-imc-bandwidth", "figure-4b-media-bandwidth",
    "figure-4c-median-latency", "figure-4d-tail-latency", "figure-5-write-amplification",
    "figure-6-effective-bandwidth",
  ]
  private let quick =
    "compare --threads=1,26 --scheme=baseline,arbiter --duration=1ms --fidelity=none"

  @Test func `the whole comparison takes at most ten seconds on two processors`() throws {
    let folder = TemporaryFolder()
    let run = try arbiter("compare", in: folder.path)
    print("arbiter compare: \(run.seconds) s on the wall, \(run.cpuSeconds) s of CPU time")
    #expect(run.code == 0)
    // Other tests run beside it, so that the bound is on the work rather than on the wall.
    #expect(run.cpuSeconds < 20)
    let lines = run.output.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.allSatisfy { $0.count <= 80 })
    for threads in [1, 2, 4, 6, 8, 12, 16, 20, 26, 32] {
      let rows = lines.filter { $0.split(separator: " ").first == "\(threads)" }
      #expect(
        rows.map { String($0.split(separator: " ")[1]) }
          == ["baseline", "lock", "delegation", "fence", "arbiter", "arbiter-paper"])
    }
    #expect(run.output.contains("With 26 threads arbiter writes "))
    #expect(run.output.contains("\nReport: arbiter-report/index.html"))
    #expect(run.error.hasPrefix("compare ") && run.error.contains(" left\n"))
    let report = "\(folder.path)/arbiter-report"
    var expected = [".arbiter-report", "index.html", "results.csv", "results.json"]
    for plot in Self.plots {
      expected += ["\(plot).csv", "\(plot).gnuplot"]
      if Machine.hasGnuplot { expected.append("\(plot).svg") }
    }
    // The model beside published measurements, a picture or more for each, is a part of the page.
    let found = try names(in: report)
    let targets = found.filter { $0.hasPrefix("target-") && $0.hasSuffix(".csv") }
    #expect(targets.count >= 12)
    #expect(found.filter { !$0.hasPrefix("target-") } == expected.sorted())
    let page = try text(of: "\(report)/index.html")
    let captions = page.components(separatedBy: "<figcaption>").count - 1
    #expect(captions == Self.plots.count + targets.count)
    #expect(page.contains("<h2>The model beside published measurements</h2>"))
    #expect(try ResultsJSON(text(of: "\(report)/results.json")).results.count == 60)
    try redraw(report)
  }

  /// Draws every plot again from its script, as a reader of the report would.
  private func redraw(_ report: String) throws {
    guard Machine.hasGnuplot else { return }
    for plot in Self.plots {
      let before = try text(of: "\(report)/\(plot).svg")
      let run = try shell("rm \(plot).svg; gnuplot \(plot).gnuplot", in: report)
      #expect(run.code == 0 && run.error.isEmpty, "\(run.error)")
      #expect(try text(of: "\(report)/\(plot).svg") == before)
      #expect(before.contains("<svg"))
    }
  }

  @Test func `without gnuplot the tables and the data are there`() throws {
    let folder = TemporaryFolder()
    let run = try shell("PATH=/nowhere exec \"$arbiter\" \(quick)", in: folder.path)
    #expect(run.code == 0)
    #expect(
      run.output.hasSuffix(
        "\nReport: arbiter-report/index.html (no pictures: install the package gnuplot-nox)\n"))
    let found = try names(in: "\(folder.path)/arbiter-report")
    #expect(found.count { $0.hasSuffix(".csv") } == Self.plots.count + 1)
    #expect(!found.contains { $0.hasSuffix(".svg") })
  }

  @Test func `an older report is replaced, and one with a strange file is not`() throws {
    let folder = TemporaryFolder()
    let line = "\(quick) --report=r -q"
    #expect(try arbiter(line, in: folder.path).code == 0)
    #expect(try arbiter("\(line) --seed=2", in: folder.path).code == 0)
    #expect(try text(of: "\(folder.path)/r/results.json").contains("\"seed\": 2,"))
    folder.write("mine", to: "r/notes.txt")
    let refused = try arbiter("\(line) --seed=3", in: folder.path)
    #expect(refused.code == 64 && refused.output.isEmpty)
    #expect(try text(of: "\(folder.path)/r/results.json").contains("\"seed\": 2,"))
    #expect(try text(of: "\(folder.path)/r/notes.txt") == "mine")
    #expect(try names(in: folder.path) == ["r"])
  }

  @Test func `a folder that is no report is refused and untouched`() throws {
    let folder = TemporaryFolder()
    folder.write("mine", to: "r/file")
    let run = try arbiter("\(quick) --report=r", in: folder.path)
    #expect(run.code == 64)
    #expect(try names(in: "\(folder.path)/r") == ["file"])
    #expect(try names(in: folder.path) == ["r"])
  }

  @Test func `JSON and CSV go without a report where none is wanted`() throws {
    let folder = TemporaryFolder()
    let line = "\(quick) --report=none -q"
    let first = try ResultsJSON(arbiter("\(line) --format=json", in: folder.path).output)
    #expect(first.resultKeys == ResultsJSON.keys && first.results.count == 4)
    let again = try ResultsJSON(arbiter("\(line) --format=json", in: folder.path).output)
    #expect(first.withoutHost == again.withoutHost)
    let csv = try arbiter("\(line) --format=csv", in: folder.path).output
    #expect(csv.components(separatedBy: "\r\n").count == 1 + 4 + 1)
    #expect(try names(in: folder.path).isEmpty)
  }

  @Test func `thread counts keep the order in which they are given`() throws {
    let run = try arbiter("compare --threads=26,1 --scheme=lock --duration=1ms --report=none -q")
    let counts = run.output.split(separator: "\n").dropFirst(2).prefix(2).map {
      $0.split(separator: " ").first
    }
    #expect(counts == ["26", "1"])
  }

  @Test func `an interrupted comparison leaves no report`() throws {
    let folder = TemporaryFolder()
    let run = try shell(
      "\"$arbiter\" compare --duration=10s & sleep 0.7; kill -INT $!; wait $!", in: folder.path)
    #expect(run.code == 130)
    #expect(run.error.contains("arbiter: interrupted"))
    #expect(try names(in: folder.path).isEmpty)
  }
}
