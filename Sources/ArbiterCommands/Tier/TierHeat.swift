// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
package import ArbiterPlacement
internal import ArbiterProfiler
internal import ArbiterTiering

/// The heat map of a session: for each stretch of managed memory one band of the accesses that met
/// fast memory, and one of those that met slow memory, so that data is seen to move.
package struct TierHeat: Sendable {
  private struct Stretch: Sendable {
    var process: Int32
    var start: UInt64
    var end: UInt64
  }

  private(set) var map = HeatMap()
  private var chunks: [Int32: ManagedChunk] = [:]
  private var stretches: [Stretch] = []

  /// Memory that is farther apart than this is shown apart.
  private static let gapBytes: UInt64 = 1 << 28
  /// What a sample is drawn as: the line that it touched.
  private static let lineBytes: UInt64 = 64

  /// Makes a map without accesses.
  package init() {}

  /// Notes where the islands of a chunk lie from now on; nil where it is gone.
  package mutating func place(_ number: Int, _ chunk: ManagedChunk?) {
    chunks[Int32(clamping: number)] = chunk
  }

  /// Adds an access.
  package mutating func add(_ sample: TierSample, process: Int32, address: UInt64, time: Int64) {
    guard sample.weight > 0 else { return }
    let isSlow =
      chunks[sample.chunk].map {
        $0.slowIslands.contains(IslandSet(island: Int(sample.island)))
      } ?? false
    let line = address & ~(Self.lineBytes - 1)
    let index = stretch(of: process, line)
    let run = HeatRun(
      position: line, length: Self.lineBytes, timeNanoseconds: UInt64(max(0, time)),
      weightPerByte: Double(sample.weight) / Double(Self.lineBytes), isStore: sample.isStore,
      isLoad: !sample.isStore)
    let info = info(index, isSlow: isSlow)
    map.add(run, to: UInt64(index * 2 + (isSlow ? 1 : 0))) { info }
  }

  /// The stretch of an address, widened or opened where there is none yet.
  private mutating func stretch(of process: Int32, _ address: UInt64) -> Int {
    let unit = UInt64(TierUnit.chunkBytes)
    let chunk = address & ~(unit - 1)
    for (index, known) in stretches.enumerated() where known.process == process {
      let low = known.start - min(known.start, Self.gapBytes)
      guard chunk >= low, chunk < known.end + Self.gapBytes else { continue }
      stretches[index].start = min(known.start, chunk)
      stretches[index].end = max(known.end, chunk + unit)
      return index
    }
    stretches.append(Stretch(process: process, start: chunk, end: chunk + unit))
    return stretches.count - 1
  }

  private func info(_ index: Int, isSlow: Bool) -> HeatBandInfo {
    let stretch = stretches[index]
    let owner = stretch.process == stretches[0].process ? "" : " of process \(stretch.process)"
    // Stretches have numbers, as their addresses stand beside their names.
    return HeatBandInfo(
      name: "\(isSlow ? Tier.slow.rawValue : Tier.fast.rawValue) \(index + 1)\(owner)",
      base: stretch.start, byteCount: stretch.end - stretch.start)
  }

  /// The map with what has to be said of it.
  mutating func result(
    program: [String], reading: TierReading, remarks: [String]
  ) -> HeatResult {
    for index in stretches.indices {
      for isSlow in [false, true] {
        map.describe(UInt64(index * 2 + (isSlow ? 1 : 0)), as: info(index, isSlow: isSlow))
      }
    }
    let tracker = reading.tracker.value ?? "none"
    let backEnd = BackEnd(rawValue: tracker)
    let isTime = backEnd?.measure == .timeWeightedStoreCost
    var result = HeatResult(
      map: map, subject: program.joined(separator: " "), source: tracker, sourceReason: nil,
      measure: backEnd?.measure.rawValue ?? "none",
      unit: isTime ? "ns of access cost" : "accesses",
      // One line of a picture, which cuts what is longer.
      meaning: "Colours are \(isTime ? "CPU time at" : "counts of") accesses, by samples: what "
        + "met fast and what met slow memory, each on its own.",
      losses: nil, lostEventCount: nil, mappingCount: Self.bandCountMax)
    let lost = reading.lostSampleCount
    result.remarks =
      ["\(reading.managedSampleCount) samples of managed memory; \(lost) were lost."] + remarks
    return result
  }

  private static let bandCountMax = 16
}
