// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterMetrics
public import ArbiterPlatform
package import CArbiterSampling
internal import Glibc

/// What this machine lets this user sample.
public struct SamplingProbe: Sendable {
  /// Whether CPU time can be sampled: the event's name, or why not.
  public var timer: Figure<String>
  /// Whether page faults can be sampled: the event's name, or why not.
  public var faults: Figure<String>
  /// The processor's event of stores, or why there is none.
  public var stores: Figure<String>
  /// The processor's event of loads, or why there is none.
  public var loads: Figure<String>
  /// kernel.perf_event_paranoid: whom the kernel lets sample what.
  public var perfEventParanoid: Figure<Int>
  /// kernel.perf_event_max_sample_rate: samples per second of one processor.
  public var sampleRateMax: Figure<Int>
  /// kernel.perf_event_mlock_kb: KiB of rings for each processor that a user may have.
  public var ringKibibytesMax: Figure<Int>

  /// Asks the machine, by opening each event for the calling thread and closing it again.
  public static func read(from tree: SystemTree = SystemTree()) -> SamplingProbe {
    func setting(_ name: String) -> Figure<Int> {
      Figure(
        tree.number("/proc/sys/kernel/\(name)"), otherwise: "kernel.\(name) cannot be read")
    }
    func outcome(_ event: SampledEvent) -> Figure<String> {
      do throws(PlatformError) {
        return .known(try Sampler.resolved(event, tree: tree).name)
      } catch {
        return .unavailable(error.description)
      }
    }
    return SamplingProbe(
      timer: outcome(.clock(everyNanoseconds: 1_000_000)), faults: outcome(.everyPageFault),
      stores: outcome(SampledEvent(.stores, period: 10_000)),
      loads: outcome(SampledEvent(.loads, period: 10_000)),
      perfEventParanoid: setting("perf_event_paranoid"),
      sampleRateMax: setting("perf_event_max_sample_rate"),
      ringKibibytesMax: setting("perf_event_mlock_kb"))
  }
}

extension Sampler {
  /// The name of libpfm4, as Debian's package libpfm4 installs it.
  package static let eventLibrary = "libpfm.so.4"

  /// The processor's events by kind, the newer name first.
  ///
  /// Source: Intel's event lists: MEM_INST_RETIRED since Skylake, MEM_UOPS_RETIRED before.
  static let eventNames: [SampledEvent.Kind: [String]] = [
    .stores: ["MEM_INST_RETIRED:ALL_STORES", "MEM_UOPS_RETIRED:ALL_STORES"],
    .loads: ["MEM_INST_RETIRED:ALL_LOADS", "MEM_UOPS_RETIRED:ALL_LOADS"],
  ]

  /// How the kernel is asked for the events: checked by opening each once.
  static func specifications(
    of events: [SampledEvent], _ options: Options, tree: SystemTree
  ) throws(PlatformError) -> [ArbSampledEvent] {
    var list: [ArbSampledEvent] = []
    for event in events {
      var specification = try resolved(event, tree: tree).specification
      specification.flags =
        options.followsChildren
        ? UInt32(ARB_EVENT_TO_PROCESSES) : UInt32(ARB_EVENT_TO_THREADS)
      // One event of a thread is enough to tell what the thread does; of those that differ in their
      // period alone, one is taken at a time, and those that rest tell nothing.
      if options.tellsTasks && event.kind == events[0].kind {
        specification.flags |= UInt32(ARB_EVENT_TELLS_TASKS)
      }
      list.append(specification)
    }
    return list
  }

  /// An event as the kernel knows it, and its name, once it was opened for the calling thread.
  static func resolved(
    _ event: SampledEvent, tree: SystemTree
  ) throws(PlatformError) -> (specification: ArbSampledEvent, name: String) {
    var specification = ArbSampledEvent()
    specification.period = event.period
    switch event.kind {
    case .clock:
      specification.kind = UInt32(ARB_EVENT_CLOCK)
      try trial(of: specification, event, tree)
      return (specification, "cpu-clock")
    case .pageFaults:
      specification.kind = UInt32(ARB_EVENT_PAGE_FAULTS)
      try trial(of: specification, event, tree)
      return (specification, "page-faults")
    case .stores, .loads:
      let name = try named(event.kind, &specification)
      // Level 2 tells the instruction itself, level 1 the one behind it, whose width is its own.
      specification.precise = 2
      try trial(of: specification, event, tree)
      return (specification, name)
    }
  }

  /// Translates the first name that libpfm4 knows on this processor.
  package static func named(
    _ kind: SampledEvent.Kind, _ specification: inout ArbSampledEvent,
    library: String = eventLibrary
  ) throws(PlatformError) -> String {
    let names = eventNames[kind] ?? []
    for name in names {
      var number: Int32 = 0
      let answer = unsafe arb_event_encode(library, name, &specification, &number)
      switch Int(answer) {
      case ARB_NAMES_FOUND: return name
      case ARB_NAMES_REFUSED: continue
      default:
        throw PlatformError(
          .unsupported, reason: "\(library), which knows the processor's events, cannot be loaded",
          nextStep: "install the package libpfm4")
      }
    }
    throw PlatformError(
      .unsupported,
      reason:
        "libpfm4 knows no precise \(kind == .loads ? "load" : "store") event of this processor",
      nextStep: "use back-end timer, or an Intel processor whose events are passed on")
  }

  private static func trial(
    of specification: ArbSampledEvent, _ event: SampledEvent, _ tree: SystemTree
  ) throws(PlatformError) {
    var specification = specification
    let descriptor = unsafe arb_sampling_open(&specification, 0, -1)
    guard descriptor >= 0 else {
      throw SamplingRefusal.opening(
        Int32(-descriptor), "this program itself", isPrecise: event.isPrecise, tree: tree)
    }
    Glibc.close(Int32(descriptor))
  }
}
