// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// Counters for a machine that has none, but whose kind of module is known.
//
//   snapshot k      reads what the gates recorded since snapshot k - 1, lets the shadow of the
//                   module's buffers take it in, and opens the next recording
//   settings        published after the snapshot; gates begin the recording anew under them
//   snapshot k + 1  reads a recording that was made under one set of settings alone
//
// The cost to the writers is records × cost of a record, both known: the first is limited per
// recording, the second is measured once. The limit is chosen so that the product stays below a
// share of the time from one snapshot to the next; where even the least recording would exceed it,
// snapshots are passed over.
//
// Invariants
//   E1  an amplification is applied only to bytes stored under the settings it was sampled under
//   E2  what nobody can tell is nil: loads always, media writes until the buffers have filled
//   E3  a snapshot that knows nothing new is the one before, with its time

internal import ArbiterCore
public import ArbiterDevice
public import ArbiterPlatform
internal import ArbiterScheduler
internal import CArbiterGate

/// Counters estimated from a sample of the gates' own writes.
///
/// For memory of which the kind is known, by name or by detection, and that shows no counters.
/// Never for memory of which nothing is known: DRAM would look amplified.
///
/// Stores that pass no gate are not seen, nor are loads. Two processes that write the same block
/// count as if they wrote two.
public final class ShadowEstimate: CounterReader {
  /// Share of the writers' time that recordings may take.
  ///
  /// A third of what the estimate is held to; the rest is for what a recording does to caches, and
  /// for writers whose processor the monitor shares.
  static let timeShare = 0.01
  /// The fewest records of a gate that are worth a recording.
  static let recordsMin = 64
  /// Nanoseconds after which a recording is read that no gate has completed.
  static let recordingNanosecondsMax: Int64 = 20_000_000
  /// Snapshots in a row that may bring nothing new, before media writes become unknown.
  static let silenceMax = 16

  private let board: GateBoard
  private let state: Lock<State>
  /// What a record costs its thread, in nanoseconds.
  let recordNanoseconds: Double

  private struct State: ~Copyable {
    var model: ShadowModel
    var observer: ActivityObserver
    let records = FixedArray(count: Int(ARB_RECORD_COUNT)) { _ in ArbRecord() }
    /// The name of the open recording; 0 where none is open.
    var recording: UInt64 = 0
    var openedNanoseconds: Int64 = 0
    /// The most records that a gate was allowed in the last recording.
    var limit = 0
    var lastNanoseconds: Int64 = 0
    var stored = GateActivity(registeredCount: 0, writerCount: 0, storedBytes: 0, accessCount: 0)
    var imcBytes = 0.0
    var mediaBytes = 0.0
    /// Whether `mediaBytes` covers all that was stored since it last did.
    var isMediaKnown = false
    /// The newest estimate and the settings under which it holds.
    var amplification: (value: Double, settings: UInt64)?
    var silence = 0
    var last: CounterSnapshot?
    var sampleCount = 0
  }

  /// Makes an estimate that has seen nothing.
  ///
  /// - Parameters:
  ///   - board: The gates.
  ///   - profile: The kind of module behind them.
  ///   - moduleCount: Modules of the interleave set, 1 to 64.
  /// - Throws: ``PlatformError`` where the system refuses the memory to measure a record's cost.
  public init(
    board: GateBoard, profile: DeviceProfile, moduleCount: Int = 1
  ) throws(PlatformError) {
    self.board = board
    recordNanoseconds = try Self.measureRecord(clock: board.clock)
    state = Lock(
      State(
        model: ShadowModel(profile: profile, moduleCount: moduleCount),
        observer: ActivityObserver(of: board)))
  }

  /// Always ``CounterSource/estimate``.
  public var source: CounterSource { .estimate }

  /// What the gates cannot see.
  public var reasonForAbsence: String? { "gates see no loads and no stores that pass none" }

  /// Recordings that were taken into the estimate.
  public var sampleCount: Int { state.withLock { $0.sampleCount } }

  /// Reads what the gates stored and, where a recording is complete, what became of it.
  ///
  /// - Complexity: O(*n*) in slots and in recorded lines, which are bounded; below a millisecond.
  public func snapshot() -> CounterSnapshot {
    state.withLock { state in
      let now = SystemClock.monotonicRawNanoseconds()
      let settings = Self.pacing(board.publishedWord)
      readRecording(&state, settings: settings, now: now)
      let stored = state.observer.look()
      let snapshot = account(&state, stored: stored, settings: settings, now: now)
      openRecording(&state, writerCount: stored.writerCount, now: now)
      state.lastNanoseconds = now
      state.last = snapshot
      return snapshot
    }
  }

  /// What of a settings word says how stores are paced.
  private static func pacing(_ word: SettingsWord) -> UInt64 {
    word.bits
      & ~(versionMask << UInt64(ARB_WORD_VERSION_SHIFT)) & ~recordingBit
  }

  // ARB_WORD_VERSION_MASK and ARB_WORD_RECORDING, which do not come over as they stand there.
  private static let versionMask: UInt64 = 1 << 17 - 1
  private static let recordingBit: UInt64 = 1 << 62

  /// Lets the shadow take in the open recording, if it is worth it by now.
  private func readRecording(_ state: inout State, settings: UInt64, now: Int64) {
    guard state.recording != 0 else { return }
    let page = unsafe board.page.page
    var samples: [ShadowSample] = []
    var isComplete = now - state.openedNanoseconds >= Self.recordingNanosecondsMax
    let picosecondsPerTick = 1000 / board.clock.ticksPerNanosecond
    var origin: Int64?
    let slotsUsed = unsafe arb_page_slots_used(page)
    for index in 0..<slotsUsed {
      let slot = unsafe arb_slot_glance(page, index)
      guard slot.set_index == UInt32(board.setIndex) else { continue }
      var view = ArbRecordingView()
      // SAFETY: the array has as many places as a ring.
      unsafe withUnsafeMutablePointer(to: &state.records[0]) {
        unsafe arb_slot_read_recording(page, index, $0, &view)
      }
      guard view.count > 0, view.name == state.recording, view.settings == settings else {
        continue
      }
      if view.ends_early != 0 { isComplete = true }
      let base = origin ?? state.records[0].ticks
      origin = base
      samples.append(
        ShadowSample(
          space: UInt64(UInt32(bitPattern: view.process)),
          records: (0..<Int(view.count)).map { place in
            let record = state.records[place]
            return ShadowRecord(
              time: Int64(Double(record.ticks &- base) * picosecondsPerTick),
              line: record.lines >> 20, count: Int(record.lines & (1 << 20 - 1)))
          }, endsEarly: view.ends_early != 0))
    }
    guard isComplete else { return }
    state.recording = 0
    guard !samples.isEmpty else { return }
    let isWarm = state.model.isWarm
    let word = board.publishedWord.settings
    let estimate = state.model.take(
      samples,
      pacing: ShadowPacing(
        delay: Int64(word.delayNanoseconds * 1000), isByBlock: word.point == .block))
    state.sampleCount += 1
    if isWarm, let estimate { state.amplification = (estimate, settings) }
  }

  /// Adds what was stored since the last snapshot that was news.
  private func account(
    _ state: inout State, stored: GateActivity, settings: UInt64, now: Int64
  ) -> CounterSnapshot {
    let isKnown = state.amplification?.settings == settings
    // Memory is written by lines; a store of less than one costs a whole one.
    let bytes = Double(
      max(
        stored.storedBytes &- state.stored.storedBytes,
        (stored.accessCount &- state.stored.accessCount) &* 64))
    if bytes > 0 && !isKnown && state.isMediaKnown && state.silence < Self.silenceMax,
      let last = state.last
    {
      state.silence += 1
      return last
    }
    state.stored = stored
    state.imcBytes += bytes
    if isKnown, let amplification = state.amplification?.value {
      state.mediaBytes += bytes * amplification
      state.isMediaKnown = true
      state.silence = 0
    } else if bytes > 0 {
      state.isMediaKnown = false
    }
    return CounterSnapshot(
      timeNanoseconds: now, source: .estimate, imcWriteBytes: UInt64(state.imcBytes),
      mediaWriteBytes: state.isMediaKnown ? UInt64(state.mediaBytes) : nil)
  }

  /// Opens the next recording, as long as the writers' time allows.
  private func openRecording(_ state: inout State, writerCount: Int, now: Int64) {
    guard state.recording == 0 else { return }
    let elapsed =
      state.openedNanoseconds == 0 ? Int64.max : max(0, now - state.openedNanoseconds)
    // The last recording has been paid for once so much time has passed; a tenth less, so that a
    // period that ends a little early does not wait for another.
    let spent = Double(state.limit) * recordNanoseconds / Self.timeShare * 0.9
    guard Double(elapsed) >= spent else { return }
    let period = state.lastNanoseconds == 0 ? 1_000_000 : max(1, now - state.lastNanoseconds)
    let affordable = Double(period) * Self.timeShare / max(recordNanoseconds, 1)
    let wanted = state.model.quota(writerCount: writerCount)
    state.limit = max(Self.recordsMin, min(wanted, Int(min(affordable, 1e6))))
    state.openedNanoseconds = now
    state.recording = board.beginRecording(limit: state.limit)
  }

  /// What a record costs: a gate of its own, on a page of its own, with and without a recording.
  private static func measureRecord(clock: TimeStampClock) throws(PlatformError) -> Double {
    let board = try GateBoard(capacity: 1, clock: clock)
    var gate = try Gate(on: board)
    let count = 512
    var least = Double.infinity
    for _ in 0..<5 {
      board.beginRecording(limit: count)
      let start = TimeStampClock.nowOrdered()
      for index in 0..<count { gate.pass(address: UInt64(index) * 64, length: 64) }
      let middle = TimeStampClock.nowOrdered()
      for index in 0..<count { gate.pass(address: UInt64(index) * 64, length: 64) }
      let end = TimeStampClock.nowOrdered()
      let ticks = (middle &- start) &- (end &- middle)
      least = min(least, clock.nanoseconds(ticks) / Double(count))
    }
    return min(max(least, 5), 1000)
  }
}
