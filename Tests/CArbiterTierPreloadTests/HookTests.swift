// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Testing

/// Runs programs under the built library, while `Programs/shuffle.c` moves their memory at random.
@Suite(.serialized) struct `programs under the tier library` {
  static let isPermitted = KernelSupport.permitsUserfaultfd
  static let library = "\(Shell.buildFolder)/libarbiter-tier.so"
  static let jemalloc = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
  static let hasJemalloc = Shell.succeeds("test -e \(jemalloc)")

  /// Compiles the programs into a folder, runs a command alone and under the library, and compares.
  ///
  /// - Returns: The manager's last line, of what it did.
  private func compare(
    _ command: String, under preload: String = library, slow: String = ".", fastMiB: Int = 24,
    in folder: borrowing TemporaryFolder
  ) throws -> String {
    let root = Shell.quoted(Shell.repositoryFolder)
    let seed = ProcessSeed.value
    let outcome = try Shell.run(
      """
      unset LD_PRELOAD ARBITER_TIER
      root=\(root)
      programs=$root/Tests/CArbiterTierPreloadTests/Programs
      compile() { # output sources...
        cc -O2 -w -D_Nonnull= -D_Nullable= -I"$root/Sources/CArbiterTier/include" -o "$@" -lpthread
      }
      test -e shuffle || {
        compile memory "$programs/memory.c" &&
        compile family "$programs/family.c" &&
        compile rights "$programs/rights.c" &&
        compile shuffle "$programs/shuffle.c" "$root"/Sources/CArbiterTier/*.c
      } || exit 70
      seed=\(seed)
      expected=$(timeout -s KILL 120 \(command)) || exit 71
      found=$(timeout -s KILL 120 ./shuffle \(slow) \(fastMiB) 1024 $seed '\(preload)' \(command))
      code=$?
      test "$expected" = "$found" || { echo "expected $expected, found $found" >&2; exit 72; }
      exit $code
      """, in: folder.path)
    #expect(outcome.code == 0, "seed \(seed), \(command): \(outcome.error)")
    return outcome.error.split(separator: "\n").last.map(String.init) ?? ""
  }

  private static func figure(_ name: String, in line: String) -> Int {
    for word in line.split(separator: " ") where word.hasPrefix("\(name)=") {
      return Int(word.dropFirst(name.count + 1)) ?? -1
    }
    return -1
  }

  private func check(_ line: String, moves: Bool = true) {
    print(line)
    if moves { #expect(Self.figure("moved", in: line) > 0, "\(line)") }
    // What was taken of slots and of the budget came back with the last process.
    #expect(Self.figure("used", in: line) == 0, "\(line)")
    #expect(Self.figure("free", in: line) == 24 << 20, "\(line)")
  }

  private static var rounds: Int { Shell.succeeds(#"test -n "${ARBITER_LONG-}""#) ? 40 : 6 }

  @Test(
    .enabled(if: isPermitted),
    arguments: ["unmap", "remap", "protect", "reserve", "advise", "small", "populate", "lock"])
  func `mappings hold what the program stored`(mode: String) throws {
    let folder = TemporaryFolder()
    check(try compare("./memory \(mode) $seed \(Self.rounds)", in: folder))
  }

  @Test(
    .enabled(if: isPermitted),
    arguments: [
      "fork", "inherit", "pieces", "fork-raw", "clone", "syscall", "generations", "daemon",
      "shared", "spawn",
    ])
  func `parents and children see their own stores`(mode: String) throws {
    let folder = TemporaryFolder()
    check(try compare("./family \(mode) $seed \(Self.rounds)", in: folder))
  }

  @Test(.enabled(if: isPermitted && Shell.succeeds("test -w /dev/shm")))
  func `forks are right with slow memory in a file system without blocks`() throws {
    let folder = TemporaryFolder()
    check(try compare("./family fork $seed \(Self.rounds)", slow: "/dev/shm", in: folder))
  }

  @Test(.enabled(if: isPermitted && hasJemalloc))
  func `signals, threads, heaps and forks at once are survived`() throws {
    let folder = TemporaryFolder()
    let line = try compare(
      "./family storm $seed 3", under: "\(Self.library) \(Self.jemalloc)", in: folder)
    print(line)
    #expect(Self.figure("moved", in: line) > 0, "\(line)")
  }

  @Test(.enabled(if: isPermitted && hasJemalloc))
  func `heaps of unmodified programs are managed through jemalloc`() throws {
    let folder = TemporaryFolder()
    let numbers = "bash -c 'seq 1 400000 | sort -S 100M --parallel=1 -k1.3'"
    let line = try compare(numbers, under: "\(Self.library) \(Self.jemalloc)", in: folder)
    print(line)
    #expect(Self.figure("moved", in: line) > 0, "\(line)")
  }

  @Test(.enabled(if: isPermitted))
  func `what writes past page tables stops all migration`() throws {
    let folder = TemporaryFolder()
    let line = try compare("./family direct $seed \(Self.rounds)", in: folder)
    #expect(Self.figure("frozen", in: line) == 1, "\(line)")
  }

  @Test(.enabled(if: isPermitted && Shell.succeeds("test $(id -u) = 0")))
  func `threads of the library give up the rights that the program gives up`() throws {
    let folder = TemporaryFolder()
    print(try compare("./rights $seed", in: folder))
  }

  @Test(.enabled(if: isPermitted && KernelSupport.tellsMappings))
  func `memory that is unmapped by instruction is let alone`() throws {
    let folder = TemporaryFolder()
    print(try compare("./memory behind $seed \(Self.rounds)", in: folder))
  }

  @Test func `without a session the library does nothing and says nothing`() throws {
    let outcome = try Shell.run("LD_PRELOAD=\(Self.library) ls -d /")
    #expect(outcome.code == 0)
    #expect(outcome.output == "/\n")
    #expect(outcome.error.isEmpty)
  }

  @Test func `with a page of no session the program runs and one line says so`() throws {
    let outcome = try Shell.run(
      "ARBITER_TIER=/etc/passwd:/etc/passwd LD_PRELOAD=\(Self.library) ls -d /")
    #expect(outcome.code == 0)
    #expect(outcome.output == "/\n")
    #expect(outcome.error.split(separator: "\n").count == 1, "\(outcome.error)")
    #expect(outcome.error.contains("the program runs with its own memory"))
  }

  @Test func `what outlives its session runs and says nothing`() throws {
    let outcome = try Shell.run(
      "ARBITER_TIER=/proc/1/fd/99999:/proc/1/fd/99998 LD_PRELOAD=\(Self.library) ls -d /")
    #expect(outcome.code == 0)
    #expect(outcome.output == "/\n")
    #expect(outcome.error.isEmpty, "\(outcome.error)")
  }

  @Test func `the library exports what it stands in front of and needs libc alone`() throws {
    let folder = TemporaryFolder()
    let map = "\(Shell.quoted(Shell.repositoryFolder))/Sources/CArbiterTierPreload/exports.map"
    let outcome = try Shell.run(
      """
      nm -D --defined-only \(Self.library) | awk '{print $3}' | sort > found
      sed -n 's/^    \\([a-zA-Z0-9_]*\\);$/\\1/p' \(map) | sort > expected
      diff expected found &&
        ! readelf -d \(Self.library) | grep NEEDED | grep -v libc.so | grep -v ld-linux &&
        readelf -d \(Self.library) | grep -q NOW && readelf -l \(Self.library) | grep -q GNU_RELRO
      """, in: folder.path)
    #expect(outcome.code == 0, "\(outcome.output) \(outcome.error)")
  }
}
