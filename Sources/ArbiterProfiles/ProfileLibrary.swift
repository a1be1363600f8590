// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice

/// Device profiles by name.
///
/// ```swift
/// let module = try ProfileLibrary.embedded.profile(named: "optane-100-256g")
/// ```
public struct ProfileLibrary: Sendable {
  /// The profiles of the folder `Profiles/`, which are part of the program.
  ///
  /// To add one, add its file there and its line here.
  public static let embedded = ProfileLibrary([
    ("optane-100-256g", PackageResources.optane_100_256g_json),
    ("optane-100-256g-12w5", PackageResources.optane_100_256g_12w5_json),
    ("optane-100-256g-18w", PackageResources.optane_100_256g_18w_json),
    ("optane-100-256g-perma", PackageResources.optane_100_256g_perma_json),
    ("optane-100-128g", PackageResources.optane_100_128g_json),
    ("optane-100-256g-remote", PackageResources.optane_100_256g_remote_json),
    ("optane-200-256g", PackageResources.optane_200_256g_json),
    ("cxl-cached-4k", PackageResources.cxl_cached_4k_json),
  ])

  /// The name of the profile that is used where none is named.
  public static let defaultName = "optane-100-256g"

  /// How many profiles may extend one another.
  package static let generationsMax = 8

  /// The names, the default first.
  public let names: [String]

  private let files: [String: [UInt8]]

  /// Makes a library from the bytes of profile files under the names of their files.
  public init(_ files: [(name: String, json: [UInt8])]) {
    names = files.map(\.name)
    self.files = Dictionary(files.map { ($0.name, $0.json) }) { first, _ in first }
  }

  /// Returns the profile with the given name.
  ///
  /// - Returns: The profile with everything that it extends filled in.
  /// - Throws: ``ProfileError`` where no profile has the name or its file is not in order.
  public func profile(named name: String) throws(ProfileError) -> DeviceProfile {
    try resolved(name).profile
  }

  /// Reads a profile from the bytes of a JSON file; it may extend the profiles of this library.
  ///
  /// - Parameters:
  ///   - json: The bytes.
  ///   - label: What messages call the file: its path.
  /// - Returns: The profile with everything that it extends filled in.
  /// - Throws: ``ProfileError`` where the file is not in order.
  public func decode(_ json: [UInt8], named label: String) throws(ProfileError) -> DeviceProfile {
    try resolve(json, named: label).profile
  }

  /// Returns every value of a profile with its source, in the order of the documentation.
  ///
  /// - Throws: ``ProfileError`` as ``profile(named:)``.
  public func sources(of name: String) throws(ProfileError) -> [ProfileFact] {
    try resolved(name).facts
  }

  /// Returns the profile with the given name together with its sources.
  ///
  /// - Throws: ``ProfileError`` as ``profile(named:)``.
  public func resolved(_ name: String) throws(ProfileError) -> ResolvedProfile {
    try resolve(document(named: name, wantedBy: nil))
  }

  /// Reads a profile from the bytes of a JSON file together with its sources.
  ///
  /// - Throws: ``ProfileError`` as ``decode(_:named:)``.
  public func resolve(
    _ json: [UInt8], named label: String
  ) throws(ProfileError) -> ResolvedProfile {
    try resolve((ProfileDocument(json, label: label), label))
  }

  private typealias Generation = (document: ProfileDocument, label: String)

  private func document(
    named name: String, wantedBy child: (label: String, line: Int)?
  ) throws(ProfileError) -> Generation {
    guard let bytes = files[name] else {
      let extended = child == nil ? "there is no such profile" : "it extends '\(name)', not known"
      throw ProfileError(
        code: .unknownProfile, profile: child?.label ?? name, line: child?.line,
        reason: "\(extended); \(hint(name, names))")
    }
    let document = try ProfileDocument(bytes, label: name)
    guard document.name == name else {
      throw ProfileError(
        code: .badValue, profile: name,
        reason: "its key 'name' says '\(document.name)'; file and key must agree")
    }
    return (document, name)
  }

  private func resolve(_ youngest: Generation) throws(ProfileError) -> ResolvedProfile {
    var line: [Generation] = [youngest]
    while let last = line.last, let parent = last.document.extends {
      let seen = line.map(\.document.name)
      guard !seen.contains(parent.name) else {
        throw ProfileError(
          code: .cycle, profile: last.label, line: parent.line,
          reason: "profiles extend in a circle: \((seen + [parent.name]).joined(separator: " > "))")
      }
      guard line.count < Self.generationsMax else {
        throw ProfileError(
          code: .cycle, profile: youngest.label,
          reason: "more than \(Self.generationsMax) profiles extend one another")
      }
      line.append(try document(named: parent.name, wantedBy: (last.label, parent.line)))
    }
    return try fill(line)
  }

  /// Takes every value from the youngest generation that states it.
  private func fill(_ line: [Generation]) throws(ProfileError) -> ResolvedProfile {
    let youngest = line[0]
    var profile = DeviceProfile(
      name: youngest.document.name, summary: youngest.document.summary)
    profile.calibration = line.compactMap(\.document.calibration).first ?? .values
    var facts: [ProfileFact] = []
    let keys = ProfileDocument.wordKeys.map(\.key) + ProfileParameter.all.map(\.key)
    for key in keys {
      var stated: (entry: ProfileDocument.Entry, by: String)?
      for generation in line where stated == nil {
        stated = generation.document.entries[key].map { ($0, generation.document.name) }
      }
      guard let stated else {
        throw ProfileError(
          code: .missingKey, profile: youngest.label,
          reason: "'\(key)' is missing; add it or extend a profile that has it, "
            + "as \"extends\": \"\(Self.defaultName)\"")
      }
      let value = Self.set(key, to: stated.entry.value, in: &profile)
      facts.append(
        ProfileFact(key: key, value: value, source: stated.entry.source, statedBy: stated.by))
    }
    try Self.check(profile, label: youngest.label)
    return ResolvedProfile(
      profile: profile, facts: facts, plausible: plausible(line, of: profile),
      ancestors: line.dropFirst().map(\.document.name))
  }

  /// Takes every range from the youngest generation that states it; one that a younger
  /// generation's value has left says nothing about that value.
  private func plausible(_ line: [Generation], of profile: DeviceProfile) -> [PlausibleRange] {
    ProfileParameter.all.compactMap { parameter in
      for generation in line {
        guard let stated = generation.document.plausible[parameter.key] else { continue }
        return stated.range.contains(parameter.get(profile)) ? stated : nil
      }
      return nil
    }
  }

  /// Sets one value and returns it as text.
  private static func set(
    _ key: String, to value: ProfileDocument.EntryValue, in profile: inout DeviceProfile
  ) -> String {
    switch value {
    case .number(let number):
      ProfileParameter.all.first { $0.key == key }?.set(&profile, number)
      return plain(number)
    case .word(let word):
      if key == "release_order", let order = ReleaseOrder(rawValue: word) {
        profile.releaseOrder = order
      } else if key == "victim_rule", let rule = VictimRule(rawValue: word) {
        profile.victimRule = rule
      } else {
        preconditionFailure("a word that was checked is not in the enumeration")
      }
      return word
    }
  }

  /// Rules that bind several values together.
  ///
  /// - Throws: ``ProfileError`` that calls the profile by the label.
  package static func check(_ profile: DeviceProfile, label: String) throws(ProfileError) {
    guard profile.interleaveBytes % 256 == 0 else {
      throw ProfileError(
        code: .badValue, profile: label,
        reason: "'interleave_bytes' is \(profile.interleaveBytes); it must be a multiple of 256")
    }
    guard
      profile.stallPeriodNanoseconds == 0
        || profile.stallNanoseconds < profile.stallPeriodNanoseconds
    else {
      throw ProfileError(
        code: .badValue, profile: label,
        reason: "'stall_ns' is \(plain(profile.stallNanoseconds)); it must be below "
          + "'stall_period_ns', \(plain(profile.stallPeriodNanoseconds))")
    }
  }
}
