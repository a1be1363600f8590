// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Testing

/// Runs `Programs/migrate*.c`, which play a managed program and its manager.
@Suite struct `migrations inside a program` {
  static let isPermitted = KernelSupport.permitsUserfaultfd

  /// Compiles the program into a folder and runs a case of it with the slow file at a path.
  func run(
    _ name: String, slow: String, compiler: String = "cc -O2", folder: borrowing TemporaryFolder
  ) throws {
    let root = Shell.quoted(Shell.repositoryFolder)
    let seconds = Shell.succeeds(#"test -n "${ARBITER_LONG-}""#) ? 60 : 2
    let outcome = try Shell.run(
      """
      \(compiler) -w -D_Nonnull= -D_Nullable= -I\(root)/Sources/CArbiterTier/include -o migrate \
        \(root)/Tests/CArbiterTierTests/Programs/migrate*.c \
        \(root)/Sources/CArbiterTier/*.c \
        -lpthread || exit 70
      timeout -s KILL \(seconds + 60) ./migrate \(name) \(Shell.quoted(slow)) \
        \(ProcessSeed.value) \(seconds)
      """, in: folder.path)
    print("\(name), seed \(ProcessSeed.value): \(outcome.output)")
    #expect(
      outcome.code == 0 && outcome.output.hasSuffix("ok\n"),
      "seed \(ProcessSeed.value): \(outcome.code) \(outcome.output) \(outcome.error)")
  }

  @Test(.enabled(if: isPermitted), arguments: ["private", "huge", "shared", "fresh"])
  func `no store is lost and no page is seen empty while chunks move`(name: String) throws {
    let folder = TemporaryFolder()
    try run(name, slow: "\(folder.path)/slow", folder: folder)
  }

  @Test(
    .enabled(if: isPermitted),
    arguments: [
      "private", "shared", "no-room", "ranges", "mad", "pool-bytes", "pool-back", "between",
    ])
  func `sanitizers find nothing in migrations`(name: String) throws {
    let folder = TemporaryFolder()
    let sanitizers = "-fsanitize=address,undefined -fno-sanitize-recover=undefined"
    try run(
      name, slow: "\(folder.path)/slow", compiler: "cc -O1 -g \(sanitizers)", folder: folder)
  }

  @Test(.enabled(if: isPermitted))
  func `a page that could be cut is not joined`() throws {
    let folder = TemporaryFolder()
    try run("unsealed", slow: "\(folder.path)/slow", folder: folder)
  }

  @Test(.enabled(if: isPermitted))
  func `a manager that writes over all of the page loses nothing of the program`() throws {
    let folder = TemporaryFolder()
    try run("mad", slow: "\(folder.path)/slow", folder: folder)
  }

  @Test(.enabled(if: isPermitted && Shell.succeeds("test -w /dev/shm")))
  func `the slow file may lie in memory`() throws {
    let folder = TemporaryFolder()
    let memory = TemporaryFolder(in: "/dev/shm")
    try run("private", slow: "\(memory.path)/slow", folder: folder)
  }

  @Test(
    .enabled(if: isPermitted),
    arguments: ["no-room", "no-slot", "no-memory", "cut-file", "between"])
  func `a migration that fails leaves all as it was`(name: String) throws {
    let folder = TemporaryFolder()
    try run(name, slow: "\(folder.path)/slow", folder: folder)
  }

  @Test(
    .enabled(if: isPermitted),
    arguments: ["pool-bound", "pool-bytes", "pool-fork", "pool-unmap", "pool-back"])
  func `memory that demotions leave is bounded and shows nobody's bytes`(name: String) throws {
    let folder = TemporaryFolder()
    try run(name, slow: "\(folder.path)/slow", folder: folder)
  }

  @Test(.enabled(if: isPermitted && Shell.succeeds("unshare -m true")))
  func `a full device of the slow file is told in one line`() throws {
    let folder = TemporaryFolder()
    try run("full", slow: "\(folder.path)/slow", folder: folder)
  }

  @Test(.enabled(if: isPermitted && KernelSupport.tellsMappings))
  func `memory that was mapped anew unseen is let alone`() throws {
    let folder = TemporaryFolder()
    try run("unseen", slow: "\(folder.path)/slow", folder: folder)
  }

  @Test(.enabled(if: isPermitted), arguments: ["descriptors", "ranges"])
  func `a program may close, discard, protect and unmap what it likes`(name: String) throws {
    let folder = TemporaryFolder()
    try run(name, slow: "\(folder.path)/slow", folder: folder)
  }
}
