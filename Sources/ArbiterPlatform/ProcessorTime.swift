// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What the processors of a machine, or one of them, spent their time on since it started.
///
/// In clock ticks of the kernel, of /proc/stat; ``ticksPerSecond`` of them are a second. Time of
/// virtual machines is part of `user` and `nice`, as the kernel has it.
public struct ProcessorTime: Sendable, Hashable {
  /// Ticks in user mode.
  public var user: UInt64
  /// Ticks in user mode at low priority.
  public var nice: UInt64
  /// Ticks in the kernel.
  public var system: UInt64
  /// Ticks with nothing to do.
  public var idle: UInt64
  /// Ticks with nothing to do but wait for a disk.
  public var waitingForDisk: UInt64
  /// Ticks in hardware interrupts.
  public var interrupts: UInt64
  /// Ticks in software interrupts.
  public var softInterrupts: UInt64
  /// Ticks in which the host ran somebody else; spent by nobody here.
  public var stolen: UInt64

  /// Makes a time from its parts, in ticks.
  public init(
    user: UInt64, nice: UInt64, system: UInt64, idle: UInt64, waitingForDisk: UInt64,
    interrupts: UInt64, softInterrupts: UInt64, stolen: UInt64
  ) {
    self.user = user
    self.nice = nice
    self.system = system
    self.idle = idle
    self.waitingForDisk = waitingForDisk
    self.interrupts = interrupts
    self.softInterrupts = softInterrupts
    self.stolen = stolen
  }

  /// Ticks that were spent: user, nice, system, interrupts and software interrupts.
  public var busy: UInt64 { user &+ nice &+ system &+ interrupts &+ softInterrupts }

  /// Ticks of the kernel in a second, as sysconf tells them.
  public static let ticksPerSecond: UInt64 = UInt64(max(1, SystemClock.ticksPerSecond))

  /// Seconds that were spent.
  public var busySeconds: Double { Double(busy) / Double(Self.ticksPerSecond) }

  /// Reads the time of all processors together.
  ///
  /// - Returns: nil where the kernel does not tell it.
  public static func read(from tree: SystemTree = SystemTree()) -> ProcessorTime? {
    tree.text("/proc/stat").flatMap { parse($0, line: "cpu") }
  }

  /// Finds a line of /proc/stat: `cpu` for all processors, `cpu0` for the first.
  static func parse(_ text: String, line name: String) -> ProcessorTime? {
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", omittingEmptySubsequences: true)
      guard words.first.map(String.init) == name else { continue }
      let ticks = words.dropFirst().compactMap { UInt64($0) }
      guard ticks.count >= 8 else { return nil }
      return ProcessorTime(
        user: ticks[0], nice: ticks[1], system: ticks[2], idle: ticks[3], waitingForDisk: ticks[4],
        interrupts: ticks[5], softInterrupts: ticks[6], stolen: ticks[7])
    }
    return nil
  }

  /// What was spent from an earlier reading to this one; a count that ran backwards counts as 0.
  ///
  /// The kernel's idle counts may run backwards by a tick.
  public func since(_ earlier: ProcessorTime) -> ProcessorTime {
    func difference(_ count: KeyPath<ProcessorTime, UInt64>) -> UInt64 {
      let (now, before) = (self[keyPath: count], earlier[keyPath: count])
      return now > before ? now - before : 0
    }
    return ProcessorTime(
      user: difference(\.user), nice: difference(\.nice), system: difference(\.system),
      idle: difference(\.idle), waitingForDisk: difference(\.waitingForDisk),
      interrupts: difference(\.interrupts), softInterrupts: difference(\.softInterrupts),
      stolen: difference(\.stolen))
  }

  /// CPU seconds per GiB: time spent for each GiB that was moved; nil where nothing was.
  public func secondsPerGiB(movedBytes: Double) -> Double? {
    movedBytes > 0 ? busySeconds / (movedBytes / 1_073_741_824) : nil
  }
}
