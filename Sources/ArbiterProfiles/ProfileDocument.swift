// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import ArbiterDevice

// One file, before the profile that it extends is filled in. Decoding checks everything that can be
// known from the file alone; `ProfileLibrary` resolves `extends` and sees that nothing is missing.

/// A profile file as it is written.
package struct ProfileDocument: Sendable {
  /// The one schema that this version reads.
  package static let schema = "arbiter-profile/1"

  /// A value and its source as stated in the file.
  package struct Entry: Sendable {
    package let line: Int
    package let source: String
    package let value: EntryValue
  }

  /// A number or one of the words of an enumeration.
  package enum EntryValue: Sendable {
    case number(Double)
    case word(String)
  }

  package let name: String
  package let summary: String
  /// How far the profile may be believed, where the file says so.
  package let calibration: CalibrationStanding?
  package let extends: (name: String, line: Int)?
  package let entries: [String: Entry]
  package let plausible: [String: PlausibleRange]

  /// The keys of the values that are words, with the words.
  package static let wordKeys: [(key: String, words: [String])] = [
    ("release_order", ReleaseOrder.allCases.map(\.rawValue)),
    ("victim_rule", VictimRule.allCases.map(\.rawValue)),
  ]

  /// Reads a file; messages call it by the label, a name or a path.
  package init(_ bytes: [UInt8], label: String) throws(ProfileError) {
    let root: JSONNode
    do {
      root = try JSONReader.read(bytes)
    } catch {
      throw ProfileError(
        code: .malformed, profile: label, line: error.line, reason: error.reason)
    }
    var reading = Reading(label: label)
    try reading.document(root)
    guard let name = reading.name else {
      throw reading.failure(.missingKey, root.line, "the key 'name' is missing")
    }
    guard let summary = reading.summary else {
      throw reading.failure(.missingKey, root.line, "the key 'summary' is missing")
    }
    self.name = name
    self.summary = summary
    calibration = reading.calibration
    extends = reading.extends
    entries = reading.entries
    plausible = reading.plausible
    for (key, range) in plausible {
      guard case .number(let value)? = entries[key]?.value else { continue }
      guard range.range.contains(value) else {
        throw reading.failure(
          .badValue, entries[key]?.line ?? root.line,
          "'\(key)' is \(plain(value)) and not within its plausible range, \(range.ends)")
      }
    }
  }
}

/// The state of reading one file.
private struct Reading {
  let label: String
  var name: String?
  var summary: String?
  var calibration: CalibrationStanding?
  var extends: (name: String, line: Int)?
  var entries: [String: ProfileDocument.Entry] = [:]
  var plausible: [String: PlausibleRange] = [:]

  init(label: String) {
    self.label = label
  }

  func failure(_ code: ProfileError.Code, _ line: Int, _ reason: String) -> ProfileError {
    ProfileError(code: code, profile: label, line: line, reason: reason)
  }

  mutating func document(_ root: JSONNode) throws(ProfileError) {
    let members = try object(root, called: "a profile")
    // The schema first: of another schema, nothing else can be judged.
    guard let schema = members.first(where: { $0.key == "schema" }) else {
      throw failure(
        .wrongSchema, root.line,
        "the key 'schema' is missing; write \"schema\": \"\(ProfileDocument.schema)\"")
    }
    let stated = try string(schema)
    guard stated == ProfileDocument.schema else {
      throw failure(
        .wrongSchema, schema.line,
        "the schema is '\(stated)'; this version reads '\(ProfileDocument.schema)'")
    }
    let known = [
      "schema", "name", "summary", "calibration", "extends", "parameters", "plausible",
    ]
    let words = ProfileDocument.wordKeys
    for member in members {
      switch member.key {
      case "schema": break
      case "name": name = try profileName(member)
      case "summary": summary = try text(member)
      case "calibration": calibration = try standing(member)
      case "extends": extends = (try profileName(member), member.line)
      case "parameters": try parameters(member)
      case "plausible": try plausible(member)
      default:
        guard let allowed = words.first(where: { $0.key == member.key })?.words else {
          throw unknownKey(member, among: known + words.map(\.key))
        }
        entries[member.key] = try word(member, allowed)
      }
    }
  }

  private mutating func parameters(_ member: JSONNode.Member) throws(ProfileError) {
    for parameter in try object(member.node, called: "'parameters'") {
      guard let known = ProfileParameter.all.first(where: { $0.key == parameter.key }) else {
        throw unknownKey(parameter, among: ProfileParameter.all.map(\.key))
      }
      entries[parameter.key] = try number(parameter, known)
    }
  }

  private mutating func plausible(_ member: JSONNode.Member) throws(ProfileError) {
    for stated in try object(member.node, called: "'plausible'") {
      guard let known = ProfileParameter.all.first(where: { $0.key == stated.key }) else {
        throw unknownKey(stated, among: ProfileParameter.all.map(\.key))
      }
      let (value, source) = try valueAndSource(stated, named: "range", allowed: ["scales"])
      let scaled = try scaledKeys(stated)
      var ends: [Double] = []
      if case .array(let nodes) = value.value {
        for node in nodes {
          if case .number(let number) = node.value { ends.append(number) }
        }
        if nodes.count != 2 { ends = [] }
      }
      guard ends.count == 2, ends[0] < ends[1] else {
        throw failure(
          .badValue, value.line,
          "the range of '\(stated.key)' must be two ascending numbers, as [1, 2]")
      }
      for end in ends where !known.range.contains(end) || known.isWhole && end != end.rounded() {
        throw failure(
          .badValue, value.line,
          "the range of '\(stated.key)' ends at \(plain(end)), which no profile may have")
      }
      plausible[stated.key] = PlausibleRange(
        key: stated.key, range: ends[0]...ends[1], scaledKeys: scaled, source: source)
    }
  }

  /// The keys that a plausible range names as going with its own.
  private func scaledKeys(_ member: JSONNode.Member) throws(ProfileError) -> [String] {
    guard case .object(let parts) = member.node.value,
      let stated = parts.first(where: { $0.key == "scales" })
    else { return [] }
    guard case .array(let nodes) = stated.node.value else {
      throw failure(
        .malformed, stated.line, "'scales' of '\(member.key)' must be a list of keys")
    }
    let known = ProfileParameter.all.map(\.key)
    var keys: [String] = []
    for node in nodes {
      guard case .string(let key) = node.value, known.contains(key), key != member.key else {
        throw failure(
          .badValue, node.line, "'scales' of '\(member.key)' names what is no other parameter")
      }
      keys.append(key)
    }
    return keys
  }

  private func number(
    _ member: JSONNode.Member, _ parameter: ProfileParameter
  ) throws(ProfileError) -> ProfileDocument.Entry {
    let (value, source) = try valueAndSource(member)
    guard case .number(let number) = value.value else {
      throw failure(
        .badValue, value.line, "the value of '\(member.key)' must be a number, not \(value.kind)")
    }
    let range = parameter.range
    let kind = parameter.isWhole ? "a whole number" : "a number"
    guard range.contains(number), !parameter.isWhole || number == number.rounded() else {
      throw failure(
        .badValue, value.line,
        "'\(member.key)' is \(plain(number)); it must be \(kind) from "
          + "\(plain(range.lowerBound)) to \(plain(range.upperBound))")
    }
    return ProfileDocument.Entry(line: value.line, source: source, value: .number(number))
  }

  private func word(
    _ member: JSONNode.Member, _ allowed: [String]
  ) throws(ProfileError) -> ProfileDocument.Entry {
    let (value, source) = try valueAndSource(member)
    guard case .string(let word) = value.value, allowed.contains(word) else {
      throw failure(
        .badValue, value.line,
        "the value of '\(member.key)' must be one of "
          + allowed.map { "\"\($0)\"" }.joined(separator: ", "))
    }
    return ProfileDocument.Entry(line: value.line, source: source, value: .word(word))
  }

  private func valueAndSource(
    _ member: JSONNode.Member, named name: String = "value", allowed: [String] = []
  ) throws(ProfileError) -> (JSONNode, String) {
    let form = "write {\"\(name)\": …, \"source\": \"…\"}"
    guard case .object(let parts) = member.node.value else {
      throw failure(
        .malformed, member.line, "'\(member.key)' is \(member.node.kind) on its own; \(form)")
    }
    for part in parts where part.key != name && part.key != "source" && !allowed.contains(part.key)
    {
      throw unknownKey(part, among: [name, "source"] + allowed, inside: member.key)
    }
    guard let value = parts.first(where: { $0.key == name }) else {
      throw failure(.missingKey, member.line, "'\(member.key)' has no \(name); \(form)")
    }
    guard let source = parts.first(where: { $0.key == "source" }) else {
      throw failure(
        .missingSource, member.line,
        "'\(member.key)' has no source; say where the value comes from")
    }
    guard case .string(let text) = source.node.value, text.contains(where: { !$0.isWhitespace })
    else {
      throw failure(
        .missingSource, source.line,
        "the source of '\(member.key)' is empty; say where the value comes from")
    }
    return (value.node, text)
  }

  private func object(
    _ node: JSONNode, called name: String
  ) throws(ProfileError) -> [JSONNode.Member] {
    guard case .object(let members) = node.value else {
      throw failure(.malformed, node.line, "\(name) must be an object, not \(node.kind)")
    }
    return members
  }

  private func string(_ member: JSONNode.Member) throws(ProfileError) -> String {
    guard case .string(let text) = member.node.value else {
      throw failure(
        .malformed, member.line, "'\(member.key)' must be a string, not \(member.node.kind)")
    }
    return text
  }

  private func text(_ member: JSONNode.Member) throws(ProfileError) -> String {
    let text = try string(member)
    guard text.contains(where: { !$0.isWhitespace }) else {
      throw failure(.badValue, member.line, "'\(member.key)' is empty")
    }
    return text
  }

  private func standing(_ member: JSONNode.Member) throws(ProfileError) -> CalibrationStanding {
    guard let standing = CalibrationStanding(rawValue: try string(member)) else {
      let words = CalibrationStanding.allCases.map { "\"\($0.rawValue)\"" }
      throw failure(
        .badValue, member.line,
        "the value of '\(member.key)' must be one of \(words.joined(separator: ", "))")
    }
    return standing
  }

  private func profileName(_ member: JSONNode.Member) throws(ProfileError) -> String {
    let name = try string(member)
    let isName =
      !name.isEmpty
      && name.utf8.allSatisfy { byte in
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
          || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
      }
    guard isName else {
      throw failure(
        .badValue, member.line,
        "'\(member.key)' is '\(name)'; names are made of a-z, 0-9 and '-'")
    }
    return name
  }

  private func unknownKey(
    _ member: JSONNode.Member, among keys: [String], inside owner: String? = nil
  ) -> ProfileError {
    let place = owner.map { " of '\($0)'" } ?? ""
    return failure(
      .unknownKey, member.line, "unknown key '\(member.key)'\(place); \(hint(member.key, keys))")
  }
}

/// A number without needless decimals.
package func plain(_ number: Double) -> String {
  if number == number.rounded(), abs(number) < 1e15 { return String(Int64(number)) }
  return String(number)
}

/// The nearest of the words, or all of them where none is near.
package func hint(_ text: String, _ words: [String]) -> String {
  let ranked = words.map { (distance(text, $0), $0) }.sorted { $0 < $1 }
  if let (steps, word) = ranked.first, steps <= max(2, text.count / 3) {
    return "did you mean '\(word)'"
  }
  return "known are \(words.joined(separator: ", "))"
}

/// The edit distance of Levenshtein (insert, delete, replace).
private func distance(_ left: String, _ right: String) -> Int {
  let target = Array(right)
  var row = Array(0...target.count)
  for (index, letter) in left.enumerated() {
    var diagonal = row[0]
    row[0] = index + 1
    for column in target.indices {
      let replaced = diagonal + (letter == target[column] ? 0 : 1)
      diagonal = row[column + 1]
      row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
    }
  }
  return row[target.count]
}
