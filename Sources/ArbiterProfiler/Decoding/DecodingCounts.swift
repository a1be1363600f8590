// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiterDecode

/// What became of the samples that a resolver was given.
public struct DecodingCounts: Sendable, Hashable {
  /// Samples whose access could be told.
  public var resolvedCount: UInt64 = 0
  /// Without an access to memory at the sampled instruction or near it.
  public var withoutAccessCount: UInt64 = 0
  /// Relative to FS or GS, which samples do not carry: data of one thread.
  public var threadLocalCount: UInt64 = 0
  /// Gathers, scatters and bit strings: their addresses depend on what samples do not carry.
  public var vectorCount: UInt64 = 0
  /// Near an access whose address registers did not hold any more.
  public var overwrittenCount: UInt64 = 0
  /// In code that could not be read: no permission, or the process is gone.
  public var unreadableCodeCount: UInt64 = 0
  /// At bytes that are no instruction.
  public var notCodeCount: UInt64 = 0
  /// In processes that run 32-bit code, which is not decoded.
  public var not64BitCount: UInt64 = 0
  /// With neither an address nor registers.
  public var withoutRegistersCount: UInt64 = 0
  /// Places in code that were decoded rather than found in the table.
  public var decodedPlaceCount: UInt64 = 0
  /// Of those, places before which an unwind table told where an instruction begins.
  public var knownStartCount: UInt64 = 0
  /// Pages of code that were read.
  public var readPageCount: UInt64 = 0

  /// Makes an account of nothing.
  public init() {}

  init(_ counts: ArbResolverCounts) {
    let reasons = counts.reasons
    resolvedCount = reasons.0
    withoutAccessCount = reasons.1
    threadLocalCount = reasons.2
    vectorCount = reasons.3
    overwrittenCount = reasons.4
    unreadableCodeCount = reasons.5
    notCodeCount = reasons.6
    not64BitCount = reasons.7
    withoutRegistersCount = reasons.8
    decodedPlaceCount = counts.decoded_count
    knownStartCount = counts.start_count
    readPageCount = counts.page_count
  }

  /// Samples whose access could not be told.
  public var unresolvedCount: UInt64 {
    withoutAccessCount + threadLocalCount + vectorCount + overwrittenCount + unreadableCodeCount
      + notCodeCount + not64BitCount + withoutRegistersCount
  }
}
