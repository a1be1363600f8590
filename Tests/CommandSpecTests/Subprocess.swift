// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import CommandSpec
import Glibc
import Testing

/// A shell that could not be started.
struct SubprocessFailure: Error {
  let shell: String
  let code: Int32
}

/// Runs a script with a shell and collects what it prints on either stream.
///
/// The tests of generated scripts need a shell and nothing else, so this stays with the C library.
func output(of script: String, shell: String = "bash") throws -> (text: String, status: Int32) {
  let option = shell == "bash" ? "--norc --noprofile -c" : "-c"
  let command = "exec 2>&1; \(shell) \(option) \(shellQuoted(script))"
  // SAFETY: the stream is checked for nil, read only by this function and closed exactly once; the
  // buffer outlives every read, which is bounded by its size.
  guard let stream = unsafe popen(command, "r") else {
    throw SubprocessFailure(shell: shell, code: errno)
  }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 4096)
  while true {
    let count = unsafe fread(&buffer, 1, buffer.count, stream)
    guard count > 0 else { break }
    bytes += buffer[..<count]
  }
  let status = unsafe pclose(stream)
  return (String(decoding: bytes, as: UTF8.self), status)
}

/// Whether a program can be found.
func isInstalled(_ program: String) -> Bool {
  (try? output(of: "command -v \(program)").status == 0) ?? false
}
