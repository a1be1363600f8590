// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
public import ArbiterScheduler
internal import CArbiter
public import CArbiterGate

/// The meeting place of the gates of one interleave set and whoever controls them: one set of a
/// control page.
@safe
public final class GateBoard: Sendable {
  /// Where the set lies.
  public let page: ControlPage
  /// The place of the set in the page.
  public let setIndex: Int
  /// The `arbiter run` to which gates that are made here belong; 0 is none.
  public let session: Int

  // SAFETY: points into the page, which the board keeps alive.
  @usableFromInline nonisolated(unsafe) let set: UnsafeMutablePointer<ArbSet>
  private let publications = Lock(Publication())

  /// What was published last, so that it can be published again with recording on or off.
  private struct Publication {
    var settings = GateSettings.open
    var version: UInt64 = 0
    var isRecording = false
    /// The name of the newest recording; 0 before the first.
    var recording: UInt64 = 0
  }

  /// Makes a board on a set of a page.
  public init(page: ControlPage, setIndex: Int, session: Int = 0) {
    precondition((1...ControlPage.setCountMax).contains(setIndex), "no such set")
    self.page = page
    self.setIndex = setIndex
    self.session = session
    unsafe set = arb_page_set(page.page, UInt32(setIndex))
  }

  /// Makes an open board without gates on a page of its own.
  ///
  /// - Throws: ``PlatformError`` where the system refuses the memory.
  /// - Precondition: `capacity` is at least 1 and the maximum wait at least 0.
  public convenience init(
    capacity: Int, clock: TimeStampClock, maximumWaitNanoseconds: Double = 10_000_000
  ) throws(PlatformError) {
    var parameters = ControlPage.Parameters()
    parameters.slotCount = capacity
    parameters.maximumWaitNanoseconds = maximumWaitNanoseconds
    let page = try ControlPage(parameters, clock: clock)
    page.addSet(at: 1, name: "all", matchesAll: true)
    self.init(page: page, setIndex: 1)
  }

  /// The clock by which gates wait.
  public var clock: TimeStampClock { page.clock }

  /// The settings in force and how often settings were published.
  public var publishedWord: SettingsWord {
    unsafe SettingsWord(bits: arb_set_settings(set))
  }

  /// Puts settings in force for every gate from its next store on.
  ///
  /// One writer at a time; a mutex, which gates never touch, sees to that. The store is relaxed:
  /// the word carries everything, and no other memory is published with it.
  public func publish(_ settings: GateSettings) {
    change { $0.settings = settings }
  }

  /// Makes gates record their stores, or stop it; the settings stay.
  ///
  /// Each gate stops by itself once its ring is full.
  public func setRecording(_ isRecording: Bool) {
    if isRecording {
      beginRecording(limit: Int(ARB_RECORD_COUNT))
    } else {
      change { $0.isRecording = false }
    }
  }

  /// Makes each gate record its next stores and fences, up to a limit; the settings stay.
  ///
  /// - Parameter limit: Records of each gate, 1 to 1,024.
  /// - Returns: The recording's name.
  @discardableResult
  package func beginRecording(limit: Int) -> UInt64 {
    var name: UInt64 = 0
    change { publication in
      publication.isRecording = true
      // 48 bits of a word; 0 is no recording.
      publication.recording = publication.recording % (1 << 48 - 1) + 1
      name = publication.recording
      unsafe arb_set_begin_recording(set, name, UInt32(limit))
    }
    return name
  }

  private func change(_ body: (inout Publication) -> Void) {
    publications.withLock { publication in
      body(&publication)
      publication.version &+= 1
      let word = SettingsWord(
        publication.settings, version: publication.version, isRecording: publication.isRecording)
      unsafe arb_set_publish(set, word.bits)
    }
  }

  /// Says that the controller is alive; gates stop waiting once this is `staleAfter` ago.
  ///
  /// - Parameter nanoseconds: The time; 0 lets settings hold for ever, for who publishes once.
  public func beat(staleAfter nanoseconds: Double) {
    let ticks = nanoseconds * clock.ticksPerNanosecond
    unsafe arb_set_beat(set, arb_read_tsc(), Int64(max(0, min(ticks, 4e18))))
  }

  /// Gates that are registered now.
  ///
  /// - Complexity: O(*n*) in gates that were ever registered.
  public var registeredCount: Int {
    unsafe Int(arb_page_attached_count(page.page, UInt32(setIndex)))
  }
}

/// Sums up what the gates of a board did, from one look to the next; for one observer.
public struct ActivityObserver: Sendable {
  private let board: GateBoard
  private var previous: [Seen]
  private var total = GateActivity(
    registeredCount: 0, writerCount: 0, storedBytes: 0, accessCount: 0)

  /// What a slot showed at the previous look.
  private struct Seen {
    var generation: UInt32 = 0
    var accessCount: UInt64 = 0
    var storedBytes: UInt64 = 0
  }

  /// Makes an observer to whom nothing has happened yet.
  public init(of board: GateBoard) {
    self.board = board
    previous = Array(repeating: Seen(), count: board.page.slotCount)
  }

  /// What the gates did so far, and how many of them wrote since the previous look.
  ///
  /// Counts of running gates may lag by the access that is under way. Relaxed loads: nothing but
  /// the counts themselves is read.
  public mutating func look() -> GateActivity {
    total.registeredCount = 0
    total.writerCount = 0
    let page = unsafe board.page.page
    for index in 0..<Int(unsafe arb_page_slots_used(page)) {
      let slot = unsafe arb_slot_glance(page, UInt32(index))
      guard slot.set_index == UInt32(board.setIndex) else { continue }
      if slot.is_attached != 0 { total.registeredCount += 1 }
      var seen = previous[index]
      if seen.generation != slot.generation {
        // What an earlier owner did for another set is not this board's.
        seen.accessCount = max(seen.accessCount, slot.base_access_count)
        seen.storedBytes = max(seen.storedBytes, slot.base_stored_bytes)
        seen.generation = slot.generation
      }
      if slot.access_count > seen.accessCount { total.writerCount += 1 }
      total.accessCount &+= slot.access_count &- seen.accessCount
      total.storedBytes &+= slot.stored_bytes &- seen.storedBytes
      seen.accessCount = slot.access_count
      seen.storedBytes = slot.stored_bytes
      previous[index] = seen
    }
    return total
  }
}
