// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterMemory
internal import ArbiterPlatform
internal import ArbiterWorkloads
internal import Synchronization

/// A number that the optimiser does not know.
enum Opaque {
  // Nothing else is ordered by it, and nobody ever changes it.
  private static let word = Atomic<UInt64>(0)

  /// 0.
  static var zero: UInt64 { word.load(ordering: .relaxed) }
}

// SAFETY: what changes are atomics and a lock; behind `base` each thread has a part of its own.
/// What the threads of one bandwidth measurement share.
@safe
final class BandwidthShared: @unchecked Sendable {
  /// What the threads do now.
  enum Phase {
    static let waiting = 0
    static let warmUp = 1
    static let measured = 2
    static let ended = 3
  }

  let base: UnsafeMutableRawPointer
  let workload: Workload
  let method: StoreMethod
  let pattern: LinePattern
  let seed: UInt64
  let phase = Atomic<Int>(Phase.waiting)
  let readyCount = Atomic<Int>(0)
  let moved: Lock<[Mover.Moved]>

  @unsafe
  init(
    base: UnsafeMutableRawPointer, _ workload: Workload, threadCount: Int, _ method: StoreMethod,
    _ pattern: LinePattern, seed: UInt64
  ) {
    unsafe self.base = base
    self.workload = workload
    self.method = method
    self.pattern = pattern
    self.seed = seed
    moved = Lock(Array(repeating: Mover.Moved(), count: threadCount))
  }

  /// Reports that a thread is set up, and waits for the others.
  func waitForStart() {
    readyCount.wrappingAdd(1, ordering: .releasing)
    var backoff = Backoff()
    // Acquires what was written before the threads were let go.
    while phase.load(ordering: .acquiring) == Phase.waiting { backoff.wait() }
  }

  func end(_ thread: Int, _ result: Mover.Moved) {
    moved.withLock { $0[thread] = result }
  }
}

/// One thread that moves bytes as fast as it can.
struct Mover {
  /// What a thread moved in the measured phase.
  struct Moved: Sendable {
    var readAccesses: UInt64 = 0
    var writtenAccesses: UInt64 = 0
    var endNanoseconds: Int64 = 0
    /// What the loaded words add up to, so that no load is left out.
    var sum: UInt64 = 0
  }

  private let shared: BandwidthShared
  private let thread: Int
  private var addresses: AddressStream
  private var choice: SeededRandom
  /// Loads per 2^32 accesses.
  private let readThreshold: UInt64
  private var sums = SIMD8<UInt64>()

  init(_ shared: BandwidthShared, thread: Int) {
    let workload = shared.workload
    self.shared = shared
    self.thread = thread
    let start = thread * workload.regionBytes
    addresses = AddressStream(
      slice: start..<(start + workload.regionBytes), accessBytes: workload.accessBytes,
      pattern: workload.pattern == .random ? .random : .sequential, seed: shared.seed,
      thread: thread)
    choice = SeededRandom(seed: ~shared.seed, stream: UInt64(thread) + 1)
    readThreshold = UInt64(workload.readShare * 4_294_967_296)
  }

  /// Warms up, moves bytes until the end, and reports.
  mutating func run() {
    shared.waitForStart()
    _ = move(while: BandwidthShared.Phase.warmUp)
    var result = move(while: BandwidthShared.Phase.measured)
    // What is still in write-combining buffers belongs to the measurement.
    LineWriter.fence()
    result.endNanoseconds = SystemClock.monotonicRawNanoseconds()
    result.sum = sums.wrappedSum()
    shared.end(thread, result)
  }

  private mutating func move(while phase: Int) -> Moved {
    let length = shared.workload.accessBytes
    let threshold = readThreshold
    var result = Moved()
    // Once at least: a thread that had no processor for all of a phase is late, and its end tells;
    // a bandwidth of 0 would be a lie. Relaxed: the phase orders nothing, it only has to arrive.
    if threshold == 0 {
      repeat {
        store(addresses.next(), length)
        result.writtenAccesses &+= 1
      } while shared.phase.load(ordering: .relaxed) == phase
    } else if threshold == 1 << 32 {
      repeat {
        load(addresses.next(), length)
        result.readAccesses &+= 1
      } while shared.phase.load(ordering: .relaxed) == phase
    } else {
      repeat {
        if choice.next() >> 32 < threshold {
          load(addresses.next(), length)
          result.readAccesses &+= 1
        } else {
          store(addresses.next(), length)
          result.writtenAccesses &+= 1
        }
      } while shared.phase.load(ordering: .relaxed) == phase
    }
    return result
  }

  @inline(__always)
  private mutating func load(_ offset: Int, _ length: Int) {
    var line = 0
    var sums = sums
    while line < length {
      // SAFETY: offset + length lies within this thread's part of the region.
      sums ^= unsafe (shared.base + offset + line).load(as: SIMD8<UInt64>.self)
      line &+= 64
    }
    self.sums = sums
  }

  @inline(__always)
  private func store(_ offset: Int, _ length: Int) {
    let (pattern, method) = (shared.pattern, shared.method)
    var line = 0
    while line < length {
      // SAFETY: offset + length lies within this thread's part of the region.
      unsafe method.store(
        pattern.line(at: offset &+ line), to: shared.base + offset + line)
      line &+= 64
    }
  }
}
