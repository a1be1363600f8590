// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import BenchmarkSupport

#if canImport(Glibc)
internal import Glibc
#endif

/// Programs from their start to their end.
enum Run {
  /// How long a program takes; ends the benchmark where it fails.
  static func seconds(_ words: [String]) -> Double {
    guard let seconds = ProgramTime.seconds(words) else {
      TierOverheadBenchmark.end("this fails: \(words.joined(separator: " "))")
    }
    return seconds
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
