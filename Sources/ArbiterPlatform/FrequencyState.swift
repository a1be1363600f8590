// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterMetrics

// Source: Linux, Documentation/admin-guide/pm/cpufreq.rst (scaling_*), intel_pstate.rst (no_turbo),
// Documentation/ABI/testing/sysfs-devices-system-cpu (cpufreq/boost, thermal_throttle).

/// How the processors' clocks are governed, as far as it can spoil a measurement.
public struct FrequencyState: Sendable, Hashable {
  /// The clock of one logical processor; what the kernel does not tell is nil.
  public struct Processor: Sendable, Hashable {
    /// The kernel's number.
    public var number: Int
    /// The driver that sets the clock, as intel_pstate.
    public var driver: String?
    /// Who chooses the clock, as powersave or performance.
    public var governor: String?
    /// The lowest rate that is allowed, in kHz.
    public var minimumKilohertz: Int?
    /// The highest rate that is allowed, in kHz.
    public var maximumKilohertz: Int?
    /// The rate when it was read, in kHz.
    public var currentKilohertz: Int?
    /// How often heat has slowed the core since the start; siblings have the same.
    public var coreThrottleCount: Int?
    /// How often heat has slowed the processor's package since the start.
    public var packageThrottleCount: Int?

    /// Makes a processor of which nothing is known.
    public init(number: Int) {
      self.number = number
    }

    /// Whether the kernel tells nothing.
    var isSilent: Bool {
      driver == nil && governor == nil && currentKilohertz == nil && minimumKilohertz == nil
        && maximumKilohertz == nil && coreThrottleCount == nil && packageThrottleCount == nil
    }
  }

  /// The processors that are on line.
  public var processors: [Processor]
  /// Whether clocks may rise above the rated one; nil where the kernel does not say.
  public var allowsTurbo: Bool?
  /// The switch that says so; nil where there is none.
  public var turboSwitch: String?

  /// Makes a state from its parts.
  public init(processors: [Processor], allowsTurbo: Bool? = nil, turboSwitch: String? = nil) {
    self.processors = processors
    self.allowsTurbo = allowsTurbo
    self.turboSwitch = turboSwitch
  }

  /// Reads the state now.
  ///
  /// - Returns: Unavailable where the kernel tells nothing at all, as in most virtual machines.
  /// - Complexity: Seven small files for each processor.
  public static func read(from tree: SystemTree = SystemTree()) -> Figure<FrequencyState> {
    let base = "/sys/devices/system/cpu"
    let online = SystemTree.numbers(inList: tree.text("\(base)/online") ?? "")
    var state = FrequencyState(processors: online.map { Processor(number: $0) })
    for index in state.processors.indices {
      let folder = "\(base)/cpu\(state.processors[index].number)"
      state.processors[index].driver = tree.text("\(folder)/cpufreq/scaling_driver")
      state.processors[index].governor = tree.text("\(folder)/cpufreq/scaling_governor")
      state.processors[index].minimumKilohertz = tree.number("\(folder)/cpufreq/scaling_min_freq")
      state.processors[index].maximumKilohertz = tree.number("\(folder)/cpufreq/scaling_max_freq")
      state.processors[index].currentKilohertz = tree.number("\(folder)/cpufreq/scaling_cur_freq")
      let heat = "\(folder)/thermal_throttle"
      state.processors[index].coreThrottleCount = tree.number("\(heat)/core_throttle_count")
      state.processors[index].packageThrottleCount = tree.number("\(heat)/package_throttle_count")
    }
    // Where both exist the first rules: intel_pstate has no use for the general switch.
    for (path, on) in [("\(base)/intel_pstate/no_turbo", 0), ("\(base)/cpufreq/boost", 1)] {
      guard state.allowsTurbo == nil, let value = tree.number(path) else { continue }
      state.allowsTurbo = value == on
      state.turboSwitch = path
    }
    guard state.allowsTurbo != nil || state.processors.contains(where: { !$0.isSilent }) else {
      return .unavailable(
        "the kernel shows neither clock rates nor throttling of processors (cpufreq), as in most "
          + "virtual machines")
    }
    return .known(state)
  }

  /// The governors in use, each once, in the order of processors.
  public var governors: [String] { distinct(\.governor) }

  /// The drivers in use, each once, in the order of processors.
  public var drivers: [String] { distinct(\.driver) }

  /// The lowest and highest rate at which any processor ran when it was read, in kHz.
  public var currentKilohertz: ClosedRange<Int>? {
    let rates = processors.compactMap(\.currentKilohertz)
    guard let lowest = rates.min(), let highest = rates.max() else { return nil }
    return lowest...highest
  }

  private func distinct(_ key: KeyPath<Processor, String?>) -> [String] {
    var seen: Set<String> = []
    return processors.compactMap { $0[keyPath: key] }.filter { seen.insert($0).inserted }
  }
}

extension FrequencyState {
  /// A clock that moves by more than this share spoils a comparison.
  public static let driftShare = 0.05

  /// What about the clocks may have spoiled a measurement, as sentences with the next step.
  ///
  /// - Parameter earlier: The state before the measurement, where this one is that after it; nil
  ///   to judge the state alone.
  /// - Returns: No sentence where nothing is known to be wrong.
  public func findings(since earlier: FrequencyState? = nil) -> [String] {
    var sentences = governorFindings
    if allowsTurbo == true {
      let remedy = turboSwitch.map { path in
        path.hasSuffix("no_turbo") ? "write 1 to \(path)" : "write 0 to \(path)"
      }
      sentences.append(
        "Turbo is on, so that clocks depend on heat and on how many cores work: "
          + "\(remedy ?? "switch it off in the firmware") while measuring.")
    }
    guard let earlier else { return sentences }
    if let before = earlier.allowsTurbo, let now = allowsTurbo, before != now {
      sentences.append("Turbo was switched \(now ? "on" : "off") on the way: measure again.")
    }
    if earlier.governors != governors {
      sentences.append("The governor was changed on the way: measure again.")
    }
    return sentences + driftFindings(since: earlier) + throttleFindings(since: earlier)
  }

  private var governorFindings: [String] {
    let others = governors.filter { $0 != "performance" }
    guard !others.isEmpty else { return [] }
    let count = processors.count { $0.governor.map { $0 != "performance" } ?? false }
    let whose = count == 1 ? "1 processor" : "\(count) processors"
    return [
      "The frequency governor of \(whose) is \(others.joined(separator: " or ")), not performance: "
        + "set it with cpupower frequency-set -g performance."
    ]
  }

  private func driftFindings(since earlier: FrequencyState) -> [String] {
    var worst: (processor: Int, before: Int, now: Int, share: Double)?
    var count = 0
    for (processor, before) in pairs(with: earlier, \.currentKilohertz) {
      guard let now = processor.currentKilohertz, before > 0 else { continue }
      let share = Double(now) / Double(before) - 1
      guard abs(share) > Self.driftShare else { continue }
      count += 1
      if abs(share) > abs(worst?.share ?? 0) { worst = (processor.number, before, now, share) }
    }
    guard let worst else { return [] }
    let percent = Int((worst.share * 100).rounded())
    let whose = count == 1 ? "1 processor" : "\(count) processors"
    return [
      "The clock of \(whose) moved by more than 5 % on the way, most that of processor "
        + "\(worst.processor): \(Self.gigahertz(worst.before)) before, "
        + "\(Self.gigahertz(worst.now)) after (\(percent > 0 ? "+" : "")\(percent) %)."
    ]
  }

  private func throttleFindings(since earlier: FrequencyState) -> [String] {
    func grown(_ key: KeyPath<Processor, Int?>) -> [(number: Int, count: Int)] {
      pairs(with: earlier, key).compactMap { processor, before in
        guard let now = processor[keyPath: key], now > before else { return nil }
        return (processor.number, now - before)
      }
    }
    // Siblings and processors of one package show the same events: the largest count is the truth.
    return [("core", grown(\.coreThrottleCount)), ("package", grown(\.packageThrottleCount))]
      .compactMap { name, grown in
        guard let most = grown.max(by: { $0.count < $1.count }) else { return nil }
        let times = most.count == 1 ? "once" : "\(most.count) times"
        return "Heat has slowed a \(name) of the processor \(times) on the way (processor "
          + "\(most.number)): cool the machine and measure again."
      }
  }

  /// The processors of which both states know a figure, with the earlier figure.
  private func pairs(
    with earlier: FrequencyState, _ key: KeyPath<Processor, Int?>
  ) -> [(Processor, Int)] {
    let before = Dictionary(
      earlier.processors.map { ($0.number, $0[keyPath: key]) },
      uniquingKeysWith: { first, _ in first })
    return processors.compactMap { processor in
      guard let known = before[processor.number], let figure = known else { return nil }
      return (processor, figure)
    }
  }

  private static func gigahertz(_ kilohertz: Int) -> String {
    let hundredths = (Double(kilohertz) / 1e4).rounded()
    return "\(hundredths / 100) GHz"
  }
}
