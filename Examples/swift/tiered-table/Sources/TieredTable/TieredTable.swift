// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import Arbiter
import Glibc

/// A table of counters that is four times as large as the fast memory it may take.
///
///     tiered-table [FOLDER [SECONDS]]
///
/// Nine updates of ten fall on the last eighth of it, which lies in slow memory at first. The rows
/// move while they are updated; at the end every update must be there.
@main
struct TieredTable {
  static let byteCount = 128 << 20
  static let fastByteCount: UInt64 = 32 << 20

  static func main() {
    let words = CommandLine.arguments.dropFirst()
    let folder = words.first ?? "/dev/shm"
    let seconds = words.dropFirst().first.flatMap { Int($0) } ?? 10
    do {
      let updates = try run(in: folder, seconds: seconds)
      print(updates.isWhole ? "\(updates.count) updates, all whole" : "updates were lost")
      exit(updates.isWhole ? 0 : 1)
    } catch {
      print(error)
      exit(error.code == .noPermission ? EX_NOPERM : EX_UNAVAILABLE)
    }
  }

  /// Updates the table for some seconds and tells each second where the accesses went.
  static func run(
    in folder: String, seconds: Int
  ) throws(PlatformError) -> (count: UInt64, isWhole: Bool) {
    let memory = try TieredMemory(fastBytes: fastByteCount, slow: .path(folder))
    defer { memory.stop() }
    let allocation = try unsafe memory.allocate(byteCount: byteCount)
    defer { unsafe memory.deallocate(allocation) }
    let rows = unsafe allocation.bindMemory(to: UInt64.self)
    for remark in memory.takeRemarks() { print(remark) }

    var random = SeededRandom(seed: 1)
    var count: UInt64 = 0
    for second in 1...max(1, seconds) {
      let end = SystemClock.monotonicRawNanoseconds() + 1_000_000_000
      while SystemClock.monotonicRawNanoseconds() < end {
        for _ in 0..<10_000 {
          let isHot = random.below(10) != 0
          let among = isHot ? rows.count / 8 : rows.count
          unsafe rows[rows.count - 1 - random.below(among)] += 1
        }
        count += 10_000
      }
      tell(memory.reading, after: second)
    }
    memory.stop()
    return unsafe (count, rows.reduce(0, +) == count)
  }

  static func tell(_ reading: TierReading, after second: Int) {
    let share =
      switch reading.recentFastHitShare {
      case .known(let share): "\(Int(share.value * 100)) % of the accesses met fast memory"
      case .unavailable(let reason): "no share: \(reason)"
      }
    print("\(second) s: \(share); \(reading.promotedBytes >> 20) MiB moved there so far")
  }
}
