// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
public import ArbiterScheduler
internal import CArbiter
public import Synchronization

// What a monitor and its gates share: one published word, and one slot per gate into which the gate
// counts what it let pass. Each lies on cache lines of its own (128 bytes, since processors fetch
// lines in pairs), so that gates never write to a line that another gate reads.

/// The counts of one gate; written by the gate's thread alone, read by the monitor.
@usableFromInline
struct GateSlot: ~Copyable {
  @usableFromInline let accessCount = Atomic<UInt64>(0)
  @usableFromInline let storedBytes = Atomic<UInt64>(0)
  let isRegistered = Atomic<Bool>(false)
  private let padding = InlineArray<13, UInt64>(repeating: 0)

  init() {}
}

/// The published word on cache lines of its own.
@usableFromInline
struct PublishedWord: ~Copyable {
  @usableFromInline let bits: Atomic<UInt64>
  private let padding = InlineArray<15, UInt64>(repeating: 0)

  init(_ word: SettingsWord) {
    bits = Atomic(word.bits)
  }
}

/// The meeting place of the gates of one module and whoever controls them.
@safe
public final class GateBoard: Sendable {
  /// The most gates that may be registered at once.
  public let capacity: Int
  /// The longest wait of any store, whatever is published, in nanoseconds.
  public let maximumWaitNanoseconds: Double
  /// The clock by which gates wait.
  public let clock: TimeStampClock

  // SAFETY: both point to memory that init allocates and deinit frees; gates hold the board, so no
  // gate outlives it. The contents are atomics.
  @usableFromInline nonisolated(unsafe) let published: UnsafeMutablePointer<PublishedWord>
  @usableFromInline nonisolated(unsafe) let slots: UnsafeMutablePointer<GateSlot>

  /// Counts registrations and departures; a monitor sleeps on it.
  let doorbell: Doorbell
  private let registry: Mutex<Int>
  private let publications = Mutex<UInt64>(0)

  /// Makes an open board without gates.
  ///
  /// - Precondition: `capacity` is at least 1 and the maximum wait at least 0.
  public init(
    capacity: Int, clock: TimeStampClock, maximumWaitNanoseconds: Double = 10_000_000
  ) {
    precondition(capacity >= 1, "a board needs room for a gate")
    precondition(maximumWaitNanoseconds >= 0, "negative maximum wait")
    self.capacity = capacity
    self.clock = clock
    self.maximumWaitNanoseconds = maximumWaitNanoseconds
    doorbell = Doorbell()
    registry = Mutex(0)
    unsafe published = AlignedMemory.allocate(count: 1)
    unsafe published.initialize(to: PublishedWord(SettingsWord(.open, version: 0)))
    unsafe slots = AlignedMemory.allocate(count: capacity)
    for index in 0..<capacity { unsafe (slots + index).initialize(to: GateSlot()) }
  }

  deinit {
    unsafe published.deinitialize(count: 1)
    unsafe published.deallocate()
    unsafe slots.deinitialize(count: capacity)
    unsafe slots.deallocate()
  }

  /// The settings in force and how often settings were published.
  public var publishedWord: SettingsWord {
    unsafe SettingsWord(bits: published.pointee.bits.load(ordering: .relaxed))
  }

  /// Puts settings in force for every gate from its next store on.
  ///
  /// One writer at a time; a mutex, which gates never touch, sees to that. The store is relaxed:
  /// the word carries everything, and no other memory is published with it.
  public func publish(_ settings: GateSettings) {
    publications.withLock { version in
      version &+= 1
      let word = SettingsWord(settings, version: version)
      unsafe published.pointee.bits.store(word.bits, ordering: .relaxed)
    }
  }

  /// Gates that are registered now.
  public var registeredCount: Int { registry.withLock { $0 } }

  /// Takes a slot for a gate.
  func register() throws(PlatformError) -> Int {
    let place: Int? = registry.withLock { count in
      for index in 0..<capacity {
        // Relaxed: the registry's lock orders registrations.
        if unsafe !slots[index].isRegistered.load(ordering: .relaxed) {
          unsafe slots[index].isRegistered.store(true, ordering: .relaxed)
          count += 1
          return index
        }
      }
      return nil
    }
    guard let place else {
      throw PlatformError(
        .resourceLimit, reason: "all \(capacity) gates of the board are in use",
        nextStep: "make the board with a larger capacity")
    }
    doorbell.ring()
    return place
  }

  /// Gives a slot back; its counts stay, so that sums never run backwards.
  func leave(_ index: Int) {
    registry.withLock { count in
      unsafe slots[index].isRegistered.store(false, ordering: .relaxed)
      count -= 1
    }
    doorbell.ring()
  }
}

/// Sums up what the gates of a board did, from one look to the next; for one observer.
public struct ActivityObserver: Sendable {
  private let board: GateBoard
  private var previousCounts: [UInt64]

  /// Makes an observer to whom nothing has happened yet.
  public init(of board: GateBoard) {
    self.board = board
    previousCounts = Array(repeating: 0, count: board.capacity)
  }

  /// What the gates did so far, and how many of them wrote since the previous look.
  ///
  /// Counts of running gates may lag by the access that is under way. Relaxed loads: nothing but
  /// the counts themselves is read.
  public mutating func look() -> GateActivity {
    var activity = GateActivity(
      registeredCount: board.registeredCount, writerCount: 0, storedBytes: 0, accessCount: 0)
    for index in 0..<board.capacity {
      let count = unsafe board.slots[index].accessCount.load(ordering: .relaxed)
      activity.accessCount &+= count
      unsafe activity.storedBytes &+= board.slots[index].storedBytes.load(ordering: .relaxed)
      if count != previousCounts[index] { activity.writerCount += 1 }
      previousCounts[index] = count
    }
    return activity
  }
}
