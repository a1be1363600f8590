// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Glibc
import Testing

/// A program whose memory tests look at, and that obeys them; ended with the value.
@safe
final class LiveMemory {
  let process: Int32
  private let orders: UnsafeMutablePointer<FILE>
  private let answers: UnsafeMutablePointer<FILE>

  /// Where the program lies: given from outside, or compiled once; nil without a compiler.
  static let program: String? = {
    if let given = unsafe getenv("ARBITER_TIERED_WORDS") { return unsafe String(cString: given) }
    let made = "\(Shell.buildFolder)/tiered-words"
    let source = "\(Shell.repositoryFolder)/Tests/VirtualMachine/Programs/tiered-words"
    // Under a name of its own first: other tests may be running what is there.
    let isMade = Shell.succeeds(
      """
      cc -O2 -pthread -o \(Shell.quoted(made)).$$ \(Shell.quoted(source))/tiered_words.c &&
        mv \(Shell.quoted(made)).$$ \(Shell.quoted(made))
      """)
    return isMade ? made : nil
  }()

  init() throws {
    let program = try #require(Self.program)
    var (input, output) = ([Int32](repeating: 0, count: 2), [Int32](repeating: 0, count: 2))
    // SAFETY: strings and structs outlive the calls that take them; the arguments end with nil.
    try #require(unsafe pipe(&input) == 0)
    try #require(unsafe pipe(&output) == 0)
    for end in input + output { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { _ = unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_adddup2(&actions, input[0], 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, output[1], 1)
    var words: [UnsafeMutablePointer<CChar>?] = unsafe [strdup(program), strdup("serve"), nil]
    defer { unsafe words.forEach { unsafe free($0) } }
    var child: pid_t = 0
    let number = unsafe posix_spawn(&child, program, &actions, nil, &words, environ)
    close(input[0])
    close(output[1])
    process = child
    unsafe orders = try #require(fdopen(input[1], "w"))
    unsafe answers = try #require(fdopen(output[0], "r"))
    try #require(number == 0)
  }

  deinit {
    kill(process, SIGKILL)
    var status: Int32 = 0
    unsafe _ = waitpid(process, &status, 0)
    unsafe fclose(orders)
    unsafe fclose(answers)
  }

  /// Sends a line and waits for the number that answers it.
  func ask(_ line: String) throws -> UInt64 {
    unsafe fputs(line + "\n", orders)
    unsafe fflush(orders)
    var buffer = [CChar](repeating: 0, count: 64)
    // SAFETY: fgets writes at most the capacity that it is told.
    try #require(unsafe fgets(&buffer, Int32(buffer.count), answers) != nil)
    let text = String(
      decoding: buffer.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return try #require(UInt64(text))
  }
}
