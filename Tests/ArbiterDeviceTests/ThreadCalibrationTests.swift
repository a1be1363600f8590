// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import Testing

private typealias Point = ThreadCalibration.Point

private func curve(_ gigabytes: [(Int, Double)]) -> [ThreadCalibration.Point] {
  gigabytes.map { Point(threads: $0.0, bytesPerSecond: $0.1 * 1e9) }
}

// Source: NVSL OptaneStudy, bandwidth by threads, Xeon 8260 with modules of 256 GB.
private let oneModuleNT = curve([
  (1, 2.22), (2, 2.21), (3, 2.21), (4, 2.20), (6, 1.96), (8, 1.53), (12, 1.12), (16, 0.94),
])
private let oneModuleWriteBack = curve([
  (1, 1.44), (2, 1.79), (3, 1.79), (4, 1.71), (6, 1.55), (8, 1.40), (12, 1.08),
])
private let sixModulesNT = curve([
  (1, 4.13), (2, 8.19), (3, 11.8), (4, 12.5), (8, 12.0), (12, 10.7), (16, 10.0), (24, 7.5),
])

@Suite("Thread calibration")
struct ThreadCalibrationTests {
  @Test func `published curves give the published numbers of threads`() {
    #expect(ThreadCalibration.smallest(of: oneModuleNT) == 1)
    #expect(ThreadCalibration.smallest(of: oneModuleWriteBack) == 2)
    // 11.8 is 5.6 % below the best.
    #expect(ThreadCalibration.smallest(of: sixModulesNT) == 4)
    #expect(ThreadCalibration.smallest(within: 0.06, of: sixModulesNT) == 3)
    #expect(ThreadCalibration.smallest(ofAll: [oneModuleNT, oneModuleWriteBack]) == 2)
  }

  @Test func `on any curve it is good enough, and no smaller number is`() {
    var random = SeededRandom(seed: 7, stream: 1)
    for _ in 0..<2000 {
      let count = 1 + random.below(12)
      var points = (0..<count).map { _ in
        Point(
          threads: 1 + random.below(64), bytesPerSecond: Double(1 + random.below(1_000_000)))
      }
      let tolerance = Double(random.below(100)) / 100
      guard let chosen = ThreadCalibration.smallest(within: tolerance, of: points) else {
        Issue.record("nothing for \(points)")
        return
      }
      let best = points.map(\.bytesPerSecond).max() ?? 0
      let good = { (point: ThreadCalibration.Point) in
        point.bytesPerSecond >= best * (1 - tolerance)
      }
      #expect(points.contains { $0.threads == chosen && good($0) })
      #expect(!points.contains { $0.threads < chosen && good($0) })
      // The order and the unit do not matter.
      points.reverse()
      let scaled = points.map { Point(threads: $0.threads, bytesPerSecond: $0.bytesPerSecond * 8) }
      #expect(ThreadCalibration.smallest(within: tolerance, of: scaled) == chosen)
      // More tolerance never asks for more threads.
      let wider = ThreadCalibration.smallest(within: min(0.99, tolerance + 0.1), of: points)
      #expect((wider ?? .max) <= chosen)
    }
  }

  @Test func `a number for all curves is good on each, and there may be none`() {
    var random = SeededRandom(seed: 8, stream: 1)
    var noneCount = 0
    for _ in 0..<1000 {
      let curves = (0..<2).map { _ in
        (1...8).map { Point(threads: $0, bytesPerSecond: Double(1 + random.below(100))) }
      }
      let common = ThreadCalibration.smallest(within: 0.2, ofAll: curves)
      let good = (1...8).filter { threads in
        curves.allSatisfy { curve in
          let best = curve.map(\.bytesPerSecond).max() ?? 0
          return curve[threads - 1].bytesPerSecond >= best * 0.8
        }
      }
      #expect(common == good.first)
      if common == nil { noneCount += 1 }
    }
    #expect(noneCount > 0 && noneCount < 1000)
  }

  @Test func `curves that are none give nothing`() {
    #expect(ThreadCalibration.smallest(of: []) == nil)
    for bad in [(0, 1.0), (-1, 1), (4097, 1), (1, 0), (1, -1), (1, .nan), (1, .infinity)] {
      #expect(ThreadCalibration.smallest(of: oneModuleNT + curve([bad])) == nil, "\(bad)")
    }
    for tolerance in [-0.1, 1, .nan] {
      #expect(ThreadCalibration.smallest(within: tolerance, of: oneModuleNT) == nil)
    }
    #expect(ThreadCalibration.smallest(ofAll: []) == nil)
  }
}

@Suite("Calibrations of a user")
struct CalibrationBookTests {
  private let machine = MachineIdentity(identifier: "a", processor: "P", processorCount: 8)

  private func calibration(
    _ region: RegionIdentity, _ store: ThreadCalibration.Store = .nt, threads: Int = 2,
    second: Int64 = 0, machine: MachineIdentity? = nil
  ) throws -> ThreadCalibration {
    try #require(
      ThreadCalibration(
        region: region, store: store, accessBytes: 256, curve: curve([(threads, 2), (64, 1)]),
        date: UniversalTime(secondsSinceEpoch: second), toolVersion: "1",
        machine: machine ?? self.machine))
  }

  private func set(
    _ name: String, _ cookie: String?, modules: Int? = nil
  ) -> RegionIdentity {
    RegionIdentity(kind: .interleaveSet, name: name, identifier: cookie, moduleCount: modules)
  }

  @Test func `a region is found by its cookie, whatever the kernel calls it today`() throws {
    let book = CalibrationBook([try calibration(set("region0", "c", modules: 6))])
    func found(_ region: RegionIdentity, _ store: ThreadCalibration.Store = .nt) -> Int? {
      book.calibration(of: region, store: store, on: machine)?.threadCount
    }
    #expect(found(set("region1", "c", modules: 6)) == 2)
    #expect(found(set("region1", "c")) == 2)
    #expect(found(set("region0", nil, modules: 6)) == 2)
    #expect(found(set("region0", "d", modules: 6)) == nil)
    #expect(found(set("region0", "c", modules: 4)) == nil)
    #expect(found(set("region0", "c", modules: 6), .clwb) == nil)
    #expect(found(RegionIdentity(kind: .device, name: "region0", identifier: "c")) == nil)
  }

  @Test func `another machine's calibration is nobody else's, but a model is the same anywhere`()
    throws
  {
    let book = CalibrationBook([
      try calibration(set("region0", "c")), try calibration(.profile("p"), threads: 3),
    ])
    var other = machine
    other.identifier = "b"
    #expect(book.calibration(of: set("region0", "c"), store: .nt, on: other) == nil)
    #expect(book.calibration(of: .profile("p"), store: .nt, on: other)?.threadCount == 3)
    other = machine
    other.processorCount = 4
    #expect(book.calibration(of: set("region0", "c"), store: .nt, on: other) == nil)
    other = machine
    other.identifier = nil
    #expect(book.calibration(of: set("region0", "c"), store: .nt, on: other) != nil)
  }

  @Test func `a newer calibration takes the place of an older one about the same`() throws {
    var book = CalibrationBook()
    book.add(try calibration(set("region0", "c"), threads: 2))
    book.add(try calibration(set("region1", "d"), threads: 5))
    book.add(try calibration(set("region0", "c"), .clwb, threads: 3))
    book.add(try calibration(set("region2", "c"), threads: 4))
    #expect(book.calibrations.map(\.threadCount) == [4, 5, 3])
  }

  @Test func `a full book gives up the oldest`() throws {
    var book = CalibrationBook()
    for number in 0..<CalibrationBook.countMax {
      let second = Int64(number == 17 ? 1 : 1000 + number)
      book.add(try calibration(set("region\(number)", nil), second: second))
    }
    book.add(try calibration(set("region9999", nil), second: 5000))
    #expect(book.calibrations.count == CalibrationBook.countMax)
    #expect(book.calibration(of: set("region17", nil), store: .nt, on: machine) == nil)
    #expect(book.calibration(of: set("region9999", nil), store: .nt, on: machine) != nil)
  }

  @Test func `of a region stored to in two ways, what is good for both that are known counts`() {
    let region = RegionIdentity(kind: .interleaveSet, name: "region0", identifier: "a")
    let machine = MachineIdentity(identifier: "1", processor: "one", processorCount: 8)
    func book(_ curves: [(ThreadCalibration.Store, [(Int, Double)])]) -> CalibrationBook {
      CalibrationBook(
        curves.compactMap { store, points in
          ThreadCalibration(
            region: region, store: store, accessBytes: 256, curve: curve(points),
            date: UniversalTime(secondsSinceEpoch: 0), toolVersion: "0", machine: machine)
        })
    }
    func count(_ book: CalibrationBook, _ stores: [ThreadCalibration.Store]) -> [Int]? {
      book.threadCount(for: region, stores: stores, on: machine)
        .map { [$0.threadCount, $0.used.count] }
    }
    let both = book([(.nt, [(1, 5), (2, 5), (4, 5)]), (.clwb, [(1, 1), (2, 2), (4, 2)])])
    #expect(count(both, [.nt, .clwb]) == [2, 2])
    #expect(count(both, [.nt]) == [1, 1])
    #expect(count(book([(.clwb, [(1, 1), (3, 2)])]), [.nt, .clwb]) == [3, 1])
    // No number is good for both: the first decides.
    let apart = book([(.nt, [(1, 5), (2, 1)]), (.clwb, [(1, 1), (2, 5)])])
    #expect(count(apart, [.nt, .clwb]) == [1, 1])
    #expect(count(apart, [.clwb, .nt]) == [2, 1])
    #expect(count(book([]), [.nt, .clwb]) == nil)
  }
}
