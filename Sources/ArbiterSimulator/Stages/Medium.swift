// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The medium: a few units that each read or write one block at a time. Reads cost about a third of
// writes (6.6 against 2.28 GB/s, Yang et al., FAST'20). A wear-levelling stall holds the start of
// every job; jobs that run go on.

internal import ArbiterCore
internal import ArbiterDevice

/// What a media unit is busy with.
enum MediaJob {
  case write(BlockWrite)
  case read(slot: Int)
}

/// The media units of one module.
struct Medium: ~Copyable {
  struct Unit {
    var finish = Int64.max
    var job = MediaJob.read(slot: 0)
  }

  private let units: FixedArray<Unit>
  private let writeTime: Int64
  private let partialWriteTime: Int64
  private let readTime: Int64
  private let writeJitter: Int64
  private let readJitter: Int64
  private let translationTime: Int64
  private let stallPeriod: Int64
  private let stallLength: Int64
  private var random: SeededRandom

  /// Units that are busy.
  private(set) var busyCount = 0
  /// When the first busy unit finishes; `.max` where all are idle.
  private(set) var nextFinish = Int64.max
  /// Until when the whole module stands still, if it does.
  private(set) var stallEnd = Int64.min
  private var nextUnit = 0

  init(profile: DeviceProfile, random: SeededRandom) {
    units = FixedArray(count: profile.mediaUnits) { _ in Unit() }
    writeTime = TimeSpan.nanoseconds(profile.mediaWriteNanoseconds).picoseconds
    readTime = TimeSpan.nanoseconds(profile.mediaReadNanoseconds).picoseconds
    partialWriteTime =
      writeTime + Int64(Double(readTime) * profile.readModifyWriteChargeRatio)
    writeJitter = Int64(Double(writeTime) * profile.mediaJitterRatio)
    readJitter = Int64(Double(readTime) * profile.mediaJitterRatio)
    translationTime = TimeSpan.nanoseconds(profile.translationWriteNanoseconds).picoseconds
    stallPeriod = TimeSpan.nanoseconds(profile.stallPeriodNanoseconds).picoseconds
    stallLength = TimeSpan.nanoseconds(profile.stallNanoseconds).picoseconds
    self.random = random
  }

  @inline(__always)
  var hasIdleUnit: Bool { busyCount < units.count }

  /// Starts a job on an idle unit; a write may have to wait for its translation there.
  ///
  /// Precondition: ``hasIdleUnit``.
  mutating func start(_ job: MediaJob, isTranslated: Bool, now: Int64) {
    precondition(hasIdleUnit, "no idle media unit")
    var time: Int64
    switch job {
    case .write(let write):
      time = write.mask == WriteCombiningBuffer.fullMask ? writeTime : partialWriteTime
      if !isTranslated { time &+= translationTime }
      if writeJitter > 0 { time &+= random.symmetric(writeJitter) }
    case .read:
      time = readTime
      if readJitter > 0 { time &+= random.symmetric(readJitter) }
    }
    let finish = unstalled(now) &+ time
    var unit = 0
    while units[unit].finish != .max { unit &+= 1 }
    units[unit] = Unit(finish: finish, job: job)
    busyCount &+= 1
    // Of equal times the lower unit goes first.
    if finish < nextFinish || (finish == nextFinish && unit < nextUnit) {
      nextFinish = finish
      nextUnit = unit
    }
  }

  /// Keeps everything from starting for a while.
  mutating func stall(until end: Int64) { stallEnd = max(stallEnd, end) }

  /// The first instant at or after `now` at which a job may start.
  private func unstalled(_ start: Int64) -> Int64 {
    let now = max(start, stallEnd)
    if stallPeriod == 0 { return now }
    let phase = now % stallPeriod
    return phase < stallLength && now >= stallPeriod ? now &- phase &+ stallLength : now
  }

  /// Ends the job that finishes first.
  ///
  /// Precondition: a unit is busy.
  mutating func finish() -> MediaJob {
    precondition(busyCount > 0, "no busy media unit")
    let job = units[nextUnit].job
    units[nextUnit].finish = .max
    busyCount &-= 1
    findNext()
    return job
  }

  private mutating func findNext() {
    var first = Int64.max
    var unit = 0
    for index in 0..<units.count {
      let finish = units[index].finish
      unit = finish < first ? index : unit
      first = finish < first ? finish : first
    }
    nextFinish = first
    nextUnit = unit
  }
}
