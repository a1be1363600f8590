// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What a recorded program did to memory.
///
/// The raw values are those of trace files.
public enum TraceOperation: UInt8, Sendable, Hashable, CaseIterable {
  /// Load.
  case load = 0
  /// Store to the cache, written back whenever the cache evicts the line or the program flushes it.
  case store = 1
  /// Non-temporal store.
  case storeNonTemporal = 2
  /// Store to the cache, written back at once.
  case storeWrittenBack = 3
  /// Write-back of lines that were stored before (clwb, clflushopt).
  case flush = 4
  /// Fence: orders and awaits everything before it. It has no address.
  case fence = 5
}

/// A run of equal accesses of one recorded thread: `count` times `length` bytes, `stride` bytes
/// apart.
///
/// Unlike an ``Access`` it may begin and end anywhere, at any byte, and says when it happened.
public struct TraceEvent: Sendable, Hashable {
  /// What was done.
  public var operation: TraceOperation
  /// Whether a store fence followed each access of the run.
  public var isFenced: Bool
  /// Number of the region that was accessed; see ``TraceRegion``.
  public var region: UInt8
  /// Byte offset of the first access from the start of the region, below 2^48.
  public var offset: UInt64
  /// Bytes of each access; 0 of a fence.
  public var length: UInt32
  /// How many accesses; at least 1.
  public var count: UInt32
  /// Bytes from the start of one access to the start of the next; 0 of a single access.
  public var stride: Int32
  /// When the run began, in nanoseconds since the recording did.
  public var startNanoseconds: UInt64
  /// How long the run took; the largest value stands for all larger ones.
  public var spanNanoseconds: UInt32

  /// Makes an event.
  public init(
    _ operation: TraceOperation, region: UInt8 = 0, offset: UInt64 = 0, length: UInt32,
    count: UInt32 = 1, stride: Int32 = 0, isFenced: Bool = false, startNanoseconds: UInt64 = 0,
    spanNanoseconds: UInt32 = 0
  ) {
    self.operation = operation
    self.isFenced = isFenced
    self.region = region
    self.offset = offset
    self.length = length
    self.count = count
    self.stride = stride
    self.startNanoseconds = startNanoseconds
    self.spanNanoseconds = spanNanoseconds
  }
}

/// Where the events of a recorded thread come from, which decides what its times mean.
public enum TraceSource: UInt8, Sendable, Hashable, CaseIterable {
  /// The preload: a span is the time of a library call, so what lies between two calls is the
  /// program's own time.
  case preload = 1
  /// Compiler hooks: a span is the time between the first and the last access of a run, all of it
  /// the program's own.
  case hooks = 2
  /// A workload of Arbiter's own; times as in ``preload``.
  case workload = 3
  /// Another format without times of accesses; gaps are the program's own time.
  case converted = 4

  /// Whether the span of a run is time of the program rather than of the memory.
  public var spanIsOwnTime: Bool { self == .hooks }
}

/// A range of memory that a recording covers.
public struct TraceRegion: Sendable, Hashable {
  /// Its number in events.
  public var number: UInt8
  /// What it is: a file's path, or a name that the program gave it.
  public var name: String
  /// Its size.
  public var byteCount: UInt64

  /// Makes a region.
  public init(number: UInt8, name: String, byteCount: UInt64) {
    self.number = number
    self.name = name
    self.byteCount = byteCount
  }
}

/// A thread of a recording.
public struct TraceThread: Sendable, Hashable {
  /// Its number: threads count from 0 in the order in which they were first seen.
  public var number: UInt32
  /// Where its events come from.
  public var source: TraceSource
  /// Events that the recording holds of it.
  public var eventCount: UInt64
  /// Events that the recording lost of it.
  public var lostCount: UInt64

  /// Makes a thread.
  public init(number: UInt32, source: TraceSource, eventCount: UInt64, lostCount: UInt64 = 0) {
    self.number = number
    self.source = source
    self.eventCount = eventCount
    self.lostCount = lostCount
  }
}
