// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Arbiter

#if canImport(Glibc)
internal import Glibc
#endif

/// A program that is run alone and under the tool.
struct Work {
  var name: String
  var words: [String]
  /// About how much of its memory can be managed.
  var managedBytes: Int
  /// A file that it reads.
  var input: String?

  /// What it does with its memory.
  enum Kind: String, CaseIterable {
    /// Random updates of mapped memory.
    case mapped
    /// Random updates of a heap.
    case heap
    /// Debian's sort.
    case sort
  }

  init(_ kind: Kind, isSmoke: Bool, folder: String) {
    let gups = Self.beside("gups")
    let mebibytes = isSmoke ? 64 : 512
    let updates = isSmoke ? 2_000_000 : 150_000_000
    let common = ["--footprint=\(mebibytes)MiB", "--updates=\(updates)"]
    managedBytes = mebibytes << 20
    switch kind {
    case .mapped:
      name = "random updates, mapped memory"
      words = [gups, "--shape=clustered"] + common
    case .heap:
      name = "random updates, heap"
      words = [gups, "--shape=uniform", "--memory=malloc"] + common
    case .sort:
      let lines = isSmoke ? 200_000 : 6_000_000
      let input = folder + "/lines"
      Self.write(lines: lines, to: input)
      name = "sort"
      words = ["/usr/bin/sort", "-S", "1G", "--parallel=2", "-o", "/dev/null", input]
      managedBytes = lines * 56
      self.input = input
    }
  }

  /// A program that was built with this one.
  private static func beside(_ name: String) -> String {
    let own = CommandLine.arguments[0]
    return (own.lastIndex(of: "/").map { String(own[...$0]) } ?? "./") + name
  }

  /// Lines of 16 random digits each.
  private static func write(lines: Int, to path: String) {
    var state: UInt64 = 88_172_645_463_325_252
    var bytes: [UInt8] = []
    bytes.reserveCapacity(17 * lines)
    for _ in 0..<lines {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      for digit in 0..<16 { bytes.append(UInt8(97 + (state >> (4 * digit)) & 15)) }
      bytes.append(10)
    }
    let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    // SAFETY: the pointer is used within the closure only.
    let written = unsafe bytes.withUnsafeBytes { buffer in
      unsafe Glibc.write(file, buffer.baseAddress, buffer.count)
    }
    guard file >= 0, written == bytes.count else {
      TierOverheadBenchmark.end("\(path) cannot be written")
    }
    close(file)
  }
}
