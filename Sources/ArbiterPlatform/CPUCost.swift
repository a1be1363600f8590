// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterMetrics
internal import Glibc

// Time and not cycles: a core that waits for slow memory is as lost to others at any clock rate,
// and cycles of two rates cannot be added. Both scopes are needed. The machine's time includes what
// kernel threads and interrupts do on a program's behalf, and what everybody else does; the
// process's time includes neither.

/// The CPU time that went by between two moments, of the whole machine and of one process.
public struct CPUCost: Sendable, Hashable {
  /// Seconds of CPU time of a process.
  public struct ProcessTime: Sendable, Hashable {
    /// Seconds in user mode.
    public var userSeconds: Double
    /// Seconds in the kernel.
    public var systemSeconds: Double

    /// Makes a time from its parts.
    public init(userSeconds: Double, systemSeconds: Double) {
      self.userSeconds = userSeconds
      self.systemSeconds = systemSeconds
    }

    /// Seconds in both.
    public var seconds: Double { userSeconds + systemSeconds }
  }

  /// What the clocks show at one moment.
  public struct Reading: Sendable, Hashable {
    /// The time of all processors.
    public var machine: Figure<ProcessorTime>
    /// The time of the process.
    public var process: Figure<ProcessTime>
    /// Nanoseconds since an arbitrary moment.
    public var wallNanoseconds: Int64

    /// Makes a reading from its parts.
    public init(
      machine: Figure<ProcessorTime>, process: Figure<ProcessTime>, wallNanoseconds: Int64
    ) {
      self.machine = machine
      self.process = process
      self.wallNanoseconds = wallNanoseconds
    }

    /// Reads the clocks now.
    ///
    /// - Parameters:
    ///   - process: Whose time is read, without its children; nil for this process, whose clock is
    ///     finer than ticks.
    ///   - tree: Where the kernel's files lie.
    /// - Returns: What they show.
    /// - Complexity: Two files and two system calls, some 50 us; ticks are 10 ms on most kernels.
    public static func now(
      ofProcess process: Int32? = nil, from tree: SystemTree = SystemTree()
    ) -> Reading {
      let machine = Figure(
        ProcessorTime.read(from: tree),
        otherwise: "the kernel does not tell what processors did (/proc/stat)")
      let own: Figure<ProcessTime>
      if let process {
        own = Figure(
          ProcessTime.read(of: process, from: tree),
          otherwise: "process \(process) has ended or is hidden (/proc/\(process)/stat)")
      } else {
        own = .known(.ofThisProcess())
      }
      return Reading(
        machine: machine, process: own,
        wallNanoseconds: SystemClock.monotonicRawNanoseconds())
    }
  }

  /// What all processors did meanwhile, in ticks.
  public var machine: Figure<ProcessorTime>
  /// What the process spent meanwhile.
  public var process: Figure<ProcessTime>
  /// Seconds between the two moments.
  public var wallSeconds: Double

  /// Makes a cost from its parts.
  public init(
    machine: Figure<ProcessorTime>, process: Figure<ProcessTime>, wallSeconds: Double
  ) {
    self.machine = machine
    self.process = process
    self.wallSeconds = wallSeconds
  }

  /// The cost from one reading to a later one.
  public init(from earlier: Reading, to later: Reading) {
    machine = Self.both(earlier.machine, later.machine) { $1.since($0) }
    process = Self.both(earlier.process, later.process) {
      // Times of a process never fall; what a kernel rounds may.
      ProcessTime(
        userSeconds: max(0, $1.userSeconds - $0.userSeconds),
        systemSeconds: max(0, $1.systemSeconds - $0.systemSeconds))
    }
    wallSeconds = Double(max(0, later.wallNanoseconds - earlier.wallNanoseconds)) / 1e9
  }

  private static func both<Value>(
    _ earlier: Figure<Value>, _ later: Figure<Value>, _ difference: (Value, Value) -> Value
  ) -> Figure<Value> {
    switch (earlier, later) {
    case (.known(let earlier), .known(let later)): .known(difference(earlier, later))
    case (.unavailable(let reason), _), (_, .unavailable(let reason)): .unavailable(reason)
    }
  }

  /// Seconds that all processors spent: user, nice, system, interrupts and software interrupts.
  public var machineSeconds: Figure<Double> { machine.map(\.busySeconds) }

  /// Seconds in which the host ran somebody else; in no other figure.
  public var stolenSeconds: Figure<Double> {
    machine.map { Double($0.stolen) / Double(ProcessorTime.ticksPerSecond) }
  }

  /// The share of the processors' time that the host gave to somebody else, 0 to 1.
  ///
  /// More than some hundredths spoil a measurement.
  public var stolenShare: Figure<Double> {
    switch machine {
    case .unavailable(let reason): return .unavailable(reason)
    case .known(let time):
      let all = time.busy + time.idle + time.waitingForDisk + time.stolen
      return all == 0
        ? .unavailable("no clock tick of the kernel went by")
        : .known(Double(time.stolen) / Double(all))
    }
  }

  /// CPU seconds of the machine for each GiB that was moved.
  public func machineSecondsPerGiB(movedBytes: Double) -> Figure<Double> {
    Self.perGiB(machineSeconds, movedBytes)
  }

  /// CPU seconds of the process for each GiB that was moved.
  public func processSecondsPerGiB(movedBytes: Double) -> Figure<Double> {
    Self.perGiB(process.map(\.seconds), movedBytes)
  }

  private static func perGiB(_ seconds: Figure<Double>, _ movedBytes: Double) -> Figure<Double> {
    guard movedBytes > 0 else { return .unavailable("nothing was moved") }
    return seconds.map { $0 / (movedBytes / 1_073_741_824) }
  }
}

extension CPUCost.ProcessTime {
  /// The time of this process so far, all of its threads together.
  public static func ofThisProcess() -> CPUCost.ProcessTime {
    var usage = rusage()
    // SAFETY: the kernel fills the whole structure that is passed.
    let status = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    precondition(status == 0, "getrusage failed for the process itself")
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return CPUCost.ProcessTime(
      userSeconds: seconds(usage.ru_utime), systemSeconds: seconds(usage.ru_stime))
  }

  /// The time of a process so far, in ticks' exactness and without its children.
  ///
  /// Source: proc(5), utime and stime: fields 14 and 15 of /proc/PID/stat.
  ///
  /// - Returns: nil where there is no such process, or it is hidden.
  public static func read(
    of process: Int32, from tree: SystemTree = SystemTree()
  ) -> CPUCost.ProcessTime? {
    // The name may hold anything, parentheses too; the last one ends it.
    guard let text = tree.text("/proc/\(process)/stat"), let end = text.lastIndex(of: ")") else {
      return nil
    }
    let fields = text[text.index(after: end)...].split(separator: " ")
    guard fields.count > 12, let user = UInt64(fields[11]), let system = UInt64(fields[12]) else {
      return nil
    }
    let rate = Double(ProcessorTime.ticksPerSecond)
    return CPUCost.ProcessTime(
      userSeconds: Double(user) / rate, systemSeconds: Double(system) / rate)
  }
}
