// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlatform
import ArbiterProfiler
import ArbiterTestSupport
import CArbiterSampling
import Glibc
import Testing

@Suite("Samplers and the programs they join", .serialized, .enabled(if: canSample))
struct SamplingAttachTests {
  static let millisecond = SampledEvent.clock(everyNanoseconds: 1_000_000)

  @Test("Each of many threads that exist already is sampled")
  func manyThreads() throws {
    let program = try SamplingProgram("spin", "40", "20")
    let lines = program.lines(until: "ready").filter { $0[0] == "thread" }
    // Threads that print after "ready" have their number in the list of tasks.
    let listed = SystemTree().entries("/proc/\(program.process)/task").compactMap { Int32($0) }
    #expect(lines.count <= 40 && listed.count == 41)
    let sampler = try Sampler([.clock(everyNanoseconds: 2_000_000)])
    try sampler.add(process: program.process)
    #expect(sampler.threadCount == 41)
    program.step()
    _ = program.lines(until: "used")
    let sampled = Set(drained(sampler).map(\.thread))
    #expect(sampled.isSuperset(of: Set(listed).subtracting([program.process])))
    #expect(sampler.losses.lostCount == 0)
    #expect(program.end() == 17)
  }

  @Test("Joining and leaving 100 times leaves no descriptor, no mapping and no mark")
  func hundredTimes() async {
    // In a process of its own, whose descriptors no other test opens.
    await #expect(processExitsWith: .exitCode(0)) {
      let program = try SamplingProgram("churn")
      _ = program.lines(until: "ready")
      func mappingCount() -> Int {
        (ProcessMapping.read(ofProcess: getpid()) ?? []).filter { $0.name.contains("perf_event") }
          .count
      }
      let descriptors = ownDescriptorCount()
      #expect(mappingCount() == 0)
      var counts: [Int] = []
      for round in 0..<100 {
        let sampler = try Sampler([.clock(everyNanoseconds: 100_000), .everyPageFault])
        try sampler.add(process: program.process)
        if round == 0 { #expect(mappingCount() == sampler.ringCount) }
        #expect(sampler.threadCount >= 5)
        usleep(1000)
        counts.append(drained(sampler).count)
        sampler.detach()
        sampler.detach()
        #expect(drained(sampler).isEmpty)
      }
      #expect(ownDescriptorCount() == descriptors)
      #expect(mappingCount() == 0)
      #expect(counts.reduce(0, +) > 0)
      #expect(program.end() == 17)
    }
  }

  @Test("Threads that come and go while a sampler joins count once")
  func churn() throws {
    let program = try SamplingProgram("churn")
    _ = program.lines(until: "ready")
    let sampler = try Sampler([Self.millisecond])
    try sampler.add(process: program.process)
    program.step()
    let before = Double(program.lines(until: "used").last?.last ?? "") ?? 0
    _ = drained(sampler)
    var count = 0
    for _ in 0..<10 {
      usleep(50_000)
      count += drained(sampler).count
    }
    program.step()
    let after = Double(program.lines(until: "used").last?.last ?? "") ?? 0
    sampler.stop()
    count += drained(sampler).count
    // Starting threads is the kernel's work and not sampled: the floor is low, the ceiling is not.
    #expect(after - before > 50)
    #expect(Double(count) < 1.25 * (after - before) + 20)
    #expect(Double(count) > (after - before) / 10)
    #expect(sampler.losses.lostCount == 0)
    #expect(program.end() == 17)
  }

  @Test("A process that inherits events counts once where it is added, and on when its parent goes")
  func redundant() async {
    // In a process of its own, whose descriptors no other test opens.
    await #expect(processExitsWith: .exitCode(0)) {
      let path = try #require(SamplingProgram.path)
      let shell = try SamplingProgram(command: ["/bin/sh", "-c", "read x; \(path) spin 2; true"])
      let sampler = try Sampler([Self.millisecond])
      try sampler.add(process: shell.process)
      shell.step()
      _ = shell.lines(until: "ready")
      let list = SystemTree().text("/proc/\(shell.process)/task/\(shell.process)/children")
      let spinner = try #require(list.flatMap { Int32($0) })
      _ = drained(sampler)
      let descriptors = ownDescriptorCount()
      try sampler.add(process: spinner)
      #expect(ownDescriptorCount() == descriptors + 3 * sampler.ringCount)
      func share() -> Double {
        shell.step()
        let used = Double(shell.lines(until: "used").last?.last ?? "") ?? 0
        return Double(drained(sampler).filter { $0.process == spinner }.count) / max(used, 1)
      }
      // Both sets of events fire, and the first samples tell that one of them is too much.
      _ = share()
      #expect(sampler.counts.duplicates > 0)
      let once = share()
      #expect(once > 0.5 && once < 1.5)
      // The two threads that ran have only what they inherited; the first thread hardly ran.
      #expect(ownDescriptorCount() <= descriptors + sampler.ringCount)
      sampler.remove(process: shell.process)
      let alone = share()
      #expect(alone > 0.5 && alone < 1.5)
      #expect(sampler.processes == [spinner])
    }
  }

  @Test("Processes come and go while others are sampled")
  func severalProcesses() throws {
    let one = try SamplingProgram("spin", "1")
    let other = try SamplingProgram("spin", "1")
    _ = one.lines(until: "ready")
    _ = other.lines(until: "ready")
    let sampler = try Sampler([Self.millisecond])
    func sampled() -> Set<Int32> {
      one.step()
      other.step()
      _ = one.lines(until: "used")
      _ = other.lines(until: "used")
      return Set(drained(sampler).map(\.process))
    }
    #expect(sampled() == [])
    try sampler.add(process: one.process)
    #expect(sampled() == [one.process])
    try sampler.add(process: other.process)
    #expect(sampled() == [one.process, other.process])
    sampler.remove(process: one.process)
    #expect(sampled() == [other.process])
    try sampler.add(process: one.process)
    #expect(sampled() == [one.process, other.process])
    #expect(throws: PlatformError.self) { try sampler.add(process: one.process) }
    #expect(Set(sampler.processes) == [one.process, other.process])
  }

  @Test("A process that does not exist, and one with too many threads, are refused in a sentence")
  func refusals() async {
    // In a process of its own, whose descriptors no other test opens.
    await #expect(processExitsWith: .exitCode(0)) {
      let sampler = try Sampler([Self.millisecond])
      let missing = #expect(throws: PlatformError.self) {
        try sampler.add(process: 0x3FFF_FFFF)
      }
      #expect(missing?.code == .notFound)
      #expect(missing?.reason == "process 1073741823 does not exist")
      let program = try SamplingProgram("spin", "9")
      _ = program.lines(until: "ready")
      var options = Sampler.Options()
      options.threadMax = 9
      let small = try Sampler([Self.millisecond], options: options)
      let before = ownDescriptorCount()
      let crowded = #expect(throws: PlatformError.self) { try small.add(process: program.process) }
      #expect(crowded?.code == .resourceLimit)
      #expect(crowded?.reason.contains("has 10 threads") == true)
      #expect(ownDescriptorCount() == before && small.processes.isEmpty)
    }
  }

  @Test("Other threads are refused descriptors no longer than the events need them")
  func descriptorLimit() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let program = try SamplingProgram("spin", "60")
      _ = program.lines(until: "ready")
      var limit = rlimit(rlim_cur: 100, rlim_max: 4096)
      // SAFETY: the struct outlives the calls.
      precondition(unsafe setrlimit(__rlimit_resource_t(7), &limit) == 0)
      let sampler = try Sampler([.clock(everyNanoseconds: 1_000_000)])
      try sampler.add(process: program.process)
      precondition(unsafe getrlimit(__rlimit_resource_t(7), &limit) == 0)
      precondition(limit.rlim_cur == 4096 && sampler.threadCount == 61)
      sampler.detach()
      precondition(unsafe getrlimit(__rlimit_resource_t(7), &limit) == 0)
      precondition(limit.rlim_cur == 100)
      // A hard limit that is too low is told as such.
      limit.rlim_max = 150
      precondition(unsafe setrlimit(__rlimit_resource_t(7), &limit) == 0)
      let other = try Sampler([.clock(everyNanoseconds: 1_000_000)])
      do throws(PlatformError) {
        try other.add(process: program.process)
        exit(3)
      } catch {
        precondition(error.code == .resourceLimit && error.reason.contains("the limit of 150"))
      }
      exit(program.end() == 17 ? 0 : 4)
    }
  }

  @Test(
    "A user samples own processes and no others, within the memory that the kernel grants",
    .enabled(
      if: getuid() == 0 && (SystemTree().number("/proc/sys/kernel/perf_event_paranoid") ?? 9) <= 2))
  func unprivileged() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let foreign = try SamplingProgram("spin", "1")
      _ = foreign.lines(until: "ready")
      // Neither root nor anything that could lock more memory than users may.
      var limit = rlimit(rlim_cur: 0, rlim_max: 0)
      // SAFETY: the struct outlives the call. Source: asm-generic/resource.h: MEMLOCK is 8.
      precondition(unsafe setrlimit(__rlimit_resource_t(8), &limit) == 0)
      // The saved number alone stays root's, for the removal of the program: it allows nothing.
      precondition(setgid(65_534) == 0 && setreuid(65_534, 0) == 0 && seteuid(65_534) == 0)
      let program = try SamplingProgram("spin", "1")
      _ = program.lines(until: "ready")
      var options = Sampler.Options()
      options.ringBytes = 4 << 20
      let sampler = try Sampler([.clock(everyNanoseconds: 1_000_000)], options: options)
      let text = sampler.description
      precondition(sampler.ringBytes < 4 << 20 && text.contains("kernel.perf_event_mlock_kb is"))
      try sampler.add(process: program.process)
      program.step()
      _ = program.lines(until: "used")
      precondition(drained(sampler).count >= 50)
      do throws(PlatformError) {
        try sampler.add(process: foreign.process)
        exit(3)
      } catch {
        precondition(error.code == .noPermission)
        precondition(error.reason.contains("kernel.perf_event_paranoid is"))
      }
      precondition(sampler.processes == [program.process])
      let code = program.end()
      seteuid(0)
      exit(code == 17 ? 0 : 4)
    }
  }

  @Test("A refusal names the setting with its value and what to do about it")
  func permission() {
    let folder = TemporaryFolder()
    folder.makeFolder("proc/sys/kernel")
    for (value, step) in [(4, "kernel.perf_event_paranoid=2"), (2, "CAP_PERFMON")] {
      folder.write("\(value)\n", to: "proc/sys/kernel/perf_event_paranoid")
      for number in [EACCES, EPERM] {
        let error = SamplingRefusal.opening(
          number, "process 12", isPrecise: false, tree: SystemTree(root: folder.path))
        #expect(error.code == .noPermission)
        #expect(error.reason.contains("process 12"))
        #expect(error.reason.contains("kernel.perf_event_paranoid is \(value)"))
        #expect(error.nextStep.contains(step))
      }
    }
    let tree = SystemTree(root: folder.path)
    let missing = SamplingRefusal.opening(ENOENT, "process 12", isPrecise: true, tree: tree)
    #expect(missing.code == .unsupported)
    #expect(
      missing.reason
        == "this machine offers no precise store event (no performance-monitoring unit)")
    #expect(
      SamplingRefusal.opening(EMFILE, "process 12", isPrecise: false, tree: tree).code
        == .resourceLimit)
  }

  @Test("The probe says what there is, and why there is not what is not")
  func probe() {
    let probe = SamplingProbe.read()
    #expect(probe.timer.value == "cpu-clock" && probe.faults.value == "page-faults")
    #expect(probe.sampleRateMax.value ?? 0 > 0 && probe.ringKibibytesMax.value ?? 0 > 0)
    #expect(probe.perfEventParanoid.value != nil)
    let hasUnit = !SystemTree().entries("/sys/bus/event_source/devices/cpu/events").isEmpty
    if !hasUnit {
      let reason = "no precise store event"
      #expect(probe.stores.reason?.contains(reason) == true)
      #expect(probe.loads.reason != nil)
    }
  }
}

@Suite("Names of precise events", .serialized)
struct SamplingNameTests {
  /// Ends this process well where libpfm4 gives the right numbers for a processor.
  ///
  /// Source: Intel SDM, events of Skylake: MEM_INST_RETIRED is 0xD0 with 0x82 for stores and 0x81
  /// for loads; before Skylake MEM_UOPS_RETIRED has the same numbers.
  private static func check(_ unit: String, _ family: String) throws -> Never {
    unsafe setenv("LIBPFM_FORCE_PMU", unit, 1)
    for (kind, umask) in [(SampledEvent.Kind.stores, UInt64(0x82)), (.loads, 0x81)] {
      var event = ArbSampledEvent()
      let name = try Sampler.named(kind, &event)
      precondition(name.hasPrefix(family))
      precondition(event.type == 4 && event.config & 0xFFFF == umask << 8 | 0xD0)
    }
    exit(0)
  }

  @Test("libpfm4 tells the numbers of stores and loads, of newer and older processors")
  func numbers() async {
    // The library looks at the processor once in a process.
    await #expect(processExitsWith: .exitCode(0)) { try Self.check("skx", "MEM_INST_RETIRED") }
    await #expect(processExitsWith: .exitCode(0)) { try Self.check("icx", "MEM_INST_RETIRED") }
    await #expect(processExitsWith: .exitCode(0)) { try Self.check("hsw", "MEM_UOPS_RETIRED") }
  }

  @Test("A missing library is told with its package")
  func missing() {
    var event = ArbSampledEvent()
    let error = #expect(throws: PlatformError.self) {
      _ = try Sampler.named(.stores, &event, library: "libpfm-that-is-not-there.so.4")
    }
    #expect(error?.code == .unsupported)
    #expect(error?.nextStep == "install the package libpfm4")
  }
}
