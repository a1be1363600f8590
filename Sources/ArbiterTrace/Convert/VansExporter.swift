// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterWorkloads

/// How lines of several threads become one stream.
public enum Interleaving: String, Sendable, Hashable, CaseIterable {
  /// By the time at which each thread asked for each line.
  case time
  /// One line of each thread in turn.
  case roundRobin = "round-robin"
  /// One line of a thread that is drawn anew each time.
  case random
}

/// Turns a recording into a text for VANS: one request a line, `ADDRESS TYPE[:IDLE]`.
///
/// Regions lie one behind the other, each at a multiple of 2 MiB, the first at 0.
/// Documentation/TraceFormat.md says what becomes of what.
public struct VansExporter: Sendable {
  /// The most lines of a text; VANS takes days for a hundredth of them.
  public static let lineCountMax: UInt64 = 1 << 32
  /// Where regions that follow another one begin.
  public static let regionAlignment: UInt64 = 2 << 20

  private let interleaving: Interleaving
  private var lanes: [LineLane]
  /// Lanes whose turn is decided by time.
  private var heap = TimeHeap()
  /// The next line of each lane in the heap, where it is known already.
  private var pending: [LineRequest?]
  /// Lanes that have lines left, where time does not decide.
  private var alive: [Int]
  private var turn = 0
  private var random: SeededRandom
  private var lineCount: UInt64 = 0
  private var loadedCount = 0
  /// When the memory has done all lines so far.
  private var busyUntil: UInt64 = 0
  /// Thirds of a quarter of a nanosecond that no clock has been made of yet.
  private var quarterRest: UInt64 = 0

  /// Makes an exporter; the seed is used by ``Interleaving/random``.
  public init(_ file: TraceFile, interleaving: Interleaving, seed: UInt64 = 1) {
    self.interleaving = interleaving
    let bases = Self.bases(of: file)
    regionStarts = file.regions.map { ($0.number, bases[Int($0.number)]) }
    lanes = file.threads.map {
      LineLane(cursor: file.events(ofThread: $0.number), source: $0.source, bases: bases)
    }
    pending = [LineRequest?](repeating: nil, count: lanes.count)
    alive = Array(lanes.indices)
    random = SeededRandom(seed: seed)
    guard interleaving == .time else { return }
    for (index, lane) in lanes.enumerated() {
      if let start = lane.startHint { heap.push(index, at: start) }
    }
  }

  /// Where each region begins in the text.
  public let regionStarts: [(region: UInt8, start: UInt64)]

  /// Where each region begins in the text, by number.
  static func bases(of file: TraceFile) -> [UInt64] {
    var bases = [UInt64](repeating: 0, count: 256)
    var next: UInt64 = 0
    for region in file.regions {
      bases[Int(region.number)] = next
      next += (region.byteCount + regionAlignment - 1) / regionAlignment * regionAlignment
    }
    return bases
  }

  /// What was done so far.
  public var tally: ConversionTally {
    var sum = ConversionTally()
    sum.lineCount = lineCount
    for lane in lanes {
      sum.eventCount += lane.tally.eventCount
      for (loss, count) in lane.tally.losses { sum.count(loss, count) }
    }
    if interleaving != .time, lineCount > 0 { sum.count(.times) }
    return sum
  }

  /// Events read so far, for progress.
  public var eventCount: UInt64 { lanes.reduce(0) { $0 + $1.tally.eventCount } }

  /// Appends lines of text until there are some 64 KiB, each ended by a newline.
  ///
  /// - Returns: Whether more may follow.
  /// - Throws: ``TraceError`` where a chunk is damaged or cannot be read, where too many threads
  ///   overlap, or where the text would have more than ``lineCountMax`` lines.
  public mutating func append(to text: inout [UInt8]) throws(TraceError) -> Bool {
    while text.count < 1 << 16 {
      guard let request = try nextRequest() else { return false }
      guard lineCount < Self.lineCountMax else {
        throw TraceError(
          .limit, offset: 0, reason: "the text would have more than \(Self.lineCountMax) lines",
          nextStep: "record less, or replay the recording with 'arbiter simulate --trace'")
      }
      lineCount += 1
      write(request, idle: interleaving == .time ? idleClocks(request) : 0, to: &text)
    }
    return true
  }

  private mutating func nextRequest() throws(TraceError) -> LineRequest? {
    interleaving == .time ? try nextByTime() : try nextByTurn()
  }

  private mutating func nextByTime() throws(TraceError) -> LineRequest? {
    while let lane = heap.pop() {
      if let request = pending[lane] {
        pending[lane] = try line(of: lane)
        if let next = pending[lane] { heap.push(lane, at: next.time) }
        return request
      }
      // So far only a time before which the lane has nothing was known.
      pending[lane] = try line(of: lane)
      if let next = pending[lane] { heap.push(lane, at: next.time) }
    }
    return nil
  }

  private mutating func nextByTurn() throws(TraceError) -> LineRequest? {
    while !alive.isEmpty {
      if interleaving == .random { turn = random.below(alive.count) }
      if turn >= alive.count { turn = 0 }
      if let request = try line(of: alive[turn]) {
        turn += 1
        return request
      }
      alive.remove(at: turn)
    }
    return nil
  }

  private mutating func line(of lane: Int) throws(TraceError) -> LineRequest? {
    let before = lanes[lane].loadedCount
    let request = try lanes[lane].next()
    loadedCount += lanes[lane].loadedCount - before
    try checkLoaded(loadedCount, of: lanes.count)
    return request
  }

  /// The clocks of 0.75 ns that nobody waited for the memory before a request.
  ///
  /// What is left over goes to the next one, so that the sum stays right.
  private mutating func idleClocks(_ request: LineRequest) -> UInt64 {
    let gap = request.time > busyUntil ? min(request.time - busyUntil, 1 << 60) : 0
    busyUntil = max(busyUntil, request.end, request.time)
    let quarters = gap * 4 + quarterRest
    quarterRest = quarters % 3
    return quarters / 3
  }

  private func write(_ request: LineRequest, idle: UInt64, to text: inout [UInt8]) {
    text.append(UInt8(ascii: "0"))
    text.append(UInt8(ascii: "x"))
    Self.appendHexadecimal(request.address, to: &text)
    text.append(UInt8(ascii: " "))
    text.append(request.kind.rawValue)
    if idle > 0 {
      text.append(UInt8(ascii: ":"))
      text += String(idle).utf8
    }
    text.append(UInt8(ascii: "\n"))
  }

  private static func appendHexadecimal(_ number: UInt64, to text: inout [UInt8]) {
    // The first digit that is not zero, or the last one.
    var shift = max(0, 63 - number.leadingZeroBitCount) / 4 * 4
    while shift >= 0 {
      let digit = UInt8(truncatingIfNeeded: number >> UInt64(shift)) & 15
      text.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
      shift -= 4
    }
  }
}
