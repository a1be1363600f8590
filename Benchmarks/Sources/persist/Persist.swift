// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// What a persisted copy costs beside libpmem's: pairs of the same sweep of copies into one mapped
// file in DRAM, once by MappedRegion.copyAndPersist and once by pmem_memcpy_persist, taken in turn
// in one process. Both believe in cache-line granularity, so that both write lines back and fence;
// that they do so equally often is the test `a persisted copy flushes and fences as often as
// libpmem's`. The figure is the median over the pairs of our time over theirs, with its
// distribution-free 95 % interval.
//
//   met        the whole interval lies at or below the limit
//   missed     the whole interval lies above it
//   undecided  the limit lies within the interval

internal import Arbiter
internal import BenchmarkSupport
internal import Glibc

/// How much is measured.
///
/// Short arms and many pairs: what disturbs the machine for longer than a pair weighs on both arms.
struct Size {
  var pairCount: Int
  var bytesPerArm: Int
  var copiesMax: Int

  static let full = Size(pairCount: 4001, bytesPerArm: 256 << 10, copiesMax: 400)
  /// For test runs: too few copies to mean anything, enough to see that it runs.
  static let smoke = Size(pairCount: 31, bytesPerArm: 256 << 10, copiesMax: 100)
}

typealias MemcpyPersist =
  @convention(c) (UnsafeMutableRawPointer?, UnsafeRawPointer?, Int) -> UnsafeMutableRawPointer?

@main
enum PersistBenchmark {
  static let regionBytes = 64 << 20
  /// Bytes of a copy, and the ratio that must not be exceeded.
  static let cases: [(bytes: Int, limit: Double)] = [
    (64, 1.05), (256, 1.05), (512, 1.05), (1 << 10, 1.05), (4 << 10, 1.05), (64 << 10, 1),
    (1 << 20, 1), (2 << 20, 1),
  ]

  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    guard arguments.allSatisfy({ $0 == "--smoke" }) else {
      print("usage: persist [--smoke]")
      exit(2)
    }
    let isSmoke = !arguments.isEmpty
    guard let theirs = unsafe libpmem() else {
      print("persist: libpmem.so.1 is not installed; install Debian's libpmem1")
      exit(69)
    }
    let folder = "/dev/shm/arbiter-persist-\(getpid())"
    let region = try MappedRegion(
      path: folder, byteCount: ByteCount(bytes: regionBytes),
      options: .init(forcedGranularity: .cacheLine))
    unsafe unlink(folder)
    let (vector, flush) = (region.operations.vector, region.flushInstruction)
    print("copies by \(vector), lines written back by \(flush.rawValue)")
    let clock = try TimeStampClock.calibrate()
    var verdicts: [Verdict] = []
    for (bytes, limit) in cases {
      verdicts.append(
        unsafe measure(
          region, theirs, bytes: bytes, limit: limit, size: isSmoke ? .smoke : .full,
          clock: clock))
    }
    let verdict = Verdict.worst(verdicts)
    print("persist: \(verdict.rawValue)\(isSmoke ? " (smoke: the figures mean nothing)" : "")")
    if verdict == .missed, !isSmoke { exit(1) }
  }

  /// pmem_memcpy_persist with every place taken for persistent memory.
  static func libpmem() -> MemcpyPersist? {
    unsafe setenv("PMEM_IS_PMEM_FORCE", "1", 1)
    guard let library = unsafe dlopen("libpmem.so.1", RTLD_NOW),
      let symbol = unsafe dlsym(library, "pmem_memcpy_persist")
    else { return nil }
    // SAFETY: the type is that of libpmem.h.
    return unsafe unsafeBitCast(symbol, to: MemcpyPersist.self)
  }

  static func measure(
    _ region: borrowing MappedRegion, _ theirs: MemcpyPersist, bytes: Int, limit: Double,
    size: Size, clock: TimeStampClock
  ) -> Verdict {
    let source = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 4096)
    defer { unsafe source.deallocate() }
    unsafe source.initializeMemory(as: UInt8.self, repeating: 7)
    let data = UnsafeRawBufferPointer(source)
    let copies = max(1, min(size.copiesMax, size.bytesPerArm / bytes))
    // Warm up both arms.
    _ = unsafe theirTicks(region, theirs, data, copies: copies, start: 0)
    _ = unsafe ourTicks(region, data, copies: copies, start: 0)
    let pairs = Pairs(count: size.pairCount) { pair in
      unsafe clock.nanoseconds(
        theirTicks(region, theirs, data, copies: copies, start: place(pair, bytes)))
        / Double(copies)
    } second: { pair in
      unsafe clock.nanoseconds(ourTicks(region, data, copies: copies, start: place(pair, bytes)))
        / Double(copies)
    }
    let ratios = pairs.ratios
    let interval = Statistics.medianInterval(ratios)
    let verdict = Verdict(interval: interval, limit: limit)
    guard let ratio = Statistics.median(ratios), let interval,
      let our = Statistics.median(pairs.second), let their = Statistics.median(pairs.first)
    else { return .undecided }
    print(
      "\(ByteCount(bytes: bytes)): libpmem \(text(their, digits: 1)) ns, ours "
        + "\(text(our, digits: 1)) ns, ratio \(text(ratio, digits: 4)) (95 % "
        + "\(text(interval.lowerBound, digits: 4)) to \(text(interval.upperBound, digits: 4)), "
        + "\(ratios.count) pairs), limit \(text(limit)): \(verdict.rawValue)")
    return verdict
  }

  /// Where a pair's sweep starts: both arms of a pair write the same places.
  static func place(_ pair: Int, _ bytes: Int) -> Int {
    pair * 7919 % (regionBytes / bytes) * bytes
  }

  /// Never inlined, so that both arms are compiled alike.
  @inline(never)
  static func theirTicks(
    _ region: borrowing MappedRegion, _ theirs: MemcpyPersist, _ data: UnsafeRawBufferPointer,
    copies: Int, start: Int
  ) -> Int64 {
    let base = unsafe region.base
    let source = data.baseAddress
    let bytes = data.count
    let begin = TimeStampClock.nowOrdered()
    var offset = start
    for _ in 0..<copies {
      // SAFETY: the offset stays below the region's size.
      _ = unsafe theirs(base + offset, source, bytes)
      offset += bytes
      if offset > regionBytes - bytes { offset = 0 }
    }
    return TimeStampClock.nowOrdered() &- begin
  }

  @inline(never)
  static func ourTicks(
    _ region: borrowing MappedRegion, _ data: UnsafeRawBufferPointer, copies: Int, start: Int
  ) -> Int64 {
    let bytes = data.count
    let begin = TimeStampClock.nowOrdered()
    var offset = start
    for _ in 0..<copies {
      do throws(PlatformError) {
        unsafe try region.copyAndPersist(data, to: offset)
      } catch {
        fatalError("\(error)")
      }
      offset += bytes
      if offset > regionBytes - bytes { offset = 0 }
    }
    return TimeStampClock.nowOrdered() &- begin
  }
}
