// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
package import ArbiterDevice
internal import ArbiterMetrics
package import ArbiterPlatform
package import ArbiterProfiler
internal import Glibc

/// What this machine lets `arbiter account`, `heat`, `export` and `measure` see, for `doctor`.
package enum SeeingFindings {
  /// All of them, in the order in which people ask.
  static func gather() -> [Finding] {
    let probe = SamplingProbe.read()
    return [
      preciseFinding(probe), timerFinding(probe), faultFinding(probe), decoderFinding,
      libraryFinding(
        Library(
          topic: "library_libpfm4", name: Sampler.eventLibrary, package: "libpfm4",
          use: "names precise events"), load: canLoad),
      libraryFinding(
        Library(
          topic: "library_libmicrohttpd", name: MetricsServer.library, package: "libmicrohttpd12",
          use: "serves metrics over HTTP"), load: canLoad),
      calibrationFinding,
    ]
  }

  // MARK: Sampling

  /// Whether the processor's events tell stores exactly.
  package static func preciseFinding(_ probe: SamplingProbe) -> Finding {
    let topic = "precise_events"
    if let reason = probe.stores.reason {
      return Finding(
        topic: topic, status: .absent, sentence: "Stores cannot be sampled precisely: \(reason).")
    }
    let names = [probe.stores.value, probe.loads.value].compactMap(\.self)
    return Finding(
      topic: topic, status: .available,
      sentence: "Stores are sampled precisely: \(names.joined(separator: ", ")).")
  }

  /// Whether CPU time can be sampled, and the settings that bound it.
  package static func timerFinding(_ probe: SamplingProbe) -> Finding {
    let topic = "timer_sampling"
    if let reason = probe.timer.reason {
      return Finding(
        topic: topic, status: .absent, sentence: "CPU time cannot be sampled: \(reason).")
    }
    return Finding(
      topic: topic, status: .available,
      sentence: "CPU time is sampled by \(probe.timer.value ?? "a timer"); \(settings(probe)).")
  }

  /// Whether first touches of pages can be sampled.
  package static func faultFinding(_ probe: SamplingProbe) -> Finding {
    let topic = "fault_sampling"
    if let reason = probe.faults.reason {
      return Finding(
        topic: topic, status: .absent, sentence: "Page faults cannot be sampled: \(reason).")
    }
    return Finding(
      topic: topic, status: .available, sentence: "First touches of pages are sampled.")
  }

  /// The kernel's settings that bound sampling.
  private static func settings(_ probe: SamplingProbe) -> String {
    let paranoid = probe.perfEventParanoid.value.map { "kernel.perf_event_paranoid is \($0)" }
    let rate = probe.sampleRateMax.value.map { "at most \($0) samples a second are taken" }
    let known = [paranoid ?? probe.perfEventParanoid.reason, rate].compactMap(\.self)
    return known.joined(separator: ", ")
  }

  // MARK: Libraries

  /// A library that is loaded when it is needed.
  package struct Library {
    var topic: String
    /// As the dynamic linker knows it.
    var name: String
    /// Debian's package.
    var package: String
    /// What it does here, as a clause.
    var use: String

    /// Describes a library.
    package init(topic: String, name: String, package: String, use: String) {
      self.topic = topic
      self.name = name
      self.package = package
      self.use = use
    }
  }

  /// Whether a library can be loaded, or the package that has it.
  package static func libraryFinding(_ library: Library, load: (String) -> Bool) -> Finding {
    load(library.name)
      ? Finding(
        topic: library.topic, status: .available,
        sentence: "\(library.name) \(library.use).")
      : Finding(
        topic: library.topic, status: .absent,
        sentence: "\(library.name), which \(library.use), cannot be loaded; install the package "
          + "\(library.package).")
  }

  private static func canLoad(_ name: String) -> Bool {
    // SAFETY: the handle is closed at once; the libraries' constructors only prepare tables.
    guard let handle = unsafe dlopen(name, RTLD_NOW | RTLD_LOCAL) else { return false }
    unsafe dlclose(handle)
    return true
  }

  /// Tried as `account` does: Zydis of another version would load and still be of no use.
  private static var decoderFinding: Finding {
    decoderFinding { () throws(PlatformError) in try AccessResolver().note }
  }

  /// Whether samples can be decoded.
  ///
  /// - Parameter load: Loads the libraries; says what works with a reduced view.
  /// - Returns: The finding.
  package static func decoderFinding(load: () throws(PlatformError) -> String?) -> Finding {
    let topic = "decoding"
    let libraries = DecodingLibraries()
    do throws(PlatformError) {
      if let note = try load() {
        return Finding(
          topic: topic, status: .available,
          sentence: "\(libraries.zydis) decodes what was sampled; \(note).")
      }
      let names = [libraries.zydis, libraries.libdw].compactMap(\.self)
      return Finding(
        topic: topic, status: .available,
        sentence: "\(names.joined(separator: " and ")) decode what was sampled.")
    } catch {
      return Finding(
        topic: topic, status: .absent, sentence: "Samples cannot be decoded: \(error).")
    }
  }

  // MARK: Calibration

  private static var calibrationFinding: Finding {
    let book: CalibrationBook
    do throws(Failure) {
      book = try CalibrationFile.ofUser().read()
    } catch {
      return Finding(
        topic: "calibration", status: .unknown, sentence: "Calibrations: \(error.message).")
    }
    let memory = PersistentMemory.read()
    let regions = memory.regions.map { region in
      RegionIdentity(
        memory.interleaveSet(ofRegion: region.name)
          ?? InterleaveSet(
            cookie: region.setCookie, regions: [region.name], modules: [], node: region.node),
        moduleCount: region.moduleCount)
    }
    return calibrationFinding(book, regions: regions, on: .read())
  }

  /// Which memory is calibrated on this machine, and which slow memory is not.
  package static func calibrationFinding(
    _ book: CalibrationBook, regions: [RegionIdentity], on machine: MachineIdentity
  ) -> Finding {
    // Those of profiles are the same on every machine, and say nothing of this one.
    let here = book.calibrations.filter {
      $0.region.kind != .profile && $0.isOf($0.region, on: machine)
    }
    let missing = regions.filter { region in !here.contains { $0.region.matches(region) } }
    var clauses: [String] = []
    if !here.isEmpty { clauses.append("Calibrated: " + list(here)) }
    if !missing.isEmpty {
      clauses.append(
        (here.isEmpty ? "Not calibrated: " : "not calibrated: ")
          + missing.map(\.name).joined(separator: ", "))
    }
    if clauses.isEmpty { clauses.append("No memory of this machine is calibrated") }
    let remedy =
      here.isEmpty || !missing.isEmpty
      ? "; arbiter measure PATH finds how many writers a memory is best with" : ""
    return Finding(
      topic: "calibration", status: here.isEmpty ? .absent : .available,
      sentence: clauses.joined(separator: "; ") + remedy + ".")
  }

  /// Each memory once, with its stores.
  private static func list(_ calibrations: [ThreadCalibration]) -> String {
    var order: [String] = []
    var stores: [String: [String]] = [:]
    for calibration in calibrations {
      let name = calibration.region.name
      if stores[name] == nil { order.append(name) }
      let count = calibration.threadCount
      stores[name, default: []].append(
        "\(calibration.store.rawValue) \(count) thread\(count == 1 ? "" : "s"), "
          + calibration.date.day)
    }
    return order.map { "\($0) (\((stores[$0] ?? []).joined(separator: "; ")))" }
      .joined(separator: ", ")
  }
}
