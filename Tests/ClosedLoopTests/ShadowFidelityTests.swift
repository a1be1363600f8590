// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterProfiles
import ArbiterScheduler
import ArbiterSimulator
import ArbiterWorkloads
import Testing

/// A load of the modelled machine, and what its gates would have recorded.
struct ShadowCase: Sendable, CustomTestStringConvertible {
  var name: String
  var threads: [ThreadPlan]
  var settings = GateSettings.open
  var moduleCount = 1
  var isSaturated = false
  /// Bytes of an access, by thread.
  var accessBytes: [Int]

  init(
    _ name: String, _ workloads: [Workload], settings: GateSettings = .open, moduleCount: Int = 1,
    isSaturated: Bool = false
  ) {
    self.name = name
    threads = workloads.map { ThreadPlan($0) }
    accessBytes = workloads.map(\.accessBytes)
    self.settings = settings
    self.moduleCount = moduleCount
    self.isSaturated = isSaturated
  }

  var testDescription: String { name }

  /// Amplification by the model's counters and by the shadow.
  func measured() throws -> (model: Double, shadow: Double, samples: Int) {
    let profile = try ProfileLibrary.embedded.profile(named: ProfileLibrary.defaultName)
    var configuration = SimulationConfiguration(profile: profile, threads: threads)
    configuration.scheme = .fixed(settings)
    configuration.moduleCount = moduleCount
    if isSaturated { configuration.saturation = .milliseconds(1) }
    var simulation = try Simulation(configuration)
    simulation.run(for: .milliseconds(4))
    simulation.beginMeasurement()
    simulation.startTrace()
    simulation.run(for: .milliseconds(4))
    let model = try #require(simulation.result().writeAmplification)
    let recorder = VirtualRecorder(simulation.trace, accessBytes: accessBytes)
    var shadow = ShadowModel(profile: profile, moduleCount: moduleCount)
    let pacing = ShadowPacing(
      delay: Int64(settings.delayNanoseconds * 1000), isByBlock: settings.point == .block)
    var sum = 0.0
    var count = 0
    // Windows open every 200 us, far apart beside their length.
    for start in 0..<20 {
      let opening = TimeSpan.milliseconds(4).picoseconds + Int64(start) * 200_000_000
      let sample = recorder.sample(
        from: opening, span: 200_000_000,
        quota: shadow.quota(writerCount: threads.count))
      let isWarm = shadow.isWarm
      guard let estimate = shadow.take(sample, pacing: pacing), isWarm else { continue }
      sum += estimate
      count += 1
    }
    return (model, count == 0 ? .nan : sum / Double(count), count)
  }
}

/// The recordings of virtual gates: what real ones would have left in their rings.
struct VirtualRecorder {
  private var records: [[ShadowRecord]]

  init(_ trace: [TracedEvent], accessBytes: [Int]) {
    records = Array(repeating: [], count: accessBytes.count)
    for event in trace {
      if event.kind == .fenced {
        records[event.thread].append(ShadowRecord(time: event.time, line: 0, count: 0))
      }
      guard event.kind == .issued else { continue }
      let piece = UInt64(min(256, accessBytes[event.thread]))
      let line = event.programAddress >> 6
      if event.programAddress % piece == 0 || records[event.thread].isEmpty {
        records[event.thread].append(ShadowRecord(time: event.passed, line: line, count: 1))
      } else if let last = records[event.thread].indices.last {
        records[event.thread][last].count += 1
      }
    }
  }

  /// What gates record that are asked to from a moment on.
  func sample(from start: Int64, span: Int64, quota: Int) -> [ShadowSample] {
    records.map { all in
      let mine = all.filter { $0.time >= start && $0.time < start + span }
      return ShadowSample(
        space: 0, records: Array(mine.prefix(quota)), endsEarly: mine.count > quota)
    }
  }
}

@Suite("Shadow estimate beside the full model")
struct ShadowFidelityTests {
  static func crowd(_ count: Int, _ workload: Workload) -> [Workload] {
    Array(repeating: workload, count: count)
  }

  static let spaced = GateSettings(
    delayNanoseconds: 3000, point: .block, anchor: .previous, isFencedAtBlocks: true)

  static let cases: [ShadowCase] = {
    var cases: [ShadowCase] = []
    let patterns: [(String, Pattern)] = [("seq", .sequential), ("rand", .random)]
    for modules in [1, 6] {
      let set = modules == 1 ? "" : " on 6"
      for threads in [1, 2, 4, 8, 16, 26, 64] {
        for bytes in [64, 256] {
          for (name, pattern) in patterns {
            let workload = Workload(pattern: pattern, accessBytes: bytes)
            cases.append(
              ShadowCase(
                "\(threads) x \(bytes) B \(name)\(set)", crowd(threads, workload),
                moduleCount: modules))
          }
        }
      }
      for threads in [8, 26] {
        let mixed = (0..<threads).map { Workload(pattern: $0 % 2 == 0 ? .sequential : .random) }
        cases.append(ShadowCase("\(threads) mixed\(set)", mixed, moduleCount: modules))
        cases.append(
          ShadowCase(
            "\(threads) half read\(set)", crowd(threads, Workload(readShare: 0.5)),
            moduleCount: modules))
        cases.append(
          ShadowCase(
            "\(threads) fencing 256 B\(set)", crowd(threads, Workload(fence: .every(bytes: 256))),
            moduleCount: modules))
        cases.append(
          ShadowCase(
            "\(threads) fencing 64 B\(set)", crowd(threads, Workload(fence: .every(bytes: 64))),
            moduleCount: modules))
      }
    }
    for blocks in [32, 96] {
      cases.append(
        ShadowCase(
          "1 halves \(blocks) blocks",
          [Workload(pattern: .halves, accessBytes: 128, regionBytes: blocks * 256)]))
    }
    for threads in [8, 26, 64] {
      for isSaturated in [false, true] {
        let start = isSaturated ? " saturated" : ""
        for delay in [500.0, 3000, 8000] {
          for point in DelayPoint.allCases {
            cases.append(
              ShadowCase(
                "\(threads) \(Int(delay)) ns per \(point)\(start)", crowd(threads, Workload()),
                settings: GateSettings(delayNanoseconds: delay, point: point),
                isSaturated: isSaturated))
          }
        }
        cases.append(
          ShadowCase(
            "\(threads) fence and 3000 ns\(start)", crowd(threads, Workload()), settings: spaced,
            isSaturated: isSaturated))
        cases.append(
          ShadowCase(
            "\(threads) fence\(start)", crowd(threads, Workload()),
            settings: GateSettings(isFencedAtBlocks: true), isSaturated: isSaturated))
      }
    }
    for think in [1000, 5000, 20_000] {
      cases.append(
        ShadowCase(
          "16 thinking \(think) ns",
          crowd(16, Workload(accessBytes: 256, think: .nanoseconds(Double(think))))))
    }
    for threads in [8, 26] {
      var bursts = ShadowCase("\(threads) in bursts of 300 us", crowd(threads, Workload()))
      bursts.threads = (0..<threads).map { bursty($0) }
      cases.append(bursts)
    }
    return cases
  }()

  /// A thread that writes for 300 us and rests for 300 us.
  private static func bursty(_ thread: Int) -> ThreadPlan {
    var phases = [ThreadPhase(workload: thread % 2 == 0 ? Workload() : nil)]
    for phase in 1..<20 {
      let start = TimeSpan.microseconds(Double(phase * 300 + thread % 4 * 70))
      let isWriting = phase % 2 == thread % 2
      phases.append(ThreadPhase(start: start, workload: isWriting ? Workload() : nil))
    }
    return ThreadPlan(phases: phases)
  }

  /// Loads for which the estimate is known to be further off, and the error it has.
  ///
  /// Loads go to the same modules and pass no gate: what they hold up looks like a full window. Of
  /// 64 writers at random places on six modules most wait in the queue that the modules share. The
  /// shadow has none and takes them for writers that keep blocks open.
  static let knownMisses: [String: ClosedRange<Double>] = [
    "8 half read": 0.10...0.35,
    "64 x 256 B rand on 6": 0.40...0.60,
  ]

  @Test(arguments: cases)
  func `the shadow lies within a tenth of the model`(_ load: ShadowCase) throws {
    let (model, shadow, samples) = try load.measured()
    let error = shadow / model - 1
    let known = Self.knownMisses[load.name]
    let thousandths = { (value: Double) in "\((value * 1000).rounded() / 1000)" }
    print(
      "\(load.name): model \(thousandths(model)) shadow \(thousandths(shadow)) error "
        + "\((error * 1000).rounded() / 10) % from \(samples) samples"
        + (known == nil ? "" : ", a known miss"))
    #expect(samples >= 10)
    // A miss that has gone is to be taken off the list.
    #expect((known ?? -0.1...0.1).contains(error))
  }
}
