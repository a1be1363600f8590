// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterMetrics
import ArbiterWorkloads
import Testing

@Suite("Measurement plan")
struct MeasurementPlanTests {
  private func terms(
    _ threads: [Int], _ regionBytes: Int, readOnly: Bool = false
  ) -> MeasurementPlan.Terms {
    var terms = MeasurementPlan.Terms()
    terms.threadCounts = threads
    terms.regionBytes = regionBytes
    terms.isReadOnly = readOnly
    return terms
  }

  @Test(arguments: [1 << 16, 1 << 20, 3 << 20, 256 << 20])
  func `every point is sound, is there once, and fits into the region`(bytes: Int) {
    let plan = MeasurementPlan(terms([1, 2, 3, 16], bytes))
    #expect(Set(plan.points).count == plan.points.count)
    for point in plan.points {
      #expect(point.workload.problem == nil)
      #expect(point.workload.regionBytes * point.threadCount <= bytes)
      #expect(point.aspect == .bandwidth || point.threadCount == 1)
      if point.isChain {
        #expect(point.workload.regionBytes.nonzeroBitCount == 1 && point.workload.isDependent)
      }
    }
  }

  @Test func `all kinds are measured at all numbers of threads, and latency at all sizes`() {
    let plan = MeasurementPlan(terms([1, 2, 4], 256 << 20))
    for kind in MeasurementPoint.Kind.allCases {
      let counts = plan.points.filter {
        $0.aspect == .bandwidth && $0.kind == kind && $0.workload.accessBytes == 256
          && $0.workload.pattern == .sequential
      }.map(\.threadCount)
      #expect(counts.sorted() == [1, 2, 4], "\(kind)")
    }
    for kind in [MeasurementPoint.Kind.nt, .clwb] {
      let stores = plan.points.filter { $0.aspect == .latency && $0.kind == kind }
      #expect(stores.map(\.sizeBytes) == [64, 256, 1024, 4096])
      #expect(
        stores.allSatisfy { $0.workload.fence == .every(bytes: UInt32($0.workload.accessBytes)) })
    }
  }

  @Test(arguments: [3, 4, 7])
  func `each round has every point once, and no two rounds begin alike`(rounds: Int) {
    var terms = terms([1, 2], 1 << 20)
    terms.repetitionCount = rounds
    let plan = MeasurementPlan(terms)
    let steps = plan.steps
    #expect(steps.count == rounds * plan.points.count)
    var starts: Set<Int> = []
    for round in 0..<rounds {
      let own = steps[(round * plan.points.count)..<((round + 1) * plan.points.count)]
      #expect(own.allSatisfy { $0.repetition == round })
      #expect(Set(own.map(\.point)) == Set(plan.points.indices))
      starts.insert(own.first?.point ?? -1)
    }
    #expect(starts.count == rounds)
  }

  @Test func `nothing is stored where only reading is allowed`() {
    let plan = MeasurementPlan(terms([1, 2], 1 << 20, readOnly: true))
    #expect(!plan.points.isEmpty)
    #expect(plan.points.allSatisfy { !$0.writes && $0.kind == .read })
  }

  @Test func `working sets grow by 16 up to the largest power of two`() {
    #expect(MeasurementPlan.workingSets(upTo: 64 << 10) == [16 << 10, 64 << 10])
    #expect(
      MeasurementPlan.workingSets(upTo: 300 << 20)
        == [16 << 10, 256 << 10, 4 << 20, 64 << 20, 256 << 20])
  }
}

@Suite("Measured points")
struct MeasuredPointTests {
  private let point = MeasurementPoint.bandwidth(
    .nt, .sequential, accessBytes: 256, threadCount: 1, regionBytes: 1 << 20)

  private func run(
    gibibytes: Double, seconds: Double = 1, process: Figure<Double>, system: Figure<Double>
  ) -> MeasuredRun {
    MeasuredRun(
      seconds: seconds, readBytes: 0, writtenBytes: gibibytes * 1_073_741_824,
      processCPUSeconds: process, systemCPUSeconds: system, stolenSeconds: .known(0))
  }

  @Test func `CPU seconds per GiB are those of all runs over the bytes of all runs`() {
    let measured = MeasuredPoint(
      point,
      runs: [
        run(gibibytes: 1, process: .known(0.5), system: .known(0.6)),
        run(gibibytes: 3, process: .known(2.5), system: .known(3.4)),
      ])
    #expect(measured.processSecondsPerGiB == .known(0.75))
    #expect(measured.systemSecondsPerGiB == .known(1))
  }

  @Test func `what one run could not see is unavailable and never 0`() {
    let measured = MeasuredPoint(
      point,
      runs: [
        run(gibibytes: 1, process: .known(0.5), system: .known(0.6)),
        run(gibibytes: 1, process: .known(0.5), system: .unavailable("no /proc/stat")),
      ])
    #expect(measured.systemSecondsPerGiB == .unavailable("no /proc/stat"))
    #expect(measured.processSecondsPerGiB == .known(0.5))
    let nothing = MeasuredPoint(
      point, runs: [run(gibibytes: 0, process: .known(1), system: .known(1))])
    #expect(nothing.processSecondsPerGiB == .unavailable("nothing was moved"))
    #expect(nothing.bandwidth == nil)
    #expect(MeasuredPoint(point, runs: []).bandwidth == nil)
  }

  @Test func `the middle and the range of bandwidths are those of the runs`() {
    let measured = MeasuredPoint(
      point,
      runs: [(1.0, 1.0), (1.0, 4.0), (1.0, 2.0)].map {
        run(gibibytes: $0.0, seconds: $0.1, process: .known(1), system: .known(1))
      })
    let gibibyte = 1_073_741_824.0
    #expect(measured.bandwidth?.median == gibibyte / 2)
    #expect(measured.bandwidth?.range == gibibyte / 4...gibibyte)
  }

  @Test func `percentiles come from the histogram in order`() throws {
    var histogram = Histogram()
    for value in 1...1000 { histogram.record(UInt64(value)) }
    let latency = try #require(AccessLatency(histogram, mean: 7) { Double($0) / 2 })
    #expect(latency.sampleCount == 1000 && latency.mean == 7 && latency.max == 500)
    let (p50, p90) = (try #require(latency.p50), try #require(latency.p90))
    let (p99, p999) = (try #require(latency.p99), try #require(latency.p999))
    #expect(abs(p50 - 250) <= 8 && abs(p90 - 450) <= 15)
    #expect(p50 <= p90 && p90 <= p99 && p99 <= p999 && p999 <= latency.max)
    #expect(AccessLatency(Histogram()) { Double($0) } == nil)
  }

  @Test func `a percentile that the clock cannot tell from nothing is unavailable, not 0`() throws {
    var histogram = Histogram()
    for _ in 0..<95 { histogram.record(0) }
    for _ in 0..<5 { histogram.record(30) }
    let latency = try #require(AccessLatency(histogram, mean: 2, resolution: 10) { Double($0) })
    #expect(latency.p50 == nil && latency.p90 == nil && latency.p99 == 30 && latency.mean == 2)
  }
}
