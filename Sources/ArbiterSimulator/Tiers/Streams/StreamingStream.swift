// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement

/// Sequential passes over all memory, far more than fast memory holds: nothing is hotter than the
/// rest, and what was just used is used again last.
struct StreamingStream: TierStream {
  /// Lines that are stored to: one of three, as in a sum of two vectors into a third.
  static let storeShare = 1.0 / 3

  let chunkCount: Int
  private let accesses: Double

  init(_ size: TierStreamSize) {
    chunkCount = size.chunkCount
    accesses = size.accesses
  }

  func mix(done: Double, next: Double) -> AccessMix {
    Self.mix(chunkCount, done: done, next: min(next, accesses - done))
  }

  /// A mix that ends with its window, which is small against the memory: where the window enters
  /// fast memory the threads' rate changes at once.
  static func mix(_ chunkCount: Int, done: Double, next: Double) -> AccessMix {
    let lines = Double(TierUnit.chunkBytes / 64)
    let window = max(1, min(next, lines * Double(max(1, chunkCount / 64))))
    return AccessMix(
      parts: [part(chunkCount, done: done, next: window)], version: Int(done),
      accessesLeft: window)
  }

  /// The window that the next accesses go through.
  private static func part(_ chunkCount: Int, done: Double, next: Double) -> AccessPart {
    let lines = Double(TierUnit.chunkBytes / 64)
    let begin = done / lines
    let first = Int(begin)
    let window = min(chunkCount, max(1, Int((begin + next / lines).rounded(.up)) - first))
    let start = first % chunkCount
    var part: AccessPart
    if start + window <= chunkCount {
      part = AccessPart(share: 1, chunks: start..<start + window)
    } else {
      // Around the end of the memory.
      var weights = [Double](repeating: 0, count: chunkCount)
      for offset in 0..<window { weights[(start + offset) % chunkCount] = 1 }
      part = AccessPart(share: 1, chunks: 0..<chunkCount, weights: weights)
    }
    part.isSequential = true
    part.storeShare = storeShare
    part.passBytes = chunkCount * TierUnit.chunkBytes
    return part
  }
}
