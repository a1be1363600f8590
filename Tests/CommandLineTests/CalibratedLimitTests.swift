// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCommands
import ArbiterCore
import ArbiterDevice
import ArbiterPlatform
import ArbiterTestSupport
import Foundation
import Testing

private let tmpfs = RegionIdentity(kind: .fileSystem, name: "tmpfs (DRAM)")

/// A calibration of this machine whose curve is best from the given number of threads on.
private func calibration(
  _ region: RegionIdentity, _ store: ThreadCalibration.Store = .nt, threads: Int
) throws -> ThreadCalibration {
  let curve = [1, 2, 3, 5, 8, 80].map {
    ThreadCalibration.Point(
      threads: $0, bytesPerSecond: $0 < threads ? 1e9 : $0 == threads ? 1.96e9 : 2e9)
  }
  return try #require(
    ThreadCalibration(
      region: region, store: store, accessBytes: 256, curve: curve,
      date: UniversalTime(secondsSinceEpoch: 1_795_293_124), toolVersion: "0.1.0",
      machine: .read()))
}

/// A folder with a state folder in it, and a place to run in.
private struct StatePlace: ~Copyable {
  let folder = TemporaryFolder(in: "/dev/shm")

  var file: CalibrationFile { CalibrationFile(path: "\(folder.path)/state/calibration.json") }

  func arbiter(_ line: String) throws -> Outcome {
    try shell(
      "export ARBITER_STATE_DIR=$PWD/state; exec \"$arbiter\" \(line)", in: folder.path)
  }

  /// The words of a text, however it is broken into lines.
  static func words(_ text: String) -> String {
    text.split { $0 == "\n" || $0 == " " }.joined(separator: " ")
  }
}

@Suite("Calibrated numbers of writers")
struct CalibratedLimitTests {
  private let bench = "bench --file=new --size=1MiB --threads=2 --duration=5ms"

  @Test func `bench takes the number of the memory and the store, says so, and options win`()
    throws
  {
    let place = StatePlace()
    try place.file.add([
      calibration(tmpfs, .nt, threads: 3), calibration(tmpfs, .clwb, threads: 5),
    ])
    func text(_ more: String) throws -> String {
      let run = try place.arbiter("\(bench) -q \(more)")
      #expect(run.code == 0, "\(run.error)")
      #expect(run.output.split(separator: "\n").allSatisfy { $0.count <= 80 })
      return StatePlace.words(run.output)
    }
    let both = try text("--scheme=lock,delegation")
    #expect(both.contains("3 permits: calibrated 2026-11-21 for tmpfs (DRAM), nt."))
    #expect(both.contains("3 workers: calibrated 2026-11-21 for tmpfs (DRAM), nt."))
    #expect(
      try text("--scheme=lock --store=clwb").contains("5 permits: calibrated 2026-11-21 for tmpfs"))
    #expect(try text("--scheme=lock --permits=1").contains("1 permit: as asked."))
    let open = try text("--scheme=baseline")
    #expect(!open.contains("permit") && !open.contains("worker"))
    // The number is what the run had, and stands in its parameters.
    let run = try place.arbiter("\(bench) -q --format=json --scheme=lock,delegation,baseline")
    let parameters = try ResultsJSON(run.output).results.compactMap {
      $0["parameters"] as? [String: Any]
    }
    #expect(parameters.map { $0["permits"] as? String } == ["3", nil, nil])
    #expect(parameters.map { $0["workers"] as? String } == [nil, "3", nil])
  }

  @Test func `without a calibration the usual number stands, and that is said`() throws {
    let place = StatePlace()
    let run = try place.arbiter("\(bench) -q --scheme=lock")
    #expect(
      StatePlace.words(run.output).contains(
        "4 permits: by default, since nothing is calibrated for tmpfs (DRAM), nt."))
    #expect(place.folder.size(of: "state/calibration.json") == nil)
  }

  @Test func `a broken file is refused with its path, stays, and is not needed with an option`()
    throws
  {
    let place = StatePlace()
    try place.file.add([calibration(tmpfs, threads: 3)])
    let broken = try text(of: place.file.path).replacing(
      "\"thread_count\": 3", with: "\"thread_count\": 2")
    place.folder.write(broken, to: "state/calibration.json")
    for line in ["\(bench) --scheme=lock", "run --scheme=lock --profile=optane-100-256g touch ran"]
    {
      let run = try place.arbiter(line)
      #expect(run.code == 65)
      #expect(run.failure.message.hasPrefix("calibration file '\(place.file.path)', line "))
      #expect(run.failure.message.hasSuffix("'thread_count' is 2, and the curve gives 3"))
      #expect(run.failure.hint?.contains("arbiter measure") == true)
    }
    #expect(place.folder.size(of: "new") == nil && place.folder.size(of: "ran") == nil)
    #expect(try text(of: place.file.path) == broken)
    #expect(throws: Failure.self) { try place.file.add([calibration(tmpfs, threads: 5)]) }
    #expect(try text(of: place.file.path) == broken)
    #expect(try place.arbiter("\(bench) -q --scheme=lock --permits=2").code == 0)
    #expect(try place.arbiter("\(bench) -q --scheme=baseline").code == 0)
  }

  @Test func `run takes a number that is good for both stores`() throws {
    let place = StatePlace()
    let model = RegionIdentity.profile("optane-100-256g")
    func summary(_ more: String) throws -> [String: Any] {
      let run = try place.arbiter(
        "run --profile=optane-100-256g --private --format=json \(more) -- true")
      #expect(run.code == 0, "\(run.error)")
      let top = try JSONSerialization.jsonObject(with: Data(run.error.utf8)) as? [String: Any]
      return try #require(top?["run"] as? [String: Any])
    }
    try place.file.add([calibration(model, .nt, threads: 2)])
    var run = try summary("--scheme=lock")
    #expect(run["writer_limit"] as? Int == 2)
    #expect(run["writer_limit_origin"] as? String == "calibration")
    try place.file.add([calibration(model, .clwb, threads: 5)])
    run = try summary("--scheme=delegation")
    #expect(run["writer_limit"] as? Int == 5)
    #expect(
      run["writer_limit_reason"] as? String
        == "5 workers: calibrated 2026-11-21 for optane-100-256g, nt and clwb.")
    run = try summary("--scheme=lock --permits=7")
    #expect(run["writer_limit"] as? Int == 7 && run["writer_limit_origin"] as? String == "option")
    run = try summary("--scheme=arbiter")
    #expect(run["writer_limit"] is NSNull && run["writer_limit_reason"] is NSNull)
    // More workers than a pool has are cut, and that is said.
    try place.file.add([
      calibration(model, .nt, threads: 80), calibration(model, .clwb, threads: 80),
    ])
    run = try summary("--scheme=delegation")
    #expect(run["writer_limit"] as? Int == 64)
    #expect((run["writer_limit_reason"] as? String)?.hasSuffix(", which gives 80.") == true)
    let words = StatePlace.words(
      try place.arbiter("run --profile=optane-100-256g --private --scheme=lock true").error)
    #expect(words.contains("80 permits: calibrated 2026-11-21 for optane-100-256g, nt and clwb."))
  }

  @Test func `limits outside their range are refused`() throws {
    for (option, hint) in [
      ("--permits=0", "give 1 to 4096 permits"), ("--permits=4097", "give 1 to 4096 permits"),
      ("--workers=65", "give 1 to 64 workers"),
    ] {
      for verb in ["bench --file=new", "run"] {
        let run = try arbiter("\(verb) \(option)\(verb == "run" ? " true" : "")")
        #expect(run.code == 64 && run.failure.hint == hint, "\(verb) \(option)")
      }
    }
  }
}

@Suite("The file of calibrations")
struct CalibrationFileTests {
  @Test func `what is added is read again, also through a link`() throws {
    let folder = TemporaryFolder()
    let real = CalibrationFile(path: "\(folder.path)/elsewhere/real.json")
    try real.add([try calibration(tmpfs, threads: 8)])
    folder.link("link.json", to: "elsewhere/real.json")
    for name in ["a/b/calibration.json", "link.json"] {
      let file = CalibrationFile(path: "\(folder.path)/\(name)")
      let first = try calibration(tmpfs, threads: 2)
      let second = try calibration(.profile("p"), threads: 3)
      try file.add([first])
      try file.add([second])
      #expect(try file.read() == CalibrationBook([first, second]))
      let newer = try calibration(tmpfs, threads: 5)
      try file.add([newer])
      #expect(try file.read() == CalibrationBook([newer, second]))
    }
    #expect(try real.read().calibrations.map(\.threadCount) == [5, 3])
    #expect(try names(in: "\(folder.path)/a/b") == ["calibration.json", "calibration.json.lock"])
  }

  @Test func `those who write at once are all kept`() async throws {
    let folder = TemporaryFolder()
    let path = "\(folder.path)/calibration.json"
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<12 {
        group.addTask {
          let region = RegionIdentity.profile("profile-\(number)")
          try CalibrationFile(path: path).add([try calibration(region, threads: 2)])
        }
      }
      try await group.waitForAll()
    }
    let names = try CalibrationFile(path: path).read().calibrations.map(\.region.name)
    #expect(Set(names) == Set((0..<12).map { "profile-\($0)" }))
  }

  @Test func `a place that cannot be is a failure that names it`() throws {
    let folder = TemporaryFolder()
    folder.write("text", to: "file")
    let file = CalibrationFile(path: "\(folder.path)/file/below/calibration.json")
    #expect(try file.read().calibrations.isEmpty)
    let new = try calibration(tmpfs, threads: 2)
    let error = #expect(throws: Failure.self) { try file.add([new]) }
    #expect(error?.message.contains("\(folder.path)/file/below") == true)
    #expect(error?.hint?.contains("ARBITER_STATE_DIR") == true)
    folder.makeFolder("folder.json")
    let unreadable = CalibrationFile(path: "\(folder.path)/folder.json")
    #expect(throws: Failure.self) { try unreadable.read() }
    #expect(throws: Failure.self) { try CalibrationFile.ofUser { _ in nil } }
  }
}
