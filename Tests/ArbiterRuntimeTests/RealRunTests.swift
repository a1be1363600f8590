// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterMemory
import ArbiterPlatform
import ArbiterRuntime
import ArbiterScheduler
import ArbiterTestSupport
import Glibc
import Testing

/// The schemes with names for test output; a controlled one included.
enum NamedScheme: String, CaseIterable, Sendable {
  case baseline
  case lock
  case delegation
  case fence
  case fixedDelay
  case controlled

  var scheme: RealRun.Scheme {
    switch self {
    case .baseline: .baseline
    case .lock: .lock(LockParameters(permitCount: 2, spanBytes: 1024))
    case .delegation: .delegation(DelegationParameters(ringCount: 2, slotCount: 4))
    case .fence: .fence
    case .fixedDelay: .fixedDelay(GateSettings(delayNanoseconds: 200))
    case .controlled: .controlled(EagerController(), periodNanoseconds: 1_000_000)
    }
  }
}

@Suite("Real run", .serialized)
struct RealRunTests {
  let clock: TimeStampClock
  let reader = UnavailableCounters(reason: "test")

  init() throws {
    clock = try TimeStampClock.calibrate()
  }

  private func configuration(_ scheme: NamedScheme) -> RealRun.Configuration {
    var configuration = RealRun.Configuration()
    configuration.scheme = scheme.scheme
    configuration.threadCount = 3
    configuration.bound = .bytesPerThread(96 << 10)
    return configuration
  }

  private func bytes(of region: borrowing MappedRegion) -> [UInt8] {
    unsafe Array(UnsafeRawBufferPointer(start: region.base, count: region.byteCount))
  }

  @Test(arguments: [DelayPoint.access, .block])
  func `a long access meets its gate at every block of it`(point: DelayPoint) throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let region = try MappedRegion(path: "\(folder.path)/r", byteCount: .kibibytes(64))
    var configuration = configuration(.baseline)
    configuration.scheme = .fixedDelay(GateSettings(delayNanoseconds: 50, point: point))
    configuration.threadCount = 1
    configuration.accessBytes = 1024
    configuration.bound = .bytesPerThread(32 << 10)
    let outcome = try RealRun(configuration, clock: clock, reader: reader).run(on: region)
    let waits = outcome.threads[0].waits
    #expect(waits.count == (point == .block ? 32 * 4 : 32))
    #expect(clock.nanoseconds(waits.requestedTicksMax) <= 51, "no wait is the sum of several")
  }

  @Test(arguments: NamedScheme.allCases)
  func `every scheme writes what it should and reports it`(scheme: NamedScheme) throws {
    let folder = TemporaryFolder(in: scheme == .lock ? "/tmp" : "/dev/shm")
    let region = try MappedRegion(path: "\(folder.path)/r", byteCount: .kibibytes(256))
    for operation in [Operation.storeNonTemporal, .storeWriteBack, .storePlain] {
      var configuration = configuration(scheme)
      configuration.operation = operation
      configuration.fence = .every(bytes: 4096)
      let run = try RealRun(configuration, clock: clock, reader: reader)
      let outcome = try run.run(on: region)
      let verification = try run.verify(outcome, on: region)
      #expect(verification.isClean, "\(verification.mismatches.first?.description ?? "")")
      // 96 KiB per thread go round a slice of 85 KiB, so that all its lines are written.
      #expect(verification.lineCount == (256 << 10) / 3 / 64 * 3)
      let result = outcome.result
      #expect(result.programWriteBytes == 3 * 96 << 10)
      #expect(result.requestCount == 3 * 96 << 10 / 64)
      #expect(result.counterSource == .unavailable)
      #expect(result.writeAmplification == nil)
      #expect(result.mediaWriteBandwidth == nil)
      #expect(result.effectiveBandwidth > 0)
      #expect((result.cpuSecondsPerGiB ?? 0) > 0)
      #expect(result.fairness == 1)
      let latency = try #require(result.latencyNanoseconds)
      #expect(latency.p50 > 0 && latency.p50 <= latency.p99 && latency.p99 <= latency.max)
      #expect((outcome.permitHolderMax != nil) == (scheme == .lock))
      #expect((outcome.permitHolderMax ?? 0) <= 2)
      // 64-byte accesses in order: one delay of 200 ns per four of them.
      let delay = scheme == .fixedDelay ? 50.0 : 0
      #expect(abs(result.delayNanosecondsMean - delay) < 0.5)
    }
  }

  @Test func `bytes are identical under every scheme at all sizes and alignments`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    for pattern in AddressPattern.allCases {
      for accessBytes in [64, 192, 256, 320, 4096] {
        for startOffset in [0, 64, 192, 448] {
          var reference: [UInt8]?
          for scheme in NamedScheme.allCases {
            let region = try MappedRegion(
              path: "\(folder.path)/\(scheme)-\(accessBytes)-\(startOffset)-\(pattern)",
              byteCount: .kibibytes(64))
            var configuration = configuration(scheme)
            (configuration.pattern, configuration.accessBytes) = (pattern, accessBytes)
            configuration.startOffset = startOffset
            configuration.bound = .bytesPerThread(30_000)
            let run = try RealRun(configuration, clock: clock, reader: reader)
            let outcome = try run.run(on: region)
            #expect(try run.verify(outcome, on: region).isClean)
            let content = bytes(of: region)
            #expect(content.prefix(startOffset).allSatisfy { $0 == 0 })
            if let reference {
              #expect(content == reference, "\(scheme) \(pattern) \(accessBytes) \(startOffset)")
            }
            reference = reference ?? content
          }
        }
      }
    }
  }

  @Test func `every corrupted byte is found`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let region = try MappedRegion(path: "\(folder.path)/r", byteCount: .kibibytes(64))
    var configuration = configuration(.baseline)
    configuration.pattern = .random
    configuration.bound = .bytesPerThread(1 << 20)
    let run = try RealRun(configuration, clock: clock, reader: reader)
    let outcome = try run.run(on: region)
    for byte in 0..<64 {
      let place = unsafe region.base + 640 + byte
      let old = unsafe place.load(as: UInt8.self)
      unsafe place.storeBytes(of: old ^ 0x10, as: UInt8.self)
      let verification = try run.verify(outcome, on: region)
      #expect(verification.mismatchCount == 1)
      #expect(verification.mismatches.first?.offset == 640)
      unsafe place.storeBytes(of: old, as: UInt8.self)
    }
    #expect(try run.verify(outcome, on: region).isClean)
    // A whole, valid line in the wrong place: a lost or misdirected store.
    unsafe (region.base + 1280).copyMemory(from: region.base + 1344, byteCount: 64)
    let verification = try run.verify(outcome, on: region)
    #expect(verification.mismatches.map(\.offset) == [1280])
    #expect(verification.mismatches.first?.found?.offset == 1344)
  }

  @Test(arguments: NamedScheme.allCases)
  func `a run bounded by time ends in time`(scheme: NamedScheme) throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let region = try MappedRegion(path: "\(folder.path)/r", byteCount: .mebibytes(1))
    var configuration = configuration(scheme)
    configuration.threadCount = 16
    configuration.bound = .seconds(0.05)
    let run = try RealRun(configuration, clock: clock, reader: reader)
    let outcome = try run.run(on: region)
    #expect(outcome.result.seconds >= 0.05)
    #expect(outcome.result.seconds < 5)
    #expect(outcome.threads.contains { $0.accessCount > 0 })
    #expect(try run.verify(outcome, on: region).isClean)
  }

  @Test func `the lock holds its limit with many threads on few processors`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let region = try MappedRegion(path: "\(folder.path)/r", byteCount: .mebibytes(1))
    var configuration = RealRun.Configuration()
    configuration.scheme = .lock(LockParameters(permitCount: 4, spanBytes: 256))
    configuration.threadCount = 64
    configuration.bound = .bytesPerThread(16 << 10)
    let run = try RealRun(configuration, clock: clock, reader: reader)
    let outcome = try run.run(on: region)
    #expect((1...4).contains(outcome.permitHolderMax ?? 0))
    #expect(try run.verify(outcome, on: region).isClean)
  }

  @Test func `configurations that make no sense are refused`() throws {
    func code(_ change: (inout RealRun.Configuration) -> Void) -> PlatformError.Code? {
      var configuration = RealRun.Configuration()
      change(&configuration)
      do throws(PlatformError) {
        _ = try RealRun(configuration, clock: clock, reader: reader)
        return nil
      } catch {
        return error.code
      }
    }
    #expect(code { _ in } == nil)
    #expect(code { $0.threadCount = 0 } == .invalidArgument)
    #expect(code { $0.threadCount = 1025 } == .invalidArgument)
    #expect(code { $0.accessBytes = 100 } == .invalidArgument)
    #expect(code { $0.startOffset = 8 } == .invalidArgument)
    #expect(code { $0.bound = .seconds(0) } == .invalidArgument)
    #expect(code { $0.bound = .seconds(.nan) } == .invalidArgument)
    #expect(code { $0.bound = .bytesPerThread(0) } == .invalidArgument)
    #expect(code { $0.maximumWaitNanoseconds = -1 } == .invalidArgument)
    #expect(
      code { $0.scheme = .controlled(EagerController(), periodNanoseconds: 1) }
        == .invalidArgument)
    #expect(code { $0.operation = .load } == .unsupported)
    let folder = TemporaryFolder(in: "/dev/shm")
    let region = try MappedRegion(path: "\(folder.path)/r", byteCount: .kibibytes(4))
    var configuration = RealRun.Configuration()
    configuration.accessBytes = 4096
    configuration.threadCount = 2
    let run = try RealRun(configuration, clock: clock, reader: reader)
    do throws(PlatformError) {
      _ = try run.run(on: region)
      Issue.record("a region without room was accepted")
    } catch {
      #expect(error.code == .invalidArgument)
    }
  }
}
