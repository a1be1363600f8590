// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterPlatform
internal import ArbiterScheduler
internal import CommandSpec

/// How many threads may write at once under lock or delegation, and who said so.
struct WriterLimit: Equatable, Sendable {
  /// Who said so.
  enum Origin: String, Sendable, CaseIterable {
    /// The user, by an option.
    case option
    /// A stored calibration.
    case calibration
    /// Nobody: the usual number.
    case usual = "default"
  }

  /// What the threads are called under a scheme; nil for schemes without such a limit.
  static func noun(of scheme: SchemeName) -> String? {
    switch scheme {
    case .lock: "permit"
    case .delegation: "worker"
    case .baseline, .fence, .arbiter, .arbiterPaper: nil
    }
  }

  /// The usual number.
  static let usualCount = 4

  /// The numbers that there may be.
  static func range(_ noun: String) -> ClosedRange<Int> { noun == "permit" ? 1...4096 : 1...64 }

  /// Refuses numbers that cannot be.
  static func check(permits: Int?, workers: Int?) throws(UsageError) {
    for (noun, count) in [("permit", permits), ("worker", workers)] {
      guard let count, !range(noun).contains(count) else { continue }
      let ends = "\(range(noun).lowerBound) to \(range(noun).upperBound)"
      throw UsageError(
        "--\(noun)s=\(count) is not within \(ends)", hint: "give \(ends) \(noun)s")
    }
  }

  var count: Int
  var origin: Origin
  /// Where the number comes from, as a clause.
  var reason: String
  /// permit or worker.
  var noun: String

  /// The number and where it comes from, as a sentence.
  var sentence: String { "\(count) \(noun)\(count == 1 ? "" : "s"): \(reason)." }

  /// Decides on a number: what the user says, else what is calibrated, else the usual one.
  ///
  /// - Parameters:
  ///   - noun: permit or worker.
  ///   - asked: What the user says; nil where nothing.
  ///   - region: The memory; nil where nothing is known of it.
  ///   - stores: How lines will be stored. Where several may be, the number is the smallest that
  ///     is good for each of those that are calibrated; where there is none such, for the first.
  ///   - book: What is calibrated.
  ///   - machine: The machine.
  init(
    _ noun: String, asked: Int?, for region: RegionIdentity?, stores: [ThreadCalibration.Store],
    in book: CalibrationBook, on machine: MachineIdentity
  ) {
    self.noun = noun
    if let asked {
      (count, origin, reason) = (asked, .option, "as asked")
      return
    }
    (count, origin) = (Self.usualCount, .usual)
    guard let region else {
      reason = "by default, since no region is known"
      return
    }
    guard let (wanted, used) = book.threadCount(for: region, stores: stores, on: machine) else {
      let names = stores.map(\.rawValue).joined(separator: " or ")
      reason = "by default, since nothing is calibrated for \(region), \(names)"
      return
    }
    origin = .calibration
    count = min(wanted, Self.range(noun).upperBound)
    let day = used.map(\.date.day).max() ?? ""
    let names = used.map(\.store.rawValue).joined(separator: " and ")
    reason = "calibrated \(day) for \(region), \(names)"
    if wanted > count { reason += ", which gives \(wanted)" }
  }
}

extension WriterLimit {
  /// Decides as above, with this user's file and this machine; the file is read only where the
  /// user says nothing.
  ///
  /// - Throws: ``Failure`` where the file is not in order.
  static func choose(
    _ noun: String, asked: Int?, for region: RegionIdentity?, stores: [ThreadCalibration.Store]
  ) throws(Failure) -> WriterLimit {
    var book = CalibrationBook()
    // Without any place nothing can be calibrated, which is no reason to refuse a run.
    if asked == nil, region != nil, let file = try? CalibrationFile.ofUser() {
      book = try file.read()
    }
    return WriterLimit(
      noun, asked: asked, for: region, stores: stores, in: book,
      on: book.calibrations.isEmpty
        ? MachineIdentity(identifier: nil, processor: "", processorCount: 0) : .read())
  }
}
