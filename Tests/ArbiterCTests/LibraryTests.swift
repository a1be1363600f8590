// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Glibc
import Testing

/// The schemes in the numbers of arbiter.h.
enum LibraryScheme: Int, CaseIterable {
  case baseline, lock, delegation, fence, arbiter
}

/// Compiles a C program against the library that was built beside this test, and runs it.
struct LibraryProgram: ~Copyable {
  let folder = TemporaryFolder()
  let path: String

  init(_ source: String, compiler: String = "cc", flags: String = "") throws {
    path = "\(folder.path)/program"
    let root = Shell.repositoryFolder
    let includes = ["CArbiterLibrary", "CArbiter", "CArbiterGate", "CArbiterPersist"]
      .map { "-I'\(root)/Sources/\($0)/include'" }.joined(separator: " ")
    let built = Shell.buildFolder
    let outcome = try Shell.run(
      """
      \(compiler) -O1 -Wall -Wextra -Werror \(flags) \(includes) '\(root)/\(source)' -o '\(path)' \
      -L'\(built)' -larbiter-c -Wl,-rpath,'\(built)' -pthread -lm
      """)
    try #require(outcome.code == 0, "\(outcome.error)")
  }

  func run(_ arguments: String) throws -> Shell.Outcome {
    // The toolchain's shared runtime installs signal handlers to print backtraces; the one inside
    // the installed library does not, which Tests/Scripts/install checks.
    try Shell.run(
      """
      unset ARBITER_CONTROL; export SWIFT_BACKTRACE=enable=no ARBITER_STATE_DIR='\(folder.path)'
      timeout -k 5 240 '\(path)' \(arguments)
      """)
  }
}

@Suite("C library")
struct LibraryTests {
  static let programs = "Tests/ArbiterCTests/Programs"

  @Test func `bytes are the same under every scheme at every size and alignment`() throws {
    let program = try LibraryProgram("\(Self.programs)/bytes.c")
    for place in ["/dev/shm", program.folder.path] {
      for scheme in LibraryScheme.allCases {
        let folder = TemporaryFolder(in: place)
        // A page-cache file is persisted by msync, which takes long: one scheme is enough.
        if place != "/dev/shm", scheme != .baseline { continue }
        let outcome = try program.run("'\(folder.path)/region' \(scheme.rawValue)")
        #expect(outcome.code == 0, "\(scheme) on \(place): \(outcome.error)")
        #expect(outcome.output.hasSuffix(" comparisons\n"))
      }
    }
  }

  @Test func `what makes no sense is refused in a sentence and stores nothing`() throws {
    let folder = TemporaryFolder()
    let outcome = try LibraryProgram("\(Self.programs)/refusals.c").run("'\(folder.path)'")
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.error == "")
  }

  @Test func `under lock with two permits never more than two threads copy at once`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let program = try LibraryProgram("\(Self.programs)/gauge.c", compiler: "clang")
    let locked = try program.run("'\(folder.path)/region' \(LibraryScheme.lock.rawValue)")
    #expect(locked.code == 0, "\(locked.error)")
    #expect(locked.output == "2 2 0\n")
    // The gauge can show more.
    let free = try program.run("'\(folder.path)/region' \(LibraryScheme.baseline.rawValue)")
    #expect(free.code == 0, "\(free.error)")
    #expect((Int(free.output.split(separator: " ").first ?? "") ?? 0) > 2)
  }

  @Test func `lock admits as many threads as are calibrated where the caller gives no number`()
    throws
  {
    let folder = TemporaryFolder(in: "/dev/shm")
    let program = try LibraryProgram("\(Self.programs)/gauge.c", compiler: "clang")
    func gauge(_ permits: Int) throws -> Shell.Outcome {
      try program.run(
        "'\(folder.path)/region' \(LibraryScheme.lock.rawValue) \(permits) optane-100-256g")
    }
    #expect(try gauge(0).output == "4 4 0\n", "nothing is calibrated")
    let calibration = """
      {"schema": "arbiter-calibration/1", "calibrations": [{"region": {"kind": "profile",
      "name": "optane-100-256g", "identifier": null, "module_count": null}, "store": "nt",
      "access_bytes": 256, "thread_count": 3, "curve": [{"threads": 2, "bytes_per_second": 1e9},
      {"threads": 3, "bytes_per_second": 1.99e9}, {"threads": 4, "bytes_per_second": 2e9}],
      "measured_at": "2026-01-02T03:04:05Z", "tool_version": "0.1.0", "machine":
      {"identifier": null, "processor": "any", "processor_count": 1}}]}
      """
    program.folder.write(calibration, to: "calibration.json")
    let calibrated = try gauge(0)
    #expect(calibrated.output == "3 3 0\n", "\(calibrated.error)")
    #expect(try gauge(2).output == "2 2 0\n", "what the caller says comes first")
    // A number that was taken for another would bound writers without anybody noticing.
    program.folder.write("{", to: "calibration.json")
    #expect(try gauge(0).code == 1)
    #expect(try gauge(2).code == 0)
  }

  @Test func `the library controls its own gates where a profile is named, and only there`() throws
  {
    let folder = TemporaryFolder(in: "/dev/shm")
    let program = try LibraryProgram("\(Self.programs)/controlled.c")
    let known = try program.run("'\(folder.path)/region' optane-100-256g")
    #expect(known.code == 0, "\(known.error)")
    let words = known.output.split(separator: " ")
    try #require(words.count == 4, "\(known.output)")
    #expect(words[0] == "estimate")
    #expect((1...4).contains(Double(words[1]) ?? 0), "a write amplification")
    let unknown = try program.run("'\(folder.path)/region'")
    let others = unknown.output.split(separator: " ")
    try #require(others.count == 4, "\(unknown.output)")
    #expect(others[0] == "unavailable" && others[1] == "nan")
    #expect(others[2] == "0", "no delay on memory of which nothing is known")
  }

  @Test func `fences show in a recording`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let program = try LibraryProgram("\(Self.programs)/fences.c", compiler: "clang")
    let outcome = try program.run("'\(folder.path)/region'")
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output == "SSFSFSSFSF\n")
  }

  @Test(arguments: ["cc -std=c11", "clang -std=c11", "c++ -x c++"])
  func `the header needs nothing but itself`(compiler: String) throws {
    let outcome = try Shell.run(
      """
      \(compiler) -Wall -Wextra -Wpedantic -Werror -fsyntax-only \
      '\(Shell.repositoryFolder)/Sources/CArbiterLibrary/include/arbiter.h'
      """)
    let isPragmaOnly = outcome.error.contains("#pragma once")
    #expect(outcome.code == 0 || isPragmaOnly, "\(outcome.error)")
  }

  @Test func `the example goes on where it ended`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let program = try LibraryProgram("Examples/c/durable_log.c")
    let first = try program.run("'\(folder.path)/log' 100 3")
    #expect(first.output.contains("records found: 0, now: 300, all whole"), "\(first.error)")
    let second = try program.run("'\(folder.path)/log' 50 2")
    #expect(second.output.contains("records found: 300, now: 400, all whole"), "\(second.error)")
    #expect(second.code == 0)
    // A damaged record is found.
    let damage = "printf X | dd of='\(folder.path)/log' bs=1 seek=300 conv=notrunc status=none"
    #expect(try Shell.run(damage).code == 0)
    let third = try program.run("'\(folder.path)/log' 1 1")
    #expect(third.code == 1)
    #expect(third.error.contains("record 0 of thread 0 is damaged"))
  }

  @Test func `the library shows what its header declares and nothing else`() throws {
    let header = try Shell.text(
      of: "\(Shell.repositoryFolder)/Sources/CArbiterLibrary/include/arbiter.h")
    let outcome = try Shell.run(
      "nm -D --defined-only '\(Shell.buildFolder)/libarbiter-c.so' | awk '$2 == \"T\" {print $3}'")
    let visible = outcome.output.split(separator: "\n").map(String.init)
    #expect(visible.count == 20)
    for name in visible {
      #expect(header.contains("\(name)("), "\(name) is visible and not in the header")
    }
  }
}
