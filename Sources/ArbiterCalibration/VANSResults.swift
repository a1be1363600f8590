// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// What VANS (Wang et al., MICRO'20; github.com/TheNetAdmin/VANS, commit 541d2fb, configuration
// config/vans.cfg) answers to traces that were generated for this project. Its answers are
// deterministic; its wall rates are those of the machine they were measured on, two shared cores
// at 2.5 GHz, medians of three runs. 9,984 requests of 64 B unless a row says otherwise, each
// stream in a region of 16 MB of its own. The real module's figures are OptaneStudy's and
// NVLeak's.

/// One trace as VANS was run on it, beside the real module.
public struct VANSResult: Sendable, Hashable {
  /// What is written or read.
  public enum Traffic: Sendable, Hashable {
    /// Sequential streams of 64 B stores; the order of a trace's streams is the trace's own.
    case streams(count: Int, isRoundRobin: Bool)
    /// One thread's random stores in a region.
    case randomStores(accessBytes: Int, regionBytes: Int)
    /// One line, stored over and over.
    case hotLine
    /// One thread's sequential loads.
    case sequentialLoads
    /// Loads of which each waits for the one before; nil walks through memory in order.
    case dependentLoads(regionBytes: Int?)
  }

  /// What is written or read.
  public let traffic: Traffic
  /// The row's name.
  public let title: String
  /// VANS's bandwidth in GB/s of its own time; nil where latency is the question.
  public let gigabytesPerSecond: Double?
  /// VANS's time per request.
  public let nanosecondsPerRequest: Double
  /// VANS's media write bytes ÷ requested write bytes; nil for loads.
  public let writeAmplification: Double?
  /// Requests that VANS simulated in a second of wall time.
  public let requestsPerWallSecond: Double
  /// The real module's bandwidth in GB/s.
  public let realGigabytesPerSecond: ClosedRange<Double>?
  /// The real module's write amplification.
  public let realWriteAmplification: ClosedRange<Double>?
  /// The real module's time per request.
  public let realNanoseconds: Double?

  private init(
    _ traffic: Traffic, _ title: String, _ bandwidth: Double?, _ nanoseconds: Double,
    _ amplification: Double?, wall: Double, real: ClosedRange<Double>? = nil,
    realAmplification: ClosedRange<Double>? = nil, realNanoseconds: Double? = nil
  ) {
    self.traffic = traffic
    self.title = title
    gigabytesPerSecond = bandwidth
    nanosecondsPerRequest = nanoseconds
    writeAmplification = amplification
    requestsPerWallSecond = wall
    realGigabytesPerSecond = real
    realWriteAmplification = realAmplification
    self.realNanoseconds = realNanoseconds
  }

  private static func streams(
    _ count: Int, _ order: (isRoundRobin: Bool, name: String), _ bandwidth: Double,
    _ nanoseconds: Double, _ amplification: Double, wall: Double
  ) -> VANSResult {
    // Figures of the module exist for the thread counts that were measured and no others.
    let real: [Int: ClosedRange<Double>] = [
      1: 2.28...2.28, 2: 2.27...2.27, 4: 2.20...2.20, 8: 1.54...1.54,
    ]
    let realAmplification: [Int: ClosedRange<Double>] = [
      1: 1.02...1.02, 2: 1.02...1.02, 4: 1.03...1.05, 8: 1.28...1.45,
    ]
    return VANSResult(
      .streams(count: count, isRoundRobin: order.isRoundRobin),
      count == 1 ? "1 stream" : "\(count) streams, \(order.name)", bandwidth, nanoseconds,
      amplification, wall: wall, real: real[count], realAmplification: realAmplification[count])
  }

  private static let inTurn = (isRoundRobin: true, name: "in turn")
  private static let shuffled = (isRoundRobin: false, name: "shuffled")

  /// Every row, in the order of the page.
  public static let all: [VANSResult] = [
    streams(1, inTurn, 1.31, 49.0, 1.000, wall: 1411),
    streams(2, inTurn, 2.01, 31.8, 1.002, wall: 1905),
    streams(4, inTurn, 1.43, 44.7, 1.053, wall: 6999),
    streams(8, inTurn, 2.02, 31.7, 1.135, wall: 6634),
    streams(16, inTurn, 1.59, 40.4, 1.284, wall: 4046),
    streams(26, inTurn, 1.21, 53.1, 1.464, wall: 1908),
    streams(32, inTurn, 1.15, 55.7, 1.630, wall: 1478),
    streams(4, shuffled, 2.03, 31.5, 1.032, wall: 3237),
    streams(8, shuffled, 2.21, 28.9, 1.083, wall: 5979),
    streams(16, shuffled, 2.04, 31.3, 1.137, wall: 6817),
    streams(26, shuffled, 1.80, 35.7, 1.325, wall: 5386),
    streams(32, shuffled, 1.53, 41.9, 1.487, wall: 3620),
    VANSResult(
      .randomStores(accessBytes: 64, regionBytes: 16 << 20), "random 64 B in 16 MB", 0.345, 185.5,
      3.99, wall: 149, real: 0.51...0.56, realAmplification: 4.0...4.2),
    VANSResult(
      .randomStores(accessBytes: 64, regionBytes: 1 << 30), "random 64 B in 1 GB", 0.399, 160.5,
      4.00, wall: 188, real: 0.51...0.56, realAmplification: 4.0...4.2),
    VANSResult(
      .randomStores(accessBytes: 256, regionBytes: 16 << 20), "random 256 B in 16 MB", 3.06, 20.9,
      1.000, wall: 3394, real: 2.26...2.26, realAmplification: 1.02...1.02),
    VANSResult(
      .hotLine, "one line overwritten", 17.6, 3.6, 0.063, wall: 602_020, real: 1.8...1.8,
      realAmplification: 0.10...0.10),
    VANSResult(
      .sequentialLoads, "sequential loads", 3.12, 20.5, nil, wall: 10_443, real: 2.9...2.9),
    VANSResult(
      .dependentLoads(regionBytes: nil), "dependent loads in order", nil, 188, nil, wall: 14_000,
      realNanoseconds: 169),
    VANSResult(
      .dependentLoads(regionBytes: 8 << 10), "dependent loads, 8 KB", nil, 139, nil, wall: 36_000,
      realNanoseconds: 174),
    VANSResult(
      .dependentLoads(regionBytes: 1 << 20), "dependent loads, 1 MB", nil, 367, nil, wall: 1200,
      realNanoseconds: 321),
  ]
}
