// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlacement
internal import ArbiterPlatform
internal import ArbiterProfiler
internal import ArbiterReport
internal import ArbiterTiering
internal import Glibc

/// A session from its preparation to its end, with everybody who is told of it.
final class Tiering {
  /// What was chosen, and why.
  let probe: TierProbe

  private let options: TierOptions
  private let manager: TierManager
  private let witness = TierWitness()
  private let metricsFile: MetricsFile?
  private var note: TierNoteFile?
  private var remarks: [String] = []
  private var lastSeen: TierReading?
  private var metricsFailed = false
  private var nextTellingNanoseconds: Int64 = 0

  /// How often others are told.
  private static let tellingNanoseconds: Int64 = 1_000_000_000

  /// Prepares to place the memory of one program, which is not yet started.
  ///
  /// - Throws: What keeps Arbiter from it.
  init(_ options: TierOptions) throws {
    self.options = options
    let configuration = try options.configuration()
    let probe = try TierProbe.run(configuration)
    self.probe = probe
    let isWatched = options.record != nil || options.heat != nil
    manager = try TierManager(
      configuration, probe: probe, observer: isWatched ? witness : nil,
      libraryOverride: Console.environment(TierPreload.variable))
    metricsFile = options.metrics.map { MetricsFile($0, option: "metrics") }
    if options.heat != nil { witness.heat = TierHeat() }
    if let path = options.record {
      witness.recording = try TierRecordingFile(path, header(configuration))
    }
    do throws(PlatformError) {
      note = try TierNoteFile(in: TierSession.folder)
    } catch {
      remarks.append("arbiter top does not find this session: \(error.reason).")
    }
  }

  private func header(_ configuration: TierConfiguration) -> TierRecordingHeader {
    TierRecordingHeader(
      // Migrations cost what they are measured to cost: before the first one nothing is known.
      tiers: TierPair(
        fastBytes: Int(clamping: configuration.fastBytes), fast: .dram, slow: probe.slowTiming,
        migrationNanoseconds: 0),
      weightUnit: manager.weightUnit,
      samplingPeriodNanoseconds: configuration.policy.samplingPeriodNanoseconds,
      policy: configuration.policy.name, tracker: probe.tracker.rawValue,
      backEnd: probe.backEnd.rawValue, command: options.program)
  }

  /// Looks whether the program can be reached; what cannot is said as a remark.
  func examine(_ program: ProgramFile) { manager.examine(program) }

  /// The variables that the program starts with.
  var environment: [String] { manager.environment(adding: ChildProgram.ownEnvironment) }

  /// Starts the program and manages its memory from its first instruction on.
  func launch(
    _ start: () throws(PlatformError) -> ChildProgram
  ) throws(PlatformError) -> ChildProgram {
    try manager.launch(start)
  }

  /// How memory is placed: of a program that has ended, how it was when it was last seen.
  var reading: TierReading {
    var reading = manager.reading
    if let seen = lastSeen, reading.managedBytes == 0 {
      reading.fastBytes = seen.fastBytes
      reading.slowBytes = seen.slowBytes
      reading.metadataBytes = seen.metadataBytes
      reading.processes = seen.processes
    }
    return reading
  }

  /// Samples, decides and moves; returns how long it may be left alone, in nanoseconds.
  func tend() -> Int64 {
    let wait = manager.step()
    let now = SystemClock.monotonicRawNanoseconds()
    if now >= nextTellingNanoseconds {
      nextTellingNanoseconds = now + Self.tellingNanoseconds
      tell()
    }
    return wait
  }

  /// Tells others: `arbiter top` and `export` by the note, collectors by the file of metrics.
  private func tell() {
    let reading = reading
    if reading.managedBytes > 0 { lastSeen = reading }
    witness.note(period: reading.samplingPeriodNanoseconds, time: reading.timeNanoseconds)
    let ticks = ProcessStatus.read(ofProcess: getpid())?.startTicks ?? 0
    let published = TierNote(
      process: getpid(), startTicks: ticks,
      program: options.program.first.map { String($0.split(separator: "/").last ?? "") } ?? "",
      reading: reading)
    note?.write(published)
    guard let metricsFile else { return }
    var collector = MetricsCollector()
    TierMetrics.add(published, to: &collector)
    let page = MetricsPage(
      collector.result, readNanoseconds: SystemClock.monotonicRawNanoseconds())
    do throws(Failure) {
      try metricsFile.write(page.text(.text, nowNanoseconds: nil))
      metricsFailed = false
    } catch {
      // Said once, not in every second.
      if !metricsFailed { remarks.append("The metrics are not written: \(error.message).") }
      metricsFailed = true
    }
  }

  /// Why nothing was placed so far; nil where something was.
  var nothing: String? { lastSeen == nil ? manager.reasonForNothing : nil }

  /// What went wrong or is given up since the last call, one sentence each.
  func takeRemarks() -> [String] {
    defer { remarks = [] }
    return manager.takeRemarks() + remarks
  }

  /// Ends moving; what was placed stays where it is.
  func stop() {
    manager.finish()
    tell()
    witness.end(time: manager.reading.timeNanoseconds)
    if let remark = witness.recording?.remark { remarks.append(remark) }
    note?.remove()
  }

  /// The heat map so far.
  func heat(of program: [String]) -> HeatResult {
    var heat = witness.heat ?? TierHeat()
    return heat.result(program: program, reading: reading, remarks: [])
  }
}
