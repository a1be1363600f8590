// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
internal import ArbiterReport

/// A figure of a frame: its name in JSON and CSV, its meaning and how it is read.
///
/// One list drives both forms and `arbiter explain`, so that they cannot disagree.
struct WatchField<Subject>: Sendable {
  let name: String
  let meaning: String
  let read: @Sendable (Subject) -> Figure<JSONValue>

  init(
    _ name: String, _ meaning: String,
    _ read: @escaping @Sendable (Subject) -> Figure<JSONValue>
  ) {
    self.name = name
    self.meaning = meaning
    self.read = read
  }

  static func number(
    _ name: String, _ meaning: String, _ read: @escaping @Sendable (Subject) -> Figure<Double>
  ) -> WatchField {
    WatchField(name, meaning) { read($0).map { .number($0) } }
  }

  static func count(
    _ name: String, _ meaning: String, _ read: @escaping @Sendable (Subject) -> Figure<UInt64>
  ) -> WatchField {
    WatchField(name, meaning) { read($0).map { .unsigned($0) } }
  }

  static func text(
    _ name: String, _ meaning: String, _ read: @escaping @Sendable (Subject) -> String
  ) -> WatchField {
    WatchField(name, meaning) { .known(.string(read($0))) }
  }

  /// A figure that has an error, and the error under the name with `_error` behind it.
  static func estimate(
    _ name: String, _ meaning: String, error errorMeaning: String,
    _ read: @escaping @Sendable (Subject) -> Figure<Estimate>
  ) -> [WatchField] {
    [
      number(name, meaning) { read($0).map(\.value) },
      number("\(name)_error", errorMeaning) { read($0).map(\.standardError) },
    ]
  }

  /// An object of all fields; what is missing is null, and its reason stands under `unavailable`.
  static func object(_ fields: [WatchField], _ subject: Subject) -> JSONValue {
    let (members, reasons) = JSONValue.Member.figures(fields.map { ($0.name, $0.read(subject)) })
    return .object(members + [.unavailable(reasons)])
  }
}
