// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterMetrics
import ArbiterPlatform
import ArbiterRuntime
import ArbiterTestSupport
import CTestSupport
import Glibc
import Testing

/// Makes a file of zeros and returns its path.
private func makeFile(_ folder: borrowing TemporaryFolder, byteCount: Int) -> String {
  folder.write("", to: "file")
  let path = "\(folder.path)/file"
  let status = unsafe truncate(path, off_t(byteCount))
  precondition(status == 0, "cannot extend the file")
  return path
}

/// Changes one byte of a file.
private func spoil(_ path: String, at offset: Int) {
  let descriptor = unsafe open(path, O_RDWR)
  precondition(descriptor >= 0, "cannot open the file")
  defer { close(descriptor) }
  var byte: UInt8 = 0
  unsafe _ = pread(descriptor, &byte, 1, off_t(offset))
  byte ^= 0x10
  unsafe _ = pwrite(descriptor, &byte, 1, off_t(offset))
}

@Suite("File bench")
struct FileBenchTests {
  private static let places = ["/dev/shm", "/var/tmp"]
  private let size = 1 << 20

  private func bench(
    _ change: (inout FileBench.Configuration) -> Void
  ) throws -> FileBench {
    var configuration = FileBench.Configuration()
    configuration.bound = .bytesPerThread(1 << 18)
    change(&configuration)
    return try FileBench(configuration, clock: TimeStampClock(ticksPerNanosecond: 2.5))
  }

  @Test(
    arguments: [FileBench.Method.write, .mappedWrite],
    FileBenchTests.places.flatMap { place in
      AddressPattern.allCases.map { (place, $0) }
    })
  func `what is written reads back, byte for byte`(
    method: FileBench.Method, at: (place: String, pattern: AddressPattern)
  ) throws {
    let folder = TemporaryFolder(in: at.place)
    let path = makeFile(folder, byteCount: size)
    for (threads, block) in [(1, 64), (3, 4096), (2, 192), (1, 1 << 20)] {
      let bench = try bench {
        $0.method = method
        $0.threadCount = threads
        $0.blockBytes = block
        $0.pattern = at.pattern
        $0.durability = .atEnd
        $0.seed = UInt64(block)
      }
      let outcome = try bench.run(on: path, byteCount: size)
      let accesses = ((1 << 18) - 1) / block + 1
      #expect(
        outcome.threads.map(\.accessCount) == Array(repeating: UInt64(accesses), count: threads))
      #expect(outcome.movedBytes == threads * accesses * block)
      #expect(outcome.accessLatencies?.count == UInt64(threads * accesses))
      #expect(outcome.syncLatencies?.count == UInt64(threads))
      let verification = try bench.verify(outcome, on: path, byteCount: size)
      #expect(verification.isClean, "\(verification)")
      if at.pattern == .sequential {
        let slice = size / threads / block
        #expect(verification.lineCount == threads * min(accesses, slice) * block / 64)
      }
      #expect(verification.lineCount > 0)
    }
  }

  @Test(arguments: [0, 70, 4095, 4096 * 5 + 64])
  func `a byte that was changed afterwards is found`(offset: Int) throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let path = makeFile(folder, byteCount: size)
    let bench = try bench { $0.blockBytes = 4096 }
    let outcome = try bench.run(on: path, byteCount: size)
    #expect(try bench.verify(outcome, on: path, byteCount: size).isClean)
    spoil(path, at: offset)
    let found = try bench.verify(outcome, on: path, byteCount: size)
    #expect(found.mismatchCount == 1)
    #expect(found.mismatches.first?.offset == offset / 64 * 64)
  }

  @Test(arguments: [FileBench.Method.read, .mappedRead], FileBenchTests.places)
  func `reads find the stamps of what was written, and miss those that are gone`(
    method: FileBench.Method, place: String
  ) throws {
    let folder = TemporaryFolder(in: place)
    let path = makeFile(folder, byteCount: size)
    let writing = try bench { $0.bound = .bytesPerThread(1 << 20) }
    _ = try writing.run(on: path, byteCount: size)
    // Other slices than those of the writer: a stamp says where it belongs.
    let reading = try bench {
      $0.method = method
      $0.threadCount = 2
      $0.bound = .bytesPerThread(1 << 19)
      $0.checksStamps = true
    }
    let outcome = try reading.run(on: path, byteCount: size)
    #expect(outcome.movedBytes == size && outcome.mismatchCount == 0)
    #expect(outcome.syncLatencies == nil)
    spoil(path, at: 8192)
    spoil(path, at: 900_000 / 4096 * 4096 + 8)
    let again = try reading.run(on: path, byteCount: size)
    #expect(again.threads.map(\.mismatchCount) == [1, 1])
    #expect(throws: PlatformError.self) {
      try reading.verify(outcome, on: path, byteCount: size)
    }
  }

  @Test func `syncs come as often as asked`() throws {
    let folder = TemporaryFolder(in: "/var/tmp")
    let path = makeFile(folder, byteCount: size)
    for method in [FileBench.Method.write, .mappedWrite] {
      for (durability, count) in [
        (FileBench.Durability.never, 0), (.atEnd, 1), (.every(bytes: 1 << 16), 4),
        (.every(bytes: 100_000), 3), (.every(bytes: 1), 64),
      ] {
        let bench = try bench {
          $0.method = method
          $0.durability = durability
          $0.syncCall = .fsync
        }
        let outcome = try bench.run(on: path, byteCount: size)
        #expect(outcome.threads[0].syncCount == UInt64(count), "\(durability)")
        #expect((outcome.syncLatencies?.count ?? 0) == UInt64(count))
      }
    }
  }

  @Test func `O_DIRECT writes what it should, or is refused with the reason`() throws {
    for place in Self.places {
      let folder = TemporaryFolder(in: place)
      let path = makeFile(folder, byteCount: size)
      let bench = try bench { $0.isDirect = true }
      do throws(PlatformError) {
        let outcome = try bench.run(on: path, byteCount: size)
        #expect(try bench.verify(outcome, on: path, byteCount: size).isClean)
      } catch {
        #expect(error.code == .unsupported, "\(error)")
      }
    }
  }

  @Test func `time bounds a run, and whoever cancels ends it early`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let path = makeFile(folder, byteCount: size)
    let timed = try bench { $0.bound = .seconds(0.03) }
    let outcome = try timed.run(on: path, byteCount: size)
    #expect(outcome.seconds >= 0.03 && outcome.movedBytes > 0 && outcome.bytesPerSecond > 0)
    #expect(outcome.threadCPUSeconds > 0)
    #expect((outcome.cost.process.value?.seconds ?? 0) > 0)
    for bound in [RealRun.Bound.seconds(600), .bytesPerThread(.max / 4)] {
      var askedCount = 0
      let long = try bench { $0.bound = bound }
      let cancelled = try long.run(on: path, byteCount: size) {
        askedCount += 1
        return askedCount > 1
      }
      #expect(cancelled.seconds < 300 && askedCount == 2)
      #expect(try long.verify(cancelled, on: path, byteCount: size).isClean)
    }
  }

  @Test func `what makes no sense is refused before anything is written`() throws {
    for change in [
      { $0.blockBytes = 100 }, { $0.blockBytes = 0 }, { $0.threadCount = 0 },
      {
        $0.isDirect = true; $0.blockBytes = 64
      },
      {
        $0.isDirect = true; $0.method = .mappedRead
      },
      { $0.durability = .every(bytes: 0) }, { $0.bound = .seconds(0) },
      { $0.accessesPerSample = -1 },
    ] as [(inout FileBench.Configuration) -> Void] {
      #expect(throws: PlatformError.self) { try bench(change) }
    }
    let folder = TemporaryFolder(in: "/dev/shm")
    let path = makeFile(folder, byteCount: size)
    func code(_ path: String, _ byteCount: Int) throws -> PlatformError.Code? {
      let bench = try bench { $0.threadCount = 2 }
      do throws(PlatformError) {
        _ = try bench.run(on: path, byteCount: byteCount)
        return nil
      } catch {
        return error.code
      }
    }
    #expect(try code(path, size + 4096) == .tooSmall)
    #expect(try code(path, 8191) == .invalidArgument)
    #expect(try code(folder.path, size) != nil)
    #expect(try code("\(folder.path)/none", size) == .notFound)
    #expect(try code("/dev/zero", size) == .invalidArgument)
  }

  @Test func `a file that others shorten fails the run and leaves no thread behind`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let path = makeFile(folder, byteCount: size)
    let bench = try bench {
      $0.threadCount = 2
      $0.method = .read
      $0.bound = .seconds(30)
    }
    var isShortened = false
    do throws(PlatformError) {
      _ = try bench.run(on: path, byteCount: size) {
        if !isShortened { unsafe _ = truncate(path, 4096) }
        isShortened = true
        return false
      }
      Issue.record("the file was shortened, and nobody noticed")
    } catch {
      #expect(error.code == .truncated)
      #expect(error.path == path)
    }
  }

  @Test(
    .enabled(
      if: arb_test_counts_allocations() != 0, "a sanitizer needs malloc for itself"),
    arguments: [FileBench.Method.read, .write])
  func `more accesses allocate no more`(method: FileBench.Method) throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let path = makeFile(folder, byteCount: size)
    let descriptor = unsafe open(path, O_RDWR)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    func allocationCount(_ bytes: Int) -> UInt64 {
      var configuration = FileBench.Configuration()
      configuration.method = method
      configuration.bound = .bytesPerThread(bytes)
      configuration.durability = .every(bytes: 1 << 16)
      let before = arb_test_allocation_count()
      let run = unsafe FileRun(configuration, descriptor: descriptor, base: nil)
      run.start()
      var worker = FileWorker(run, thread: 0, slice: 0..<size, path: path)
      worker.run()
      return arb_test_allocation_count() - before
    }
    _ = allocationCount(1 << 16)
    let few = allocationCount(1 << 16)
    #expect(few > 0 && allocationCount(1 << 24) == few)
  }

  @Test func `a file without a name is reached by its descriptor`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let path = makeFile(folder, byteCount: size)
    let descriptor = unsafe open(path, O_RDWR)
    defer { close(descriptor) }
    unsafe unlink(path)
    let bench = try bench { _ in }
    let nameless = "/proc/self/fd/\(descriptor)"
    let outcome = try bench.run(on: nameless, byteCount: size)
    #expect(try bench.verify(outcome, on: nameless, byteCount: size).isClean)
  }
}
