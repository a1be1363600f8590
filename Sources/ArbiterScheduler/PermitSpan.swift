// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore

/// When a holder gives its permit back, as the lock contract says.
///
/// At the first media-block boundary at which the holder has stored the span or more: where a store
/// ends at the end of a block, or where the next store begins in another block than the one in
/// which the previous store ended. A thread that never reaches a boundary gives the permit back one
/// more span, or one block if that is more, after the first.
public struct PermitSpan: Sendable {
  private let spanBytes: UInt64
  private let spanBytesMax: UInt64
  private var storedBytes: UInt64 = 0
  private var lastBlock: UInt64 = .max

  /// Makes the account of a thread without a permit.
  public init(_ parameters: LockParameters) {
    spanBytes = UInt64(parameters.spanBytes)
    spanBytesMax = spanBytes + max(spanBytes, UInt64(Granularity.mediaBlockBytes))
  }

  /// Begins a new span: the thread has just taken a permit.
  public mutating func begin() {
    storedBytes = 0
  }

  /// Whether the permit has to be given back, and taken anew, before a store at the given address.
  public func endsBeforeStore(at address: UInt64) -> Bool {
    storedBytes >= spanBytes && address >> 8 != lastBlock
  }

  /// Books a store, and tells whether the permit has to be given back after it.
  public mutating func endsAfterStore(at address: UInt64, length: UInt64) -> Bool {
    storedBytes &+= length
    let end = address &+ length
    lastBlock = (end &- 1) >> 8
    return storedBytes >= spanBytes && (end & 255 == 0 || storedBytes >= spanBytesMax)
  }
}
