// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlatform
import ArbiterProfiler
import ArbiterTestSupport
import Testing

/// A source that gives out what it was given.
private struct ListSource: AccessSource {
  let backEnd = BackEnd.timer
  var losses = SamplingLosses()
  var accesses: [SampledAccess] = []
  var events: [TaskEvent] = []

  mutating func drain(_ body: (SampledAccess) -> Void) {
    accesses.forEach(body)
    accesses = []
  }

  mutating func takeTaskEvents() -> [TaskEvent] {
    defer { events = [] }
    return events
  }

  mutating func stop() {}
}

@Suite("Heat of samples")
struct HeatWatchTests {
  private static let maps = """
    55550000-55560000 rw-p 00000000 00:00 0 [heap]
    7f000000-7f100000 rw-s 00000000 08:01 42 /data/file
    7ff00000-7ff10000 rw-p 00000000 00:00 0 [stack]

    """

  private static func tree(_ folder: borrowing TemporaryFolder) -> SystemTree {
    folder.write(maps, to: "proc/9/maps")
    return SystemTree(root: folder.path)
  }

  private static func access(
    _ address: UInt64?, at time: Int64, weight: Double, process: Int32 = 9,
    isStore: Bool = true
  ) -> SampledAccess {
    SampledAccess(
      process: process, thread: process, timeNanoseconds: time, address: address, byteCount: 8,
      isStore: isStore, isLoad: !isStore, weight: weight)
  }

  @Test func `samples go to the mapping of their address, at their time since the start`() throws {
    let folder = TemporaryFolder()
    let tree = Self.tree(folder)
    var source = ListSource()
    source.accesses = [
      Self.access(0x7f00_1000, at: 1_000_100, weight: 3),
      Self.access(0x7f00_1000, at: 1_000_200, weight: 4, isStore: false),
      Self.access(0x5555_0000, at: 1_000_300, weight: 5),
      Self.access(0x1000, at: 1_000_300, weight: 6),
      Self.access(nil, at: 1_000_300, weight: 7),
    ]
    var watch = HeatWatch(
      of: source, from: 1_000_000, classifier: MappingClassifier(tree: tree), tree: tree)
    watch.drain(now: 2_000_000)
    let summaries = watch.map.hottestFirst.compactMap { watch.map.summary(of: $0) }
    #expect(summaries.map(\.info.name) == ["/data/file", "[heap]"])
    #expect(summaries[0].info.base == 0x7f00_0000 && summaries[0].info.byteCount == 0x10_0000)
    #expect(summaries[0].totals.weight == 7 && summaries[0].totals.storeWeight == 3)
    #expect(summaries[0].totals.firstNanoseconds == 100)
    #expect(summaries[0].totals.lastNanoseconds == 200)
    #expect(watch.unmappedWeight == 6 && watch.unresolvedWeight == 7)
  }

  @Test func `what is not to be shown is left out`() {
    let folder = TemporaryFolder()
    let tree = Self.tree(folder)
    var source = ListSource()
    source.accesses = [
      Self.access(0x7f00_1000, at: 0, weight: 3),
      Self.access(0x7f00_1000, at: 0, weight: 4, isStore: false),
    ]
    var watch = HeatWatch(
      of: source, from: 0, classifier: MappingClassifier(tree: tree), tree: tree
    ) { $0.isLoad }
    watch.drain(now: 0)
    #expect(watch.map.totals.weight == 4 && watch.map.totals.storeWeight == 0)
  }

  @Test func `memory that was mapped and gone before anybody looked is known from events`() throws {
    let folder = TemporaryFolder()
    let tree = SystemTree(root: folder.path)
    var source = ListSource()
    source.accesses = [Self.access(0x7e00_0040, at: 30, weight: 2)]
    let line = "7e000000-7e100000 rw-s 00000000 08:01 7 /short"
    let mapping = try #require(ProcessMapping(line: line[...]))
    source.events = [
      TaskEvent(
        .mapped(.init(mapping, isExecutable: false)), process: 9, thread: 9, timeNanoseconds: 20)
    ]
    var watch = HeatWatch(
      of: source, from: 0, classifier: MappingClassifier(tree: tree), tree: tree)
    watch.drain(now: 100)
    #expect(
      watch.map.hottestFirst.compactMap { watch.map.summary(of: $0)?.info.name } == ["/short"])
  }

  @Test func `two processes have bands of their own`() {
    let folder = TemporaryFolder()
    let tree = Self.tree(folder)
    folder.write(Self.maps, to: "proc/10/maps")
    var source = ListSource()
    source.accesses = [
      Self.access(0x7f00_1000, at: 0, weight: 3),
      Self.access(0x7f00_1000, at: 0, weight: 2, process: 10),
    ]
    var watch = HeatWatch(
      of: source, from: 0, classifier: MappingClassifier(tree: tree), tree: tree)
    watch.drain(now: 0)
    let names = watch.map.hottestFirst.compactMap { watch.map.summary(of: $0)?.info.name }
    #expect(names == ["/data/file", "/data/file of process 10"])
  }
}
