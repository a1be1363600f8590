// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiterDecode
package import CArbiterSampling

/// What samples of precise events stand for: width times period bytes.
package struct PreciseReading: Sendable {
  /// Samples whose access could be told.
  package private(set) var resolvedCount: UInt64 = 0
  private var widthBytes = 0.0
  private let storeEvents: [UInt32]

  /// Bytes that an access is taken to have before any was resolved.
  private static let likelyWidth = 8.0

  /// Begins to read.
  ///
  /// - Parameter storeEvents: The places of the stores among the sampler's events; all others are
  ///   loads.
  package init(storeEvents: UInt32...) {
    self.storeEvents = storeEvents
  }

  /// Tells what a sample stands for.
  package mutating func read(
    _ sample: ArbSample, by resolver: AccessResolver, _ body: (SampledAccess) -> Void
  ) {
    let isStore = storeEvents.contains(sample.event)
    var isResolved = false
    resolver.resolve(sample) { access in
      // Of a copy, the event's own side; a read-modify-write retires as a store and as a load.
      guard !isResolved, isStore ? access.is_store != 0 : access.is_load != 0 else { return }
      isResolved = true
      widthBytes += Double(access.byte_count)
      var told = SampledAccess(
        sample, access, weight: Double(access.byte_count) * Double(sample.period))
      (told.isStore, told.isLoad) = (isStore, !isStore)
      body(told)
    }
    if isResolved {
      resolvedCount += 1
    } else {
      // What is not known is taken to be as wide as the others were.
      let width = resolvedCount == 0 ? Self.likelyWidth : widthBytes / Double(resolvedCount)
      body(SampledAccess(unresolved: sample, weight: width * Double(sample.period)))
    }
  }
}
