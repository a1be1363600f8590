// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlatform
import ArbiterTestSupport
import Glibc
import Testing

@Suite("Time of processors and maps of processes")
struct ProcessMappingTests {
  @Test("This machine tells the time of its processors, and busy time never shrinks")
  func processorTime() throws {
    let first = try #require(ProcessorTime.read())
    let last = try #require(ProcessorTime.read())
    #expect(first.busy > 0 && last.busy >= first.busy)
    #expect(last.since(first).busy < 10 * ProcessorTime.ticksPerSecond)
    #expect(first.since(last).user == 0)
  }

  @Test("CPU seconds per GiB are those of a hand computation")
  func secondsPerGiB() {
    let spent = ProcessorTime(
      user: 3, nice: 5, system: 7, idle: 1000, waitingForDisk: 2000, interrupts: 11,
      softInterrupts: 13, stolen: 4000)
    #expect(spent.busy == 39)
    let expected = 39 / Double(ProcessorTime.ticksPerSecond) / 2
    #expect(spent.secondsPerGiB(movedBytes: 2_147_483_648) == expected)
    #expect(spent.secondsPerGiB(movedBytes: 0) == nil)
  }

  @Test("The map of this process names its program and its stack")
  func ownMap() throws {
    let map = try #require(ProcessMapping.read(ofProcess: getpid()))
    #expect(map.contains { $0.name == "[stack]" && $0.isWritable && !$0.isShared })
    #expect(map.contains { $0.name.hasPrefix("/") && $0.inode != 0 })
    #expect(map.elementsEqual(map.sorted { $0.addresses.lowerBound < $1.addresses.lowerBound }))
    #expect(ProcessMapping.read(ofProcess: -1) == nil)
  }
}
