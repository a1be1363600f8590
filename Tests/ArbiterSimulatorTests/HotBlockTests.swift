// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterSimulator
import ArbiterWorkloads
import Testing

// Blocks that a program rewrites without end: the buffer's sweep, and wear levelling. How often and
// for how long is for CalibrationTests; here is what must hold whatever the numbers.

@Suite("Hot blocks")
struct HotBlockTests {
  private static let hotLine = Workload(regionBytes: 64)
  private static let hotBlock = Workload(
    accessBytes: 256, fence: .every(bytes: 256), regionBytes: 256)

  /// Stalls and stored bytes of one writer within 30 ms.
  private func run(
    _ workload: Workload, _ profile: DeviceProfile, threads: Int = 1
  ) throws -> (stalls: UInt64, result: RunResult) {
    var simulation = try Simulation(machine(workload, threads: threads, profile: profile))
    simulation.run(for: .milliseconds(30))
    #expect(simulation.violations().isEmpty)
    return (simulation.wearStallCount, simulation.result())
  }

  @Test func `without a sweep a line that is rewritten never reaches the medium`() throws {
    let swept = try run(Self.hotLine, profile()).result
    let unswept = try run(Self.hotLine, profile { $0.sweepNanoseconds = 0 }).result
    #expect(unswept.mediaWriteBandwidth == 0)
    #expect(try #require(swept.mediaWriteBandwidth) > 0)
  }

  @Test(arguments: [400.0, 1600])
  func `a hot partial block is written every other sweep`(sweep: Double) throws {
    let quiet = profile {
      $0.sweepNanoseconds = sweep
      $0.wearThresholdWrites = 0
    }
    let result = try run(Self.hotLine, quiet).result
    let writes = try #require(result.mediaWriteBandwidth) / 256
    // A block is hot again a few stores after it was written.
    #expect((0.75...1.02).contains(writes * 2 * sweep / 1e9), "\(writes) per second")
  }

  @Test func `what no program rewrites is never swept`() throws {
    let with = try run(Workload(), profile { $0.wearThresholdWrites = 0 }, threads: 6).result
    let without = try run(
      Workload(), profile { ($0.wearThresholdWrites, $0.sweepNanoseconds) = (0, 0) }, threads: 6
    ).result
    #expect(with.writeAmplification == without.writeAmplification)
    #expect(with.effectiveBandwidth == without.effectiveBandwidth)
  }

  @Test func `stalls follow the threshold`() throws {
    let often = try run(Self.hotBlock, profile { $0.wearThresholdWrites = 500 }).stalls
    let rarely = try run(Self.hotBlock, profile { $0.wearThresholdWrites = 2000 }).stalls
    #expect(often > 10)
    #expect((3.2...4.8).contains(Double(often) / Double(rarely)), "\(often) and \(rarely)")
    #expect(try run(Self.hotBlock, profile { $0.wearThresholdWrites = 0 }).stalls == 0)
  }

  @Test func `long delays between stores hide the stalls`() throws {
    var patient = Self.hotBlock
    patient.think = .microseconds(15)
    #expect(try run(patient, profile { $0.wearThresholdWrites = 100 }).stalls == 0)
    patient.think = .microseconds(5)
    #expect(try run(patient, profile { $0.wearThresholdWrites = 100 }).stalls > 0)
  }

  @Test func `sequential writers never stall`() throws {
    #expect(try run(Workload(), profile(), threads: 8).stalls == 0)
  }

  @Test func `a stall holds everything and loses nothing`() throws {
    let long = profile {
      $0.wearThresholdWrites = 500
      $0.wearStallNanoseconds = 1e6
      $0.mediaJitterRatio = 0
    }
    let stalling = try run(Self.hotBlock, long)
    #expect(stalling.stalls > 5)
    // The queues absorb a few stores; whoever comes next waits for the rest of the millisecond.
    let longest = try #require(stalling.result.latencyNanoseconds?.max)
    #expect((0.98e6...1.05e6).contains(longest), "\(longest) ns")
  }
}
