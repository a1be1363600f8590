// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
public import ArbiterPlatform
internal import ArbiterRuntime

// Makes the readings that `arbiter top` shows and `arbiter export` tells.
//
//   sysfs          slow memory ──────► devices ◄── counters: modules, memory controller
//   control pages  gates ────────────► devices, tasks: bytes exactly
//   /proc          maps, CPU time ───► tasks      ◄── samples (TaskSampler)
//
// I1  A reading is bounded: no counter is waited for, and memory maps are read for at most
//     `Options.mapNanosecondsMax` of each reading.
// I2  What is not seen is unavailable with its reason; nothing is 0 because nobody counted it.

/// Looks at devices and tasks whenever it is asked, on one thread at a time.
public struct Watcher {
  /// What is looked at, and how much looking may cost.
  public struct Options: Sendable, Hashable {
    /// Whether processes that use no slow memory are told too.
    public var everyProcess = false
    /// Processes that are told and no others; empty for all.
    public var processes: [Int32] = []
    /// Whether every process that is told is sampled, and not only those that use slow memory or
    /// were asked for by number.
    public var samplesEveryProcess = false
    /// Time after which a process's memory map is read again.
    public var mapIntervalNanoseconds: Int64 = 3_000_000_000
    /// The most time of one reading that goes into memory maps; the first has 25 times as much.
    public var mapNanosecondsMax: Int64 = 20_000_000
    /// The same for those who read once or twice and want all of it: 5 s the first time.
    public static let mapNanosecondsOfScripts: Int64 = 200_000_000

    /// Makes options that tell of programs that use slow memory.
    public init() {}
  }

  /// What samples tasks that pass no gate; nil where nobody does.
  public var sampler: (any TaskSampler)?

  /// What is looked at; changes hold from the next reading on.
  public var options: Options {
    get { tasks.options }
    set { tasks.options = newValue }
  }

  private static let reasonWithoutSampler = "sampling is switched off"
  private static let remedyWithoutSampler =
    "What programs store outside of gates is not seen: start them with arbiter run, or sample "
    + "them with arbiter account."

  private let tree: SystemTree
  private var devices: DeviceWatch
  private var gates: GateWatch
  private var tasks: TaskWatch

  /// Finds the slow memory of the machine and opens its counters.
  ///
  /// - Parameters:
  ///   - options: What is looked at.
  ///   - runtimeFolder: The folder where runs of this user meet (``ControlSeat``).
  ///   - sampler: What samples tasks that pass no gate; nil where nobody does.
  ///   - tree: Where the kernel's files are read.
  public init(
    options: Options = Options(), runtimeFolder: String, sampler: (any TaskSampler)? = nil,
    tree: SystemTree = SystemTree()
  ) {
    self.sampler = sampler
    self.tree = tree
    let memory = PersistentMemory.read(from: tree)
    devices = DeviceWatch(memory: memory, tree: tree)
    gates = GateWatch(runtimeFolder: runtimeFolder, tree: tree)
    tasks = TaskWatch(options: options, memory: memory, tree: tree)
  }

  /// How long samples may lie before ``tend()``; nil where nobody is sampled.
  public var tendNanoseconds: Int64? { sampler?.tendNanoseconds }

  /// Takes in what was sampled, so that the kernel finds room for more; never waits.
  public mutating func tend() { sampler?.tend() }

  /// Reads everything once; figures are cumulative.
  public mutating func read() -> WatchReading {
    let gated = tasks.scan()
    // Looking for programs may have taken long; what follows does not.
    let time = SystemClock.monotonicRawNanoseconds()
    gates.look(processes: gated)
    let told = tasks.look(gates: gates, sampler: &sampler)
    return WatchReading(
      timeNanoseconds: time,
      processorTime: Figure(
        ProcessorTime.read(from: tree), otherwise: "the kernel does not tell it (/proc/stat)"),
      devices: devices.look(gates: gates), tasks: told,
      sampling: sampler?.sampling ?? .unavailable(Self.reasonWithoutSampler),
      blindSpots: devices.blindSpots + gates.blindSpots + tasks.blindSpots
        + (sampler?.blindSpots ?? [Self.remedyWithoutSampler]))
  }
}
