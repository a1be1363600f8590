// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Testing

@Suite("arbiter heat")
struct HeatTests {
  /// A folder with a recording of one writer that goes through 2 MiB again and again, and of the
  /// same at random.
  private static func folder() throws -> TemporaryFolder {
    let folder = TemporaryFolder()
    let run = try shell(
      "for p in sequential random; do \"$arbiter\" simulate --threads=1 --scheme=baseline "
        + "--region=2MiB --duration=500us --pattern=$p --record=$p.trace -q; done",
      in: folder.path)
    try #require(run.code == 0, "\(run.error)")
    return folder
  }

  private static func document(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  private static func rows(_ document: [String: Any]) throws -> [(offset: Int, weights: [Double])] {
    let mappings = try #require(document["mappings"] as? [[String: Any]])
    let rows = try #require(mappings.first?["rows"] as? [[String: Any]])
    return try rows.map {
      (try #require($0["offset_bytes"] as? Int), try #require($0["weights"] as? [Double]))
    }
  }

  @Test func `a sequential recording is a rising line, and a random one is not`() throws {
    let folder = try Self.folder()
    let run = try arbiter("heat --trace=sequential.trace --format=json -q", in: folder.path)
    #expect(run.code == 0 && run.error.isEmpty)
    let document = try Self.document(run.output)
    #expect(document["schema"] as? String == "arbiter-heat/1")
    let heat = try #require(document["heat"] as? [String: Any])
    #expect(heat["source"] as? String == "recording" && heat["unit"] as? String == "bytes")
    #expect(heat["samples_count"] is NSNull)
    let reasons = try #require(heat["unavailable"] as? [String: String])
    #expect(reasons["samples_count"] == "recordings hold accesses, not samples")
    let rows = try Self.rows(document)
    // In each column, what is hot is one piece, and where it is rises until the end of the region.
    var last = -1
    var turns = 0
    for column in 0..<(try #require(rows.first).weights.count) {
      let hot = rows.filter { $0.weights[column] > 0 }.map(\.offset)
      guard let low = hot.first, let high = hot.last else { continue }
      if high - low > 1 << 20 || low < last - 8192 { turns += 1 }
      #expect(high - low < 1 << 19 || high - low > 3 << 19, "column \(column)")
      last = low
    }
    let stored = rows.flatMap(\.weights).reduce(0, +)
    // At the end of each pass, a column that holds both ends of the region, and the one after it.
    #expect(turns <= 2 * (Int(stored) >> 21) + 3)
    #expect(stored == heat["weight"] as? Double)
    let info = try Self.document(
      try arbiter("trace info sequential.trace --format=json", in: folder.path).output)
    let totals = try #require(info["totals"] as? [String: Any])
    #expect(totals["store_bytes"] as? Double == stored)
    let random = try Self.rows(
      try Self.document(
        try arbiter("heat --trace=random.trace --format=json", in: folder.path).output))
    let spread = random.filter { $0.weights[$0.weights.count / 2] > 0 }.map(\.offset)
    #expect((spread.max() ?? 0) - (spread.min() ?? 0) > 1 << 20)
  }

  @Test func `text fits 80 columns and says what it shows`() throws {
    let folder = try Self.folder()
    let run = try arbiter("heat --trace=sequential.trace", in: folder.path)
    let lines = run.output.split(separator: "\n").map(String.init)
    #expect(run.code == 0 && lines.allSatisfy { $0.count <= 80 })
    #expect(lines[0].hasPrefix("arbiter heat: --trace=sequential.trace"))
    #expect(lines[1] == "Colours are bytes stored or loaded, as they were recorded.")
    #expect(lines.contains("The recording lost no event."))
    #expect(lines.contains { $0.hasPrefix("thread 0") && $0.contains(" 100 ") })
    #expect(!run.output.contains("\u{1B}"))
  }

  @Test func `what a file is named decides its form`() throws {
    let folder = try Self.folder()
    let svg = try arbiter("heat --trace=random.trace -o a.svg", in: folder.path)
    #expect(svg.code == 0 && svg.output.isEmpty && svg.error.contains("thread 0"))
    #expect(try complaints(ofXML: ["a.svg"], in: folder.path) == "")
    let drawn = try text(of: "\(folder.path)/a.svg")
    #expect(drawn.contains("arbiter heat: --trace=random.trace") && drawn.utf8.count < 2_000_000)
    let csv = try arbiter("heat --trace=random.trace --format=csv -o a.csv", in: folder.path)
    #expect(csv.code == 0)
    let header = "mapping,base_address,offset_bytes,row_bytes,start_ns,column_ns,weight,unit"
    #expect(try text(of: "\(folder.path)/a.csv").hasPrefix(header))
    let png = try arbiter("heat --trace=random.trace -q -o a.PNG", in: folder.path)
    if works("command -v gnuplot") {
      #expect(png.code == 0 && png.error.isEmpty)
      let bytes = try Data(contentsOf: URL(filePath: "\(folder.path)/a.PNG"))
      #expect(Array(bytes.prefix(4)) == [0x89, 0x50, 0x4E, 0x47] && bytes.count > 5000)
    } else {
      #expect(png.code == 69)
    }
    let none = try shell(
      "PATH=/nowhere exec \"$arbiter\" heat --trace=random.trace -o b.png", in: folder.path)
    #expect(none.code == 69)
    #expect(none.failure.message == "cannot draw --output=b.png: gnuplot is not installed")
    #expect(!exists("\(folder.path)/b.png"))
  }

  @Test func `loads and stores can be told apart`() throws {
    let folder = TemporaryFolder()
    folder.write("0x1000 W\n0x2000 R\n0x3000 R\n", to: "a.vans")
    let made = try arbiter("trace convert a.vans -o a.trace -q", in: folder.path)
    try #require(made.code == 0)
    func weight(_ option: String) throws -> Double? {
      let run = try arbiter("heat --trace=a.trace --format=json \(option)", in: folder.path)
      return (try Self.document(run.output)["heat"] as? [String: Any])?["weight"] as? Double
    }
    #expect(try weight("") == 192)
    #expect(try weight("--stores-only") == 64)
    #expect(try weight("--loads-only") == 128)
  }

  @Test(arguments: [
    ("heat", "nothing is named to look at"),
    ("heat --trace=a -p 1", "a program, --process and --trace exclude each other"),
    ("heat -p 0", "--process=0 is no process"),
    ("heat --trace=a --duration=1s", "--duration does not go with --trace"),
    ("heat --trace=a --mappings=0", "--mappings=0 is not within 1 to 32"),
    ("heat --trace=a --stores-only --loads-only", "--stores-only and --loads-only leave nothing"),
    ("heat --trace=a --format=json -o a.svg", "--format=json does not make a picture"),
    (
      "heat --back-end=faults --period=1ms -- true", "--period goes with back-end timer, not faults"
    ),
    ("heat --period=1us -- true", "--period=1us is not within 50us to 1s"),
  ])
  func `a wrong command line is told`(line: String, message: String) throws {
    let run = try arbiter(line)
    #expect(run.code == 64 && run.failure.message == message && run.failure.hint != nil)
  }

  @Test func `a file that is no recording is told`() throws {
    let folder = TemporaryFolder()
    folder.write("nonsense\n", to: "a.trace")
    #expect(try arbiter("heat --trace=a.trace", in: folder.path).code == 65)
    #expect(try arbiter("heat --trace=none", in: folder.path).code == 65)
    #expect(try arbiter("heat -- arbiter-no-such-program", in: folder.path).code == 127)
  }

  /// Sampling may be forbidden here; then the message names the setting.
  @Test func `a program keeps its output and its exit code`() throws {
    let run = try shell(
      "\"$arbiter\" heat -q -o a.json --format=json -- sh -c 'echo mine; exit 7'")
    guard run.code != 77, run.code != 69 else {
      #expect(run.failure.hint != nil)
      return
    }
    #expect(run.code == 7 && run.output == "mine\n")
  }

  @Test func `a program's memory is seen, with its losses and its back-end`() throws {
    let folder = TemporaryFolder()
    let script = "b = bytearray(1 << 24)\nfor r in range(60):\n  b[:] = bytes(1 << 24)\n"
    guard works("command -v python3") else { return }
    folder.write(script, to: "a.py")
    let run = try arbiter("heat --format=json -o a.json -- python3 a.py", in: folder.path)
    guard run.code != 77, run.code != 69 else {
      #expect(run.failure.hint != nil)
      return
    }
    #expect(run.code == 0)
    let document = try Self.document(try text(of: "\(folder.path)/a.json"))
    let heat = try #require(document["heat"] as? [String: Any])
    #expect(["timer", "pebs"].contains(heat["source"] as? String))
    #expect(heat["lost_samples_count"] as? Int != nil)
    let remarks = try #require(document["remarks"] as? [String])
    #expect(remarks.contains { $0.contains(" samples, ") })
    let mappings = try #require(document["mappings"] as? [[String: Any]])
    // The kernel zeroes fresh pages out of sight; what python copies is there.
    #expect(mappings.contains { ($0["extent_bytes"] as? Int ?? 0) > 8 << 20 })
  }

  @Test func `a process that is not there is told`() throws {
    let run = try arbiter("heat -p 4194304 --duration=100ms")
    #expect(run.code == 64 || run.code == 69 || run.code == 77)
    #expect(run.failure.hint != nil && run.output.isEmpty)
  }
}
