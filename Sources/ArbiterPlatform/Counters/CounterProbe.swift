// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice

/// A source of counters that could not be used, and why.
public struct CounterRefusal: Sendable, Hashable {
  /// The source.
  public var source: CounterSource
  /// Why it could not be used, as a clause.
  public var reason: String

  /// Makes a refusal.
  public init(source: CounterSource, reason: String) {
    self.source = source
    self.reason = reason
  }
}

/// The best reader of a machine and what was better and could not be had.
public struct CounterChoice: Sendable {
  /// The reader.
  public var reader: any CounterReader
  /// Every better source, best first, with the reason; all of them where nothing counts.
  ///
  /// The modules are missing from it while their helper has not answered: what it says later is in
  /// the reader's own reason.
  public var refusals: [CounterRefusal]
}

/// What this machine could count, found without opening anything.
public struct CounterProbe: Sendable, Hashable {
  /// Modules that the nvdimm bus knows (nmem devices).
  public var moduleNames: [String]
  /// Performance-monitoring units of memory controllers (uncore_imc and its relatives).
  public var memoryControllerUnits: [String]
  /// Whether the processor has a performance-monitoring unit that the kernel uses.
  public var hasProcessorUnit: Bool
  /// The kernel's limit on measuring by users (kernel.perf_event_paranoid); nil where unknown.
  public var perfEventParanoid: Int?
  /// The interleave sets.
  public var interleaveSets: [InterleaveSet]
  /// The processor, which decides on the events.
  public var processor: ProcessorModel
  private var controller: ControllerProbe

  /// Looks at the tree.
  ///
  /// - Parameters:
  ///   - tree: Where the kernel's files are read.
  ///   - processor: The processor; by default this one.
  /// - Returns: What was found; what is missing is empty or nil in it.
  public static func read(
    from tree: SystemTree = SystemTree(), processor: ProcessorModel = .detect()
  ) -> CounterProbe {
    let units = tree.entries("/sys/bus/event_source/devices")
    let controllers = units.filter { name in
      ["uncore_imc", "uncore_m2m", "uncore_hbm", "amd_umc", "cxl_pmu"].contains {
        name.hasPrefix($0)
      }
    }
    let modules = tree.entries("/sys/bus/nd/devices").filter {
      SystemTree.isNumbered($0, "nmem")
    }
    return CounterProbe(
      moduleNames: modules, memoryControllerUnits: controllers,
      hasProcessorUnit: units.contains { $0 == "cpu" || $0 == "cpu_core" },
      perfEventParanoid: tree.number("/proc/sys/kernel/perf_event_paranoid"),
      interleaveSets: PersistentMemory.read(from: tree).interleaveSets, processor: processor,
      controller: .read(unitNames: controllers, from: tree, processor: processor))
  }

  /// Starts the helper that reads the modules' counters, for one or several readers.
  ///
  /// - Parameters:
  ///   - helper: The helper; nil where this program has none.
  ///   - limits: What is put up with.
  /// - Returns: The feed, whose first reading arrives later.
  /// - Throws: ``PlatformError`` with the reason where nothing can be read.
  public func makeModuleFeed(
    helper: HelperProgram? = .ofThisProgram,
    limits: ModuleCounterFeed.Limits = ModuleCounterFeed.Limits()
  ) throws(PlatformError) -> ModuleCounterFeed {
    guard !moduleNames.isEmpty else {
      throw PlatformError(
        .notFound, reason: Self.noModule, nextStep: "use a machine with such modules")
    }
    guard let helper else {
      throw PlatformError(
        .unsupported,
        reason: "modules \(moduleNames.joined(separator: ", ")) exist, and this program has no "
          + "helper that reads their counters", nextStep: "name the arbiter executable")
    }
    return try ModuleCounterFeed(helper, limits: limits)
  }

  /// Opens the memory controller's events for a set, or for all of them.
  ///
  /// - Parameter set: The set; nil for the whole machine.
  /// - Returns: A reader of events that count from now on.
  /// - Throws: ``PlatformError`` with the reason where they cannot be counted.
  public func makeControllerReader(
    for set: InterleaveSet? = nil
  ) throws(PlatformError) -> ControllerCounters {
    guard !memoryControllerUnits.isEmpty else {
      throw PlatformError(
        .notFound, reason: Self.noUnit, nextStep: "use a machine that shows its units")
    }
    // Units count commands to persistent memory; what pretends to be some in DRAM would count 0.
    guard !moduleNames.isEmpty else {
      throw PlatformError(
        .notFound,
        reason: "\(Self.noModule), so there are no commands to count",
        nextStep: "use a machine with such modules")
    }
    let plan: [PlannedEvents]
    do {
      plan = try controller.plan(for: set)
    } catch {
      throw PlatformError(
        .unsupported, reason: error.reason, nextStep: "use the modules' own counters")
    }
    return try ControllerCounters(plan, paranoid: perfEventParanoid)
  }

  /// The best reader for an interleave set, with what was better and could not be had.
  ///
  /// Sources, best first: the modules' own counters, the memory controller's events, none. Starts
  /// nothing that has to be waited for: the modules' helper answers later, and where it cannot, the
  /// reader turns to the memory controller.
  ///
  /// - Parameters:
  ///   - set: The set; nil for the whole machine.
  ///   - feed: Readings of the modules that other sets' readers use too; nil starts a helper.
  ///   - helper: The helper; nil where this program has none.
  ///   - fallback: What stands in where neither can be had, now or when the helper has answered.
  /// - Returns: The reader and the refusals.
  public func choose(
    for set: InterleaveSet? = nil, feed: ModuleCounterFeed? = nil,
    helper: HelperProgram? = .ofThisProgram, otherwise fallback: (any CounterReader)? = nil
  ) -> CounterChoice {
    var refusals: [CounterRefusal] = []
    var modules: ModuleCounters?
    do {
      modules = try makeModuleReader(for: set, feed: feed, helper: helper)
    } catch {
      refusals.append(CounterRefusal(source: .module, reason: error.reason))
    }
    var other = fallback
    do {
      other = try makeControllerReader(for: set)
    } catch {
      refusals.append(
        CounterRefusal(source: .memoryController, reason: Self.clause(error)))
    }
    switch (modules, other) {
    case (let modules?, let other?):
      return CounterChoice(
        reader: FirstWorkingCounters(modules, otherwise: other), refusals: refusals)
    case (let modules?, nil): return CounterChoice(reader: modules, refusals: refusals)
    case (nil, let other?): return CounterChoice(reader: other, refusals: refusals)
    case (nil, nil):
      let reason = refusals.map(\.reason).joined(separator: "; ")
      return CounterChoice(reader: UnavailableCounters(reason: reason), refusals: refusals)
    }
  }

  /// The best reader for an interleave set or the machine.
  public func makeReader(for set: InterleaveSet? = nil) -> any CounterReader {
    choose(for: set).reader
  }

  private func makeModuleReader(
    for set: InterleaveSet?, feed: ModuleCounterFeed?, helper: HelperProgram?
  ) throws(PlatformError) -> ModuleCounters {
    var handles: [UInt32]?
    if let set {
      handles = set.modules.compactMap(\.handle)
      guard !set.modules.isEmpty else {
        throw PlatformError(
          .unsupported, reason: "the kernel names no module of \(set.name)",
          nextStep: "use a region on modules")
      }
      guard handles?.count == set.modules.count else {
        throw PlatformError(
          .unsupported,
          reason: "the kernel does not tell the handles of the modules of \(set.name)",
          nextStep: "load the kernel's nfit driver")
      }
    }
    if let feed { return ModuleCounters(feed: feed, handles: handles) }
    return ModuleCounters(feed: try makeModuleFeed(helper: helper), handles: handles)
  }

  private static let noModule = "the kernel knows no persistent-memory module"
  private static let noUnit =
    "the kernel offers no performance-monitoring unit of a memory controller"

  /// The reason, and the next step where the system refused what could be granted.
  static func clause(_ error: PlatformError) -> String {
    error.code == .noPermission ? "\(error.reason); \(error.nextStep)" : error.reason
  }
}
