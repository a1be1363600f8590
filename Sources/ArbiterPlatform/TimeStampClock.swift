// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
public import CArbiter
internal import Glibc

// The time-stamp counter is the only clock cheap enough for a gate (15 ns against 35 ns of
// clock_gettime on the machine where it was measured). Its rate is measured, not read from CPUID:
// virtual machines often leave the CPUID leaf empty.

/// The time-stamp counter of the processor and its rate.
@frozen
public struct TimeStampClock: Sendable, Hashable {
  /// Counts per nanosecond; above 0.
  public let ticksPerNanosecond: Double

  /// Makes a clock of a known rate.
  ///
  /// - Precondition: The rate is above 0.
  public init(ticksPerNanosecond: Double) {
    precondition(ticksPerNanosecond > 0, "time-stamp rate must be above 0")
    self.ticksPerNanosecond = ticksPerNanosecond
  }

  /// The counter now; instructions after it may already have started.
  ///
  /// - Complexity: One instruction, about 15 ns in a virtual machine.
  @inlinable @inline(__always)
  public static func now() -> Int64 { arb_read_tsc() }

  /// The counter once all earlier loads are complete and all earlier stores have retired.
  @inlinable @inline(__always)
  public static func nowOrdered() -> Int64 { arb_read_tsc_ordered() }

  /// The span of the given counts in nanoseconds.
  @inlinable
  public func nanoseconds(_ ticks: Int64) -> Double { Double(ticks) / ticksPerNanosecond }

  /// The counts in the given nanoseconds, rounded up so that a wait is never too short.
  public func ticks(nanoseconds: Double) -> Int64 {
    Int64((nanoseconds * ticksPerNanosecond).rounded(.up))
  }

  /// Measures the rate against CLOCK_MONOTONIC_RAW, which nobody adjusts.
  ///
  /// Takes the median of `rounds` measurements of `milliseconds` each, so that one descheduling
  /// does not spoil it; the calling thread sleeps meanwhile.
  ///
  /// - Throws: ``PlatformError`` with ``PlatformError/Code/unsupported`` where the counter stands
  ///   still or runs backwards.
  public static func calibrate(
    rounds: Int = 5, milliseconds: Int = 2
  ) throws(PlatformError)
    -> TimeStampClock
  {
    var rates: [Double] = []
    for _ in 0..<max(1, rounds) {
      let first = pairedReading()
      usleep(UInt32(max(1, milliseconds)) * 1000)
      let last = pairedReading()
      let nanoseconds = last.nanoseconds - first.nanoseconds
      let ticks = last.ticks - first.ticks
      if nanoseconds > 0, ticks > 0 { rates.append(Double(ticks) / Double(nanoseconds)) }
    }
    rates.sort()
    guard !rates.isEmpty else {
      throw PlatformError(
        .unsupported, reason: "the time-stamp counter does not advance",
        nextStep: "run on a processor with an invariant time-stamp counter")
    }
    return TimeStampClock(ticksPerNanosecond: rates[rates.count / 2])
  }

  /// Measures the rate as fast as an exactness allows: some 0.3 ms for one part in a thousand.
  ///
  /// The span between two readings grows until the time within which each of them was made is the
  /// given share of it, so that a thread that is put aside costs time, never exactness.
  ///
  /// - Parameter share: The largest error, as a share of the rate.
  /// - Returns: The clock.
  /// - Throws: ``PlatformError`` with ``PlatformError/Code/unsupported`` where the counter stands
  ///   still or runs backwards, or is not to be had as exactly within 100 ms.
  public static func measure(
    within share: Double = 0.001
  ) throws(PlatformError) -> TimeStampClock {
    let first = pairedReading()
    let limit = first.nanoseconds + 100_000_000
    var last = first
    repeat {
      usleep(200)
      last = pairedReading()
      let nanoseconds = last.nanoseconds - first.nanoseconds
      let ticks = last.ticks - first.ticks
      let doubt = Double(first.width + last.width) / 2
      if nanoseconds > 0, ticks > 0, doubt <= share * Double(ticks) {
        return TimeStampClock(ticksPerNanosecond: Double(ticks) / Double(nanoseconds))
      }
    } while last.nanoseconds < limit
    throw PlatformError(
      .unsupported, reason: "the time-stamp counter has no steady rate",
      nextStep: "run on a processor with an invariant time-stamp counter")
  }

  /// One moment on both clocks: of several tries the one whose readings lie closest together, and
  /// how close that is in ticks.
  private static func pairedReading() -> (ticks: Int64, nanoseconds: Int64, width: Int64) {
    var best: (ticks: Int64, nanoseconds: Int64, width: Int64) = (0, 0, 0)
    var narrowest = Int64.max
    for _ in 0..<8 {
      let before = arb_read_tsc_ordered()
      let nanoseconds = SystemClock.monotonicRawNanoseconds()
      let after = arb_read_tsc_ordered()
      if after - before < narrowest {
        narrowest = after - before
        best = (before + (after - before) / 2, nanoseconds, after - before)
      }
    }
    return best
  }
}

/// The kernel's clocks.
public enum SystemClock {
  /// Nanoseconds since an arbitrary moment, by a clock that nobody adjusts.
  public static func monotonicRawNanoseconds() -> Int64 { read(CLOCK_MONOTONIC_RAW) }

  /// CPU time that the calling thread has used, in nanoseconds.
  ///
  /// - Complexity: One system call.
  public static func threadCPUNanoseconds() -> Int64 { read(CLOCK_THREAD_CPUTIME_ID) }

  /// Clock ticks in a second, the kernel's unit in /proc.
  public static let ticksPerSecond = sysconf(Int32(_SC_CLK_TCK))

  private static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    // SAFETY: the kernel fills the whole structure that is passed.
    let status = unsafe clock_gettime(clock, &time)
    precondition(status == 0, "clock_gettime failed for a clock that every Linux has")
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}
