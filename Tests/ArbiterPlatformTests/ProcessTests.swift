// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlatform
import ArbiterTestSupport
import Glibc
import Testing

@Suite("Programs")
struct ProgramFileTests {
  private func make(_ name: String, in folder: borrowing TemporaryFolder, mode: UInt32 = 0o755) {
    folder.write("#!/bin/sh\nexit 0\n", to: name)
    _ = unsafe chmod("\(folder.path)/\(name)", mode)
  }

  @Test func `the search path is walked in order, and an empty folder is this one`() throws {
    let folder = TemporaryFolder()
    make("one/tool", in: folder)
    make("two/tool", in: folder)
    let paths = "\(folder.path)/none:\(folder.path)/two:\(folder.path)/one"
    #expect(try ProgramFile.find("tool", searchPath: paths).path == "\(folder.path)/two/tool")
    #expect(try ProgramFile.find("sh", searchPath: nil).path == "/bin/sh")
    let slashed = try ProgramFile.find("\(folder.path)/one/tool", searchPath: nil)
    #expect(slashed.linkage == .script && !slashed.changesRights)
  }

  @Test func `a file that cannot be executed hides none that can`() throws {
    let folder = TemporaryFolder()
    make("one/tool", in: folder, mode: 0o644)
    make("two/tool", in: folder)
    let paths = "\(folder.path)/one:\(folder.path)/two"
    #expect(try ProgramFile.find("tool", searchPath: paths).path == "\(folder.path)/two/tool")
    let refused = #expect(throws: PlatformError.self) {
      try ProgramFile.find("tool", searchPath: "\(folder.path)/one")
    }
    #expect(refused?.code == .noPermission)
    let missing = #expect(throws: PlatformError.self) {
      try ProgramFile.find("no-such-tool", searchPath: paths)
    }
    #expect(missing?.code == .notFound)
  }

  @Test func `the header says how a program gets its libraries`() throws {
    #expect(try ProgramFile.find("/bin/sh", searchPath: nil).linkage == .dynamic)
    let folder = TemporaryFolder()
    folder.write("x", to: "short")
    _ = unsafe chmod("\(folder.path)/short", 0o755)
    #expect(try ProgramFile.find("\(folder.path)/short", searchPath: nil).linkage == .unknown)
  }
}

@Suite("Rate of the time-stamp counter")
struct TimeStampRateTests {
  @Test func `the fast measurement agrees with the slow one, and is fast`() throws {
    let exact = try TimeStampClock.calibrate()
    var fastest = Int64.max
    for _ in 0..<5 {
      let began = SystemClock.monotonicRawNanoseconds()
      let rate = try TimeStampClock.measure().ticksPerNanosecond
      fastest = min(fastest, SystemClock.monotonicRawNanoseconds() - began)
      #expect(abs(rate / exact.ticksPerNanosecond - 1) < 0.005)
    }
    #expect(fastest < 5_000_000, "\(fastest) ns")
  }
}
