// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Glibc
import Testing

@Suite("Measure", .serialized)
struct MeasureTests {
  private static let small = "--size=1MiB --sizes=64B,4KiB --threads=1,2 --duration=1ms -q"

  /// Runs the verb with calibrations kept in the folder.
  private func measure(_ line: String, in folder: borrowing TemporaryFolder) throws -> Outcome {
    try shell(
      "export ARBITER_STATE_DIR=\"$PWD/state\"; exec \"$arbiter\" measure \(line)",
      in: folder.path)
  }

  private func object(_ text: String) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  private func objects(_ value: Any?) throws -> [[String: Any]] {
    try #require(value as? [[String: Any]])
  }

  private func isNumber(_ value: Any?) -> Bool { value is NSNumber }

  private func words(_ text: String) -> String {
    text.split { $0 == "\n" || $0 == " " }.joined(separator: " ")
  }

  @Test(arguments: ["/dev/shm", "/tmp"])
  func `a folder is measured, left empty, and the text fits 80 columns`(place: String) throws {
    let folder = TemporaryFolder(in: place)
    folder.makeFolder("memory")
    let run = try measure("memory \(Self.small)", in: folder)
    #expect(run.code == 0, "\(run.error)")
    #expect(run.output.split(separator: "\n").allSatisfy { $0.count <= 80 }, "\(run.output)")
    for word in [
      "latency", "dependent", "nt", "clwb", "fence", "p99.9", "min..max", "process", "system",
      "s/GiB", "stolen", "mmap", "read/write", "O_DIRECT", "calibration",
    ] {
      #expect(words(run.output).contains(word), "\(word)")
    }
    let warning =
      place == "/dev/shm" ? "tmpfs is DRAM" : "lies behind the page cache: raw access measures DRAM"
    if !words(run.output).contains("with DAX") { #expect(words(run.output).contains(warning)) }
    #expect(try names(in: "\(folder.path)/memory").isEmpty)
  }

  @Test func `every figure is in the document, and what is missing says why`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let run = try measure("new \(Self.small) --format=json", in: folder)
    #expect(run.code == 0, "\(run.error)")
    let document = try object(run.output)
    #expect(document["schema"] as? String == "arbiter-measure/1")
    let points = try objects(document["points"])
    // Two working sets and the whole, two stores at two sizes; 4 kinds at 2 numbers of threads,
    // and 3 kinds in 2 orders at 2 sizes.
    #expect(points.count == 3 + 4 + 8 + 12)
    for point in points {
      let reasons = try #require(point["unavailable"] as? [String: String])
      for (name, value) in point where value is NSNull {
        #expect(reasons[name] != nil, "\(name)")
      }
      #expect(number(point["repetitions"]) == 3)
      #expect(number(point["bandwidth_bytes_per_second"]) ?? 0 > 0)
      #expect(number(point["cpu_seconds_per_gib_process"]) ?? 0 > 0)
      #expect(isNumber(point["cpu_seconds_per_gib_system"]))
      if point["measured"] as? String == "latency" {
        #expect(number(point["latency_ns_mean"]) ?? 0 > 0)
      }
    }
    let target = try #require(document["target"] as? [String: Any])
    #expect(target["is_model"] as? Bool == false && number(target["memory_bytes"]) == 1_048_576)
    let files = try objects(document["files"])
    #expect(files.count == 12)
    for file in files where file["bandwidth_bytes_per_second"] is NSNull {
      #expect((file["unavailable"] as? [String: String])?["bandwidth_bytes_per_second"] != nil)
    }
    #expect(!exists("\(folder.path)/new"))
  }

  @Test func `CPU seconds per GiB are those of the process over the bytes that it moved`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let run = try measure(
      "new --size=4MiB --sizes=256B --threads=1 --only=bandwidth --duration=60ms -q --format=json",
      in: folder)
    let points = try objects(try object(run.output)["points"])
    for point in points where point["kind"] as? String != "mixed" {
      let seconds = try #require(number(point["measured_seconds"]))
      let rate = try #require(number(point["bandwidth_bytes_per_second"]))
      let cost = try #require(number(point["cpu_seconds_per_gib_process"]))
      // One thread cannot use more than a second of CPU time in a second, and moves without a
      // pause as long as it has a processor.
      let most =
        1.25 * 1_073_741_824 / (try #require(number(point["bandwidth_bytes_per_second_min"])))
      #expect(cost > 0 && cost < most, "\(point)")
      #expect(seconds >= 0.18 && rate > 0)
    }
  }

  @Test func `a file that holds something is refused, read on request, and stays`() throws {
    let folder = TemporaryFolder()
    let data = String(repeating: "dear data ", count: 20_000)
    folder.write(data, to: "file")
    let refused = try measure("file \(Self.small)", in: folder)
    #expect(refused.code == 64 && refused.output.isEmpty)
    #expect(
      refused.failure.message.hasPrefix("file holds ")
        && refused.failure.message.hasSuffix(" that measure would write over"))
    let read = try measure(
      "file --read-only --sizes=64B --threads=1 --duration=1ms -q --format=json", in: folder)
    #expect(read.code == 0, "\(read.error)")
    let points = try objects(try object(read.output)["points"])
    #expect(!points.isEmpty && points.allSatisfy { $0["kind"] as? String == "read" })
    #expect(try text(of: "\(folder.path)/file") == data)
    let line = "file --overwrite --sizes=64B --threads=1 --duration=1ms -q"
    #expect(try measure(line, in: folder).code == 0)
    #expect(folder.size(of: "file") == data.utf8.count)
  }

  @Test func `an empty file is empty again, and what cannot be is refused`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    folder.write("", to: "empty")
    #expect(try measure("empty \(Self.small) --only=latency", in: folder).code == 0)
    #expect(folder.size(of: "empty") == 0)
    for (line, message) in [
      ("", "nothing to measure is named"),
      ("/dev/shm --profile=optane-100-256g", "both '/dev/shm' and"),
      ("/dev/null", "/dev/null is neither a file nor a folder nor a dax device"),
      ("/dev/shm --repeat=2", "--repeat=2 is not within 3 to 100"),
      ("/dev/shm --sizes=100B", "--sizes has 100B"),
      ("/dev/shm --modules=6", "--modules=6 is for the model alone"),
      ("missing/folder/file", "cannot make a file in missing/folder"),
    ] {
      let run = try measure(line, in: folder)
      #expect(run.code != 0 && run.output.isEmpty, "\(line)")
      #expect(run.failure.message.hasPrefix(message), "\(run.error)")
    }
  }

  @Test func `the model is measured in virtual time, and its calibration is kept`() throws {
    let folder = TemporaryFolder()
    let line =
      "--profile=optane-100-256g --only=bandwidth --sizes=256B --threads=1,2,8 --format=json -q"
    let run = try measure(line, in: folder)
    #expect(run.code == 0, "\(run.error)")
    let document = try object(run.output)
    let calibrations = try objects(document["calibrations"])
    #expect(calibrations.map { $0["store"] as? String } == ["nt", "clwb"])
    let threads = calibrations.compactMap { number($0["threads"]) }
    #expect(threads.first == 1 && threads.last == 2)
    for point in try objects(document["points"]) {
      #expect(point["cpu_seconds_per_gib_system"] is NSNull)
      let reasons = point["unavailable"] as? [String: String]
      #expect(reasons?["cpu_seconds_per_gib_system"]?.hasPrefix("the model has") == true)
    }
    #expect(exists("\(folder.path)/state/calibration.json"))
    let again = try measure(line, in: folder)
    #expect(again.output == run.output)
  }

  @Test func `a short run or --forget keeps no calibration, and a broken file stops first`() throws
  {
    let folder = TemporaryFolder(in: "/dev/shm")
    let line = "--profile=optane-100-256g --only=bandwidth --sizes=256B --threads=1,2 -q"
    #expect(try measure("\(line) --quick", in: folder).code == 0)
    #expect(try measure("\(line) --forget", in: folder).code == 0)
    #expect(!exists("\(folder.path)/state/calibration.json"))
    folder.write("no JSON", to: "state/calibration.json")
    let run = try measure(line, in: folder)
    #expect(run.code != 0 && run.output.isEmpty && run.failure.message.contains("calibration.json"))
    #expect(try text(of: "\(folder.path)/state/calibration.json") == "no JSON")
  }

  @Test func `a report has its plots and its data`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let run = try measure("new \(Self.small) --report=page", in: folder)
    #expect(run.code == 0, "\(run.error)")
    let files = try names(in: "\(folder.path)/page")
    for name in ["index.html", "measure.json", "measure.csv"] {
      #expect(files.contains(name), "\(files)")
    }
    let page = try text(of: "\(folder.path)/page/index.html")
    for title in [
      "Latency of durable stores by size", "Bandwidth by threads", "CPU seconds per GiB",
    ] {
      #expect(page.contains(title), "\(title)")
    }
    #expect(try complaints(ofXML: ["index.html"], in: "\(folder.path)/page").isEmpty)
  }

  @Test func `an interrupt ends a long measurement, with what there is`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let run = try shell(
      """
      export ARBITER_STATE_DIR="$PWD/state"
      "$arbiter" measure new --size=1MiB --threads=1,2 --duration=20s --only=bandwidth \
        --format=json & sleep 1.6; kill -INT $!; wait $!
      """, in: folder.path)
    #expect(run.code == 130 && run.seconds < 10)
    let document = try object(run.output)
    #expect((document["host"] as? [String: Any])?["is_complete"] as? Bool == false)
    #expect(try names(in: folder.path).isEmpty)
  }
}
