// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCommands
import ArbiterCore
import ArbiterDevice
import ArbiterMetrics
import ArbiterPlatform
import ArbiterProfiler
import ArbiterTestSupport
import Testing

@Suite("Doctor")
struct DoctorTests {
  static let refused = "may not sample this program itself: kernel.perf_event_paranoid is 3"
  static let machine = MachineIdentity(identifier: "1", processor: "one", processorCount: 8)

  static func probe(stores: Figure<String>, timer: Figure<String>) -> SamplingProbe {
    var probe = SamplingProbe.read()
    probe.stores = stores
    probe.loads = stores
    probe.timer = timer
    probe.perfEventParanoid = .known(2)
    probe.sampleRateMax = .unavailable("cannot be read")
    return probe
  }

  @Test func `what may not be sampled is absent, with the setting that forbids it`() {
    let probe = Self.probe(stores: .unavailable("no unit"), timer: .unavailable(Self.refused))
    let timer = SeeingFindings.timerFinding(probe)
    #expect(timer.status == .absent && timer.sentence.contains("perf_event_paranoid is 3"))
    let precise = SeeingFindings.preciseFinding(probe)
    #expect(precise.status == .absent && precise.sentence.hasSuffix(": no unit."))
  }

  @Test func `what can be sampled is named, with the settings that are known`() {
    let probe = Self.probe(stores: .known("STORES"), timer: .known("cpu-clock"))
    #expect(SeeingFindings.preciseFinding(probe).status == .available)
    let timer = SeeingFindings.timerFinding(probe)
    #expect(timer.status == .available)
    #expect(
      timer.sentence == "CPU time is sampled by cpu-clock; kernel.perf_event_paranoid is 2.")
  }

  @Test func `a library that cannot be loaded is told with its package`() {
    let library = SeeingFindings.Library(
      topic: "library", name: "libnone.so.1", package: "libnone1", use: "does nothing")
    let missing = SeeingFindings.libraryFinding(library) { _ in false }
    #expect(missing.status == .absent && missing.sentence.contains("install the package libnone1"))
    #expect(SeeingFindings.libraryFinding(library) { $0 == "libnone.so.1" }.status == .available)
    let noDecoder = SeeingFindings.decoderFinding { () throws(PlatformError) in
      throw PlatformError(.unsupported, reason: "no Zydis", nextStep: "install libzydis4.0")
    }
    #expect(noDecoder.status == .absent && noDecoder.sentence.contains("install libzydis4.0"))
    let reduced = SeeingFindings.decoderFinding { "starts are not known" }
    #expect(reduced.status == .available && reduced.sentence.hasSuffix("starts are not known."))
  }

  @Test func `calibrations of this machine are told, and slow memory without one`() throws {
    let one = RegionIdentity(kind: .interleaveSet, name: "region0", identifier: "a")
    let other = RegionIdentity(kind: .interleaveSet, name: "region1", identifier: "b")
    func calibration(_ region: RegionIdentity, _ machine: MachineIdentity) -> ThreadCalibration? {
      ThreadCalibration(
        region: region, store: .nt, accessBytes: 256,
        curve: [.init(threads: 3, bytesPerSecond: 1e9)],
        date: UniversalTime(secondsSinceEpoch: 0), toolVersion: "0", machine: machine)
    }
    func finding(_ calibrations: [ThreadCalibration?]) -> Finding {
      SeeingFindings.calibrationFinding(
        CalibrationBook(calibrations.compactMap(\.self)), regions: [one, other], on: Self.machine)
    }
    let some = finding([calibration(one, Self.machine)])
    #expect(some.status == .available)
    #expect(some.sentence.hasPrefix("Calibrated: region0 (nt 3 threads, 1970-01-01)"))
    #expect(some.sentence.contains("; not calibrated: region1; arbiter measure PATH"))
    #expect(
      !finding([calibration(one, Self.machine), calibration(other, Self.machine)])
        .sentence.contains("arbiter measure"))
    // Of another machine, or of the model.
    let elsewhere = MachineIdentity(identifier: "2", processor: "two", processorCount: 2)
    for foreign in [calibration(one, elsewhere), calibration(.profile("p"), Self.machine)] {
      #expect(finding([foreign]).status == .absent)
      #expect(finding([foreign]).sentence.hasPrefix("Not calibrated: region0, region1;"))
    }
  }

  @Test func `the findings on seeing are there as text and as JSON`() throws {
    let json = try ResultsJSON(arbiter("doctor --format=json").output)
    let findings = json.top["findings"] as? [[String: Any]] ?? []
    let topics = findings.compactMap { $0["topic"] as? String }
    for topic in [
      "precise_events", "timer_sampling", "fault_sampling", "decoding", "library_libpfm4",
      "library_libmicrohttpd", "calibration",
    ] { #expect(topics.count { $0 == topic } == 1, "\(topic)") }
    let broken = try shell(
      """
      folder=$(mktemp -d) && echo '{' >"$folder/calibration.json" &&
      ARBITER_STATE_DIR=$folder "$arbiter" doctor; code=$?; rm -r "$folder"; exit $code
      """)
    #expect(broken.code == 0 && broken.output.contains("?   Calibrations: "))
  }
}
