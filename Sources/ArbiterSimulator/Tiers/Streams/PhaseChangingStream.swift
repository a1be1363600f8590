// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A program in five phases: clustered, streaming, clustered elsewhere, uniform, scattered.
struct PhaseChangingStream: TierStream {
  private static let phaseCount = 5

  let chunkCount: Int
  private let accesses: Double
  private let still: [Int: [AccessPart]]

  init(_ size: TierStreamSize, seed: UInt64) {
    chunkCount = size.chunkCount
    accesses = size.accesses
    let starts = ClusteredStream.starts(size)
    let half = size.chunkCount / starts.count / 2
    var uniform = AccessPart(share: 1, chunks: 0..<size.chunkCount)
    uniform.storeShare = 1
    still = [
      0: ClusteredStream.parts(size, hot: ClusteredStream.flags(size, starts: starts)),
      2: ClusteredStream.parts(
        size, hot: ClusteredStream.flags(size, starts: starts.map { $0 + half })),
      3: [uniform],
      4: ScatteredStream.parts(size, seed: seed),
    ]
  }

  func mix(done: Double, next: Double) -> AccessMix {
    let phase = min(Self.phaseCount - 1, Int(done * Double(Self.phaseCount) / accesses))
    let left = max(0, accesses * Double(phase + 1) / Double(Self.phaseCount) - done)
    if let parts = still[phase] {
      return AccessMix(parts: parts, version: -1 - phase, accessesLeft: left)
    }
    return StreamingStream.mix(chunkCount, done: done, next: min(next, left))
  }
}
