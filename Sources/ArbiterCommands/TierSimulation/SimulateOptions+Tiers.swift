// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlacement
internal import ArbiterReport
internal import ArbiterSimulator
internal import CommandSpec

extension SimulateOptions {
  /// Recordings that are larger are refused rather than read into memory: some 20 million samples.
  private static let recordingBytesMax = 1 << 30

  /// Runs `arbiter simulate --tiers`.
  static func simulateTiers(
    _ source: TierSource, _ invocation: Invocation<SimulateOptions>
  ) throws -> Int32 {
    let options = invocation.options
    let place = ReportPlace(options.report)
    try place.check()
    let isRecording = if case .recording = source { true } else { false }
    let device = isRecording ? nil : try loadProfile(options.profile)
    let session = try ResultSession(
      invocation.resolved, output: options.output, seed: options.seed, profile: device)
    let findings = try tierFindings(
      of: source, options, given: invocation.given, parameters: invocation.resolved.parameters,
      in: session)
    var remarks = findings.remarks
    if place.isWanted && !session.wasInterrupted {
      remarks.append(try place.write(findings.report(in: session), for: session))
    }
    try session.print(
      tables: [findings.table], remarks: remarks, isEmpty: session.wasInterrupted,
      json: findings.json(in: session), csv: findings.csv)
    return session.wasInterrupted ? ExitCode.interrupted : ExitCode.done
  }

  /// Carries out the runs; without figures where the session was interrupted.
  static func tierFindings(
    of source: TierSource, _ options: SimulateOptions, given: Set<String>,
    parameters: [JSONValue.Member], in session: ResultSession
  ) throws -> TierFindings {
    let study: TierStudy
    let remark: String
    var members: [JSONValue.Member] = []
    var isRecording = false
    switch source {
    case .recording(let path):
      let recording = try read(path)
      study = TierStudy(recording, options: options.tiers, seed: options.seed)
      remark = Self.remark(recording, path)
      isRecording = true
    case .streams(let kinds):
      (study, remark, members) = try Self.study(of: kinds, options, given: given)
    }
    let outcomes = try session.work(on: study.jobs, title: "simulate") { job, progress in
      study.run(job) { share in
        progress(share)
        return !session.wasInterrupted
      }
    }
    return TierFindings(
      findings: study.findings(session.wasInterrupted ? [] : outcomes),
      parameters: parameters.filter {
        ["tiers", "profile", "policies", "runs"].contains($0.key)
      } + [.init("fast_bytes", .integer(Int64(study.fastBytes)))] + members,
      isRecording: isRecording,
      sentences: ["All times are virtual, the model's and not this machine's. " + remark])
  }

  /// The study of generated streams, what it is about in words, and the same as JSON.
  private static func study(
    of kinds: [TierStreamKind], _ options: SimulateOptions, given: Set<String>
  ) throws -> (TierStudy, String, [JSONValue.Member]) {
    let modules = given.contains("modules") ? options.modules : TierSimulationOptions.usualModules
    let threads = options.threads?.counts.first ?? TierSimulationOptions.usualThreads
    let tiers = options.tiers
    let machine = TierMachine(
      fast: .dram(channels: modules),
      slow: .modules(try loadProfile(options.profile), count: modules),
      fastBytes: tiers.fastBytes.bytes, threads: threads, spareProcessors: tiers.spare)
    let duration = options.duration ?? TierSimulationOptions.usualDuration
    let seconds = Double(duration.picoseconds) * 1e-12
    let members: [JSONValue.Member] = [
      .init("modules", .integer(Int64(modules))), .init("threads", .integer(Int64(threads))),
      .init("mechanism", .string(tiers.mechanism.rawValue)),
      .init("spare_processors", .integer(Int64(tiers.spare))),
      .init("footprint_bytes", .integer(Int64(tiers.footprintBytes.bytes))),
      .init("hot_bytes", .integer(Int64(tiers.hotBytes.bytes))),
      .init("duration_seconds", .number(seconds)),
    ]
    let manner = tiers.mechanism == .own ? "" : ", all moved by one mover"
    let remark =
      "\(threads) \(threads == 1 ? "thread" : "threads"), \(tiers.spare) spare "
      + "processors, on \(tiers.footprintBytes), "
      + "\(tiers.fastBytes) of it in DRAM, the rest on \(modules) "
      + "\(modules == 1 ? "module" : "modules")\(manner)."
    let study = TierStudy(
      kinds, options: tiers, machine: machine, seconds: seconds, seed: options.seed)
    return (study, remark, members)
  }

  private static func read(_ path: String) throws(Failure) -> TierRecording {
    let bytes = try readFile(path, for: "tiers", bytesMax: recordingBytesMax)
    do {
      return try TierRecording(parsing: bytes)
    } catch {
      throw Failure(
        ExitCode.badInput, "--tiers=\(path): \(error)",
        hint: "give a recording that 'arbiter tier --record' has made")
    }
  }

  private static func remark(_ recording: TierRecording, _ path: String) -> String {
    let seconds = Double(recording.durationNanoseconds) * 1e-9
    let samples = recording.events.count {
      if case .sample = $0.kind { true } else { false }
    }
    let end = recording.isComplete ? "" : "; its end is missing, the session was cut short"
    return "\(path) holds \(samples) samples of \(Figures.rounded(seconds)) s under "
      + "\(recording.header.policy)\(end). Access time is what threads spent at sampled accesses "
      + "and at migrations."
  }
}
