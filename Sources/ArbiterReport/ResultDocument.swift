// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice

/// The results of one command, as JSON or CSV.
///
/// Everything outside `host` is the same on every machine and in every run of the same version with
/// the same seed, as long as the runs are modelled.
public struct ResultDocument: Sendable, Hashable {
  /// The schema of the JSON document.
  public static let schema = "arbiter-results/1"

  /// The name of the tool.
  public var toolName: String
  /// The version of the tool.
  public var toolVersion: String
  /// The command that repeats the runs, word by word.
  public var command: [String]
  /// The seed; nil where nothing was drawn.
  public var seed: UInt64?
  /// What varies from machine to machine.
  public var host: [JSONValue.Member]
  /// The runs.
  public var results: [ReportedResult]

  /// Makes a document.
  public init(
    toolName: String = "arbiter", toolVersion: String, command: [String], seed: UInt64?,
    host: [JSONValue.Member] = [], results: [ReportedResult] = []
  ) {
    self.toolName = toolName
    self.toolVersion = toolVersion
    self.command = command
    self.seed = seed
    self.host = host
    self.results = results
  }

  /// The document as a value.
  ///
  /// - Precondition: `host` has no key `results`, which this adds.
  public var json: JSONValue {
    precondition(!host.contains { $0.key == "results" }, "host results are written here")
    let walls = results.map { result in
      JSONValue.object([
        .init("wall_seconds", .figure(result.wallSeconds)),
        .init("requests_per_wall_second", .figure(Self.rate(result))),
      ])
    }
    return .object([
      .init("schema", .string(Self.schema)),
      .init(
        "tool",
        .object([.init("name", .string(toolName)), .init("version", .string(toolVersion))])),
      .init("command", .array(command.map { .string($0) })),
      .init("seed", seed.map { .unsigned($0) } ?? .null),
      .init("host", .object(host + [.init("results", .array(walls))])),
      .init("results", .array(results.map(Self.json))),
    ])
  }

  private static func rate(_ result: ReportedResult) -> Double? {
    guard let seconds = result.wallSeconds, seconds > 0 else { return nil }
    return Double(result.result.requestCount) / seconds
  }

  private static func json(_ result: ReportedResult) -> JSONValue {
    var members: [JSONValue.Member] = [.init("parameters", .object(result.parameters))]
    var inner: [JSONValue.Member] = []
    for (index, field) in ResultField.all.enumerated() {
      let member = JSONValue.Member(field.name, field.value(result))
      guard let object = field.object else {
        members.append(member)
        continue
      }
      inner.append(member)
      let next = index + 1
      if next == ResultField.all.count || ResultField.all[next].object != object {
        members.append(.init(object, .object(inner)))
        inner = []
      }
    }
    return .object(members)
  }

  /// The figures that people look at first, one row for each result.
  public var table: Table {
    var table = Table(
      [
        .init("scheme"), .init("pattern"), .init("threads", .right), .init("GB/s", .right),
        .init("media write GB/s", .right), .init("write ampl.", .right), .init("p50 ns", .right),
        .init("p99 ns", .right), .init("delay ns", .right), .init("CPU s/GiB", .right),
        .init("fairness", .right),
      ], keyColumnCount: 3)
    for entry in results {
      let run = entry.result
      table.add([
        .text(entry.scheme), .text(entry.pattern), .count(run.threadCount),
        .text(Figures.gigabytesPerSecond(run.effectiveBandwidth)),
        .text(Figures.gigabytesPerSecond(run.mediaWriteBandwidth)),
        .number(run.writeAmplification), .number(run.latencyNanoseconds?.p50),
        .number(run.latencyNanoseconds?.p99), .number(run.delayNanosecondsMean),
        .number(run.cpuSecondsPerGiB), .number(run.fairness),
      ])
    }
    return table
  }

  /// The results as CSV, one row each.
  ///
  /// The columns are those of ``ResultField/all`` and then `parameter_NAME` for every parameter
  /// that any result has. Unavailable figures are empty.
  public var csv: String {
    var names: [String] = []
    var known: Set<String> = []
    for result in results {
      for parameter in result.parameters where known.insert(parameter.key).inserted {
        names.append(parameter.key)
      }
    }
    var text = CSV.row(ResultField.all.map(\.flatName) + names.map { "parameter_\($0)" })
    for result in results {
      let fields = ResultField.all.map { CSV.field($0.value(result)) }
      let options = names.map { name in
        result.parameters.first { $0.key == name }.map { CSV.field($0.value) } ?? ""
      }
      text += CSV.row(fields + options)
    }
    return text
  }
}

/// Rows of comma-separated values after RFC 4180.
public enum CSV {
  /// Returns a row, ended by CR and LF.
  public static func row(_ fields: [String]) -> String {
    fields.map(quoted).joined(separator: ",") + "\r\n"
  }

  /// Returns the field that stands for a value; null is empty, lists and objects are JSON.
  public static func field(_ value: JSONValue) -> String {
    switch value {
    case .null: ""
    case .string(let text): text
    case .number(let number) where !number.isFinite: ""
    default: value.line
    }
  }

  /// Quotes a field where a comma, a quote or a line end would otherwise end it.
  private static func quoted(_ field: String) -> String {
    let needs = field.unicodeScalars.contains { ",\"\r\n".unicodeScalars.contains($0) }
    guard needs || field.first == " " || field.last == " " else { return field }
    var text = "\""
    for scalar in field.unicodeScalars {
      if scalar == "\"" { text += "\"" }
      text.unicodeScalars.append(scalar)
    }
    return text + "\""
  }
}
