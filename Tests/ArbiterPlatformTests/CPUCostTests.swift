// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlatform
import ArbiterTestSupport
import Glibc
import Testing

/// What /proc/stat tells, summed up here and nowhere else.
private struct HandReading {
  var busy: Int
  var stolen: Int

  init() throws {
    let descriptor = unsafe open("/proc/stat", O_RDONLY)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 512)
    // SAFETY: the kernel writes at most the capacity that it is told.
    let count = unsafe read(descriptor, &bytes, bytes.count)
    let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    let words = text.prefix { $0 != "\n" }.split(separator: " ")
    try #require(words.count > 8 && words[0] == "cpu")
    let ticks = words.dropFirst().compactMap { Int($0) }
    // user, nice, system, irq and softirq; idle, iowait and steal are not spent.
    busy = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]
    stolen = ticks[7]
  }
}

/// A reading of the tested code between two by hand that are at most a tick per processor apart.
private func bracketedReading() throws -> (
  before: HandReading, reading: CPUCost.Reading, after: HandReading
) {
  let processors = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
  for _ in 0..<200 {
    let before = try HandReading()
    let reading = CPUCost.Reading.now()
    let after = try HandReading()
    if after.busy - before.busy <= processors { return (before, reading, after) }
  }
  struct MachineIsTooBusy: Error {}
  throw MachineIsTooBusy()
}

/// Burns CPU time in threads until each has spent some of its own.
private func burn(threadCount: Int, milliseconds: Int) {
  var threads: [pthread_t] = []
  for _ in 0..<threadCount {
    var thread = pthread_t()
    // SAFETY: a number in the place of a pointer, which nobody follows.
    let argument = unsafe UnsafeMutableRawPointer(bitPattern: milliseconds * 1_000_000)
    let status = unsafe pthread_create(
      &thread, nil,
      { argument in
        let wanted = Int64(Int(bitPattern: argument))
        let start = SystemClock.threadCPUNanoseconds()
        while SystemClock.threadCPUNanoseconds() - start < wanted {}
        return nil
      }, argument)
    if status == 0 { threads.append(thread) }
  }
  for thread in threads { pthread_join(thread, nil) }
}

@Suite("CPU cost", .serialized)
struct CPUCostTests {
  @Test(arguments: [1, 2, 5])
  func `it agrees with /proc/stat by hand, within a tick per processor`(threads: Int) throws {
    let processors = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    let first = try bracketedReading()
    burn(threadCount: threads, milliseconds: 120)
    let second = try bracketedReading()
    let cost = CPUCost(from: first.reading, to: second.reading)
    let ticks = Double(ProcessorTime.ticksPerSecond)
    let spent = (try #require(cost.machineSeconds.value) * ticks).rounded()
    // By hand, from just before to just before and from just after to just after.
    for hand in [
      second.before.busy - first.before.busy, second.after.busy - first.after.busy,
    ] { #expect(abs(spent - Double(hand)) <= Double(processors)) }
    #expect(Int(spent) >= second.before.busy - first.after.busy)
    #expect(Int(spent) <= second.after.busy - first.before.busy)
    let stolen = (try #require(cost.stolenSeconds.value) * ticks).rounded()
    #expect(Int(stolen) >= second.before.stolen - first.after.stolen)
    #expect(Int(stolen) <= second.after.stolen - first.before.stolen)
    // What the threads spent is in it, by the kernel's two ways of counting.
    let process = try #require(cost.process.value)
    #expect(process.seconds >= 0.119 * Double(threads))
    #expect(spent > 0)
    // The figure for each GiB is the same sum, divided.
    let moved = 3.0 * 1_073_741_824
    let perGiB = try #require(cost.machineSecondsPerGiB(movedBytes: moved).value)
    #expect(abs(perGiB * 3 - spent / ticks) < 1e-9)
    #expect(cost.processSecondsPerGiB(movedBytes: moved).value == process.seconds / 3)
  }

  @Test func `a process's time is that of its threads, and of another process too`() throws {
    // Other tests spend the time of the same process meanwhile, so that the fine clock is read on
    // both sides of each reading.
    func fine() -> Double { CPUCost.ProcessTime.ofThisProcess().seconds }
    let own = getpid()
    let (fineFirst, before, fineSecond) = (fine(), CPUCost.Reading.now(ofProcess: own), fine())
    burn(threadCount: 2, milliseconds: 60)
    let (fineThird, after, fineFourth) = (fine(), CPUCost.Reading.now(ofProcess: own), fine())
    let spent = try #require(CPUCost(from: before, to: after).process.value).seconds
    // User and system time are whole ticks, each rounded down.
    let doubt = 2 / Double(ProcessorTime.ticksPerSecond)
    #expect(spent >= fineThird - fineSecond - doubt)
    #expect(spent <= fineFourth - fineFirst + doubt)
    #expect(fineThird - fineSecond >= 0.119)
  }

  @Test func `what the kernel does not tell is unavailable, never zero`() {
    let folder = TemporaryFolder()
    let tree = SystemTree(root: folder.path)
    let nothing = CPUCost.Reading.now(ofProcess: 1, from: tree)
    let cost = CPUCost(from: nothing, to: nothing)
    #expect(cost.machineSeconds.reason?.contains("/proc/stat") == true)
    #expect(cost.stolenShare.value == nil)
    #expect(cost.process.reason == "process 1 has ended or is hidden (/proc/1/stat)")
    #expect(cost.machineSecondsPerGiB(movedBytes: 1).value == nil)
    folder.write("cpu  1 2 3 4\n", to: "proc/stat")
    #expect(CPUCost.Reading.now(from: tree).machine.value == nil)
    let now = CPUCost.Reading.now()
    #expect(
      CPUCost(from: now, to: now).machineSecondsPerGiB(movedBytes: 0).reason
        == "nothing was moved")
    #expect(CPUCost(from: now, to: now).stolenShare.value == nil)
  }

  @Test func `steal stands apart, and a name with blanks and parentheses is read over`() throws {
    let folder = TemporaryFolder()
    let tree = SystemTree(root: folder.path)
    func reading(_ stat: String, user: Int, system: Int) -> CPUCost.Reading {
      folder.write("cpu  \(stat) 0 0\ncpu0 9 9 9 9 9 9 9 9 9 9\n", to: "proc/stat")
      folder.write(
        "7 (a) b (c)) S 1 1 1 0 -1 4194304 1 2 3 4 \(user) \(system) 55 66 20 0 1 0 5 6 7\n",
        to: "proc/7/stat")
      return .now(ofProcess: 7, from: tree)
    }
    let first = reading("10 20 30 1000 50 60 70 80", user: 100, system: 10)
    let second = reading("11 22 33 1034 45 65 76 87", user: 150, system: 35)
    let cost = CPUCost(from: first, to: second)
    let tick = 1 / Double(ProcessorTime.ticksPerSecond)
    #expect(cost.machineSeconds.value == 17 * tick)
    #expect(cost.stolenSeconds.value == 7 * tick)
    #expect(cost.stolenShare.value == 7.0 / (17 + 34 + 7))
    let process = try #require(cost.process.value)
    #expect(abs(process.userSeconds - 50 * tick) < 1e-9)
    #expect(abs(process.systemSeconds - 25 * tick) < 1e-9)
  }
}
