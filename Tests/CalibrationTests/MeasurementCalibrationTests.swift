// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterProfiles
import ArbiterSimulator
import ArbiterWorkloads
import Testing

/// What `arbiter measure --profile` finds must be what was published of the hardware: one module
/// has its best bandwidth with one or two writers, six have it with four (nt) to twelve (clwb).
@Suite("Measuring the model")
struct MeasurementCalibrationTests {
  private func point(
    _ kind: MeasurementPoint.Kind, _ threads: Int, _ modules: Int
  ) throws -> ThreadCalibration.Point {
    let profile = try ProfileLibrary.embedded.profile(named: "optane-100-256g")
    let point = MeasurementPoint.bandwidth(
      kind, .sequential, accessBytes: 256, threadCount: threads, regionBytes: 256 << 20)
    let executor = ModelMeasurement(profile: profile, moduleCount: modules)
    let run = try #require(try executor.measure(point, repetition: 0) { false })
    return .init(threads: threads, bytesPerSecond: try #require(run.bandwidth))
  }

  private func calibration(
    _ kind: MeasurementPoint.Kind, _ threads: [Int], modules: Int
  ) throws -> Int? {
    ThreadCalibration.smallest(
      of: try threads.map { try point(kind, $0, modules) })
  }

  @Test func `one module needs one writer of nt and two of clwb`() throws {
    let threads = [1, 2, 3, 4, 6, 8, 12]
    let nt = try #require(try calibration(.nt, threads, modules: 1))
    #expect((1...2).contains(nt), "\(nt)")
    #expect(try calibration(.clwb, threads, modules: 1) == 2)
  }

  @Test func `six modules need about four writers of nt and more of clwb`() throws {
    let threads = [1, 2, 3, 4, 6, 8, 10, 12]
    let nt = try #require(try calibration(.nt, threads, modules: 6))
    let clwb = try #require(try calibration(.clwb, threads, modules: 6))
    #expect((3...6).contains(nt), "\(nt)")
    #expect((8...12).contains(clwb), "\(clwb)")
  }

  @Test func `writers beyond the best number lose bandwidth on one module`() throws {
    let best = try point(.nt, 2, 1).bytesPerSecond
    let many = try point(.nt, 12, 1).bytesPerSecond
    #expect(many < 0.7 * best, "\(many) of \(best)")
  }

  @Test func `dependent loads and durable stores are as slow as published`() throws {
    let profile = try ProfileLibrary.embedded.profile(named: "optane-100-256g")
    let executor = ModelMeasurement(profile: profile)
    func latency(_ point: MeasurementPoint) throws -> AccessLatency {
      try #require(try executor.measure(point, repetition: 0) { false }?.latency)
    }
    // Targets 13 and 15 of the calibration: 305 ns of a random load, 125 ns of 64 B, 1551 of 4 KiB.
    let load = try latency(.dependentRead(workingSetBytes: 8 << 20))
    #expect((240...380).contains(load.mean ?? 0), "\(load)")
    let small = try latency(
      .persist(bytes: 64, by: .storeNonTemporal, regionBytes: 64 << 20))
    let large = try latency(
      .persist(bytes: 4096, by: .storeNonTemporal, regionBytes: 64 << 20))
    #expect((60...300).contains(small.p50 ?? 0), "\(small)")
    #expect((1000...2300).contains(large.p50 ?? 0), "\(large)")
  }
}
