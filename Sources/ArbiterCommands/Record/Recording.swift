// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterTrace
internal import ArbiterWorkloads
internal import CArbiterRecord
internal import Glibc

/// A recording session: the memory that recorded threads write to, and the file it is drained into.
///
/// One thread makes it, drains it and ends it.
@safe
final class Recording {
  /// What recorded threads did so far, in figures.
  struct Figures: Sendable {
    var threadCount = 0
    var eventCount: UInt64 = 0
    var accessCount: UInt64 = 0
    var byteCount: UInt64 = 0
    /// Events that threads could not hand over, or that could not be written.
    var lostCount: UInt64 = 0
    /// Threads that found no place in the session.
    var refusedThreadCount: UInt64 = 0
    /// Time taken out because threads waited for a processor.
    var removedSeconds = 0.0
    /// Time taken out because threads waited for room, or for the recorder itself.
    var waitedSeconds = 0.0
    var fileByteCount: UInt64 = 0
  }

  /// A thread that has a lane at the moment.
  private struct Tenant {
    var generation: UInt32
    /// Its number in the file; nil where that has as many threads as it can.
    var thread: UInt32?
    var source: TraceSource
  }

  /// Threads that can be recorded at a time.
  static let laneCount = Int(ARB_TRACE_LANE_COUNT_MAX)
  private static let ringEventCount: UInt32 = 1 << 16
  private static let batchCount = 1 << 14
  /// How long nobody may have drained the session before its threads stop waiting for room.
  private static let staleSeconds = 10.0

  private let file: RecordingFile
  private var writer: TraceWriter
  // SAFETY: made in init, closed in deinit, used by one thread.
  private var mapping: ArbTraceMapping
  private let reader: OpaquePointer
  private let batch: UnsafeMutablePointer<ArbTraceEvent>
  private var tenants = [Tenant?](repeating: nil, count: laneCount)
  private var known = [TraceRegion?](repeating: nil, count: Int(ARB_TRACE_REGION_COUNT))
  private var name = [CChar](repeating: 0, count: Int(ARB_TRACE_NAME_BYTES))
  private var figuresSoFar = Figures()
  private var lastEventAt = Console.seconds
  private var lastFlushAt = Console.seconds
  private let began = Console.seconds
  /// Why the file holds no more than it does; nil while all is well.
  private(set) var failure: Failure?

  /// Makes a session that drains into a file.
  ///
  /// - Throws: ``Failure`` or ``PlatformError`` with what the system refused.
  init(_ file: RecordingFile, clock: TimeStampClock) throws {
    let rate = clock.ticksPerNanosecond
    let stale = Int64(Self.staleSeconds * 1e9 * rate)
    var parameters = ArbTraceParameters(
      lane_count: UInt32(Self.laneCount), ring_events: Self.ringEventCount,
      ticks_per_nanosecond: rate, stale_ticks: stale, wait_ticks_max: stale)
    var mapping = unsafe ArbTraceMapping()
    // SAFETY: both outlive the call.
    let status = unsafe arb_trace_session_create(&parameters, &mapping)
    guard status == 0, let session = unsafe mapping.session else {
      throw PlatformError(
        .resourceLimit,
        reason: "there is no memory for a recording: \(Console.reason(Int32(-status)))",
        nextStep: "raise the limits of address space and open files (ulimit -v, -n)")
    }
    guard let reader = unsafe arb_trace_reader_make(session) else {
      unsafe arb_trace_session_close(&mapping)
      throw PlatformError(
        .resourceLimit, reason: "there is no memory for a recording",
        nextStep: "free some memory")
    }
    self.file = file
    unsafe self.mapping = mapping
    unsafe self.reader = reader
    unsafe batch = .allocate(capacity: Self.batchCount)
    writer = try unsafe TraceWriter { bytes in try unsafe file.write(bytes) }
  }

  deinit {
    // SAFETY: nobody else has them. The session's memory is freed when its last program ends.
    unsafe arb_trace_reader_dispose(reader)
    unsafe batch.deallocate()
    unsafe arb_trace_session_close(&mapping)
  }

  /// The environment variable by which programs find a session.
  static let variableName = ARB_ENVIRONMENT_TRACE

  /// The variable with its value, as NAME=value.
  var variable: String {
    unsafe "\(Self.variableName)=/proc/\(getpid())/fd/\(mapping.descriptor)"
  }

  /// Says what the recording is of.
  func note(_ notes: [TraceNote]) {
    guarded { writer in
      for note in notes { try writer.note(note.key, note.value) }
    }
  }

  /// What was recorded so far.
  var figures: Figures {
    var figures = figuresSoFar
    figures.refusedThreadCount = unsafe arb_trace_reader_refused_threads(reader)
    figures.fileByteCount = writer.byteCount
    return figures
  }

  /// The files and ranges that were accessed.
  var regions: [TraceRegion] { known.compactMap(\.self) }

  // MARK: Draining

  /// Takes in what threads have published; returns how long the session may be left alone, in
  /// nanoseconds.
  func tend() -> Int64 {
    let count = drain()
    let now = Console.seconds
    if count > 0 { lastEventAt = now }
    // A second, or a 64th of the recording: a file that is cut off there lacks little.
    if now - lastFlushAt > max(1, (now - began) / 64) {
      lastFlushAt = now
      guarded { writer in try writer.flush() }
    }
    // A ring holds some 13 ms of the fastest thread that one can think of.
    if count >= Self.batchCount { return 0 }
    return now - lastEventAt < 0.1 ? 1_000_000 : 5_000_000
  }

  /// One turn through all lanes; returns the number of events.
  private func drain() -> Int {
    unsafe arb_trace_reader_beat(reader)
    var sum = 0
    for lane in 0..<(unsafe arb_trace_reader_lanes_used(reader)) {
      var glance = ArbTraceLaneGlance()
      unsafe arb_trace_reader_glance(reader, lane, &glance)
      guard glance.is_used != 0 else { continue }
      let hasLeft = unsafe arb_trace_reader_has_left(reader, lane) == 1
      sum += drain(lane, glance, untilEmpty: hasLeft)
      if hasLeft {
        unsafe arb_trace_reader_glance(reader, lane, &glance)
        settle(lane, glance)
        unsafe arb_trace_reader_free(reader, lane)
        tenants[Int(lane)] = nil
      }
    }
    return sum
  }

  private func drain(_ lane: UInt32, _ glance: ArbTraceLaneGlance, untilEmpty: Bool) -> Int {
    let tenant = tenant(of: lane, glance)
    var sum = 0
    // A thread that is faster than this one has its turn again with the next round.
    let most = untilEmpty ? Int.max : Int(Self.ringEventCount)
    while sum < most {
      // SAFETY: the batch has room for that many events.
      let count = unsafe Int(
        arb_trace_reader_drain(reader, lane, batch, UInt32(Self.batchCount)))
      guard count > 0 else { break }
      sum += count
      // Regions exist before their events do.
      describeRegions()
      keep(count, of: tenant)
    }
    return sum
  }

  private func keep(_ count: Int, of tenant: Tenant) {
    // SAFETY: the first `count` events were written by the drain.
    let events = unsafe UnsafeBufferPointer(start: batch, count: count)
    var accesses: UInt64 = 0
    var bytes: UInt64 = 0
    for index in 0..<count {
      let event = unsafe events[index]
      accesses &+= UInt64(event.count)
      // Neither a write-back nor a fence moves bytes of its own.
      guard event.operation < UInt64(ARB_TRACE_FLUSH.rawValue) else { continue }
      bytes &+= UInt64(event.count) &* UInt64(event.length)
    }
    figuresSoFar.eventCount += UInt64(count)
    figuresSoFar.accessCount &+= accesses
    figuresSoFar.byteCount &+= bytes
    guard let thread = tenant.thread else {
      figuresSoFar.lostCount += UInt64(count)
      return
    }
    guarded { writer in
      let refused = try unsafe writer.append(events, thread: thread, source: tenant.source)
      figuresSoFar.lostCount += UInt64(refused)
    }
  }

  /// The thread that has a lane; a new one gets the next number.
  private func tenant(of lane: UInt32, _ glance: ArbTraceLaneGlance) -> Tenant {
    if let tenant = tenants[Int(lane)], tenant.generation == glance.generation { return tenant }
    let number = UInt32(figuresSoFar.threadCount)
    let tenant = Tenant(
      generation: glance.generation, thread: number < TraceWriter.threadCountMax ? number : nil,
      source: TraceSource(rawValue: UInt8(truncatingIfNeeded: glance.source)) ?? .converted)
    figuresSoFar.threadCount += 1
    tenants[Int(lane)] = tenant
    return tenant
  }

  /// Takes in the figures of a thread that has ended.
  private func settle(_ lane: UInt32, _ glance: ArbTraceLaneGlance) {
    let tenant = tenant(of: lane, glance)
    figuresSoFar.removedSeconds += Double(glance.removed_nanoseconds) / 1e9
    figuresSoFar.waitedSeconds += Double(glance.waited_nanoseconds) / 1e9
    figuresSoFar.lostCount &+= glance.lost_count
    guard let thread = tenant.thread else { return }
    guarded { writer in
      try writer.lost(glance.lost_count, thread: thread, source: tenant.source)
      // A program may have any number of threads, one after the other.
      try writer.leave(thread: thread)
    }
  }

  /// Writes down regions that are new or have grown.
  private func describeRegions() {
    for number in known.indices {
      var bytes: UInt64 = 0
      // SAFETY: the name has the room that C asks for.
      guard unsafe arb_trace_reader_region(reader, UInt32(number), &bytes, &name) == 1 else {
        continue
      }
      // The recorded program can write what it likes into this memory.
      bytes = min(bytes, 1 << 48 - 1)
      if known[number]?.byteCount == bytes { continue }
      let text = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      let region = TraceRegion(
        number: UInt8(number), name: String(decoding: text, as: UTF8.self),
        byteCount: bytes)
      known[number] = region
      guarded { writer in try writer.describe(region) }
    }
  }

  /// Writes, unless that has failed before; the program goes on either way, and its events are
  /// taken in and counted as lost.
  @discardableResult
  private func guarded(_ write: (inout TraceWriter) throws -> Void) -> Bool {
    guard failure == nil else { return false }
    do {
      try write(&writer)
      return true
    } catch {
      let failure =
        (error as? TraceError).map { Failure(ExitCode.inputOutput, $0.reason, hint: $0.nextStep) }
        ?? Failure(error)
      self.failure = failure
      Console.note(
        "arbiter: warning: the recording ends here and the program goes on: "
          + "\(Failure.harmless(failure.message))\n")
      return false
    }
  }

  // MARK: The end

  /// Takes in the rest and completes the file.
  ///
  /// Threads that still run, in processes that the program left behind, are recorded no further.
  func finish() {
    // What was published before the program's end is there; whoever goes on publishing is cut off.
    unsafe arb_trace_reader_end(reader)
    _ = drain()
    for lane in 0..<(unsafe arb_trace_reader_lanes_used(reader)) {
      var glance = ArbTraceLaneGlance()
      unsafe arb_trace_reader_glance(reader, lane, &glance)
      guard glance.is_used != 0 else { continue }
      outlivingCount += 1
      settle(lane, glance)
    }
    guarded { writer in try writer.finish() }
    if failure != nil { countKept() }
  }

  /// After a failure: whatever is not in the file is lost.
  private func countKept() {
    var kept: UInt64 = 0
    if let bytes = file.bytes, let trace = try? TraceFile(bytes) {
      kept = trace.threads.reduce(0) { $0 + $1.eventCount }
    }
    figuresSoFar.lostCount &+= figuresSoFar.eventCount - min(kept, figuresSoFar.eventCount)
  }

  /// Threads that still ran when the recording was finished.
  private(set) var outlivingCount = 0
}
