// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
internal import CArbiterDecode
internal import CArbiterSampling

/// A sampler with the room into which it is drained and the resolver that reads its samples: what
/// the sampling back-ends have in common.
///
/// Tells the resolver of code that is no longer there, and keeps what tasks did for the account.
@safe
public final class SampleFeed {
  /// The sampler: whom it samples is the caller's affair.
  public let sampler: Sampler
  /// What reads the code around samples.
  public let resolver: AccessResolver

  // SAFETY: allocated here, never handed out beyond a call, given back in `deinit`.
  private let room: UnsafeMutableBufferPointer<ArbSample>
  private var taskEvents: [TaskEvent] = []

  /// Samples that are taken from the rings at a time.
  private static let roomCount = 4096
  /// Times that the rings are emptied in one call: what comes meanwhile waits for the next.
  private static let roundsMax = 64
  /// The most task events that wait for the account; the oldest go first.
  private static let taskEventCountMax = 1 << 16

  /// Prepares to sample.
  ///
  /// - Parameters:
  ///   - events: What is sampled.
  ///   - selected: Those that are taken at first, by their indices; nil for all.
  ///   - followsChildren: Whether processes that sampled ones start are sampled too.
  ///   - tree: Where the kernel describes the machine.
  /// - Throws: ``PlatformError`` where this machine or this user cannot sample, or nothing decodes.
  public init(
    _ events: [SampledEvent], selected: Set<Int>? = nil, followsChildren: Bool = true,
    tree: SystemTree = SystemTree()
  ) throws(PlatformError) {
    var options = Sampler.Options()
    options.tellsTasks = true
    options.followsChildren = followsChildren
    resolver = try AccessResolver()
    sampler = try Sampler(events, selected: selected, options: options, tree: tree)
    unsafe room = .allocate(capacity: Self.roomCount)
    unsafe room.initialize(repeating: ArbSample())
  }

  deinit { unsafe room.deallocate() }

  /// Hands over what was sampled since the last call.
  func drain(_ body: (ArbSample) -> Void) {
    for _ in 0..<Self.roundsMax {
      let count = unsafe sampler.drain(into: room)
      takeTaskEvents()
      for index in 0..<count { body(unsafe room[index]) }
      if count < Self.roomCount { return }
    }
  }

  /// Code that was decoded may be other code by now; what tasks did is kept for the account.
  private func takeTaskEvents() {
    let events = sampler.takeTaskEvents()
    guard !events.isEmpty else { return }
    for event in events {
      switch event.change {
      case .executed: resolver.forget(process: event.process)
      case .mapped(let mapping) where mapping.isExecutable:
        resolver.forget(process: event.process)
      case .ended where event.process == event.thread: resolver.forget(process: event.process)
      default: break
      }
    }
    taskEvents += events
    if taskEvents.count > Self.taskEventCountMax {
      taskEvents.removeFirst(taskEvents.count - Self.taskEventCountMax)
    }
  }

  /// What tasks did since the last call, in order of time.
  func takeTaskEventsInOrder() -> [TaskEvent] {
    let events = taskEvents.sorted { $0.timeNanoseconds < $1.timeNanoseconds }
    taskEvents = []
    return events
  }
}

extension SampledAccess {
  /// Makes a sample whose access could not be told.
  init(unresolved sample: ArbSample, weight: Double) {
    self.init(
      process: sample.process, thread: sample.thread, timeNanoseconds: sample.time_nanoseconds,
      address: nil, byteCount: 0, isStore: false, isLoad: false, weight: weight)
  }

  /// Makes a sample of an access.
  init(_ sample: ArbSample, _ access: ArbAccess, weight: Double) {
    self.init(
      process: sample.process, thread: sample.thread, timeNanoseconds: sample.time_nanoseconds,
      address: access.address, byteCount: access.byte_count, isStore: access.is_store != 0,
      isLoad: access.is_load != 0, weight: weight)
  }
}
