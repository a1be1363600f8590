// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterProfiles
import Testing

/// The error that reading the text gives, or nil where it is accepted.
private func refusal(
  _ text: String, library: ProfileLibrary = .embedded
) -> ProfileError? {
  do {
    _ = try library.decode(Array(text.utf8), named: "my.json")
    return nil
  } catch {
    return error
  }
}

/// A profile that extends the default and states the given further members.
private func child(_ members: String = "", name: String = "mine") -> String {
  """
  {
    "schema": "arbiter-profile/1",
    "name": "\(name)",
    "summary": "A module of mine.",
    "extends": "optane-100-256g"\(members.isEmpty ? "" : ",\n  \(members)")
  }
  """
}

/// The same with the given members of `parameters`, which stand on line 6.
private func child(parameters: String) -> String {
  child("\"parameters\": {\(parameters)}")
}

@Suite("Embedded profiles")
struct EmbeddedProfileTests {
  @Test(arguments: ProfileLibrary.embedded.names)
  func `every embedded profile has all numbers in range, each with a source`(
    name: String
  ) throws {
    let resolved = try ProfileLibrary.embedded.resolved(name)
    #expect(resolved.profile.name == name)
    #expect(resolved.profile.summary.hasSuffix("."))
    #expect(
      resolved.facts.map(\.key)
        == ["release_order", "victim_rule"] + ProfileParameter.all.map(\.key))
    for fact in resolved.facts {
      #expect(fact.source.count >= 10, "\(fact.key)")
      guard let parameter = ProfileParameter.all.first(where: { $0.key == fact.key }) else {
        continue
      }
      #expect(parameter.range.contains(parameter.get(resolved.profile)), "\(fact.key)")
      #expect(Double(fact.value) == parameter.get(resolved.profile), "\(fact.key)")
    }
  }

  @Test(arguments: [
    ("optane-100-256g", 2.28e9), ("optane-100-256g-perma", 2.74e9), ("optane-100-128g", 2.2e9),
    ("optane-100-256g-12w5", 1.65e9), ("optane-100-256g-18w", 2.89e9),
    ("optane-200-256g", 2.75e9),
  ])
  func `the medium writes as fast as the publication says`(
    name: String, bytesPerSecond: Double
  ) throws {
    let profile = try ProfileLibrary.embedded.profile(named: name)
    let modelled = Double(profile.mediaUnits) * 256 / (profile.mediaWriteNanoseconds * 1e-9)
    #expect(abs(modelled / bytesPerSecond - 1) < 0.05)
  }

  @Test func `the default comes first and is embedded`() throws {
    #expect(ProfileLibrary.embedded.names.first == ProfileLibrary.defaultName)
    #expect(try ProfileLibrary.embedded.resolved(ProfileLibrary.defaultName).ancestors.isEmpty)
  }

  @Test func `a profile that extends another keeps what it does not state`() throws {
    let library = ProfileLibrary.embedded
    var expected = try library.profile(named: "optane-100-256g")
    let perma = try library.resolved("optane-100-256g-perma")
    expected.name = perma.profile.name
    expected.summary = perma.profile.summary
    expected.physicalCores = 18
    expected.fenceNanoseconds = 40
    expected.mediaWriteNanoseconds = perma.profile.mediaWriteNanoseconds
    #expect(perma.profile == expected)
    #expect(perma.ancestors == ["optane-100-256g"])
    let stated = perma.facts.filter { $0.statedBy == "optane-100-256g-perma" }
    #expect(stated.map(\.key) == ["physical_cores", "fence_ns", "media_write_ns"])
  }

  @Test func `a profile that is calibrated in trend only says so wherever it is shown`() throws {
    for name in ProfileLibrary.embedded.names {
      let profile = try ProfileLibrary.embedded.profile(named: name)
      let isMarked = profile.calibration == .trendOnly
      #expect(isMarked == (name == "cxl-cached-4k"))
      #expect(profile.summary.contains("calibrated in trend only") == isMarked)
      #expect(profile.label == (isMarked ? "\(name) (calibrated in trend only)" : name))
    }
  }

  @Test func `an unknown name is answered with the nearest or with all`() {
    let names = ProfileLibrary.embedded.names.joined(separator: ", ")
    for (name, answer) in [
      ("optane-100-265g", "did you mean 'optane-100-256g'"), ("dram", "known are \(names)"),
      ("", "known are \(names)"),
    ] {
      #expect {
        try ProfileLibrary.embedded.profile(named: name)
      } throws: { error in
        let error = error as? ProfileError
        return error?.code == .unknownProfile
          && error?.description == "profile '\(name)': there is no such profile; \(answer)"
      }
    }
  }
}

@Suite("Plausible ranges")
struct PlausibleRangeTests {
  private func resolved(_ text: String) throws -> ResolvedProfile {
    try ProfileLibrary.embedded.resolve(Array(text.utf8), named: "my.json")
  }

  @Test func `the default profile says what is plausible of what it fitted or assumed`() throws {
    let profile = try ProfileLibrary.embedded.resolved(ProfileLibrary.defaultName)
    let stated = Set(profile.plausible.map(\.key))
    // What was fitted, assumed or never measured is uncertain by its own words.
    for fact in profile.facts where Double(fact.value) != nil {
      guard fact.source.contains("fitted") || fact.source.contains("assumed") else { continue }
      #expect(stated.contains(fact.key), "\(fact.key) has no plausible range")
    }
    for range in profile.plausible {
      let parameter = try #require(ProfileParameter.all.first { $0.key == range.key })
      #expect(range.range.contains(parameter.get(profile.profile)))
      #expect(range.source.count >= 10)
    }
  }

  @Test func `a profile inherits ranges, and drops those that its own value has left`() throws {
    let inside = try resolved(
      child(parameters: #""buffer_blocks": {"value": 60, "source": "mine"}"#))
    #expect(inside.plausible.contains { $0.key == "buffer_blocks" })
    let outside = try resolved(
      child(parameters: #""buffer_blocks": {"value": 16, "source": "mine"}"#))
    #expect(!outside.plausible.contains { $0.key == "buffer_blocks" })
    let own = try resolved(
      child(#""plausible": {"buffer_blocks": {"range": [60, 70], "source": "mine too"}}"#))
    let range = try #require(own.plausible.first { $0.key == "buffer_blocks" })
    #expect(range.range == 60...70 && range.ends == "60 to 70" && range.source == "mine too")
  }

  @Test func `parameters that go along keep their proportion`() throws {
    let profile = try ProfileLibrary.embedded.profile(named: ProfileLibrary.defaultName)
    let range = PlausibleRange(
      key: "media_units", range: 2...8, scaledKeys: ["media_write_ns"], source: "planted")
    let changed = range.setting(8, in: profile)
    #expect(changed.mediaUnits == 8)
    #expect(changed.mediaWriteNanoseconds == profile.mediaWriteNanoseconds * 2)
    #expect(changed.mediaReadNanoseconds == profile.mediaReadNanoseconds)
  }

  @Test(arguments: [
    (#""wpq_line": {"range": [1, 2], "source": "s"}"#, "unknown key 'wpq_line'; did you mean"),
    (#""wpq_lines": {"range": [2, 2], "source": "s"}"#, "must be two ascending numbers"),
    (#""wpq_lines": {"range": [1, 2, 3], "source": "s"}"#, "must be two ascending numbers"),
    (#""wpq_lines": {"range": 4, "source": "s"}"#, "must be two ascending numbers"),
    (#""wpq_lines": {"range": [0, 9], "source": "s"}"#, "ends at 0, which no profile may have"),
    (#""wpq_lines": {"range": [4, 9.5], "source": "s"}"#, "ends at 9.5"),
    (#""wpq_lines": {"source": "s"}"#, "'wpq_lines' has no range"),
    (#""wpq_lines": {"range": [1, 9]}"#, "'wpq_lines' has no source"),
    (#""wpq_lines": {"range": [1, 9], "why": 1, "source": "s"}"#, "unknown key 'why'"),
    (#""wpq_lines": {"range": [1, 9], "scales": "x", "source": "s"}"#, "must be a list of keys"),
    (#""wpq_lines": {"range": [1, 9], "scales": ["x"], "source": "s"}"#, "no other parameter"),
  ])
  func `a range that makes no sense is refused`(text: String, reason: String) {
    let error = refusal(child("\"plausible\": {\(text)}"))
    #expect(error?.reason.contains(reason) == true, "\(error?.description ?? "accepted")")
    #expect(error?.line == 6)
  }

  @Test func `a value outside of the range beside it is refused`() {
    let error = refusal(
      child(
        #""parameters": {"wpq_lines": {"value": 4, "source": "s"}}, "#
          + #""plausible": {"wpq_lines": {"range": [5, 9], "source": "s"}}"#))
    #expect(error?.reason == "'wpq_lines' is 4 and not within its plausible range, 5 to 9")
  }
}

@Suite("Profile files")
struct ProfileFileTests {
  @Test func `a file may extend an embedded profile`() throws {
    let text = child(parameters: #""media_units": {"value": 6, "source": "a guess of mine"}"#)
    let resolved = try ProfileLibrary.embedded.resolve(Array(text.utf8), named: "my.json")
    #expect(resolved.profile.mediaUnits == 6)
    #expect(resolved.profile.bufferBlocks == 64)
    #expect(resolved.profile.name == "mine")
    #expect(resolved.facts.first { $0.key == "media_units" }?.source == "a guess of mine")
  }

  @Test func `a child is believed no further than its parent unless it says so`() throws {
    func standing(_ members: String, of parent: String) throws -> CalibrationStanding {
      let text = child(members).replacing("optane-100-256g", with: parent)
      return try ProfileLibrary.embedded.decode(Array(text.utf8), named: "my.json").calibration
    }
    #expect(try standing("", of: "optane-100-256g") == .values)
    #expect(try standing("", of: "cxl-cached-4k") == .trendOnly)
    #expect(try standing(#""calibration": "values""#, of: "cxl-cached-4k") == .values)
    let error = refusal(child(#""calibration": "guessed""#))
    #expect(error?.code == .badValue)
    #expect(error?.line == 6)
    #expect(error?.reason.contains(#""values", "trend-only""#) == true)
  }

  @Test func `the words of the enumerations are read`() throws {
    let text = child(
      #""release_order": {"value": "in-order", "source": "a test of the model"}, "#
        + #""victim_rule": {"value": "first-in", "source": "a test of the model"}"#)
    let profile = try ProfileLibrary.embedded.decode(Array(text.utf8), named: "my.json")
    #expect(profile.releaseOrder == .inOrder)
    #expect(profile.victimRule == .firstIn)
  }

  @Test(arguments: [
    (
      #""media_writes_ns": {"value": 1, "source": "s"}"#, ProfileError.Code.unknownKey,
      "unknown key 'media_writes_ns'; did you mean 'media_write_ns'"
    ),
    (
      #""wpq_lines": {"value": 0, "source": "s"}"#, .badValue,
      "'wpq_lines' is 0; it must be a whole number from 1 to 1024"
    ),
    (
      #""wpq_lines": {"value": 1025, "source": "s"}"#, .badValue,
      "'wpq_lines' is 1025; it must be a whole number from 1 to 1024"
    ),
    (
      #""wpq_lines": {"value": 8.5, "source": "s"}"#, .badValue,
      "'wpq_lines' is 8.5; it must be a whole number from 1 to 1024"
    ),
    (
      #""core_jitter_ratio": {"value": 0.96, "source": "s"}"#, .badValue,
      "'core_jitter_ratio' is 0.96; it must be a number from 0 to 0.95"
    ),
    (
      #""wpq_lines": {"value": "8", "source": "s"}"#, .badValue,
      "the value of 'wpq_lines' must be a number, not a string"
    ),
    (
      #""wpq_lines": {"value": 8}"#, .missingSource,
      "'wpq_lines' has no source; say where the value comes from"
    ),
    (
      #""wpq_lines": {"value": 8, "source": " "}"#, .missingSource,
      "the source of 'wpq_lines' is empty; say where the value comes from"
    ),
    (
      #""wpq_lines": {"source": "s"}"#, .missingKey,
      #"'wpq_lines' has no value; write {"value": …, "source": "…"}"#
    ),
    (
      #""wpq_lines": 8"#, .malformed,
      #"'wpq_lines' is a number on its own; write {"value": …, "source": "…"}"#
    ),
    (
      #""wpq_lines": {"value": 8, "source": "s", "note": ""}"#, .unknownKey,
      "unknown key 'note' of 'wpq_lines'; known are value, source"
    ),
    (
      #""interleave_bytes": {"value": 1000, "source": "s"}"#, .badValue,
      "'interleave_bytes' is 1000; it must be a multiple of 256"
    ),
    (
      #""stall_period_ns": {"value": 5, "source": "s"}, "stall_ns": {"value": 5, "source": "s"}"#,
      .badValue, "'stall_ns' is 5; it must be below 'stall_period_ns', 5"
    ),
  ])
  func `a number that is not in order is refused with its place and range`(
    parameters: String, code: ProfileError.Code, reason: String
  ) throws {
    let error = try #require(refusal(child(parameters: parameters)))
    #expect(error.code == code)
    #expect(error.reason == reason)
    #expect(error.line == 6 || error.line == nil)
    #expect(error.description.hasPrefix("profile 'my.json'"))
  }

  @Test(arguments: [
    (
      #"{"schema": "arbiter-profile/2"}"#, ProfileError.Code.wrongSchema,
      "the schema is 'arbiter-profile/2'; this version reads 'arbiter-profile/1'"
    ),
    (
      #"{"name": "x"}"#, .wrongSchema,
      #"the key 'schema' is missing; write "schema": "arbiter-profile/1""#
    ),
    ("[]", .malformed, "a profile must be an object, not an array"),
    (#"{"schema": "arbiter-profile/1"}"#, .missingKey, "the key 'name' is missing"),
    (
      #"{"schema": "arbiter-profile/1", "name": "x"}"#, .missingKey, "the key 'summary' is missing"
    ),
    (
      #"{"schema": "arbiter-profile/1", "name": "X y"}"#, .badValue,
      "'name' is 'X y'; names are made of a-z, 0-9 and '-'"
    ),
    (
      #"{"schema": "arbiter-profile/1", "name": "x", "summary": "s"}"#, .missingKey,
      #"'release_order' is missing; add it or extend a profile that has it, "#
        + #"as "extends": "optane-100-256g""#
    ),
    (
      #"{"schema": "arbiter-profile/1", "name": "x", "summary": "s", "extends": "optan-100-256g"}"#,
      .unknownProfile,
      "it extends 'optan-100-256g', not known; did you mean 'optane-100-256g'"
    ),
    (
      child(#""release_order": {"value": "fifo", "source": "s"}"#), .badValue,
      #"the value of 'release_order' must be one of "random", "in-order""#
    ),
  ])
  func `a file that is not a profile is refused with one sentence`(
    text: String, code: ProfileError.Code, reason: String
  ) throws {
    let error = try #require(refusal(text))
    #expect(error.code == code)
    #expect(error.reason == reason)
  }

  @Test func `profiles that extend in a circle are refused`() throws {
    func file(_ name: String, extends parent: String) -> (name: String, json: [UInt8]) {
      let text = """
        {"schema": "arbiter-profile/1", "name": "\(name)", "summary": "s", "extends": "\(parent)"}
        """
      return (name, Array(text.utf8))
    }
    let circle = ProfileLibrary([
      file("a", extends: "b"), file("b", extends: "c"), file("c", extends: "a"),
    ])
    #expect {
      try circle.profile(named: "a")
    } throws: { error in
      let error = error as? ProfileError
      return error?.code == .cycle && error?.reason.hasSuffix("a > b > c > a") == true
    }
    let chain = ProfileLibrary((0..<20).map { file("p\($0)", extends: "p\($0 + 1)") })
    #expect {
      try chain.profile(named: "p0")
    } throws: {
      ($0 as? ProfileError)?.code == .cycle
    }
  }

  @Test func `a file whose key disagrees with its name is refused`() {
    let library = ProfileLibrary([("a", Array(child().utf8))])
    #expect {
      try library.profile(named: "a")
    } throws: {
      ($0 as? ProfileError)?.reason.contains("file and key must agree") == true
    }
  }
}
