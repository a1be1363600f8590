// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Testing

/// `arbiter simulate --tiers`, on streams that are small enough to take no time.
@Suite("Simulate: two tiers")
struct SimulateTiersTests {
  private static let small =
    "simulate -q --fast=64MiB --footprint=256MiB --hot=32MiB --duration=1s"

  private func document(_ line: String, in folder: String = "/tmp") throws -> ResultsJSON {
    let run = try arbiter("\(line) --format=json", in: folder)
    try #require(run.code == 0, "\(run.error)")
    return try ResultsJSON(run.output)
  }

  private func median(_ result: [String: Any], _ name: String) -> Double? {
    number((result[name] as? [String: Any])?["median"])
  }

  @Test func `every stream has a row for every policy, within 80 columns`() throws {
    let run = try arbiter("\(Self.small) --tiers=all --runs=1")
    #expect(run.code == 0 && run.error.isEmpty)
    let lines = run.output.split(separator: "\n").map(String.init)
    #expect(lines.allSatisfy { $0.count <= 80 })
    for stream in ["clustered", "scattered", "moving", "streaming", "phases", "uniform", "zipf"] {
      #expect(lines.contains(stream))
    }
    for policy in [
      "first-touch", "arbiter", "hemem-paper", "hemem-release", "scan", "memory-mode", "oracle",
    ] {
      #expect(lines.count { $0.hasPrefix("\(policy) ") || $0.hasPrefix("  \(policy) ") } == 7)
    }
    #expect(run.output.contains("All times are virtual"))
  }

  @Test func `figures have their spread, and ratios those that they are ratios to`() throws {
    let whole = try document(
      "\(Self.small) --tiers=clustered --policies=first-touch,arbiter,oracle --runs=3 --seed=5")
    #expect(whole.top["schema"] as? String == "arbiter-tiers/1")
    #expect(whole.top["clock"] as? String == "virtual")
    let parameters = try #require(whole.top["parameters"] as? [String: Any])
    #expect(number(parameters["footprint_bytes"]) == Double(256 << 20))
    #expect(number(parameters["fast_bytes"]) == Double(64 << 20))
    let results = whole.results
    try #require(results.map { $0["policy"] as? String } == ["first-touch", "arbiter", "oracle"])
    #expect(median(results[0], "time_first_touch_ratio") == 1)
    #expect(median(results[2], "time_oracle_ratio") == 1)
    #expect(median(results[0], "promoted_bytes") == 0)
    for result in results {
      let runs = try #require(result["runs"] as? [[String: Any]])
      #expect(runs.map { $0["seed"] as? Int } == [5, 6, 7])
      let seconds = runs.compactMap { number($0["run_seconds"]) }.sorted()
      let spread = try #require(result["run_seconds"] as? [String: Any])
      #expect(["least", "median", "most"].map { number(spread[$0]) } == seconds)
      #expect((result["unavailable"] as? [String: Any])?.isEmpty == true)
      #expect((result["course"] as? [Any])?.isEmpty == false)
    }
    // The references are run whether or not they are named, and named they say the same.
    let alone = try document("\(Self.small) --tiers=clustered --policies=arbiter --runs=3 --seed=5")
    #expect(alone.results.count == 1)
    #expect(alone.results[0] as NSObject == results[1] as NSObject)
  }

  @Test func `the same options give the same bytes, another seed others`() throws {
    let line = "\(Self.small) --tiers=moving,scattered --policies=arbiter,hemem-paper --runs=2"
    let first = try arbiter("\(line) --format=csv").output
    #expect(try arbiter("\(line) --format=csv").output == first)
    #expect(try arbiter("\(line) --format=csv --seed=9").output != first)
    let rows = first.split(whereSeparator: \.isNewline)
    #expect(rows.count == 1 + 8)
    #expect(rows[0].hasPrefix("stream,policy,seed,is_complete,run_seconds,"))
    let columns = rows.map { $0.split(separator: ",", omittingEmptySubsequences: false).count }
    #expect(Set(columns).count == 1)
  }

  @Test func `a report has the table, its data and a picture for each stream`() throws {
    let folder = TemporaryFolder()
    let run = try arbiter(
      "\(Self.small) --tiers=clustered,uniform --runs=1 --report=page", in: folder.path)
    #expect(run.code == 0)
    let page = "\(folder.path)/page"
    let found = try names(in: page)
    for name in ["index.html", "tiers.json", "tiers.csv", "hits-clustered.csv", "hits-uniform.csv"]
    { #expect(found.contains(name), "\(found)") }
    let html = try text(of: "\(page)/index.html")
    for policy in ["first-touch", "memory-mode", "oracle"] { #expect(html.contains(policy)) }
    let pictures = found.filter { $0.hasSuffix(".svg") }
    #expect(try complaints(ofXML: pictures, in: page) == "")
    for name in ["hits-clustered.csv", "hits-uniform.csv"] { #expect(html.contains(name)) }
    #expect(try ResultsJSON(text(of: "\(page)/tiers.json")).results.count == 14)
    // A folder with something else in it is left alone.
    folder.write("mine", to: "mine")
    let refused = try arbiter("\(Self.small) --tiers=uniform --report=.", in: folder.path)
    #expect(refused.code != 0)
    #expect(try names(in: folder.path) == ["mine", "page"])
  }

  @Test(arguments: [
    ("--tiers=nothing", "'nothing' is not one of clustered, scattered, moving"),
    ("--tiers=uniform,uniform", "--tiers names 'uniform' twice"),
    ("--tiers=uniform --policies=arbiter,arbiter", "--policies names 'arbiter' twice"),
    ("--tiers=uniform --policies=none", "'none' is not one of first-touch, arbiter"),
    ("--tiers=uniform --pattern=random", "--pattern does not go with --tiers=uniform"),
    ("--tiers=uniform --dry-run", "--dry-run does not go with --tiers=uniform"),
    ("--tiers=uniform --trace=x", "--trace does not go with --tiers=uniform"),
    ("--fast=2GiB", "--fast has no tiers that it could describe"),
    ("--policies=arbiter", "--policies has no tiers that it could describe"),
    ("--tiers=uniform --threads=1,2", "--threads=1,2 names several numbers"),
    ("--tiers=uniform --fast=3MiB", "--fast=3MiB is not a multiple of 2MiB"),
    ("--tiers=uniform --fast=0", "--fast: '0' is not a size"),
    ("--tiers=uniform --footprint=1TiB", "--footprint=1TiB is not a multiple of 2MiB up to"),
    ("--tiers=uniform --hot=16GiB", "--hot=16GiB is more than --footprint=8GiB"),
    ("--tiers=uniform --runs=0", "--runs=0 is not within 1 to 99"),
    ("--tiers=uniform --spare=129", "--spare=129 is not within 0 to 128"),
    ("--tiers=uniform --duration=1ms", "--duration=1ms is not within 1s to"),
    ("--tiers=./none --threads=2", "--threads does not go with --tiers=./none"),
    ("--tiers=./none --hot=2MiB", "--hot does not go with --tiers=./none"),
  ])
  func `what has no meaning is refused in one sentence with a hint`(
    line: String, words: String
  ) throws {
    let run = try arbiter("simulate \(line)")
    #expect(run.code == 64 && run.output.isEmpty)
    #expect(run.failure.message.contains(words), "\(run.error)")
    #expect(run.failure.hint != nil)
  }
}

/// `arbiter simulate --tiers=FILE`: sessions of `arbiter tier --record`, replayed.
@Suite("Simulate: recordings of tiers")
struct SimulateTierRecordingTests {
  private static func folder(cutBy bytes: Int = 0) -> TemporaryFolder {
    let folder = TemporaryFolder()
    folder.write(String(TierTexts.hotChunkRecording().dropLast(bytes)), to: "session.tiers")
    return folder
  }

  @Test func `policies are compared, and what has no figures says why`() throws {
    let folder = Self.folder()
    let run = try arbiter("simulate -q --tiers=session.tiers --format=json", in: folder.path)
    try #require(run.code == 0, "\(run.error)")
    let results = try ResultsJSON(run.output).results
    #expect(results.count == 7 && results.allSatisfy { $0["stream"] as? String == "recording" })
    for result in results {
      let policy = try #require(result["policy"] as? String)
      let figure = result["run_seconds"] as? [String: Any]
      let reasons = try #require(result["unavailable"] as? [String: Any])
      let isKnown = !["memory-mode", "oracle", "scan"].contains(policy)
      #expect((figure != nil) == isKnown)
      #expect(isKnown || (reasons["run_seconds"] as? String)?.contains("samples") == true)
      // Nobody knows an oracle's placement of a recording.
      #expect(result["time_oracle_ratio"] is NSNull && reasons["time_oracle_ratio"] != nil)
    }
    let own = try #require(results.first { $0["policy"] as? String == "arbiter" })
    let ratio = try #require((own["time_first_touch_ratio"] as? [String: Any])?["median"])
    #expect(try #require(number(ratio)) < 0.8, "the hot chunk stayed where it was")
  }

  @Test func `the text says what was recorded, and more fast memory is a question to ask`() throws {
    let folder = Self.folder()
    let run = try arbiter(
      "simulate --tiers=./session.tiers --policies=first-touch,oracle --fast=32MiB",
      in: folder.path)
    #expect(run.code == 0)
    let text = run.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(text.contains("./session.tiers holds 10000 samples of 10.0 s under first-touch."))
    #expect(text.contains("No oracle: samples do not tell all that will be accessed."))
    #expect(!text.contains("cut short"))
    #expect(run.output.split(separator: "\n").allSatisfy { $0.count <= 80 })
    let json = try arbiter(
      "simulate -q --tiers=session.tiers --policies=arbiter --fast=32MiB --format=json",
      in: folder.path)
    let parameters = try ResultsJSON(json.output).top["parameters"] as? [String: Any]
    #expect(number(parameters?["fast_bytes"]) == Double(32 << 20))
  }

  @Test func `a recording that was cut is replayed as far as it goes, and that is said`() throws {
    let folder = Self.folder(cutBy: 40)
    let run = try arbiter(
      "simulate -q --tiers=session.tiers --policies=first-touch", in: folder.path)
    #expect(run.code == 0 && run.output.contains("cut short"))
  }

  @Test(arguments: [
    ("none.tiers", "cannot read --tiers=none.tiers: No such file or directory"),
    ("./", "cannot read --tiers=./: Is a directory"),
    ("other.text", "line 1 does not begin with 'arbiter-tier-1'"),
    ("bad.tiers", "line 2"), ("empty.tiers", "line 1"),
  ])
  func `what is no recording is refused with the place`(path: String, words: String) throws {
    let folder = Self.folder()
    folder.write("a text\n", to: "other.text")
    folder.write("", to: "empty.tiers")
    let header = TierTexts.hotChunkRecording().prefix { $0 != "\n" }
    folder.write("\(header)\nnonsense\n", to: "bad.tiers")
    let run = try arbiter("simulate --tiers=\(path)", in: folder.path)
    #expect(run.code == 65 && run.output.isEmpty)
    #expect(run.failure.message.contains(words), "\(run.error)")
    #expect(run.failure.hint != nil)
  }
}
