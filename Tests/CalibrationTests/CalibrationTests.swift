// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCalibration
import ArbiterProfiles
import Testing

/// The model's answer to one published figure, averaged over seeds.
struct Answer {
  let key: String
  let point: CalibrationPoint
  let threadCount: Int
  let model: Double

  var errorPercent: Double { point.error(of: model) * 100 }
  var isReproduced: Bool { point.isReproduced(by: model, threadCount: threadCount) }

  /// What is wrong with the answer in view of the list of known misses; nil where nothing is.
  var complaint: String? {
    let error = fixed(errorPercent, 1)
    guard let miss = KnownMiss.all.first(where: { $0.key == key }) else {
      return isReproduced ? nil : "\(key): new miss of \(error) %; fix it or list it with a reason"
    }
    if isReproduced { return "\(key): no longer a miss (\(error) %); take it off the list" }
    let growth = abs(errorPercent) - abs(miss.errorPercent)
    if growth > KnownMiss.growthPointsMax {
      return "\(key): the miss grew from \(miss.errorPercent) % to \(error) %"
    }
    return nil
  }
}

/// A number with the given digits behind the point.
func fixed(_ number: Double, _ digits: Int) -> String {
  let scale = (0..<digits).reduce(1) { power, _ in power * 10 }
  let scaled = Int((abs(number) * Double(scale)).rounded())
  let fraction = String(scaled % scale)
  let zeros = String(repeating: "0", count: digits - fraction.count)
  return "\(number < 0 && scaled > 0 ? "-" : "")\(scaled / scale).\(zeros)\(fraction)"
}

private func padded(_ text: String, _ width: Int) -> String {
  String(repeating: " ", count: max(0, width - text.count)) + text
}

@Suite("Calibration", .serialized)
struct CalibrationTests {
  private static let seeds: [UInt64] = [1, 2, 3]

  private func answers(to target: CalibrationTarget) throws -> [Answer] {
    let profile = try ProfileLibrary.embedded.profile(named: target.profileName)
    let runs = Self.seeds.map { target.run(on: profile, seed: $0) }
    return runs[0].indices.map { place in
      Answer(
        key: runs[0][place].key, point: runs[0][place].point,
        threadCount: runs[0][place].threadCount,
        model: runs.map { $0[place].model }.reduce(0, +) / Double(runs.count))
    }
  }

  private func table(of target: CalibrationTarget, _ answers: [Answer]) -> String {
    var lines = ["\(target.number). \(target.title) (\(target.source); \(target.profileName))"]
    for answer in answers {
      let band = answer.point.measured
      let measured =
        band.lowerBound == band.upperBound
        ? fixed(band.lowerBound, 2) : "\(fixed(band.lowerBound, 2))-\(fixed(band.upperBound, 2))"
      let verdict = answer.isReproduced ? "" : "  MISS"
      lines.append(
        "  \(padded(answer.key, 16)) measured \(padded(measured, 11)) model"
          + "\(padded(fixed(answer.model, 2), 9))\(padded(fixed(answer.errorPercent, 1), 8)) %"
          + verdict)
    }
    return lines.joined(separator: "\n")
  }

  @Test(arguments: CalibrationTarget.all)
  func `the model reproduces a published measurement but for the known misses`(
    target: CalibrationTarget
  ) throws {
    let answers = try answers(to: target)
    print(table(of: target, answers))
    for answer in answers {
      if let complaint = answer.complaint { Issue.record("\(complaint)") }
    }
  }

  @Test func `every known miss names a published figure once`() {
    let keys = CalibrationTarget.all.flatMap { target in
      target.points.map { point in
        let series = point.series.isEmpty ? "" : "/\(point.series)"
        return "\(target.number)\(series)/\(point.quantity.rawValue)/\(point.x)"
      }
    }
    for miss in KnownMiss.all {
      #expect(keys.contains(miss.key), "\(miss.key) is no published figure")
      #expect(KnownMiss.all.count { $0.key == miss.key } == 1, "\(miss.key) is listed twice")
      #expect(!miss.reason.isEmpty)
    }
    #expect(Set(keys).count == keys.count, "two published figures share a key")
  }

  @Test func `a figure is judged against the list of known misses`() {
    let miss = KnownMiss.all[0]
    func judged(_ key: String, _ model: Double) -> String? {
      let target = CalibrationTarget.all.first { $0.number == 4 }
      guard let point = target?.points.last else { return "no point" }
      return Answer(key: key, point: point, threadCount: 24, model: model).complaint
    }
    let measured = 0.7
    let known = measured * (1 + miss.errorPercent / 100)
    #expect(judged(miss.key, known) == nil)
    #expect(judged(miss.key, known + measured * 0.031)?.contains("grew") == true)
    #expect(judged(miss.key, measured)?.contains("no longer") == true)
    #expect(judged("elsewhere", known)?.contains("new miss") == true)
    #expect(judged("elsewhere", measured) == nil)
  }
}
