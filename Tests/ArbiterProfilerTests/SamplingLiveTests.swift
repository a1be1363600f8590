// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlatform
import ArbiterProfiler
import ArbiterTestSupport
import CArbiterSampling
import CTestSupport
import Glibc
import Testing

/// Everything that a sampler holds.
@safe
func drained(_ sampler: Sampler) -> [ArbSample] {
  var all: [ArbSample] = []
  let room = UnsafeMutableBufferPointer<ArbSample>.allocate(capacity: 256)
  defer { unsafe room.deallocate() }
  while true {
    let count = unsafe sampler.drain(into: room)
    for index in 0..<count { all.append(unsafe room[index]) }
    if count < room.count { return all }
  }
}

/// Whether this machine lets this user sample a clock, and compiles programs.
let canSample: Bool = {
  SamplingProbe.read().timer.value != nil && SamplingProgram.path != nil
}()

/// Descriptors of events in this process; others the language's runtime opens when it likes.
func ownDescriptorCount() -> Int {
  SystemTree().entries("/proc/self/fd").count { name in
    var bytes = [CChar](repeating: 0, count: 256)
    // SAFETY: the kernel writes at most the count that it is told.
    let count = unsafe readlink("/proc/self/fd/\(name)", &bytes, 255)
    let text = String(
      decoding: bytes.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return text.contains("perf_event")
  }
}

@Suite("Samplers of running programs", .serialized, .enabled(if: canSample))
struct SamplingLiveTests {
  static let millisecond = SampledEvent.clock(everyNanoseconds: 1_000_000)

  @Test("A clock's samples stand for the CPU time that was used, in all threads, without a loss")
  func clock() throws {
    let program = try SamplingProgram("spin", "3")
    let threads = Set(
      program.lines(until: "ready").filter { $0.count == 2 }.compactMap { Int32($0[1]) })
    let sampler = try Sampler([Self.millisecond])
    try sampler.add(process: program.process)
    #expect(sampler.threadCount == 4)
    program.step()
    let used = program.lines(until: "used").last ?? []
    sampler.stop()
    let samples = drained(sampler)
    let milliseconds = used.count == 2 ? Double(used[1]) ?? 0 : 0
    #expect(milliseconds >= 300)
    // A factor of 2: the kernel's tick of a virtual processor comes late now and then.
    #expect(Double(samples.count) > milliseconds / 2 && Double(samples.count) < milliseconds * 2)
    #expect(samples.allSatisfy { $0.process == program.process && $0.period == 1_000_000 })
    #expect(Set(samples.map(\.thread)).isSuperset(of: threads))
    #expect(samples.allSatisfy { Int($0.has) == ARB_SAMPLE_REGISTERS })
    // The instruction at `ip` is one of the program's or of its libraries.
    let code = ProcessMapping.read(ofProcess: program.process) ?? []
    #expect(samples.allSatisfy { s in code.contains { $0.addresses.contains(s.ip) } })
    // The stack pointer lies in a mapping that can be written.
    #expect(
      samples.allSatisfy { s in
        code.contains { $0.isWritable && $0.addresses.contains(s.registerList[ARB_RSP]) }
      })
    let losses = sampler.losses
    #expect(losses.lostCount == 0 && losses.sampleCount == UInt64(samples.count))
    #expect(program.end() == 17)
  }

  @Test("Times are those of the clock that nobody adjusts")
  func times() throws {
    let program = try SamplingProgram("spin", "1")
    _ = program.lines(until: "ready")
    let sampler = try Sampler([Self.millisecond])
    let before = SystemClock.monotonicRawNanoseconds()
    try sampler.add(process: program.process)
    program.step()
    _ = program.lines(until: "used")
    let samples = drained(sampler)
    let after = SystemClock.monotonicRawNanoseconds()
    #expect(!samples.isEmpty)
    #expect(samples.allSatisfy { $0.time_nanoseconds > before && $0.time_nanoseconds < after })
  }

  @Test("Every first touch of a page is told with the byte that was touched")
  func faults() throws {
    let program = try SamplingProgram("touch", "512")
    _ = program.lines(until: "ready")
    let sampler = try Sampler([.everyPageFault])
    try sampler.add(process: program.process)
    program.step()
    let line = program.nextLine()
    let samples = drained(sampler)
    let start = try #require(line.count == 2 ? UInt64(line[1]) : nil)
    let expected = (0..<512).map { start + UInt64($0 * 4096 + $0) }
    let within = samples.filter { $0.address >= start && $0.address < start + 512 * 4096 }
    #expect(within.map(\.address).sorted() == expected)
    #expect(
      within.allSatisfy {
        Int($0.has) == ARB_SAMPLE_ADDRESS | ARB_SAMPLE_REGISTERS | ARB_SAMPLE_EXACT_IP
      })
    #expect(within.allSatisfy { $0.period == 1 })
    #expect(sampler.losses.lostCount == 0)
  }

  @Test("Two events of one thread tell themselves apart")
  func twoEvents() throws {
    let program = try SamplingProgram("touch", "2000")
    _ = program.lines(until: "ready")
    let sampler = try Sampler([.clock(everyNanoseconds: 100_000), .everyPageFault])
    try sampler.add(process: program.process)
    program.step()
    _ = program.nextLine()
    let samples = drained(sampler)
    #expect(samples.filter { $0.event == 1 }.count >= 2000)
    #expect(samples.allSatisfy { $0.event == 1 || Int($0.has) & ARB_SAMPLE_ADDRESS == 0 })
    #expect(samples.allSatisfy { $0.event < 2 })
  }

  @Test("What a full ring could not take is counted, also when no later record tells of it")
  func losses() throws {
    let program = try SamplingProgram("touch", "2048")
    _ = program.lines(until: "ready")
    var options = Sampler.Options()
    options.ringBytes = 16 << 10
    let sampler = try Sampler([.everyPageFault], options: options)
    try sampler.add(process: program.process)
    #expect(sampler.ringBytes == 16 << 10)
    program.step()
    _ = program.nextLine()
    sampler.stop()
    let samples = drained(sampler)
    // One ring holds some 80 samples; the touches run on two at most in turn.
    #expect(samples.count < 1024)
    #expect(sampler.losses.lostCount + UInt64(samples.count) >= 2048)
  }

  @Test("Draining asks for no memory", .enabled(if: arb_test_counts_allocations() != 0))
  func allocations() throws {
    let program = try SamplingProgram("spin", "2")
    _ = program.lines(until: "ready")
    let sampler = try Sampler([.clock(everyNanoseconds: 100_000)])
    try sampler.add(process: program.process)
    let room = UnsafeMutableBufferPointer<ArbSample>.allocate(capacity: 64)
    defer { unsafe room.deallocate() }
    program.step()
    _ = program.lines(until: "used")
    // The first call may set something up in the language's runtime.
    var count = unsafe sampler.drain(into: room)
    let before = arb_test_allocation_count()
    for _ in 0..<20 { count += unsafe sampler.drain(into: room) }
    let after = arb_test_allocation_count()
    #expect(after == before)
    #expect(count > 500)
  }

  @Test("A program is sampled from its first instruction on, and its children with it")
  func launch() throws {
    let path = try #require(SamplingProgram.path)
    var options = Sampler.Options()
    options.tellsTasks = true
    let sampler = try Sampler([.clock(everyNanoseconds: 500_000)], options: options)
    let inbox = SignalInbox([])
    let file = try ProgramFile.find("sh", searchPath: "/usr/bin:/bin")
    let script = "(sleep 0.1; echo; sleep 0.3) | \(path) spin 2 >/dev/null; true"
    let child = try sampler.launch { () throws(PlatformError) in
      try ChildProgram(
        file, arguments: ["sh", "-c", script], environment: ChildProgram.ownEnvironment,
        inbox: inbox, ignoresPipe: false)
    }
    #expect(sampler.processes == [child.process])
    var ending: ChildProgram.Ending?
    for _ in 0..<3000 where ending == nil {
      ending = child.reap()
      usleep(10_000)
    }
    #expect(ending?.code == 0)
    let samples = drained(sampler)
    let tasks = sampler.takeTaskEvents().sorted { $0.timeNanoseconds < $1.timeNanoseconds }
    #expect(samples.count > 100)
    #expect(samples.allSatisfy { $0.process != getpid() })
    // The first that is told is the program itself; before, nothing was sampled.
    #expect(tasks.first?.process == child.process && tasks.first?.change == .executed("sh"))
    let spinner = tasks.first {
      if case .executed(let name) = $0.change { return name.hasPrefix("arbiter-sample") }
      return false
    }
    let number = try #require(spinner?.process)
    #expect(number != child.process && samples.contains { $0.process == number })
    #expect(tasks.contains { $0.process == number && isStart($0.change, number, isOther: true) })
    #expect(
      tasks.filter { $0.process == number && isStart($0.change, number, isOther: false) }.count == 2
    )
    #expect(tasks.filter { $0.process == number && $0.change == .ended }.count == 3)
    #expect(tasks.contains { mapping($0)?.name == path && mapping($0)?.isExecutable == true })
    #expect(tasks.contains { mapping($0)?.isWritable == true })
    #expect(sampler.losses.lostCount == 0)
  }

  private func isStart(_ change: TaskEvent.Change, _ process: Int32, isOther: Bool) -> Bool {
    guard case .started(let parent, _) = change else { return false }
    return (parent != process) == isOther
  }

  private func mapping(_ event: TaskEvent) -> TaskEvent.Mapping? {
    if case .mapped(let mapping) = event.change { return mapping }
    return nil
  }

  @Test("A program that cannot be started leaves nothing behind")
  func failedLaunch() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let sampler = try Sampler([Self.millisecond])
      let before = ownDescriptorCount()
      #expect(throws: PlatformError.self) {
        _ = try sampler.launch { () throws(PlatformError) in
          throw PlatformError(.notFound, reason: "no such program", nextStep: "look")
        }
      }
      let after = ownDescriptorCount()
      #expect(sampler.processes.isEmpty && after == before)
    }
  }
}
