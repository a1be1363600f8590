// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterScheduler

/// When a holder gives its permit back: at the first media-block boundary at which it has stored
/// the span of the contract or more.
///
/// A boundary is passed when a store ends at the end of a media block, or when the next store
/// begins in another block than the one in which the previous store ended.
public struct PermitSpan: Sendable {
  private let spanBytes: UInt64
  private var storedBytes: UInt64 = 0
  private var lastBlock: UInt64 = .max

  /// Makes the account of a thread without a permit.
  public init(_ parameters: LockParameters) {
    spanBytes = UInt64(parameters.spanBytes)
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
    return storedBytes >= spanBytes && end & 255 == 0
  }
}
