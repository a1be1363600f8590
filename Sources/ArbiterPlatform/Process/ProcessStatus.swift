// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// What the kernel tells of a process or a thread in its file `stat`.
public struct ProcessStatus: Sendable, Hashable {
  /// The process.
  public var process: Int32
  /// Its name, as the kernel cuts it: at most 15 bytes of whatever the program chose.
  public var name: String
  /// When it started, in clock ticks since the machine did; tells two processes of one number
  /// apart.
  public var startTicks: UInt64
  /// CPU time of all its threads in user mode, in clock ticks.
  public var userTicks: UInt64
  /// CPU time of all its threads in the kernel, in clock ticks.
  public var systemTicks: UInt64
  /// Whether it is a thread of the kernel, which maps nothing.
  public var isKernelThread: Bool
  /// Its parent.
  public var parent: Int32
  /// Whether it has ended and only waits to be noticed.
  public var hasEnded: Bool

  /// Its CPU time in nanoseconds, as exact as clock ticks are.
  public var cpuNanoseconds: UInt64 {
    (userTicks &+ systemTicks).multipliedReportingOverflow(
      by: 1_000_000_000 / ProcessorTime.ticksPerSecond
    ).partialValue
  }

  /// Reads the status of a process; nil where it is gone.
  public static func read(
    ofProcess process: Int32, from tree: SystemTree = SystemTree()
  ) -> ProcessStatus? {
    tree.text("/proc/\(process)/stat").flatMap { ProcessStatus(process: process, text: $0) }
  }

  /// Source: Linux, fs/proc/array.c, do_task_stat; the name stands in parentheses and may hold any.
  package init?(process: Int32, text: String) {
    guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close
    else { return nil }
    let words = text[text.index(after: close)...].split(separator: " ")
    // Field 3 of the file, the state, is the first word here: the parent is field 4, flags are 9,
    // times 14 and 15, and the start is 22.
    guard words.count > 19, let parent = Int32(words[1]), let flags = UInt64(words[6]),
      let user = UInt64(words[11]),
      let system = UInt64(words[12]), let start = UInt64(words[19])
    else { return nil }
    self.process = process
    name = String(text[text.index(after: open)..<close])
    (startTicks, userTicks, systemTicks) = (start, user, system)
    self.parent = parent
    hasEnded = words[0] == "Z" || words[0] == "X"
    // PF_KTHREAD of linux/sched.h.
    isKernelThread = flags & 0x0020_0000 != 0
  }

  /// The most processes that are listed: the kernel's own limit on 64-bit machines.
  private static let processCountMax = 1 << 22

  /// The processes that /proc shows, in no order.
  public static func processes(in tree: SystemTree = SystemTree()) -> [Int32] {
    guard let folder = unsafe opendir(tree.root + "/proc") else { return [] }
    defer { unsafe closedir(folder) }
    var found: [Int32] = []
    while found.count < processCountMax, let entry = unsafe readdir(folder) {
      // SAFETY: d_name is a zero-terminated text that lives until the next readdir.
      let number = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes -> Int32? in
        var value: Int32 = 0
        var digitCount = 0
        for index in 0..<bytes.count {
          let byte = unsafe bytes[index]
          if byte == 0 { break }
          guard (0x30...0x39).contains(byte), digitCount < 9 else { return nil }
          value = value * 10 + Int32(byte - 0x30)
          digitCount += 1
        }
        return digitCount > 0 ? value : nil
      }
      if let number { found.append(number) }
    }
    return found
  }
}
