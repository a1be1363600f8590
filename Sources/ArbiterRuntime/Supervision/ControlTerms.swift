// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterScheduler

/// What runs must agree on to be controlled together.
public struct ControlTerms: Sendable, Hashable {
  /// How writers are admitted.
  public var scheme: SchemeName
  /// The named device profile; nil where none is named.
  public var profile: String?
  /// Time between two decisions, as the user writes it.
  public var period: String
  /// The longest delay of any access, as the user writes it.
  public var maximumDelay: String
  /// Permits of the lock scheme.
  public var permitCount: Int
  /// Workers of the delegation scheme, in each program.
  public var workerCount: Int

  /// Makes terms.
  public init(
    scheme: SchemeName, profile: String?, period: String, maximumDelay: String, permitCount: Int,
    workerCount: Int
  ) {
    self.scheme = scheme
    self.profile = profile
    self.period = period
    self.maximumDelay = maximumDelay
    self.permitCount = permitCount
    self.workerCount = workerCount
  }

  /// The terms as a command line would set them.
  public var options: [(name: String, value: String)] {
    [
      ("scheme", scheme.rawValue), ("profile", profile ?? "none"), ("period", period),
      ("max-delay", maximumDelay), ("permits", String(permitCount)),
      ("workers", String(workerCount)),
    ]
  }
}

/// What a run says of itself in the runtime folder, so that others find its page.
struct ControlNote: Hashable {
  private static let head = "arbiter-control 1"
  private static let tail = "end"

  /// The process of the run.
  var process: Int32
  /// The file by which the page is opened while that process lives.
  var path: String
  /// The terms as text, one for each line.
  var terms: [String]

  init(process: Int32, path: String, terms: ControlTerms) {
    self.process = process
    self.path = path
    self.terms = terms.options.map { "\($0.name) \($0.value)" }
  }

  /// Reads a note; nil for one that is empty or not whole.
  init?(_ text: String) {
    let lines = text.split(separator: "\n").map(String.init)
    guard lines.count > 4, lines.first == Self.head, lines.last == Self.tail,
      lines[1].hasPrefix("process "), let process = Int32(lines[1].dropFirst(8)),
      lines[2].hasPrefix("page ")
    else { return nil }
    self.process = process
    path = String(lines[2].dropFirst(5))
    terms = Array(lines[3..<(lines.count - 1)])
  }

  var text: String {
    ([Self.head, "process \(process)", "page \(path)"] + terms + [Self.tail])
      .map { $0 + "\n" }.joined()
  }

  /// The first term in which two notes differ, as this one has it and as the other has it.
  func difference(from other: ControlNote) -> (mine: String, theirs: String)? {
    for (mine, theirs) in zip(terms, other.terms) where mine != theirs { return (mine, theirs) }
    return terms.count == other.terms.count ? nil : ("its terms", "others")
  }
}
