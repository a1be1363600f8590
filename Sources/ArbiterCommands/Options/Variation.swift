// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterProfiles
package import CommandSpec

/// A number of the profile and the values that runs give it, as `--vary` writes them.
///
/// `KEY=A..B` takes five values, or every whole number where there are at most nine;
/// `KEY=A..B/COUNT` takes as many as it says, both ends included; `KEY=A,B,C` takes those.
package struct Variation: OptionValue, Equatable {
  /// What help shows.
  package static var placeholder: String { "<KEY=A..B>" }

  /// Keys of profiles, each with the sign that must follow.
  package static var completion: ValueCompletion {
    .words(ProfileParameter.all.map { "\($0.key)=" })
  }

  /// The most values of one variation.
  package static let countMax = 64

  /// The parameter's key in profiles.
  package let key: String
  /// The values, ascending or as they were given.
  package let values: [Double]

  /// The values one by one, which repeats the same runs whatever made them.
  package var argumentText: String {
    "\(key)=\(values.map(plain).joined(separator: ","))"
  }

  /// One run's share of a variation.
  init(key: String, value: Double) {
    self.key = key
    values = [value]
  }

  /// Reads a key and its values.
  package init(argument: String) throws(UsageError) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let known = ProfileParameter.all.map(\.key)
    guard let parameter = ProfileParameter.all.first(where: { $0.key == parts[0] }) else {
      let nearest = nearestName(to: String(parts[0]), among: known)
      throw UsageError(
        "'\(parts[0])' is not a parameter of profiles",
        hint: nearest.map { "did you mean '\($0)'?" }
          ?? "'arbiter explain \(ProfileLibrary.defaultName)' lists them")
    }
    guard parts.count == 2, !parts[1].isEmpty else {
      throw UsageError(
        "'\(argument)' has no values", hint: "write \(parts[0])=A..B or \(parts[0])=A,B,C")
    }
    let text = String(parts[1])
    let values =
      if let range = text.twoDots {
        try Self.span(text, range, of: parameter)
      } else {
        try Self.list(text, of: parameter)
      }
    key = parameter.key
    self.values = values
  }

  private static func list(
    _ text: String, of parameter: ProfileParameter
  ) throws(UsageError) -> [Double] {
    var values: [Double] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let value = try number(part, of: parameter)
      guard !values.contains(value) else {
        throw UsageError("'\(part)' is named twice", hint: "name each value once")
      }
      values.append(value)
    }
    guard values.count <= countMax else {
      throw UsageError("\(values.count) values are more than \(countMax)")
    }
    return values
  }

  private static func span(
    _ text: String, _ dots: Range<String.Index>, of parameter: ProfileParameter
  ) throws(UsageError) -> [Double] {
    let rest = text[dots.upperBound...].split(
      separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    let low = try number(text[..<dots.lowerBound], of: parameter)
    let high = try number(rest[0], of: parameter)
    guard low < high else {
      throw UsageError(
        "'\(text)' does not ascend", hint: "write the lower value first, as 8..12")
    }
    var count = 5
    if rest.count == 2 {
      guard let given = Int(rest[1]), (2...countMax).contains(given) else {
        throw UsageError(
          "'\(rest[1])' is not a number of values",
          hint: "write a whole number from 2 to \(countMax) behind the /")
      }
      count = given
    } else if parameter.isWhole && high - low <= 8 {
      count = Int(high - low) + 1
    }
    var values: [Double] = []
    for step in 0..<count {
      let exact = low + (high - low) * Double(step) / Double(count - 1)
      // Short numbers, so that a table can show them and a command line repeat them.
      let value = parameter.isWhole ? exact.rounded() : sixDigits(exact)
      if values.last != value { values.append(value) }
    }
    return values
  }

  private static func number(
    _ text: Substring, of parameter: ProfileParameter
  ) throws(UsageError) -> Double {
    let value = try Double(argument: String(text))
    if parameter.isWhole && value != value.rounded() {
      throw UsageError(
        "'\(text)' is not a whole number, and \(parameter.key) takes no other",
        hint: "give whole numbers")
    }
    let (low, high) = (parameter.range.lowerBound, parameter.range.upperBound)
    guard parameter.range.contains(value) else {
      throw UsageError(
        "'\(text)' is not within \(plain(low)) to \(plain(high)), what \(parameter.key) may be",
        hint: value < low ? "give at least \(plain(low))" : "give at most \(plain(high))")
    }
    return value
  }

  /// Returns a profile that has one of the values.
  func profile(_ value: Double, from profile: DeviceProfile) throws(Failure) -> DeviceProfile {
    var changed = profile
    ProfileParameter.all.first { $0.key == key }?.set(&changed, value)
    do throws(ProfileError) {
      try ProfileLibrary.check(changed, label: profile.name)
    } catch {
      throw Failure(
        ExitCode.usage, "--vary=\(key)=\(plain(value)): \(error.reason)",
        hint: "give other values")
    }
    return changed
  }
}

extension String {
  /// Where the first two dots in a row stand.
  fileprivate var twoDots: Range<Index>? {
    for index in indices.dropLast() where self[index] == "." {
      let next = self.index(after: index)
      if self[next] == "." { return index..<self.index(after: next) }
    }
    return nil
  }
}

/// A number to six significant digits.
private func sixDigits(_ number: Double) -> Double {
  guard number != 0, number.isFinite else { return number }
  var scale = 1.0
  while abs(number) * scale < 1e5 { scale *= 10 }
  while abs(number) * scale >= 1e6 { scale /= 10 }
  return (number * scale).rounded() / scale
}
