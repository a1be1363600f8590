// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0
//
// Samples of running threads: events of the kernel, and the rings into which they write.
//
//   thread 1 ─┬─ event on processor 0 ─┐
//             └─ event on processor 1 ─┼─┐      one ring per processor, owned by an event that
//   thread 2 ─┬─ event on processor 0 ─┘ ├───►  reports nothing and outlives every thread
//             └─ event on processor 1 ───┘
//
// The kernel lets threads hand events on to those that they start only where an event belongs to
// one processor; hence threads x processors descriptors.
//
// I1  Every thread of a process is sampled: those that exist have events of their own, those that
//     come later have those of the thread that started them.
// I2  No thread is sampled twice for long: where both hold of a thread that was born meanwhile, its
//     first sample shows it and its own events are closed.
// I3  A record that the kernel dropped is counted, also where no later record tells of it.
// I4  After `detach` nothing is left of it: no descriptor, no mapping, no limit.

public import ArbiterPlatform
public import CArbiterSampling

/// Samples what threads do, while they run.
///
/// Belongs to one thread: every call comes from there.
@safe
public final class Sampler: CustomStringConvertible {
  /// What to ask of the kernel, beside the events.
  public struct Options: Sendable, Hashable {
    /// Bytes of each processor's ring, rounded up to a power of two of pages.
    ///
    /// Where the kernel allows less it is less: see ``Sampler/ringBytes``.
    public var ringBytes = 512 << 10
    /// Whether processes that sampled ones start are sampled too, or only their own threads.
    public var followsChildren = true
    /// Whether starts, ends, names, programs and mappings are told: ``Sampler/takeTaskEvents()``.
    public var tellsTasks = false
    /// The most threads that are opened one by one; nil for as many as descriptors allow.
    public var threadMax: Int?

    /// Makes the usual ones.
    public init() {}
  }

  /// What is sampled; a sample's `event` is an index here.
  public let events: [SampledEvent]
  /// What was asked for beside them.
  public let options: Options

  let tree: SystemTree
  let specifications: [ArbSampledEvent]
  var rings: RingSet
  var targets: [Target] = []
  var limit = DescriptorLimit()
  /// Records that events which are stopped but open told to be lost.
  var lostWhileOpen: UInt64 = 0
  var isStopped = false
  var closedRedundantCount: UInt64 = 0
  /// Which events are taken now; the others are open and rest.
  var selected: Set<Int>

  /// Makes a sampler of no process yet.
  ///
  /// - Parameters:
  ///   - events: What is sampled: at least one event and at most four, each once.
  ///   - selected: Those that are taken at first, by their indices; nil for all.
  ///   - options: What else to ask for.
  ///   - tree: Where the kernel describes the machine.
  /// - Throws: ``PlatformError`` where this machine has no such event, where the kernel does not
  ///   let this user sample, or where it grants no memory for rings.
  public init(
    _ events: [SampledEvent], selected: Set<Int>? = nil, options: Options = Options(),
    tree: SystemTree = SystemTree()
  ) throws(PlatformError) {
    precondition(1...ARB_FORMAT_MAX ~= events.count, "\(events.count) events")
    precondition(Set(events).count == events.count, "an event twice")
    self.events = events
    self.selected = selected ?? Set(events.indices)
    self.options = options
    self.tree = tree
    specifications = try Self.specifications(of: events, options, tree: tree)
    rings = try RingSet(specifications, bytes: options.ringBytes, tree: tree)
  }

  deinit {
    detach()
  }

  /// Bytes of each processor's ring.
  public var ringBytes: Int { rings.bytes }

  /// How many rings there are: one for each processor.
  public var ringCount: Int { rings.count }

  /// Threads that have events of their own.
  public var threadCount: Int { targets.reduce(0) { $0 + $1.threads.count } }

  /// Processes that are sampled, without those that they have started.
  public var processes: [Int32] { targets.map(\.process) }

  /// What is sampled, where to, in one sentence.
  public var description: String {
    let what = events.map(\.description).joined(separator: ", ")
    let size = rings.bytes >> 10
    let asked = RingSet.rounded(options.ringBytes) >> 10
    let less = size < asked ? " (\(asked) KiB asked for; \(rings.shortage ?? ""))" : ""
    return "\(what); \(rings.count) rings of \(size) KiB\(less)"
  }

  /// Every record that was met so far, by what became of it.
  public var counts: ArbRingCounts { rings.counts }

  /// What became of the samples; that they are resolved somebody else has to say.
  ///
  /// A record that made no sense counts as one that was lost.
  public var losses: SamplingLosses {
    var losses = SamplingLosses()
    let counts = rings.counts
    losses.sampleCount = counts.samples
    // Each count is far below the largest number: the reader bounds what records claim.
    losses.lostCount =
      max(counts.lost, rings.lostAtClose + lostWhileOpen) + counts.truncated + counts.unknown
      + counts.broken + counts.overrun + rings.droppedTaskCount
    losses.throttleCount = counts.throttles
    return losses
  }

  /// Takes what was sampled since the last call, ring by ring, in order within each.
  ///
  /// Never waits and, but for task events, allocates nothing.
  ///
  /// - Parameter room: Where the samples go.
  /// - Returns: How many there are. A full `room` means that there may be more.
  public func drain(into room: UnsafeMutableBufferPointer<ArbSample>) -> Int {
    // SAFETY: the room is the caller's for the time of the call.
    let count = unsafe rings.drain(into: room)
    closeRedundantThreads()
    return count
  }

  /// Takes what the tasks did, as far as ``drain(into:)`` has come; empty unless asked for.
  ///
  /// In order for each processor, not among them: sort by time where it matters.
  public func takeTaskEvents() -> [TaskEvent] { rings.takeTaskEvents() }

  /// Ends sampling of every process and gives all descriptors, mappings and limits back.
  ///
  /// What lies in the rings is gone: stop, drain, then detach. A second call does nothing.
  public func detach() {
    for target in targets { close(target) }
    targets = []
    lostWhileOpen = 0
    rings.close()
    limit.restore()
  }
}
