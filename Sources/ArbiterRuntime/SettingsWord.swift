// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterScheduler

// The word that CArbiterGate/control_page.h describes: gate settings travel from the controller to
// the gates in 64 bits, which a single writer stores and any number of gates load. The word is the
// whole message: it points to nothing, so a relaxed load can never see half of it and needs no
// partner. That is why a gate pays for one load and one comparison, where a sequence lock would
// need a second load and an acquire.

/// Gate settings and a version, packed into one word.
@frozen
public struct SettingsWord: Sendable, Hashable {
  /// The packed word.
  public let bits: UInt64

  private static let delayMask: UInt64 = 1 << 42 - 1
  private static let versionMask: UInt64 = 1 << 17 - 1

  /// The longest delay that can be published, in nanoseconds.
  public static let delayNanosecondsMax = Double(delayMask) / 1000

  /// Takes a word as it was published.
  @inlinable @inline(__always)
  public init(bits: UInt64) {
    self.bits = bits
  }

  /// Packs settings.
  ///
  /// Delays are rounded to picoseconds and clamped to what fits; what is not a number is no delay.
  public init(_ settings: GateSettings, version: UInt64, isRecording: Bool = false) {
    let picoseconds = settings.delayNanoseconds * 1000
    var word: UInt64 = 0
    if picoseconds > 0 {
      word = picoseconds >= Double(Self.delayMask) ? Self.delayMask : UInt64(picoseconds.rounded())
    }
    if settings.point == .block { word |= 1 << 42 }
    if settings.anchor == .previous { word |= 1 << 43 }
    if settings.isFencedAtBlocks { word |= 1 << 44 }
    if isRecording { word |= 1 << 62 }
    bits = word | (version & Self.versionMask) << 45
  }

  /// The settings, with the delay in whole picoseconds.
  public var settings: GateSettings {
    GateSettings(
      delayNanoseconds: Double(bits & Self.delayMask) / 1000,
      point: bits & 1 << 42 != 0 ? .block : .access,
      anchor: bits & 1 << 43 != 0 ? .previous : .arrival,
      isFencedAtBlocks: bits & 1 << 44 != 0)
  }

  /// Whether there is any delay.
  public var hasDelay: Bool { bits & Self.delayMask != 0 }

  /// Whether gates record their stores.
  public var isRecording: Bool { bits & 1 << 62 != 0 }

  /// How many times settings had been published, modulo 2^17.
  public var version: UInt64 { bits >> 45 & Self.versionMask }
}
