// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// One sample of a task: an access, or a moment at which none could be told.
public struct SampledAccess: Sendable, Hashable {
  /// The process.
  public var process: Int32
  /// The thread.
  public var thread: Int32
  /// When, in nanoseconds of CLOCK_MONOTONIC_RAW.
  public var timeNanoseconds: Int64
  /// The lowest byte that was accessed; nil where the sample could not be resolved.
  public var address: UInt64?
  /// Bytes of the access; 0 where it could not be resolved.
  public var byteCount: UInt64
  /// Whether memory was written.
  public var isStore: Bool
  /// Whether memory was read; both hold of a read-modify-write.
  public var isLoad: Bool
  /// What the sample stands for, in the unit of its back-end's measure.
  public var weight: Double
  /// The name of memory in place of an address, as gates have it; nil everywhere else.
  public var place: String?
  /// Whether it is another access of the sample before: what a copy loads, behind what it stores.
  public var isFurther = false

  /// Makes a sample.
  public init(
    process: Int32, thread: Int32, timeNanoseconds: Int64, address: UInt64?, byteCount: UInt64,
    isStore: Bool, isLoad: Bool, weight: Double, place: String? = nil
  ) {
    self.process = process
    self.thread = thread
    self.timeNanoseconds = timeNanoseconds
    self.address = address
    self.byteCount = byteCount
    self.isStore = isStore
    self.isLoad = isLoad
    self.weight = weight
    self.place = place
  }
}

/// What became of the samples of a source so far: nothing is lost silently.
public struct SamplingLosses: Sendable, Hashable {
  /// Samples that were taken.
  public var sampleCount: UInt64 = 0
  /// Of them, those whose access could be told.
  public var resolvedCount: UInt64 = 0
  /// Samples that the kernel dropped because a ring was full.
  public var lostCount: UInt64 = 0
  /// Times at which the kernel held sampling back.
  public var throttleCount: UInt64 = 0

  /// Makes an account of nothing.
  public init() {}

  /// The share of samples whose access could be told; nil without samples.
  public var resolvedShare: Double? {
    sampleCount == 0 ? nil : Double(resolvedCount) / Double(sampleCount)
  }
}

/// A running source of samples, behind which each back-end stands.
public protocol AccessSource {
  /// Which back-end it is.
  var backEnd: BackEnd { get }

  /// What became of the samples so far.
  var losses: SamplingLosses { get }

  /// Hands over what was sampled since the last call, in no particular order.
  ///
  /// Never waits; called every few tens of milliseconds by one thread.
  mutating func drain(_ body: (SampledAccess) -> Void)

  /// What tasks did since the last call, in order of time, as far as the source is told.
  mutating func takeTaskEvents() -> [TaskEvent]

  /// Ends sampling and gives everything back; what was sampled before is still drained first.
  mutating func stop()
}

extension AccessSource {
  /// Nothing: most sources are not told what tasks do.
  public mutating func takeTaskEvents() -> [TaskEvent] { [] }
}
