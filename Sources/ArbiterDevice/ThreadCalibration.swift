// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterCore

// Bandwidth of slow memory rises with the number of writers, stays level, then falls, while CPU
// time for each byte rises all along. The smallest number within a few per cent of the best is
// therefore the one to admit. It differs by the number of modules and by the instruction, so that
// it is measured for each region and never assumed.

/// How many threads need to write to a region at once for nearly its best bandwidth, and the
/// curve that says so.
public struct ThreadCalibration: Sendable, Hashable {
  /// How lines reach the memory.
  public enum Store: String, Sendable, Hashable, CaseIterable {
    /// Non-temporal stores.
    case nt
    /// Stores written back by the processor's cheapest instruction, as `bench --store=clwb` has it.
    case clwb

    /// The operation of accesses.
    public var operation: Operation { self == .nt ? .storeNonTemporal : .storeWriteBack }
  }

  /// The bandwidth that some threads reached together.
  public struct Point: Sendable, Hashable {
    /// Threads that wrote at once.
    public var threads: Int
    /// What all of them wrote in a second, in bytes.
    public var bytesPerSecond: Double

    /// Makes a point.
    public init(threads: Int, bytesPerSecond: Double) {
      self.threads = threads
      self.bytesPerSecond = bytesPerSecond
    }
  }

  /// The share of the best bandwidth that fewer threads may cost.
  public static let tolerance = 0.05
  /// Points that a curve may have.
  public static let pointCountMax = 256
  /// Threads that a point may have; as many as the lock scheme has permits at most.
  public static let threadCountMax = 4096

  /// The memory.
  public let region: RegionIdentity
  /// How threads stored.
  public let store: Store
  /// Bytes of each access.
  public let accessBytes: Int
  /// What was measured, fewest threads first.
  public let curve: [Point]
  /// The smallest number of threads within ``tolerance`` of the best.
  public let threadCount: Int
  /// When it was measured.
  public let date: UniversalTime
  /// The version of Arbiter that measured.
  public let toolVersion: String
  /// Where it was measured.
  public let machine: MachineIdentity

  /// Makes a calibration of a curve.
  ///
  /// - Returns: nil where the curve gives no number of threads or is longer than
  ///   ``pointCountMax``, or where accesses have no bytes.
  public init?(
    region: RegionIdentity, store: Store, accessBytes: Int, curve: [Point], date: UniversalTime,
    toolVersion: String, machine: MachineIdentity
  ) {
    guard accessBytes >= 1, curve.count <= Self.pointCountMax,
      let threadCount = Self.smallest(of: curve)
    else { return nil }
    self.region = region
    self.store = store
    self.accessBytes = accessBytes
    self.curve = curve.sorted { $0.threads < $1.threads }
    self.threadCount = threadCount
    self.date = date
    self.toolVersion = toolVersion
    self.machine = machine
  }

  /// The smallest number of threads whose bandwidth lies within a share of the best.
  ///
  /// - Parameters:
  ///   - tolerance: The share of the best bandwidth that may be missing; 0 asks for the best
  ///     itself.
  ///   - curve: Points in any order; of several with one number of threads the best counts.
  /// - Returns: nil where the curve is empty, or holds a number of threads outside 1 to
  ///   ``threadCountMax`` or a bandwidth that is no number above 0.
  /// - Complexity: O(*n*) in points.
  public static func smallest(
    within tolerance: Double = Self.tolerance, of curve: [Point]
  ) -> Int? {
    guard (0..<1).contains(tolerance), isSound(curve) else { return nil }
    let best = curve.lazy.map(\.bytesPerSecond).max() ?? 0
    return curve.lazy.filter { $0.bytesPerSecond >= best * (1 - tolerance) }.map(\.threads).min()
  }

  /// The smallest number of threads that is within a share of the best on every curve.
  ///
  /// - Returns: nil where no number is, or a curve is not sound.
  public static func smallest(
    within tolerance: Double = Self.tolerance, ofAll curves: [[Point]]
  ) -> Int? {
    guard (0..<1).contains(tolerance), curves.allSatisfy(isSound) else { return nil }
    var common: Set<Int>?
    for curve in curves {
      let best = curve.lazy.map(\.bytesPerSecond).max() ?? 0
      let good = Set(
        curve.lazy.filter { $0.bytesPerSecond >= best * (1 - tolerance) }.map(\.threads))
      common = common?.intersection(good) ?? good
    }
    return common?.min()
  }

  private static func isSound(_ curve: [Point]) -> Bool {
    !curve.isEmpty
      && curve.allSatisfy {
        (1...threadCountMax).contains($0.threads) && $0.bytesPerSecond.isFinite
          && $0.bytesPerSecond > 0
      }
  }

  /// Whether this one says the same thing of the same memory as another, perhaps at another time.
  public func replaces(_ other: ThreadCalibration) -> Bool {
    store == other.store && isOf(other.region, on: other.machine)
  }

  /// Whether this is about the memory of a machine; a modelled device is the same everywhere.
  public func isOf(_ region: RegionIdentity, on machine: MachineIdentity) -> Bool {
    self.region.matches(region) && (region.kind == .profile || self.machine.matches(machine))
  }
}

/// All calibrations that were stored, at most one for each region, store instruction and machine.
public struct CalibrationBook: Sendable, Hashable {
  /// Calibrations that are kept; beyond them the oldest is given up.
  public static let countMax = 256

  /// The calibrations, in the order in which regions were first measured.
  public private(set) var calibrations: [ThreadCalibration] = []

  /// Makes a book; of several about the same the last counts.
  public init(_ calibrations: [ThreadCalibration] = []) {
    for calibration in calibrations { add(calibration) }
  }

  /// Takes in a calibration in place of an older one about the same.
  public mutating func add(_ calibration: ThreadCalibration) {
    if let place = calibrations.firstIndex(where: { calibration.replaces($0) }) {
      calibrations[place] = calibration
      return
    }
    if calibrations.count == Self.countMax,
      let oldest = calibrations.indices.min(by: { calibrations[$0].date < calibrations[$1].date })
    {
      calibrations.remove(at: oldest)
    }
    calibrations.append(calibration)
  }

  /// What is known of a region under a store instruction; nil where nothing is.
  public func calibration(
    of region: RegionIdentity, store: ThreadCalibration.Store, on machine: MachineIdentity
  ) -> ThreadCalibration? {
    calibrations.last { $0.store == store && $0.isOf(region, on: machine) }
  }

  /// What is known of a region that may be stored to in several ways.
  ///
  /// - Returns: The smallest number of threads that is good for every way that is calibrated, with
  ///   those calibrations; where no number is, that of the first alone. nil where nothing is known.
  public func threadCount(
    for region: RegionIdentity, stores: [ThreadCalibration.Store], on machine: MachineIdentity
  ) -> (threadCount: Int, used: [ThreadCalibration])? {
    let found = stores.compactMap { calibration(of: region, store: $0, on: machine) }
    guard let first = found.first else { return nil }
    guard let common = ThreadCalibration.smallest(ofAll: found.map(\.curve)) else {
      return (first.threadCount, [first])
    }
    return (common, found)
  }
}
