// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
package import ArbiterDevice

// The file in which calibrations are kept from one command to the next. It is read strictly: a
// number that was taken for another would bound writers wrongly without anybody noticing.

/// A file of calibrations that cannot be used, with the place and the reason.
public struct CalibrationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file.
  public let path: String
  /// The line of the file, from 1.
  public let line: Int
  /// What is wrong, without a final full stop.
  public let reason: String

  /// Makes an error.
  public init(path: String, line: Int, reason: String) {
    self.path = path
    self.line = line
    self.reason = reason
  }

  /// What to do next; the file is never changed or removed by itself.
  public var nextStep: String {
    "correct the file, or move it away and calibrate again with arbiter measure"
  }

  /// One sentence that names the file, the line and the reason.
  public var description: String { "calibration file '\(path)', line \(line): \(reason)" }
}

/// The calibrations of a user as they are written to a file.
package enum CalibrationDocument {
  /// The one schema that this version reads and writes.
  package static let schema = "arbiter-calibration/1"
  /// The file's name in the folder of a user's state.
  package static let fileName = "calibration.json"

  /// Where a user's calibrations lie.
  ///
  /// - Parameter variable: Looks up an environment variable.
  /// - Returns: The file; nil where no variable names a folder. There may be no file yet.
  package static func path(environment variable: (String) -> String?) -> String? {
    func folder(_ name: String) -> String? { variable(name).flatMap { $0.isEmpty ? nil : $0 } }
    if let own = folder("ARBITER_STATE_DIR") { return "\(own)/\(fileName)" }
    // By the rule of the XDG base folders a path that is not absolute does not count.
    if let state = folder("XDG_STATE_HOME"), state.hasPrefix("/") {
      return "\(state)/arbiter/\(fileName)"
    }
    return folder("HOME").map { "\($0)/.local/state/arbiter/\(fileName)" }
  }

  /// Reads a file; messages call it by its path.
  package static func read(
    _ bytes: [UInt8], path: String
  ) throws(CalibrationError) -> CalibrationBook {
    let root: JSONNode
    do {
      root = try JSONReader.read(bytes)
    } catch {
      throw CalibrationError(path: path, line: error.line, reason: error.reason)
    }
    let reading = CalibrationReading(path: path)
    // The schema first: of another schema, nothing else can be judged.
    let (stated, place) = try reading.schema(root)
    guard stated == schema else {
      throw reading.failure(
        place, "the schema is '\(stated)'; this version reads '\(schema)'")
    }
    let members = try reading.object(root, "the document", ["schema", "calibrations"])
    let list = try reading.array(members["calibrations"] ?? root, "calibrations")
    guard list.count <= CalibrationBook.countMax else {
      throw reading.failure(
        root, "'calibrations' has \(list.count) elements; \(CalibrationBook.countMax) are allowed")
    }
    var book = CalibrationBook()
    for node in list {
      let calibration = try reading.calibration(node)
      guard !book.calibrations.contains(where: { calibration.replaces($0) }) else {
        throw reading.failure(
          node, "'\(calibration.region)' with '\(calibration.store.rawValue)' is there twice")
      }
      book.add(calibration)
    }
    return book
  }
}

/// Takes values out of nodes, or says what is wrong with them.
private struct CalibrationReading {
  let path: String

  func failure(_ node: JSONNode, _ reason: String) -> CalibrationError {
    CalibrationError(path: path, line: node.line, reason: reason)
  }

  func schema(_ root: JSONNode) throws(CalibrationError) -> (String, JSONNode) {
    guard case .object(let members) = root.value else {
      throw failure(root, "the document must be an object, not \(root.kind)")
    }
    guard let member = members.first(where: { $0.key == "schema" }) else {
      throw failure(root, "the key 'schema' is missing")
    }
    return (try string(member.node, "schema"), member.node)
  }

  /// The members of an object that has exactly these keys.
  func object(
    _ node: JSONNode, _ name: String, _ keys: [String]
  ) throws(CalibrationError) -> [String: JSONNode] {
    guard case .object(let members) = node.value else {
      throw failure(node, "'\(name)' must be an object, not \(node.kind)")
    }
    for member in members where !keys.contains(member.key) {
      throw CalibrationError(
        path: path, line: member.line,
        reason: "the key '\(member.key)' is none of \(keys.joined(separator: ", "))")
    }
    for key in keys where !members.contains(where: { $0.key == key }) {
      throw failure(node, "the key '\(key)' of '\(name)' is missing")
    }
    return Dictionary(members.map { ($0.key, $0.node) }, uniquingKeysWith: { first, _ in first })
  }

  func array(_ node: JSONNode, _ name: String) throws(CalibrationError) -> [JSONNode] {
    guard case .array(let elements) = node.value else {
      throw failure(node, "'\(name)' must be a list, not \(node.kind)")
    }
    return elements
  }

  func string(_ node: JSONNode, _ name: String) throws(CalibrationError) -> String {
    guard case .string(let text) = node.value, !text.isEmpty else {
      throw failure(node, "'\(name)' must be a text that is not empty, not \(node.kind)")
    }
    return text
  }

  func optional<Value>(
    _ node: JSONNode, _ read: (JSONNode) throws(CalibrationError) -> Value
  ) throws(CalibrationError) -> Value? {
    if case .null = node.value { return nil }
    return try read(node)
  }

  func number(_ node: JSONNode, _ name: String) throws(CalibrationError) -> Double {
    guard case .number(let number) = node.value else {
      throw failure(node, "'\(name)' must be a number, not \(node.kind)")
    }
    return number
  }

  func count(
    _ node: JSONNode, _ name: String, _ range: ClosedRange<Int>
  ) throws(CalibrationError) -> Int {
    let number = try number(node, name)
    guard let count = Int(exactly: number), range.contains(count) else {
      throw failure(
        node, "'\(name)' must be a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return count
  }

  func word<Word: RawRepresentable & CaseIterable>(
    _ node: JSONNode, _ name: String
  ) throws(CalibrationError) -> Word where Word.RawValue == String {
    let text = try string(node, name)
    guard let word = Word(rawValue: text) else {
      let words = Word.allCases.map(\.rawValue).joined(separator: ", ")
      throw failure(node, "'\(name)' is '\(text)' and none of \(words)")
    }
    return word
  }

  func calibration(_ node: JSONNode) throws(CalibrationError) -> ThreadCalibration {
    let members = try object(
      node, "calibrations",
      [
        "region", "store", "access_bytes", "thread_count", "curve", "measured_at", "tool_version",
        "machine",
      ])
    func member(_ key: String) -> JSONNode { members[key] ?? node }
    let store: ThreadCalibration.Store = try word(member("store"), "store")
    let dateText = try string(member("measured_at"), "measured_at")
    guard let date = UniversalTime(dateText) else {
      throw failure(
        member("measured_at"),
        "'measured_at' is '\(dateText)' and no time such as 2026-11-21T20:32:04Z")
    }
    let curve = try array(member("curve"), "curve")
    guard (1...ThreadCalibration.pointCountMax).contains(curve.count) else {
      throw failure(
        member("curve"), "'curve' must have 1 to \(ThreadCalibration.pointCountMax) points")
    }
    var points: [ThreadCalibration.Point] = []
    for node in curve { points.append(try point(node)) }
    let calibration = ThreadCalibration(
      region: try region(member("region")), store: store,
      accessBytes: try count(member("access_bytes"), "access_bytes", 1...(1 << 40)),
      curve: points, date: date, toolVersion: try string(member("tool_version"), "tool_version"),
      machine: try machine(member("machine")))
    guard let calibration else {
      throw failure(member("curve"), "'curve' gives no number of threads")
    }
    let threads = try count(
      member("thread_count"), "thread_count", 1...ThreadCalibration.threadCountMax)
    guard threads == calibration.threadCount else {
      throw failure(
        member("thread_count"),
        "'thread_count' is \(threads), and the curve gives \(calibration.threadCount)")
    }
    return calibration
  }

  private func point(_ node: JSONNode) throws(CalibrationError) -> ThreadCalibration.Point {
    let members = try object(node, "curve", ["threads", "bytes_per_second"])
    let speed = members["bytes_per_second"] ?? node
    let bytesPerSecond = try number(speed, "bytes_per_second")
    guard bytesPerSecond > 0 else { throw failure(speed, "'bytes_per_second' must be above 0") }
    return ThreadCalibration.Point(
      threads: try count(
        members["threads"] ?? node, "threads", 1...ThreadCalibration.threadCountMax),
      bytesPerSecond: bytesPerSecond)
  }

  private func region(_ node: JSONNode) throws(CalibrationError) -> RegionIdentity {
    let members = try object(node, "region", ["kind", "name", "identifier", "module_count"])
    func member(_ key: String) -> JSONNode { members[key] ?? node }
    let kind: RegionIdentity.Kind = try word(member("kind"), "kind")
    return RegionIdentity(
      kind: kind, name: try string(member("name"), "name"),
      identifier: try optional(member("identifier")) { node throws(CalibrationError) in
        try string(node, "identifier")
      },
      moduleCount: try optional(member("module_count")) { node throws(CalibrationError) in
        try count(node, "module_count", 1...65_536)
      })
  }

  private func machine(_ node: JSONNode) throws(CalibrationError) -> MachineIdentity {
    let members = try object(node, "machine", ["identifier", "processor", "processor_count"])
    func member(_ key: String) -> JSONNode { members[key] ?? node }
    return MachineIdentity(
      identifier: try optional(member("identifier")) { node throws(CalibrationError) in
        try string(node, "identifier")
      },
      processor: try string(member("processor"), "processor"),
      processorCount: try count(member("processor_count"), "processor_count", 1...(1 << 20)))
  }
}
