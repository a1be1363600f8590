// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterReport
internal import Glibc

/// The standard streams: results on one, everything else on the other.
enum Console {
  /// Looks up an environment variable.
  @Sendable
  static func environment(_ name: String) -> String? {
    // SAFETY: the text is copied before anything can change the environment.
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
  }

  /// What standard output is.
  static func output(_ choice: ColorChoice = .auto) -> Terminal {
    Terminal.of(descriptor: 1, choice: choice, environment: environment)
  }

  /// What standard error is.
  static func error(_ choice: ColorChoice = .auto) -> Terminal {
    Terminal.of(descriptor: 2, choice: choice, environment: environment)
  }

  /// Writes results.
  ///
  /// - Throws: A failure with the system's reason where not every byte could be written.
  static func write(_ text: String) throws(Failure) {
    let number = writeAll(text, to: 1)
    guard number != 0 else { return }
    // A reader that has seen enough (head) is no failure of ours, but nothing more can be said.
    if number == EPIPE { exit(ExitCode.done) }
    throw Failure(
      ExitCode.inputOutput, "cannot write the results: \(reason(number))",
      hint: "free space, or send standard output elsewhere")
  }

  /// Writes a remark, without a promise.
  static func note(_ text: String) {
    _ = writeAll(text, to: 2)
  }

  /// The system's words for an error number.
  static func reason(_ number: Int32) -> String {
    // SAFETY: strerror's text is copied at once.
    guard let text = unsafe strerror(number) else { return "error \(number)" }
    return unsafe String(cString: text)
  }

  /// Breaks text into lines at spaces; the mark stands before the first, blanks before the rest.
  static func wrapped(_ text: String, mark: String = "", width: Int) -> [String] {
    var lines: [String] = []
    var line = mark
    for word in text.split(separator: " ") {
      if line.count > mark.count && line.count + word.count + 1 > width {
        lines.append(line)
        line = String(repeating: " ", count: mark.count)
      }
      if line.count > mark.count { line += " " }
      line += word
    }
    return lines + [line]
  }

  /// Monotonic seconds since some fixed instant.
  static var seconds: Double {
    var time = timespec()
    // SAFETY: `time` outlives the call.
    _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// Writes every byte; returns 0 or the system's error number.
  static func writeAll(_ text: String, to descriptor: Int32) -> Int32 {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      // SAFETY: the buffer is valid for the call and its length is its own count.
      let written = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
      }
      if written < 0 {
        if errno == EINTR { continue }
        return errno
      }
      bytes = bytes.dropFirst(written)
    }
    return 0
  }
}
