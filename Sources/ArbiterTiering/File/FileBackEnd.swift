// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0
//
// The file back-end, as the manager has it. Programs that join the page move their own chunks; here
// is who tells them which, and who reads what they have.
//
// F1  A chunk's number belongs to one entry of one seat in one generation; a request names all of
//     it, so that a program never moves what was not meant.
// F2  Each request that was queued has one outcome: what its program can tell no more is stale.
// F3  What a program had is given to others only when no process maps it any more.
// F4  A program that has opened what pins memory is left alone from the next look on.
// F5  What stands on the page may be anything: it is bounded and checked before anything here rests
//     on it, and the ends of programs are the kernel's word.

public import ArbiterMetrics
public import ArbiterPlacement
package import ArbiterPlatform
package import CArbiterTier

/// Moves chunks between anonymous memory and a file, by the programs' own movers.
public final class FileBackEnd: TierBackEnd {
  /// Which back-end it is.
  public let kind = TierBackEndKind.file
  /// The page that programs join.
  package let page: TierPage
  /// Where slow memory lies.
  package let slow: SlowFile

  let tree: SystemTree
  var seats: [FileSeat?]
  /// Where the chunk of a number is.
  private var places: [(seat: Int, entry: Int)?] = []
  private var outcomes: [MigrationOutcome] = []
  private var room: [ArbTierChunk]
  private var ticket: UInt64 = 0
  private var remarks = RemarkList()
  /// Sums of seats that are gone.
  private var departed = ArbTierCounts()
  private var isStopped = false
  private var nextCare: Int64 = 0
  private var nextSweep: Int64 = 0
  /// What looks at everybody's memory maps took since the last care.
  private var sweepNanoseconds: Int64 = 0
  /// The slots that somebody maps, as this look has seen; nil where it did not look.
  private var slotsInUse: Set<UInt32>?
  private let pins: PinScan

  /// Entries that are read at a time.
  private static let batchCount = 4096
  /// Time between two looks at who is gone and what is pinned, at least.
  private static let carePeriod: Int64 = 100_000_000
  /// Such looks take at most one part of so many of the time.
  private static let careShare: Int64 = 50
  /// Time between two looks at everybody's memory maps, at least.
  private static let sweepPeriod: Int64 = 1_000_000_000

  /// Makes the page and opens slow memory.
  ///
  /// - Throws: ``PlatformError`` where slow memory cannot be had.
  package init(
    fastBytes: UInt64, path: String, slowBytes: UInt64?, options: UInt32,
    tree: SystemTree = SystemTree()
  ) throws(PlatformError) {
    self.tree = tree
    slow = try SlowFile(path: path, bytes: slowBytes, fastBytes: fastBytes, tree: tree)
    page = try TierPage(
      slotCount: slow.slotCount, fastBytes: fastBytes, slowKind: slow.kind, options: options)
    seats = Array(repeating: nil, count: page.seatCount)
    room = Array(repeating: ArbTierChunk(), count: Self.batchCount)
    pins = PinScan(tree: tree)
  }

  /// The options that a configuration comes to.
  static func options(_ configuration: TierConfiguration, _ probe: TierProbe) -> UInt32 {
    (configuration.usesHugePages ? UInt32(ARB_TIER_HUGE) : 0)
      | (probe.staticReason == nil ? 0 : UInt32(ARB_TIER_STATIC))
  }

  // MARK: The table

  /// Brings the table up to date.
  public func refresh(_ table: inout ChunkTable, removed: (Int) -> Void) {
    page.beat()
    let now = arb_tier_now_ns()
    let isTimeForCare = now >= nextCare
    slotsInUse = nil
    for number in 0..<page.usedSeatCount {
      let words = page.words(ofSeat: number)
      let isTaken = words.state != ARB_TIER_SEAT_FREE.rawValue && words.process != 0
      if let seat = seats[number], !isTaken || !seat.isSame(words) {
        forget(number, &table, removed)
      }
      guard isTaken else { continue }
      if seats[number] == nil { seats[number] = FileSeat(words) }
      note(words, ofSeat: number)
      if isTimeForCare { care(for: number, words) }
      if seats[number]?.isLeft == true {
        giveUp(number, &table, removed)
        if isTimeForCare { clear(number, now) }
      } else {
        read(number, words, &table, removed)
      }
    }
    guard isTimeForCare else { return }
    let cost = arb_tier_now_ns() - now - sweepNanoseconds
    sweepNanoseconds = 0
    nextCare = now + max(Self.carePeriod, cost * Self.careShare)
  }

  private func note(_ words: ArbTierSeatWords, ofSeat number: Int) {
    seats[number]?.counts = words.counts.credible
    seats[number]?.isFrozen = words.is_frozen != 0
    guard let seen = seats[number]?.remarkCount, words.remark_count != seen else { return }
    let first = max(
      seen, words.remark_count &- min(words.remark_count, UInt32(ARB_TIER_REMARK_COUNT)))
    for remark in first..<max(first, words.remark_count) {
      if let text = page.remark(remark, ofSeat: number) {
        remarks.add("process \(words.process): \(text)")
      }
    }
    seats[number]?.remarkCount = words.remark_count
  }

  private func read(
    _ number: Int, _ words: ArbTierSeatWords, _ table: inout ChunkTable, _ removed: (Int) -> Void
  ) {
    guard var seat = seats[number].take() else { return }
    let high = min(Int(words.chunk_high), page.chunkCapacity)
    while seat.entries.count < high { seat.entries.append(FileSeat.Entry()) }
    let mayMove = !seat.isFrozen && seat.pin == nil && !isStopped
    // What is gone goes first: an entry may have got what another one had.
    var new: [(entry: Int, chunk: ManagedChunk, generation: UInt64)] = []
    var first = 0
    while first < high {
      let count = min(Self.batchCount, high - first)
      page.readChunks(ofSeat: number, from: first, into: &room, count: count)
      for place in 0..<count {
        let copy = room[place]
        let entry = first + place
        let known = seat.entries[entry]
        let isUsed = Self.isAddress(copy.address)
        let isSame =
          isUsed && known.generation == copy.generation
          && table[known.number]?.address == copy.address
        if known.number >= 0, !isSame {
          remove(known.number, &table, removed)
          seat.entries[entry] = FileSeat.Entry()
        }
        guard isUsed else { continue }
        let chunk = Self.chunk(copy, of: seat.process, mayMove: mayMove)
        if seat.entries[entry].number < 0 {
          new.append((entry, chunk, copy.generation))
        } else if table[known.number] != chunk {
          table[known.number] = chunk
        }
      }
      first += count
    }
    for one in new
    where table.index(process: seat.process, address: one.chunk.address) == nil {
      guard table.count < 2 * page.chunkCapacity else {
        remarks.add("more memory than both tiers hold twice over is not managed")
        break
      }
      let index = table.insert(one.chunk)
      seat.entries[one.entry] = FileSeat.Entry(generation: one.generation, number: index)
      while places.count <= index { places.append(nil) }
      places[index] = (number, one.entry)
    }
    seats[number] = seat
  }

  /// Whether a chunk can lie there: of the addresses that programs get.
  private static func isAddress(_ address: UInt64) -> Bool {
    address != 0 && address < 1 << 47 && address % UInt64(TierUnit.chunkBytes) == 0
  }

  private static func chunk(
    _ copy: ArbTierChunk, of process: Int32, mayMove: Bool
  ) -> ManagedChunk {
    var chunk = ManagedChunk(
      process: process, address: copy.address,
      slowIslands: IslandSet(rawValue: copy.slow_islands))
    chunk.isMovable = mayMove && copy.held == 0
    return chunk
  }

  private func remove(_ number: Int, _ table: inout ChunkTable, _ removed: (Int) -> Void) {
    removed(number)
    table.remove(number)
    places[number] = nil
  }

  // MARK: Who leaves

  /// Looks whether the process of a seat is gone, and whether it has opened what pins memory.
  private func care(for number: Int, _ words: ArbTierSeatWords) {
    guard var seat = seats[number], !seat.isLeft else { return }
    // Only this sets a seat's state to left, so that what else says so means nothing.
    switch page.owner(ofSeat: number) {
    case Int(ARB_TIER_OWNER_GONE): (seat.isLeft, seat.isSurelyLeft) = (true, true)
    // Its mover has not begun, or never will.
    case Int(ARB_TIER_OWNER_NONE): seat.isLeft = seat.isGone(from: tree)
    default: break
    }
    if seat.isLeft { page.leave(seat: number) }
    if !seat.isLeft, seat.pin == nil, let pin = pins.find(process: seat.process) {
      seat.pin = pin
      page.freeze(seat: number)
      remarks.add(
        "process \(seat.process) has opened \(pin), which writes to memory past its page tables: "
          + "nothing of it is moved any more")
    }
    seats[number] = seat
  }

  /// Takes the chunks of a seat out of the table, and answers for its mover.
  private func giveUp(_ number: Int, _ table: inout ChunkTable, _ removed: (Int) -> Void) {
    guard var seat = seats[number] else { return }
    for entry in seat.entries where entry.number >= 0 { remove(entry.number, &table, removed) }
    seat.entries = []
    answerPending(of: &seat)
    seats[number] = seat
  }

  private func answerPending(of seat: inout FileSeat) {
    for pending in seat.pending.values {
      outcomes.append(MigrationOutcome(pending.migration, status: .stale))
    }
    seat.pending = [:]
  }

  private func forget(_ number: Int, _ table: inout ChunkTable, _ removed: (Int) -> Void) {
    giveUp(number, &table, removed)
    if let seat = seats[number] { departed.add(seat.counts) }
    seats[number] = nil
  }

  /// Gives the slots of a seat that was left to others, once nobody maps them.
  private func clear(_ number: Int, _ now: Int64) {
    guard let seat = seats[number] else { return }
    if seat.counts.forks > 0 || !seat.isSurelyLeft {
      // A lock that goes with the last of them; and, as it may not have been had, everybody's maps.
      guard !page.forksLive(ofSeat: number, slow: slow.descriptor) else { return }
      let own = page.slots(ofSeat: number)
      guard own.isEmpty || sweep(now)?.isDisjoint(with: own) == true else { return }
    }
    // A last look at its sums: the mover may have gone on until the end.
    departed.add(page.words(ofSeat: number).counts.credible)
    seats[number] = nil
    page.clear(seat: number)
  }

  /// The slots that somebody maps, for all seats that were left; nil while it is too early to look.
  private func sweep(_ now: Int64) -> Set<UInt32>? {
    if slotsInUse == nil, now >= nextSweep {
      let began = arb_tier_now_ns()
      slotsInUse = SlowMappings.slots(
        inode: slow.identity.inode, slotCount: slow.slotCount, tree: tree)
      let cost = arb_tier_now_ns() - began
      sweepNanoseconds += cost
      nextSweep = now + max(Self.sweepPeriod, cost * Self.careShare)
    }
    return slotsInUse
  }

  // MARK: Moving

  /// Queues a migration; false when the queue is full.
  public func submit(_ migration: Migration, of chunk: ManagedChunk) -> Bool {
    let number = Int(migration.chunk)
    guard places.indices.contains(number), let place = places[number],
      var seat = seats[place.seat], !seat.isLeft, !isStopped,
      seat.process == chunk.process
    else {
      outcomes.append(MigrationOutcome(migration, status: .stale))
      return true
    }
    let movable =
      migration.destination == .fast
      ? migration.islands.intersection(chunk.slowIslands)
      : migration.islands.subtracting(chunk.slowIslands)
    guard !movable.isEmpty else {
      outcomes.append(MigrationOutcome(migration, status: .moved))
      return true
    }
    guard seat.pending.count < Int(ARB_TIER_RING_COUNT) else { return false }
    let entry = seat.entries[place.entry]
    ticket += 1
    var request = ArbTierRequest()
    request.ticket = ticket
    request.generation = entry.generation
    request.islands = movable.rawValue
    request.chunk = UInt32(place.entry)
    request.destination =
      migration.destination == .fast ? ARB_TIER_TO_FAST.rawValue : ARB_TIER_TO_SLOW.rawValue
    guard page.request(request, ofSeat: place.seat) else { return false }
    seat.pending[ticket] = FileSeat.Pending(
      migration: migration, entry: place.entry, generation: entry.generation)
    seats[place.seat] = seat
    page.ringBell(ofSeat: place.seat)
    return true
  }

  /// Hands over what became of queued migrations.
  public func takeOutcomes(_ table: inout ChunkTable, _ body: (MigrationOutcome) -> Void) {
    page.beat()
    for number in seats.indices where seats[number] != nil {
      // No more than were queued, whatever the ring claims.
      var left = seats[number]?.pending.count ?? 0
      while left > 0, let told = page.takeOutcome(ofSeat: number) {
        left -= 1
        guard let pending = seats[number]?.pending.removeValue(forKey: told.ticket) else {
          continue
        }
        note(told, pending, seat: number, &table)
        body(MigrationOutcome(told, of: pending.migration))
      }
    }
    let further = outcomes
    outcomes = []
    for outcome in further { body(outcome) }
  }

  private func note(
    _ told: ArbTierOutcome, _ pending: FileSeat.Pending, seat number: Int,
    _ table: inout ChunkTable
  ) {
    guard let seat = seats[number], seat.entries.indices.contains(pending.entry),
      seat.entries[pending.entry].generation == pending.generation,
      told.status == ARB_TIER_MOVED.rawValue
    else { return }
    let index = seat.entries[pending.entry].number
    guard index >= 0, var chunk = table[index] else { return }
    chunk.slowIslands = IslandSet(rawValue: told.slow_islands)
    table[index] = chunk
  }

  /// A device that can only be mapped is mapped in chunks.
  public var moveUnit: MoveUnit { slow.kind == .deviceDax ? .chunk : .island }

  // MARK: Seeing it

  /// Processes whose memory is managed now.
  public var processes: [Int32] { seats.compactMap { $0.flatMap { $0.isLeft ? nil : $0.process } } }

  /// The sums of all seats, also of those that are gone.
  package var counts: ArbTierCounts {
    var sum = departed
    for seat in seats { if let seat { sum.add(seat.counts) } }
    return sum
  }

  /// CPU time that moving took so far.
  public var moverNanoseconds: Figure<UInt64> { .known(counts.cpu_ns) }

  /// CPU time that room for what programs map took so far.
  public var placingNanoseconds: Figure<UInt64> { .known(counts.placing_ns) }

  /// Accesses of programs that had to wait for a migration.
  public var stalls: Figure<TierStalls> {
    let sum = counts
    return .known(
      TierStalls(
        count: sum.stalls, nanosecondsMax: sum.stall_ns, longestNanoseconds: sum.stall_ns_max))
  }

  /// What went wrong or is given up since the last call.
  public func takeRemarks() -> [String] { remarks.take() }

  /// Whether any process took a seat so far.
  public var hasReachedAnything: Bool { page.usedSeatCount > 0 }

  /// Bytes of memory that the page takes.
  public var metadataBytes: UInt64 { page.memoryBytes }

  /// Stops moving; programs run on with what they have.
  public func stop() {
    guard !isStopped else { return }
    isStopped = true
    page.setOptions(page.options | UInt32(ARB_TIER_STATIC))
    // A file with a name outlives the session: without users it need not hold anything.
    guard !slow.isNameless, !isUsed else { return }
    let used = SlowMappings.slots(
      inode: slow.identity.inode, slotCount: slow.slotCount, tree: tree)
    if used.isEmpty { slow.empty() }
  }

  /// Whether any process holds a seat, by the page as it is now: the last look may be older.
  private var isUsed: Bool {
    (0..<page.usedSeatCount).contains { number in
      let words = page.words(ofSeat: number)
      guard words.state != ARB_TIER_SEAT_FREE.rawValue, words.process != 0 else { return false }
      return !FileSeat(words).isGone(from: tree)
    }
  }
}
