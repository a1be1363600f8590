// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterMemory
import ArbiterMetrics
import ArbiterPlatform
import ArbiterRuntime
import ArbiterTestSupport
import ArbiterWorkloads
import Glibc
import Testing

@Suite("Measurement of real memory", .serialized)
struct MeasurementTests {
  private static let regionBytes = 1 << 20
  private let clock: TimeStampClock

  init() throws {
    clock = try TimeStampClock.calibrate()
  }

  private func executor(
    _ folder: borrowing TemporaryFolder, seconds: Double = 0.02
  ) throws
    -> RealMeasurement
  {
    let region = try MappedRegion(
      path: "\(folder.path)/file", byteCount: ByteCount(bytes: Self.regionBytes))
    return RealMeasurement(
      on: MeasuredMemory(region), clock: clock, seconds: seconds, warmUpSeconds: seconds / 4,
      seed: 7)
  }

  /// The file's bytes, read by system calls.
  private func words(_ folder: borrowing TemporaryFolder) throws -> [UInt64] {
    let descriptor = unsafe open("\(folder.path)/file", O_RDONLY)
    defer { close(descriptor) }
    var words = [UInt64](repeating: 0, count: Self.regionBytes / 8)
    let count = unsafe words.withUnsafeMutableBytes {
      unsafe pread(descriptor, $0.baseAddress, $0.count, 0)
    }
    try #require(count == Self.regionBytes)
    return words
  }

  /// Lines that hold what belongs there, and lines that hold anything but that or zeros.
  private func judge(_ words: [UInt64]) -> (right: Int, wrong: Int) {
    let pattern = LinePattern(seed: 7)
    var (right, wrong) = (0, 0)
    for line in 0..<(words.count / 8) {
      let expected = pattern.line(at: line * 64).words
      let found = (0..<8).map { words[line * 8 + $0] }
      if found.enumerated().allSatisfy({ expected[$0.offset] == $0.element }) {
        right += 1
      } else if found.contains(where: { $0 != 0 }) {
        wrong += 1
      }
    }
    return (right, wrong)
  }

  @Test(arguments: [1, 2, 64, 1 << 10, 1 << 15])
  func `an order visits each line once, and then again in that order`(count: Int) {
    let order = LineOrder(lineCount: count)
    let first = (0..<count).map { order.line(at: UInt64($0)) }
    #expect(Set(first).count == count && first.allSatisfy { $0 < UInt64(count) })
    #expect((0..<count).allSatisfy { order.line(at: UInt64($0 + count)) == first[$0] })
    guard count >= 1 << 10 else { return }
    // No stride that a prefetcher could follow: neighbours are close in few places.
    let near = zip(first, first.dropFirst()).count { max($0, $1) - min($0, $1) < 4 }
    #expect(near < count / 20, "\(near)")
  }

  @Test(arguments: ["nt", "clwb"], [Pattern.sequential, .random])
  func `every byte that threads write is right, and all of it is theirs`(
    kind: String, pattern: Pattern
  ) throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let point = MeasurementPoint.bandwidth(
      kind == "nt" ? .nt : .clwb, pattern, accessBytes: 256, threadCount: 2,
      regionBytes: Self.regionBytes)
    let run = try #require(
      try executor(folder, seconds: 0.05).measure(point, repetition: 0) { false })
    #expect(run.writtenBytes > 0 && run.readBytes == 0 && run.seconds >= 0.05)
    #expect(run.processCPUSeconds.value ?? 0 > 0)
    let (right, wrong) = judge(try words(folder))
    #expect(wrong == 0)
    #expect(Double(right * 64) >= min(run.writtenBytes, Double(Self.regionBytes) / 2))
  }

  @Test(arguments: ["nt", "clwb"], [64, 4096])
  func `durable stores are timed in order, and every byte of them is right`(
    kind: String, bytes: Int
  ) throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let point = MeasurementPoint.persist(
      bytes: bytes, by: kind == "nt" ? .storeNonTemporal : .storeWriteBack,
      regionBytes: Self.regionBytes)
    let run = try #require(try executor(folder).measure(point, repetition: 0) { false })
    let latency = try #require(run.latency)
    #expect(latency.sampleCount > 0 && latency.mean ?? 0 > 0)
    let known = [latency.p50, latency.p90, latency.p99, latency.p999, latency.max].compactMap(
      \.self)
    #expect(known == known.sorted() && latency.max > 0)
    let (right, wrong) = judge(try words(folder))
    #expect(right > 0 && wrong == 0)
  }

  @Test func `a chain of loads changes nothing`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let executor = try executor(folder)
    let write = MeasurementPoint.bandwidth(
      .nt, .sequential, accessBytes: 4096, threadCount: 1, regionBytes: Self.regionBytes)
    _ = try executor.measure(write, repetition: 0) { false }
    let before = try words(folder)
    let chain = MeasurementPoint.dependentRead(workingSetBytes: 1 << 18)
    let run = try #require(try executor.measure(chain, repetition: 0) { false })
    #expect(run.writtenBytes == 0 && run.readBytes > 0)
    #expect(run.latency?.mean ?? 0 > 0)
    #expect(try words(folder) == before)
  }

  @Test func `a mixture loads and stores in its proportion`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let point = MeasurementPoint.bandwidth(
      .mixed, .random, accessBytes: 64, threadCount: 2, regionBytes: Self.regionBytes,
      readShare: 0.75)
    let run = try #require(
      try executor(folder, seconds: 0.05).measure(point, repetition: 1) { false })
    #expect(abs(run.readBytes / run.movedBytes - 0.75) < 0.02)
    #expect(judge(try words(folder)).wrong == 0)
  }

  @Test func `a file that is only read stays as it is, and no store is made`() throws {
    let folder = TemporaryFolder()
    folder.write(String(repeating: "dear data", count: 20_000), to: "file")
    _ = unsafe chmod("\(folder.path)/file", 0o444)
    let file = try ReadOnlyMapping(path: "\(folder.path)/file", byteCountMax: .mebibytes(1))
    #expect(file.byteCount == 180_000 / 64 * 64)
    let executor = RealMeasurement(
      on: MeasuredMemory(file), clock: clock, seconds: 0.01, warmUpSeconds: 0.001)
    let read = MeasurementPoint.bandwidth(
      .read, .random, accessBytes: 64, threadCount: 2, regionBytes: 131_072)
    #expect(try executor.measure(read, repetition: 0) { false }?.readBytes ?? 0 > 0)
    #expect(throws: PlatformError.self) {
      try executor.measure(
        .bandwidth(.nt, .random, accessBytes: 64, threadCount: 1, regionBytes: 65_536),
        repetition: 0
      ) { false }
    }
    #expect(folder.size(of: "file") == 180_000)
  }

  @Test func `a region too small for a point is refused, and a cancelled one ends`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let executor = try executor(folder, seconds: 30)
    let large = MeasurementPoint.dependentRead(workingSetBytes: 2 << 20)
    #expect(throws: PlatformError.self) {
      try executor.measure(large, repetition: 0) { false }
    }
    let point = MeasurementPoint.bandwidth(
      .read, .random, accessBytes: 64, threadCount: 2, regionBytes: Self.regionBytes)
    let start = SystemClock.monotonicRawNanoseconds()
    var asked = 0
    let run = try executor.measure(point, repetition: 0) {
      asked += 1
      return asked > 2
    }
    #expect(run == nil)
    #expect(SystemClock.monotonicRawNanoseconds() - start < 10_000_000_000)
  }
}
