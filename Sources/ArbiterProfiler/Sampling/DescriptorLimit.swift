// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import CArbiterSampling

/// The soft limit of descriptors, raised while many events are open.
struct DescriptorLimit {
  /// Descriptors that are left to the rest of the program.
  static let reserve = 64

  /// The soft limit from before; nil while it is not raised.
  private(set) var original: UInt64?

  /// How many more descriptors can be opened, once the soft limit is as high as the hard one.
  func room(tree: SystemTree) -> (room: Int, hard: UInt64) {
    var (soft, hard) = (UInt64(0), UInt64(0))
    guard unsafe arb_descriptors_read(&soft, &hard) == 0 else { return (Int.max, .max) }
    let open = tree.entries("/proc/self/fd").count
    return (Int(clamping: hard) - open - Self.reserve, hard)
  }

  /// Raises the soft limit to the hard one where it is too low for so many more descriptors.
  mutating func raise(for count: Int, tree: SystemTree) {
    var (soft, hard) = (UInt64(0), UInt64(0))
    guard unsafe arb_descriptors_read(&soft, &hard) == 0, soft < hard else { return }
    let needed = tree.entries("/proc/self/fd").count + count + Self.reserve
    guard needed > Int(clamping: soft), arb_descriptors_limit(hard) == 0 else { return }
    original = original ?? soft
  }

  /// Runs something under the limit from before, such as the start of a program, which inherits it.
  func withOriginal<Value>(
    _ body: () throws(PlatformError) -> Value
  ) throws(PlatformError) -> Value {
    guard let original else { return try body() }
    var (soft, hard) = (UInt64(0), UInt64(0))
    guard unsafe arb_descriptors_read(&soft, &hard) == 0 else { return try body() }
    _ = arb_descriptors_limit(original)
    defer { _ = arb_descriptors_limit(soft) }
    return try body()
  }

  /// Puts the limit from before back.
  mutating func restore() {
    guard let original else { return }
    _ = arb_descriptors_limit(original)
    self.original = nil
  }
}
