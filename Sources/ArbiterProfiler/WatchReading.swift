// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice
public import ArbiterMetrics
public import ArbiterPlatform

// What `arbiter top` shows and `arbiter export` tells: one reading of everything, all of it
// cumulative. Rates are made of two readings, by whoever wants rates.

/// Everything that can be seen of devices and tasks at one moment.
public struct WatchReading: Sendable {
  /// When, in nanoseconds of CLOCK_MONOTONIC_RAW.
  public var timeNanoseconds: Int64
  /// The processors' time since the machine started.
  public var processorTime: Figure<ProcessorTime>
  /// Interleave sets, and other slow memory that was found.
  public var devices: [WatchedDevice]
  /// Programs that use slow memory.
  public var tasks: [WatchedTask]
  /// How tasks without gates are sampled; why they are not, where they are not.
  public var sampling: Figure<WatchedSampling>
  /// What cannot be seen on this machine, as sentences that name the remedy.
  public var blindSpots: [String]

  /// Makes a reading.
  public init(
    timeNanoseconds: Int64, processorTime: Figure<ProcessorTime>, devices: [WatchedDevice],
    tasks: [WatchedTask], sampling: Figure<WatchedSampling> = .unavailable("nobody samples"),
    blindSpots: [String]
  ) {
    self.timeNanoseconds = timeNanoseconds
    self.processorTime = processorTime
    self.devices = devices
    self.tasks = tasks
    self.sampling = sampling
    self.blindSpots = blindSpots
  }
}

/// How tasks that pass no gate are sampled.
public struct WatchedSampling: Sendable, Hashable {
  /// Which memory the figures of tasks are about.
  public enum Memory: String, Sendable, Hashable, CaseIterable {
    /// What the machine has of memory slower than DRAM.
    case slow
    /// All memory, as the machine has none that is slow.
    case all
  }

  /// The back-end.
  public var backEnd: BackEnd
  /// Which memory the figures of tasks are about.
  public var memory: Memory
  /// What became of the samples of all tasks, those that ended included.
  public var losses: SamplingLosses

  /// Makes a description.
  public init(backEnd: BackEnd, memory: Memory, losses: SamplingLosses) {
    self.backEnd = backEnd
    self.memory = memory
    self.losses = losses
  }
}

/// One interleave set and what is known of it.
public struct WatchedDevice: Sendable {
  /// The set's name, such as `region0`.
  public var name: String
  /// Its counters; figures that the source cannot see are nil.
  public var counters: CounterSnapshot
  /// Why figures are missing; nil where all are there.
  public var reasonForAbsence: String?
  /// The delay in force at its gates, in nanoseconds.
  public var delayNanoseconds: Figure<Double>
  /// Gates that are attached.
  public var gateCount: Figure<Int>

  /// Makes a device.
  public init(
    name: String, counters: CounterSnapshot, reasonForAbsence: String?,
    delayNanoseconds: Figure<Double>, gateCount: Figure<Int>
  ) {
    self.name = name
    self.counters = counters
    self.reasonForAbsence = reasonForAbsence
    self.delayNanoseconds = delayNanoseconds
    self.gateCount = gateCount
  }
}

/// One process and what it did to slow memory since it was first seen.
public struct WatchedTask: Sendable {
  /// The process.
  public var process: Int32
  /// When the process started, in clock ticks since the machine did: tells two processes of one
  /// number apart.
  public var startTicks: UInt64
  /// Its name, as the kernel tells it.
  public var command: String
  /// Bytes of slow memory that it maps.
  public var mappedBytes: Figure<UInt64>
  /// What it stored.
  public var written: Figure<Estimate>
  /// What it loaded.
  public var read: Figure<Estimate>
  /// What ``written`` and ``read`` are.
  public var backEnd: BackEnd?
  /// Time that its gates made it wait, in nanoseconds.
  public var delayedNanoseconds: Figure<Double>
  /// CPU time of the process, in nanoseconds.
  public var cpuNanoseconds: Figure<UInt64>

  /// Makes a task.
  public init(
    process: Int32, startTicks: UInt64, command: String, mappedBytes: Figure<UInt64>,
    written: Figure<Estimate>, read: Figure<Estimate>, backEnd: BackEnd?,
    delayedNanoseconds: Figure<Double>, cpuNanoseconds: Figure<UInt64>
  ) {
    self.process = process
    self.startTicks = startTicks
    self.command = command
    self.mappedBytes = mappedBytes
    self.written = written
    self.read = read
    self.backEnd = backEnd
    self.delayedNanoseconds = delayedNanoseconds
    self.cpuNanoseconds = cpuNanoseconds
  }
}
