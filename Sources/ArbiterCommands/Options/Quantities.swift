// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterCore
internal import ArbiterDevice
public import ArbiterReport
public import ArbiterScheduler
public import ArbiterWorkloads
public import CommandSpec

// How the quantities of the house are written on the command line.

extension ByteCount: OptionValue {
  /// The stand-in in help.
  public static var placeholder: String { "<SIZE>" }

  /// Reads the quantity with its unit.
  public init(argument: String) throws(UsageError) {
    do {
      try self.init(parsing: argument)
    } catch {
      throw UsageError("'\(error.text)' \(error.reason)")
    }
  }

  /// The shortest exact spelling.
  public var argumentText: String { description }
}

extension TimeSpan: OptionValue {
  /// The stand-in in help.
  public static var placeholder: String { "<DURATION>" }

  /// Reads the quantity with its unit.
  public init(argument: String) throws(UsageError) {
    do {
      try self.init(parsing: argument)
    } catch {
      throw UsageError("'\(error.text)' \(error.reason)")
    }
  }

  /// The shortest exact spelling.
  public var argumentText: String { description }
}

/// A share between 0 and 1.
struct Share: OptionValue, Equatable {
  static var placeholder: String { "<RATIO>" }

  var value: Double

  init(_ value: Double) {
    self.value = value
  }

  init(argument: String) throws(UsageError) {
    do {
      value = try Quantity.ratio(parsing: argument)
    } catch {
      throw UsageError("'\(error.text)' \(error.reason)")
    }
    guard value <= 1 else {
      throw UsageError("'\(argument)' is above 1", hint: "write a share such as 0.5 or 50%")
    }
  }

  var argumentText: String { value.description }
}

/// Numbers of threads, each within what the model holds.
struct ThreadCounts: OptionValue, Equatable {
  static var placeholder: String { "<COUNT,...>" }

  var counts: [Int]

  init(_ counts: [Int]) {
    self.counts = counts
  }

  init(argument: String) throws(UsageError) {
    counts = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let count = Int(part), (1...128).contains(count) else {
        throw UsageError(
          "'\(part)' is not a number of threads", hint: "write whole numbers from 1 to 128: 1,2,4")
      }
      guard !counts.contains(count) else {
        throw UsageError("'\(count)' is named twice", hint: "name each number of threads once")
      }
      counts.append(count)
    }
  }

  var argumentText: String { counts.map(String.init).joined(separator: ",") }
}

/// Refuses a list that names a scheme twice: the same run would be made twice.
func checkSchemes(_ schemes: [SchemeName]) throws(UsageError) {
  for (index, scheme) in schemes.enumerated() where schemes[..<index].contains(scheme) {
    throw UsageError(
      "--scheme names '\(scheme.rawValue)' twice", hint: "name each scheme once")
  }
}

/// Refuses an access size that the executor does not take.
func checkAccess(_ access: ByteCount, atMost limit: ByteCount) throws(UsageError) {
  guard access.bytes >= 64, access.bytes % 64 == 0, access <= limit else {
    throw UsageError(
      "--access=\(access) is not a multiple of 64B between 64B and \(limit)",
      hint: "give whole cache lines: --access=256B")
  }
}

/// Refuses a time outside of a range.
func checkTime(
  _ option: String, _ span: TimeSpan, _ range: ClosedRange<TimeSpan>
) throws(UsageError) {
  guard !range.contains(span) else { return }
  let (low, high) = (range.lowerBound, range.upperBound)
  throw UsageError(
    "--\(option)=\(span) is not within \(low) to \(high)",
    hint: span < low ? "give at least \(low)" : "give at most \(high)")
}

/// Refuses a program without a name; whether there has to be one is the verb's to say.
func checkProgram(_ words: [String]) throws(UsageError) {
  if words.first == "" {
    throw UsageError("the program's name is empty", hint: "name a program")
  }
}

/// Refuses a fixed delay where a scheme decides, or one that the limit would cut.
func checkDelay(
  _ delay: TimeSpan?, with schemes: [SchemeName], allowed: [SchemeName], maximum: TimeSpan
) throws(UsageError) {
  guard let delay else { return }
  if let other = schemes.first(where: { !allowed.contains($0) }) {
    throw UsageError(
      "--delay=\(delay) fixes what scheme '\(other.rawValue)' decides",
      hint: "add "
        + allowed.map { "--scheme=\($0.rawValue)" }.joined(separator: " or "))
  }
  if delay > maximum {
    throw UsageError(
      "--delay=\(delay) is longer than --max-delay=\(maximum)", hint: "raise --max-delay")
  }
}

/// The interval of fences: a size, or never.
struct FenceInterval: OptionValue, Equatable {
  static var placeholder: String { "<SIZE|never>" }

  var bytes: ByteCount?

  init(_ bytes: ByteCount?) {
    self.bytes = bytes
  }

  init(argument: String) throws(UsageError) {
    if argument == "never" {
      bytes = nil
      return
    }
    let size = try ByteCount(argument: argument)
    guard (1...1 << 31).contains(size.bytes) else {
      throw UsageError("'\(argument)' is not within 1B to 2GiB", hint: "write a size or never")
    }
    bytes = size
  }

  var argumentText: String { bytes?.description ?? "never" }

  var rule: FenceRule { bytes.map { .every(bytes: UInt32($0.bytes)) } ?? .never }
}

/// How threads store, in the words of the command line.
enum StoreKind: String, WordValue, CaseIterable {
  case nt
  case clwb
  case plain

  static var placeholder: String { "<STORE>" }

  var operation: Operation {
    switch self {
    case .nt: .storeNonTemporal
    case .clwb: .storeWriteBack
    case .plain: .storePlain
    }
  }
}

/// In which state the module is when the scheme takes over.
enum StartState: String, WordValue, CaseIterable {
  case clean
  case saturated

  static var placeholder: String { "<STATE>" }

  /// Virtual time for which all threads write ungated first.
  var saturation: TimeSpan { self == .clean ? .zero : .milliseconds(1) }
}

/// The form of results on standard output.
enum OutputFormat: String, WordValue, CaseIterable {
  case text
  case json
  case csv

  static var placeholder: String { "<FORMAT>" }
}

extension SchemeName: WordValue {
  /// The stand-in in help.
  public static var placeholder: String { "<SCHEME>" }
}

extension Pattern: WordValue {
  /// The stand-in in help.
  public static var placeholder: String { "<PATTERN>" }
}

extension ThreadStarts: WordValue {
  /// The stand-in in help.
  public static var placeholder: String { "<WHEN>" }
}

extension DelayPoint {
  /// The word of the command line.
  var word: String { self == .access ? "access" : "block" }
}

/// Where a fixed delay falls due.
enum DelayPlace: String, WordValue, CaseIterable {
  case access
  case block

  static var placeholder: String { "<PLACE>" }

  var point: DelayPoint { self == .access ? .access : .block }
}

extension ColorChoice: WordValue {
  /// The stand-in in help.
  public static var placeholder: String { "<WHEN>" }
}
