// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterDevice
import ArbiterPlatform
import ArbiterTestSupport
import Glibc
import Testing

/// Helpers are processes and readings take a second, so the tests follow one another.
@Suite("Module counters", .serialized, .timeLimit(.minutes(5)))
struct CounterModuleTests {
  private static func limits(
    silence: Double = 20, restarts: Int = 1
  ) -> ModuleCounterFeed.Limits {
    var limits = ModuleCounterFeed.Limits()
    limits.silenceNanosecondsMax = Int64(silence * 1e9)
    limits.restartCountMax = restarts
    limits.restartPauseNanoseconds = 10_000_000
    return limits
  }

  private static func program(_ library: String) -> HelperProgram {
    .arbiter(at: CounterBench.tool, library: library)
  }

  private static func script(_ text: String) -> HelperProgram {
    HelperProgram(path: "/bin/sh", arguments: ["-c", text])
  }

  private static func starts(_ folder: borrowing TemporaryFolder) -> [Int32] {
    CounterBench.text(of: "\(folder.path)/starts").split(separator: "\n").compactMap { Int32($0) }
  }

  /// Waits for the reader's first figures, for the next ones, or for the reason for none.
  private static func next(
    _ reader: inout ModuleCounters, after time: Int64 = 0
  ) -> CounterSnapshot {
    var snapshot = reader.snapshot()
    _ = CounterBench.waits {
      snapshot = reader.snapshot()
      return snapshot.source == .module && snapshot.timeNanoseconds > time
        || reader.reasonForAbsence != nil
    }
    return snapshot
  }

  /// The figures of a snapshot in lines of 64 B: iMC writes and reads, media writes and reads.
  private static func lines(_ snapshot: CounterSnapshot) throws -> [UInt64] {
    let bytes = [
      snapshot.imcWriteBytes, snapshot.imcReadBytes, snapshot.mediaWriteBytes,
      snapshot.mediaReadBytes,
    ]
    return try bytes.map { try #require($0) / 64 }
  }

  @Test func `counts of the library become bytes of the set's modules`() throws {
    let folder = TemporaryFolder()
    let library = CounterBench.buildLibrary(in: folder)
    let feed = try ModuleCounterFeed(Self.program(library), limits: Self.limits())
    var both = ModuleCounters(feed: feed, handles: [0x1, 0x101])
    var one = ModuleCounters(feed: feed, handles: [0x101])
    let before = SystemClock.monotonicRawNanoseconds()
    let first = Self.next(&both)
    #expect(first.source == .module)
    #expect(try Self.lines(first) == [0, 0, 0, 0])
    _ = one.snapshot()
    let again = both.snapshot()
    #expect(again == first, "nothing new: the same figures with the same time")
    let second = Self.next(&both, after: first.timeNanoseconds)
    // Two modules, 100 writes, 200 reads, 400 media writes and 800 media reads of 64 B more.
    #expect(try Self.lines(second) == [200, 400, 800, 1600])
    let single = Self.next(&one, after: first.timeNanoseconds)
    #expect(try Self.lines(single) == [100, 200, 400, 800])
    let delta = try #require(CounterDelta(from: first, to: second))
    #expect(delta.writeAmplification(aboveBytesPerSecond: 0) == 4)
    // At most once a second, and stamped when it was read.
    #expect(second.timeNanoseconds - first.timeNanoseconds >= 999_000_000)
    #expect(first.timeNanoseconds > before)
    #expect(second.timeNanoseconds < SystemClock.monotonicRawNanoseconds())
    #expect(both.source == .module)
    #expect(both.reasonForAbsence == nil)
    #expect(Self.starts(folder).count == 1, "one helper for both readers")
  }

  @Test func `what the library prints is not heard`() throws {
    let folder = TemporaryFolder()
    let library = CounterBench.buildLibrary(in: folder, "-DGARBAGE")
    let feed = try ModuleCounterFeed(Self.program(library), limits: Self.limits(restarts: 0))
    var reader = ModuleCounters(feed: feed, handles: nil)
    let first = Self.next(&reader)
    let second = Self.next(&reader, after: first.timeNanoseconds)
    #expect(try Self.lines(second) == [200, 400, 800, 1600])
    #expect(reader.reasonForAbsence == nil)
  }

  @Test func `a reset starts the figures again and no period spans it`() throws {
    let folder = TemporaryFolder()
    let library = CounterBench.buildLibrary(in: folder, "-DBACKWARDS")
    let feed = try ModuleCounterFeed(Self.program(library), limits: Self.limits())
    var reader = ModuleCounters(feed: feed, handles: nil)
    let first = Self.next(&reader)
    let second = Self.next(&reader, after: first.timeNanoseconds)
    #expect(try Self.lines(second) == [0, 0, 0, 0], "one module ran backwards, the other forwards")
    #expect(reader.resetCount == 1)
    let third = Self.next(&reader, after: second.timeNanoseconds)
    #expect(try Self.lines(third) == [500, 1000, 2000, 4000])
  }

  @Test(arguments: ["-DCRASH", "-DHANG"])
  func `a library that fails is started again a few times and then given up`(
    misdeed: String
  ) throws {
    let folder = TemporaryFolder()
    let library = CounterBench.buildLibrary(in: folder, misdeed)
    // Long enough for a start on a busy machine; the crash does not wait for it.
    let feed = try ModuleCounterFeed(
      Self.program(library), limits: Self.limits(silence: 4, restarts: 1))
    var reader = ModuleCounters(feed: feed, handles: nil)
    let first = Self.next(&reader)
    #expect(first.source == .module, "the first reading is sound")
    #expect(CounterBench.waits { reader.reasonForAbsence != nil })
    #expect(reader.source == .unavailable)
    let last = reader.snapshot()
    #expect(last.source == .unavailable)
    #expect(last.imcWriteBytes == nil)
    let reason = reader.reasonForAbsence ?? ""
    #expect(
      reason.contains(misdeed == "-DCRASH" ? "signal 11" : "said nothing for 4.0 s"), "\(reason)")
    #expect(reason.contains("2 helpers"))
    #expect(Self.starts(folder).count == 2)
    for process in Self.starts(folder) {
      #expect(CounterBench.waits { kill(process, 0) != 0 }, "helper \(process) still runs")
    }
  }

  @Test func `a snapshot never waits, whatever the helper does`() throws {
    let folder = TemporaryFolder()
    let library = CounterBench.buildLibrary(in: folder, "-DHANG_AT_START")
    let feed = try ModuleCounterFeed(Self.program(library), limits: Self.limits())
    var reader = ModuleCounters(feed: feed, handles: nil)
    #expect(CounterBench.waits { !Self.starts(folder).isEmpty })
    var times: [Int64] = []
    for _ in 0..<1001 {
      let before = SystemClock.monotonicRawNanoseconds()
      #expect(reader.snapshot().source == .unavailable)
      times.append(SystemClock.monotonicRawNanoseconds() - before)
    }
    // The median: this thread itself may lose its processor to others.
    #expect(times.sorted()[500] < 100_000)
    #expect(reader.reasonForAbsence == nil, "not yet known is no reason")
  }

  @Test func `the end of the feed ends a helper that hangs`() throws {
    let folder = TemporaryFolder()
    let library = CounterBench.buildLibrary(in: folder, "-DHANG_AT_START")
    do {
      let feed = try ModuleCounterFeed(Self.program(library), limits: Self.limits())
      var reader = ModuleCounters(feed: feed, handles: nil)
      #expect(CounterBench.waits { !Self.starts(folder).isEmpty })
      _ = reader.snapshot()
    }
    let process = try #require(Self.starts(folder).first)
    #expect(CounterBench.waits { kill(process, 0) != 0 })
  }

  @Test func `the kernel ends a helper whose parent was killed`() throws {
    let folder = TemporaryFolder()
    let library = CounterBench.buildLibrary(in: folder, "-DHANG_AT_START")
    // The output is a file, so that no broken pipe ends the helper.
    let status = CounterBench.shell(
      """
      sh -c '"\(CounterBench.tool)" read-module-counters --parent $$ --library "\(library)" \
      > "\(folder.path)/out" & while ! [ -s "\(folder.path)/starts" ]; do sleep 0.05; done; \
      kill -9 $$' 2> /dev/null
      """)
    #expect(status == 137)
    let process = try #require(Self.starts(folder).first)
    #expect(CounterBench.waits { kill(process, 0) != 0 })
  }

  @Test(arguments: [
    ("-DOLD", "has version 2"), ("-DNO_FUNCTION", "lacks a function"), ("-DMANY", "1000 modules"),
    ("-DREFUSE_START", "error 268"),
  ])
  func `a library that does not fit is refused at once`(misfit: (String, String)) throws {
    let folder = TemporaryFolder()
    let library = CounterBench.buildLibrary(in: folder, misfit.0)
    let feed = try ModuleCounterFeed(Self.program(library), limits: Self.limits())
    var reader = ModuleCounters(feed: feed, handles: nil)
    _ = Self.next(&reader)
    #expect(reader.reasonForAbsence?.contains(misfit.1) == true, "\(reader.reasonForAbsence ?? "")")
    #expect(Self.starts(folder).count <= 1, "no second try for what will not change")
  }

  @Test func `a module that refuses makes its set unavailable and no other`() throws {
    let folder = TemporaryFolder()
    let library = CounterBench.buildLibrary(in: folder, "-DREFUSE")
    let feed = try ModuleCounterFeed(Self.program(library), limits: Self.limits())
    var sound = ModuleCounters(feed: feed, handles: [0x1])
    var refused = ModuleCounters(feed: feed, handles: [0x1, 0x101])
    var missing = ModuleCounters(feed: feed, handles: [0x7])
    #expect(Self.next(&sound).source == .module)
    #expect(refused.snapshot().source == .unavailable)
    #expect(refused.reasonForAbsence?.contains("module 0x101: error 5") == true)
    #expect(missing.snapshot().source == .unavailable)
    #expect(missing.reasonForAbsence?.contains("does not list module 0x7") == true)
  }

  @Test func `a library that is not there is named with its package`() throws {
    let feed = try ModuleCounterFeed(
      Self.program("/nonexistent/libipmctl.so.5"), limits: Self.limits())
    var reader = ModuleCounters(feed: feed, handles: nil)
    _ = Self.next(&reader)
    #expect(reader.reasonForAbsence?.contains("libipmctl5") == true)
  }

  @Test(arguments: [
    ("echo hello", "no line of its own"), ("yes", "no line of its own"),
    ("tr '\\0' x < /dev/zero", "no line of its own"), ("exit 3", "exit code 3"),
    ("echo arbiter-module-counters 1; kill -9 $$", "signal 9"), ("sleep 60", "said nothing"),
    ("exec >&-; sleep 60", "closed its pipe"),
  ])
  func `a helper that goes wrong is ended within its bounds`(misdeed: (String, String)) throws {
    let feed = try ModuleCounterFeed(
      Self.script(misdeed.0),
      limits: Self.limits(silence: misdeed.1 == "said nothing" ? 0.3 : 5, restarts: 2))
    var reader = ModuleCounters(feed: feed, handles: nil)
    let last = Self.next(&reader)
    #expect(last.source == .unavailable)
    let reason = reader.reasonForAbsence ?? ""
    #expect(reason.contains(misdeed.1), "\(reason)")
    #expect(reason.contains("3 helpers"))
  }

  @Test func `the verb of the helper keeps to a second and stays out of help`() {
    let folder = TemporaryFolder()
    let library = CounterBench.buildLibrary(in: folder, "-DGARBAGE")
    let tool = "'\(CounterBench.tool)'"
    func run(_ arguments: String) -> (code: Int32, text: String) {
      let out = "\(folder.path)/out"
      let code = CounterBench.shell("\(tool) \(arguments) > '\(out)' 2>&1")
      return (code, CounterBench.text(of: out))
    }
    let one = run("read-module-counters --readings 1 --library '\(library)'")
    let lines = one.text.split(separator: "\n").map(String.init)
    #expect(one.code == 0)
    #expect(lines.count == 3)
    #expect(lines.allSatisfy { HelperLine($0) != nil }, "\(lines)")
    let early = run("read-module-counters --every 999ms")
    #expect(early.code == 64)
    #expect(early.text.contains("less than 1s"))
    let none = run("read-module-counters --readings 1 --library /nonexistent.so")
    #expect(none.code == 69)
    #expect(none.text.contains("unavailable /nonexistent.so cannot be loaded"))
    #expect(!run("help").text.contains("read-module-counters"))
    #expect(run("read-module-counters --parent 1").text.isEmpty, "not the child of that process")
  }

  @Test func `a helper that cannot be started is a reason, not a crash`() throws {
    let feed = try ModuleCounterFeed(HelperProgram(path: "/nonexistent/helper", arguments: []))
    var reader = ModuleCounters(feed: feed, handles: nil)
    _ = Self.next(&reader)
    #expect(reader.reasonForAbsence?.contains("/nonexistent/helper") == true)
  }

  @Test(
    .enabled(if: CounterBench.hasLibrary && !CounterBench.hasModules, "needs libipmctl, no modules")
  )
  func `the library of Debian says that there is no module`() throws {
    let feed = try ModuleCounterFeed(
      .arbiter(at: CounterBench.tool), limits: ModuleCounterFeed.Limits())
    var reader = ModuleCounters(feed: feed, handles: nil)
    _ = Self.next(&reader)
    let reason = try #require(reader.reasonForAbsence)
    #expect(reason.contains("no module") || reason.contains("asks for root"), "\(reason)")
  }

  @Test(.enabled(if: CounterBench.hasLibraryHeader, "libipmctl-dev is not installed"))
  func `our layouts are those of the library's header`() {
    let folder = TemporaryFolder()
    let fields = [
      ("ArbModuleRecord", "handle", "device_discovery", "device_handle"),
      ("ArbModuleRecord", "socket", "device_discovery", "socket_id"),
      ("ArbModuleRecord", "identifier", "device_discovery", "uid"),
      ("ArbModuleCounts", "media_reads", "device_performance", "bytes_read"),
      ("ArbModuleCounts", "media_writes", "device_performance", "bytes_written"),
      ("ArbModuleCounts", "requested_reads", "device_performance", "host_reads"),
      ("ArbModuleCounts", "requested_writes", "device_performance", "host_writes"),
    ]
    let checks = fields.map { ours, field, theirs, name in
      """
      _Static_assert(offsetof(\(ours), \(field)) == offsetof(struct \(theirs), \(name)), "place");
      _Static_assert(
          sizeof(((\(ours) *)0)->\(field)) == sizeof(((struct \(theirs) *)0)->\(name)), "size");

      """
    }
    folder.write(
      """
      #include <nvm_management.h>
      #include <CArbiterCounters.h>
      _Static_assert(sizeof(ArbModuleRecord) == sizeof(struct device_discovery), "record");
      _Static_assert(sizeof(ArbModuleCounts) == sizeof(struct device_performance), "counts");
      \(checks.joined())
      int (*count)(unsigned int *) = nvm_get_number_of_devices;
      int (*list)(struct device_discovery *, const NVM_UINT8) = nvm_get_devices;
      int (*read_one)(const NVM_UID, struct device_performance *) = nvm_get_device_performance;
      int (*version)() = nvm_get_major_version;
      int (*begin)() = nvm_init;

      """, to: "layout.c")
    let status = CounterBench.shell(
      "clang -std=gnu11 -Werror=incompatible-pointer-types -fsyntax-only "
        + "-I '\(CounterBench.headers)' '\(folder.path)/layout.c' 2> '\(folder.path)/errors'")
    #expect(status == 0, "\(CounterBench.text(of: "\(folder.path)/errors"))")
  }
}
