// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform

/// What the kernel tells of a process or a thread.
public struct ProcessFacts: Sendable, Hashable {
  /// Its name; what would move a cursor is left to whoever shows it.
  public var command: String
  /// Its parent.
  public var parent: Int32
  /// When it started, in clock ticks since the machine did.
  public var startTicks: UInt64
  /// Whether it has ended and only waits to be noticed.
  public var hasEnded: Bool

  /// Reads a process, or a thread of it.
  ///
  /// - Returns: nil where there is none of that number.
  public static func read(
    process: Int32, thread: Int32? = nil, from tree: SystemTree = SystemTree()
  ) -> ProcessFacts? {
    let path = thread.map { "/proc/\(process)/task/\($0)/stat" } ?? "/proc/\(process)/stat"
    guard let text = tree.text(path),
      let status = ProcessStatus(process: thread ?? process, text: text)
    else { return nil }
    return ProcessFacts(
      command: status.name, parent: status.parent, startTicks: status.startTicks,
      hasEnded: status.hasEnded)
  }

  /// The numbers of all processes.
  public static func all(from tree: SystemTree = SystemTree()) -> [Int32] {
    ProcessStatus.processes(in: tree)
  }

  /// A process and those that descend from it; at most 1,024.
  public static func family(of process: Int32, from tree: SystemTree = SystemTree()) -> [Int32] {
    var family: [Int32] = []
    var waiting = [process]
    // A tree of processes changes while one looks at it; the bound ends every walk.
    while let next = waiting.popLast(), family.count < familyCountMax {
      family.append(next)
      for thread in tree.entries("/proc/\(next)/task") {
        let children = tree.text("/proc/\(next)/task/\(thread)/children") ?? ""
        waiting += children.split(separator: " ").compactMap { Int32($0) }
      }
    }
    return family
  }

  private static let familyCountMax = 1024
}
