// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Something that happened in a session of tiering, and when.
public struct TierEvent: Sendable, Hashable {
  /// What happened.
  public enum Kind: Sendable, Hashable {
    /// A chunk came under management, or what is known of it changed from outside.
    case chunk(number: Int, ManagedChunk)
    /// A chunk is gone; its number may be used again.
    case gone(number: Int)
    /// An access was sampled.
    case sample(TierSample)
    /// From here on samples are so many nanoseconds of a thread's CPU time apart.
    case period(nanoseconds: Int64)
    /// The policy decided.
    case decision(Migration)
    /// What became of a decision; a chunk that moved has its new islands without another event.
    case outcome(MigrationOutcome)
    /// The session ended; nothing follows.
    case end
  }

  /// Nanoseconds since the session began.
  public var timeNanoseconds: Int64
  /// What happened.
  public var kind: Kind

  /// Makes an event.
  public init(at timeNanoseconds: Int64, _ kind: Kind) {
    self.timeNanoseconds = timeNanoseconds
    self.kind = kind
  }
}

/// What the weights of a session's samples stand for.
public enum TierWeightUnit: String, Sendable, Hashable, CaseIterable {
  /// Nanoseconds that a thread spent at the access: samples of a timer.
  case nanoseconds
  /// The same where slow memory is DRAM that stands for it: an access took as long in either.
  case fastNanoseconds = "fast-nanoseconds"
  /// Accesses: samples of a counter's events.
  case accesses
}

/// What is known of a session before its first event.
public struct TierRecordingHeader: Sendable, Hashable {
  /// The tiers as the session's policy was told of them.
  public var tiers: TierPair
  /// What weights stand for.
  public var weightUnit: TierWeightUnit
  /// The sampling period at the start, in nanoseconds.
  public var samplingPeriodNanoseconds: Int64
  /// The policy's name.
  public var policy: String
  /// How accesses were sampled.
  public var tracker: String
  /// How chunks were moved.
  public var backEnd: String
  /// The program and its arguments.
  public var command: [String]

  /// Makes a header.
  public init(
    tiers: TierPair, weightUnit: TierWeightUnit, samplingPeriodNanoseconds: Int64,
    policy: String, tracker: String, backEnd: String, command: [String]
  ) {
    self.tiers = tiers
    self.weightUnit = weightUnit
    self.samplingPeriodNanoseconds = samplingPeriodNanoseconds
    self.policy = policy
    self.tracker = tracker
    self.backEnd = backEnd
    self.command = command
  }
}

/// Why a recording cannot be read.
public struct TierRecordingError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The line, from 1.
  public var line: Int
  /// What is wrong with it.
  public var reason: String

  /// Makes an error.
  public init(line: Int, reason: String) {
    self.line = line
    self.reason = reason
  }

  /// The sentence to show.
  public var description: String { "line \(line) \(reason)" }
}
