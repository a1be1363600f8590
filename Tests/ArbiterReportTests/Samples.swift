// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterReport
import Foundation

/// A result in which everything was measured.
func fullResult(scheme: String = "baseline", threads: Int = 8) -> ReportedResult {
  var run = RunResult(counterSource: .model, seconds: 0.05, threadCount: threads, moduleCount: 1)
  run.programWriteBytes = 100_000_000
  run.requestCount = 1_562_500
  run.effectiveBandwidth = 1.54e9
  run.mediaWriteBandwidth = 2.2333e9
  run.mediaReadBandwidth = 6.9e8
  run.imcReadBandwidth = 0
  run.equivalentWriteBandwidth = 2.463e9
  run.writeAmplification = 1.45
  run.readAmplification = nil
  run.cacheAmplification = 1
  run.latencyNanoseconds = LatencySummary(p50: 2559, p99: 4095, p999: 5119, max: 6203)
  run.cpuSecondsPerGiB = 5.58
  run.fairness = 0.9999
  return ReportedResult(
    scheme: scheme, profile: "optane-100-256g", pattern: "sequential", accessBytes: 256,
    parameters: [.init("threads", .integer(Int64(threads))), .init("delay", .string("200ns"))],
    result: run, wallSeconds: 0.125)
}

/// A result of a machine that counts nothing and stored nothing.
func emptyResult() -> ReportedResult {
  ReportedResult(
    scheme: "arbiter", profile: nil, pattern: "a, \"b\"\nc", accessBytes: nil,
    result: RunResult(counterSource: .unavailable, seconds: 2, threadCount: 1, moduleCount: 1))
}

func document(_ results: [ReportedResult]) -> ResultDocument {
  ResultDocument(
    toolVersion: "0.1.0", command: ["arbiter", "compare", "--threads=1,8"], seed: .max,
    host: [.init("machine", .string("x86_64"))], results: results)
}

/// The curves of the published module and of a flat one, with all that a plot can have.
func samplePlot(name: String = "bandwidth", title: String = "Write bandwidth") -> Plot {
  let measured = [
    (1.0, 2.28), (2, 2.27), (3, 2.25), (4, 2.2), (6, 1.95), (8, 1.54), (12, 1.08), (24, 0.86),
  ]
  return Plot(
    name: name, title: title,
    x: .init("threads", isLogarithmic: true, ticks: [1, 2, 4, 8, 16, 24]),
    y: .init("effective bandwidth (GB/s)", startsAtZero: true),
    series: [
      .init(
        "baseline",
        measured.map { .init(x: $0.0, y: $0.1, error: ($0.1 * 0.95)...($0.1 * 1.05)) }),
      .init("arbiter_paper's, 1.0", measured.map { .init(x: $0.0, y: 2.25 - $0.0 * 0.004) }),
      .init("lock", measured.map { .init(x: $0.0, y: $0.0 == 6 ? nil : 1.9 - $0.0 * 0.01) }),
    ],
    lines: [
      .init(.horizontal, at: 2.28, label: "peak of the medium"),
      .init(.vertical, at: 8, label: "8 threads"),
    ], caption: "Where the baseline falls, the adaptive delay does not.")
}

/// A folder that is removed when the body has ended.
func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let path = NSTemporaryDirectory() + "/arbiter-report-tests-\(UUID().uuidString)"
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try body(path)
}

func names(in path: String) throws -> [String] {
  try FileManager.default.contentsOfDirectory(atPath: path).sorted()
}

func contents(_ path: String) throws -> String {
  try String(contentsOfFile: path, encoding: .utf8)
}

/// Runs a program and returns its exit code and what it said; nil where it is not installed.
func run(_ program: String, _ arguments: [String]) throws -> (code: Int32, said: String)? {
  let places = ["/usr/bin/", "/bin/", "/usr/local/bin/"].map { $0 + program }
  guard let path = places.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
    return nil
  }
  let process = Process()
  process.executableURL = URL(fileURLWithPath: path)
  process.arguments = arguments
  let pipe = Pipe()
  process.standardOutput = pipe
  process.standardError = pipe
  try process.run()
  let said = pipe.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return (process.terminationStatus, String(decoding: said, as: UTF8.self))
}

func isInstalled(_ program: String) -> Bool {
  ["/usr/bin/", "/bin/", "/usr/local/bin/"].contains {
    FileManager.default.isExecutableFile(atPath: $0 + program)
  }
}
