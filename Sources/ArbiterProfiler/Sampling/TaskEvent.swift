// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiterSampling

/// Something that a sampled task did, beside accessing memory.
public struct TaskEvent: Sendable, Hashable {
  /// What it did.
  public enum Change: Sendable, Hashable {
    /// The task is new: it was started by a thread of the parent, in the same process or another.
    case started(parentProcess: Int32, parentThread: Int32)
    /// The thread has ended.
    case ended
    /// The thread has another name.
    case renamed(String)
    /// The process has begun another program, of this name: all that it had mapped is gone.
    case executed(String)
    /// The process has mapped something; what it unmaps the kernel does not tell.
    case mapped(Mapping)
  }

  /// A new mapping.
  public struct Mapping: Sendable, Hashable {
    /// Its addresses.
    public var addresses: Range<UInt64>
    /// Where in the file it begins, in bytes.
    public var fileOffset: UInt64
    /// The device of the file; 0:0 without one, or where the kernel does not say.
    public var deviceMajor: UInt32
    /// The device of the file; 0:0 without one, or where the kernel does not say.
    public var deviceMinor: UInt32
    /// The file's number on its device; 0 without one, or where the kernel does not say.
    public var inode: UInt64
    /// Whether it may be written.
    public var isWritable: Bool
    /// Whether its content may be executed.
    public var isExecutable: Bool
    /// Whether others that map the same see what is stored.
    public var isShared: Bool
    /// The file's path, or what the kernel calls memory without one, such as `//anon`.
    public var name: String
  }

  /// When, in nanoseconds of CLOCK_MONOTONIC_RAW.
  public var timeNanoseconds: Int64
  /// The process.
  public var process: Int32
  /// The thread.
  public var thread: Int32
  /// What it did.
  public var change: Change

  /// Makes an event of what the ring held; nil for a kind that this type does not know.
  @safe
  init?(_ task: ArbTask, name: String) {
    timeNanoseconds = task.time_nanoseconds
    process = task.process
    thread = task.thread
    switch Int(task.kind) {
    case ARB_TASK_FORK:
      change = .started(parentProcess: task.parent_process, parentThread: task.parent_thread)
    case ARB_TASK_EXIT: change = .ended
    case ARB_TASK_NAME: change = .renamed(name)
    case ARB_TASK_EXEC: change = .executed(name)
    case ARB_TASK_MAP:
      let end = task.address.addingReportingOverflow(task.length)
      change = .mapped(
        Mapping(
          addresses: task.address..<(end.overflow ? UInt64.max : end.partialValue),
          fileOffset: task.page_offset, deviceMajor: task.device_major,
          deviceMinor: task.device_minor, inode: task.inode,
          isWritable: task.protection & 2 != 0, isExecutable: task.protection & 4 != 0,
          isShared: task.flags & 1 != 0, name: name))
    default: return nil
    }
  }
}
