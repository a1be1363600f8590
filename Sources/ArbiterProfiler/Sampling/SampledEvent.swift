// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Something that happens to threads, of which every so many is sampled.
public struct SampledEvent: Sendable, Hashable, CustomStringConvertible {
  /// What happens.
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    /// A thread has used CPU time in user mode.
    case clock
    /// User code has touched a page that was not mapped.
    case pageFaults = "page-faults"
    /// A store has retired; sampled with its address by the processor.
    case stores
    /// A load has retired; sampled with its address by the processor.
    case loads
  }

  /// What happens.
  public let kind: Kind
  /// Nanoseconds or events from one sample to the next; at least 1.
  public let period: UInt64

  /// Makes an event.
  ///
  /// - Precondition: The period is at least 1.
  public init(_ kind: Kind, period: UInt64) {
    precondition(period >= 1, "a period of no events")
    self.kind = kind
    self.period = period
  }

  /// A sample for so many nanoseconds of CPU time; the kernel takes none below 10,000.
  public static func clock(everyNanoseconds period: UInt64) -> SampledEvent {
    SampledEvent(.clock, period: period)
  }

  /// Every fault.
  public static let everyPageFault = SampledEvent(.pageFaults, period: 1)

  /// Whether the processor counts it, and not the kernel.
  public var isPrecise: Bool { kind == .stores || kind == .loads }

  /// The event in words, such as `clock every 250 us`.
  public var description: String {
    guard kind == .clock else { return "\(kind.rawValue), 1 of \(period)" }
    return period.isMultiple(of: 1000)
      ? "\(kind.rawValue) every \(period / 1000) us" : "\(kind.rawValue) every \(period) ns"
  }
}
