// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterMetrics
internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterRuntime
internal import ArbiterSimulator
internal import ArbiterWorkloads
internal import CommandSpec
internal import Glibc

extension MeasureOptions {
  static let command: Command<MeasureOptions> = Command(
    name: "measure",
    abstract: "Measure latency and bandwidth of memory, real or modelled.",
    discussion: """
      Measures how long dependent loads and durable stores take, and how much threads move in a \
      second, with the CPU time that it costs; beside it what read, write and mmap reach through \
      the file system. The smallest number of threads within 5 % of the best bandwidth is stored \
      for the memory and the store instruction: lock and delegation admit that many.

      PATH is a file on the memory, a dax device, or a folder, in which a file without a name is \
      made. A file that holds something is refused unless --overwrite is given, or --read-only, \
      which measures loads and leaves it as it is. With --profile the model is measured, in \
      virtual time. Every point is measured in several rounds, so that noise meets all alike; \
      tables show medians and the range.
      """,
    initial: MeasureOptions(), groups: groups,
    operands: [
      .optional(
        "<PATH>", \.path, completion: .file,
        help: "File, folder or dax device to measure; none with --profile.")
    ],
    examples: [
      Example("The memory below a folder", "measure /mnt/pmem"),
      Example("A first look in 3 s", "measure /dev/shm --quick"),
      Example("Six modules of the model", "measure --profile=optane-100-256g --modules=6"),
      Example("A page with plots", "measure /mnt/pmem --report=measured"),
    ],
    seeAlso: ["arbiter-bench", "arbiter-doctor", "arbiter-run"],
    validate: { (options: MeasureOptions) throws(UsageError) in try validate(options) },
    run: { try measure($0) })

  private static func measure(_ invocation: Invocation<MeasureOptions>) throws -> Int32 {
    let options = invocation.options
    let place = ReportPlace(options.report)
    try place.check()
    try options.checkCalibrationFile()
    let profile = try options.profile.map { try loadProfile($0) }
    let session = try ResultSession(
      invocation.resolved, output: options.output, seed: options.seed, profile: profile)
    var findings =
      if let profile {
        try options.measureModel(profile, in: session)
      } else {
        try options.measureMemory(in: session)
      }
    let failure = options.calibrate(&findings, isWhole: !session.wasInterrupted)
    let isEmpty = findings.points.isEmpty && findings.files.isEmpty
    var remarks = isEmpty ? [] : findings.sentences
    if place.isWanted && !session.wasInterrupted {
      remarks.append(try place.write(findings.report(in: session), for: session))
    }
    try session.print(
      tables: findings.tables, remarks: remarks, isEmpty: isEmpty,
      json: findings.json(in: session), csv: findings.csv)
    if let failure { throw failure }
    return session.wasInterrupted ? ExitCode.interrupted : ExitCode.done
  }

  /// Measures the model, all processors at once: virtual time is disturbed by nobody.
  private func measureModel(
    _ profile: DeviceProfile, in session: ResultSession
  ) throws -> MeasureFindings {
    let bytes = (size ?? .mebibytes(256)).bytes
    let plan = MeasurementPlan(terms(regionBytes: bytes, processors: 1))
    var executor = ModelMeasurement(profile: profile, moduleCount: modules, seed: seed)
    if let duration {
      executor.span = duration
    } else if isQuick {
      executor.span = .milliseconds(1)
    }
    let steps = plan.steps
    let runs = try session.work(on: steps, title: "measure") { [executor] step, progress in
      try executor.measure(plan.points[step.point], repetition: step.repetition) {
        Interrupt.isRaised
      }
    }
    var measured = plan.points.map { MeasuredPoint($0, runs: []) }
    for (step, run) in zip(steps, runs) {
      if let run { measured[step.point].runs.append(run) }
    }
    let count = modules == 1 ? "one module" : "\(modules) interleaved modules"
    var region = RegionIdentity.profile(self.profile ?? profile.name)
    region.moduleCount = modules
    return MeasureFindings(
      subject: .init(
        name: profile.name, about: "\(profile.name), \(count): \(profile.summary)",
        region: region, byteCount: bytes, isModel: true,
        members: [.init("modules", .integer(Int64(modules)))]),
      points: measured.filter { !$0.runs.isEmpty })
  }

  /// Measures real memory.
  private func measureMemory(in session: ResultSession) throws -> MeasureFindings {
    let target = try MeasureTarget(self)
    let machine = MachineTopology.read()
    let byteCount = try target.byteCount(self, processors: machine.logicalProcessorCount)
    let plan = MeasurementPlan(
      terms(regionBytes: byteCount.bytes, processors: machine.logicalProcessorCount))
    let pairs =
      target.filePath != nil && includes(.files)
      ? FileComparison.pairs(isReadOnly: isReadOnly) : []
    let seconds = secondsEach(of: (plan.points.count + pairs.count) * repeatCount)
    let clock = try TimeStampClock.calibrate()
    let memory = try target.open(byteCount, self)
    defer { target.restore() }
    let executor = RealMeasurement(
      on: memory, clock: clock, seconds: seconds, warmUpSeconds: seconds * Self.warmUpShare,
      seed: seed)
    let region = try RegionIdentity.of(path: target.filePath ?? target.path)
    var findings = MeasureFindings(
      subject: MeasureContext.subject(target, executor.memory, region), points: [])
    findings.frequencyBefore = FrequencyState.read()
    let pace = StepPace(count: (plan.points.count + pairs.count) * repeatCount)
    let progress = try session.showProgress("measure") { pace.share }
    defer {
      pace.close()
      progress.join()
    }
    findings.points = try measure(plan, by: executor, in: session, pace)
    if let path = target.filePath, !pairs.isEmpty {
      let comparison = FileComparison(
        path: path, byteCount: executor.memory.byteCount / 4096 * 4096, seconds: seconds,
        seed: seed, clock: clock, raw: executor)
      findings.files = compare(pairs, by: comparison, in: session, pace)
    }
    findings.frequencyAfter = FrequencyState.read()
    findings.clockNanoseconds = executor.clockNanoseconds
    findings.warnings = MeasureContext.warnings(
      findings, executor.memory, threads: plan.points.map(\.threadCount).max() ?? 1, machine)
    return findings
  }

  private func measure(
    _ plan: MeasurementPlan, by executor: RealMeasurement, in session: ResultSession,
    _ pace: StepPace
  ) throws -> [MeasuredPoint] {
    var measured = plan.points.map { MeasuredPoint($0, runs: []) }
    for step in plan.steps {
      let run = try executor.measure(plan.points[step.point], repetition: step.repetition) {
        session.wasInterrupted
      }
      guard let run else { break }
      measured[step.point].runs.append(run)
      pace.advance()
    }
    return measured.filter { !$0.runs.isEmpty }
  }

  /// Measures the ways through the file system; one that it does not take says why.
  private func compare(
    _ pairs: [MeasuredFile], by comparison: FileComparison, in session: ResultSession,
    _ pace: StepPace
  ) -> [MeasuredFile] {
    var files = pairs
    for round in 0..<repeatCount {
      for index in files.indices where files[index].reason == nil {
        do {
          let run = try comparison.run(files[index], repetition: round) { session.wasInterrupted }
          guard let run else { return files.filter { !$0.runs.isEmpty || $0.reason != nil } }
          files[index].runs.append(run)
        } catch {
          files[index].reason = Failure(error).message
        }
        pace.advance()
      }
    }
    return files
  }
}
