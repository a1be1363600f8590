// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Arbiter

#if canImport(Glibc)
internal import Glibc
#endif

/// Programs from their start to their end.
enum Run {
  /// How long a program takes; ends the benchmark where it fails.
  static func seconds(_ words: [String]) -> Double {
    // SAFETY: the strings outlive the calls; the list ends with nil.
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe arguments.forEach { unsafe free($0) } }
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { _ = unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    var child: pid_t = 0
    var status: Int32 = 0
    let began = SystemClock.monotonicRawNanoseconds()
    let number = unsafe posix_spawn(&child, words[0], &actions, nil, &arguments, environ)
    guard number == 0, unsafe waitpid(child, &status, 0) == child, status == 0 else {
      TierOverheadBenchmark.end("this fails: \(words.joined(separator: " "))")
    }
    return Double(SystemClock.monotonicRawNanoseconds() - began) / 1e9
  }

  /// The text of a small file.
  static func contents(_ path: String) -> String {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    // SAFETY: the pointer is used within the closure only.
    let count = unsafe bytes.withUnsafeMutableBytes { buffer in
      unsafe read(file, buffer.baseAddress, buffer.count)
    }
    guard file >= 0, count > 0 else { TierOverheadBenchmark.end("\(path) cannot be read") }
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}
