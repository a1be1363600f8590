// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice

/// Where in a thread's stream of stores a delay falls due.
public enum DelayPoint: UInt8, Sendable, Hashable, CaseIterable {
  /// Before every access.
  case access
  /// Before the first access to each media block.
  case block
}

/// From which moment a delay counts.
public enum DelayAnchor: UInt8, Sendable, Hashable {
  /// From the moment the thread wants the access: the delay is added to everything else.
  case arrival
  /// From the thread's previous delayed access: time that has passed anyway counts, so that the
  /// delay is a distance between two accesses and costs a slow thread nothing.
  case previous
}

/// What a controller tells every gate; one value for all gates of a module.
@frozen
public struct GateSettings: Sendable, Hashable {
  /// The delay in nanoseconds; 0 is no delay.
  public var delayNanoseconds: Double
  /// Where the delay falls due.
  public var point: DelayPoint
  /// From which moment the delay counts.
  public var anchor: DelayAnchor
  /// Whether a store fence stands at every media-block boundary.
  public var isFencedAtBlocks: Bool

  /// Makes settings.
  public init(
    delayNanoseconds: Double = 0, point: DelayPoint = .block, anchor: DelayAnchor = .arrival,
    isFencedAtBlocks: Bool = false
  ) {
    self.delayNanoseconds = delayNanoseconds
    self.point = point
    self.anchor = anchor
    self.isFencedAtBlocks = isFencedAtBlocks
  }

  /// The open gate: no delay, no fence.
  public static let open = GateSettings()
}

/// What all gates of a module did together, cumulative; the controller's view of the threads.
public struct GateActivity: Sendable, Hashable {
  /// Gates that are registered now.
  public var registeredCount: Int
  /// Gates that let at least one store pass since the previous look.
  public var writerCount: Int
  /// Bytes stored through all gates so far.
  public var storedBytes: UInt64
  /// Store accesses that passed all gates so far.
  public var accessCount: UInt64

  /// Makes an activity record.
  public init(registeredCount: Int, writerCount: Int, storedBytes: UInt64, accessCount: UInt64) {
    self.registeredCount = registeredCount
    self.writerCount = writerCount
    self.storedBytes = storedBytes
    self.accessCount = accessCount
  }
}

/// Decides, once per period, what every gate of one module does until the next.
///
/// A controller is pure: no clock, no randomness, no file of its own. It sees counters and
/// activity, never the profile of the device.
public protocol Controller: Sendable {
  /// Takes in the state at the end of a period and returns the settings of the next.
  ///
  /// - Parameters:
  ///   - snapshot: The module's cumulative counters; figures may be unavailable.
  ///   - activity: What the gates did.
  /// - Returns: Settings whose delay lies between 0 and the controller's own maximum.
  mutating func step(snapshot: CounterSnapshot, activity: GateActivity) -> GateSettings

  /// Adapts the settings in force to a gate that has just registered or left.
  ///
  /// - Returns: The settings from now on.
  mutating func registrationChanged(registeredCount: Int) -> GateSettings

  /// The settings in force.
  var settings: GateSettings { get }

  /// The state in one word, for traces of a run.
  var phase: String { get }
}
