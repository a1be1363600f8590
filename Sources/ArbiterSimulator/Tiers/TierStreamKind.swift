// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// The generated streams, by name.
public enum TierStreamKind: String, Sendable, Hashable, CaseIterable {
  /// Hot data in one range per thread.
  case clustered
  /// Hot islands of 32 KiB everywhere.
  case scattered
  /// Hot data that moves, a quarter of it and then all.
  case moving
  /// Sequential passes far larger than fast memory.
  case streaming
  /// A program that does one after the other.
  case phases
  /// Nothing is hotter than the rest.
  case uniform
  /// Popularity by Zipf's law.
  case zipf

  /// One sentence on it.
  public var meaning: String {
    switch self {
    case .clustered: "90 % of random updates hit a hot range of each thread"
    case .scattered: "90 % of random updates hit hot islands of 32 KiB that lie everywhere"
    case .moving: "clustered; a quarter of the hot set moves, later all of it"
    case .streaming: "sequential passes over everything"
    case .phases: "clustered, streaming, clustered elsewhere, uniform, scattered"
    case .uniform: "random updates everywhere"
    case .zipf: "random accesses to chunks of a popularity by Zipf's law, 0.99"
    }
  }

  func stream(_ size: TierStreamSize, seed: UInt64) -> any TierStream {
    switch self {
    case .clustered: ClusteredStream(size)
    case .scattered: ScatteredStream(size, seed: seed)
    case .moving: MovingStream(size, seed: seed)
    case .streaming: StreamingStream(size)
    case .phases: PhaseChangingStream(size, seed: seed)
    case .uniform: UniformStream(size)
    case .zipf: ZipfStream(size, seed: seed)
    }
  }
}
