// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Memory on pairs of cache lines, so that neighbours do not disturb each other.
enum AlignedMemory {
  /// Bytes of a pair of cache lines, which the processor's prefetcher treats as one.
  static let alignment = 128

  /// Uninitialised memory for `count` elements; the caller initialises, deinitialises, deallocates.
  @unsafe
  static func allocate<Element: ~Copyable>(count: Int) -> UnsafeMutablePointer<Element> {
    // SAFETY: the size and the alignment are those of the bound type or larger.
    let raw = UnsafeMutableRawPointer.allocate(
      byteCount: max(1, count) * MemoryLayout<Element>.stride,
      alignment: max(alignment, MemoryLayout<Element>.alignment))
    return unsafe raw.bindMemory(to: Element.self, capacity: count)
  }
}
