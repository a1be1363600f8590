// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterMetrics
internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterWorkloads

/// What `arbiter measure` found out, whoever executed the plan.
struct MeasureFindings: Sendable {
  /// What was measured.
  struct Subject: Sendable {
    /// The path or the profile, as the user named it.
    var name: String
    /// One sentence on what that is.
    var about: String
    /// What calibrations are stored under.
    var region: RegionIdentity
    /// Bytes of memory that were used.
    var byteCount: Int
    /// Whether figures are the model's.
    var isModel: Bool
    /// What more is known, for the document.
    var members: [JSONValue.Member] = []
  }

  var subject: Subject
  var points: [MeasuredPoint]
  var files: [MeasuredFile] = []
  /// What two readings of the clock take, which was subtracted; nil in the model.
  var clockNanoseconds: (plain: Double, fenced: Double)?
  var frequencyBefore: Figure<FrequencyState> = .unavailable("the model has no clock rate")
  var frequencyAfter: Figure<FrequencyState> = .unavailable("the model has no clock rate")
  var calibrations: [ThreadCalibration] = []
  /// The file in which they were stored; nil where they were not.
  var storedIn: String?
  /// Sentences on what may have spoiled the figures.
  var warnings: [String] = []
  /// Other sentences below the tables.
  var remarks: [String] = []

  static let schema = "arbiter-measure/1"

  /// The points at which the number of threads was varied, by kind.
  func threadCurve(_ kind: MeasurementPoint.Kind) -> [MeasuredPoint] {
    let all = points.filter {
      $0.point.aspect == .bandwidth && $0.point.kind == kind
        && $0.point.workload.pattern == .sequential
        && $0.point.workload.accessBytes == MeasurementPlan.Terms().accessBytes
    }
    return all.sorted { $0.point.threadCount < $1.point.threadCount }
  }

  /// The smallest numbers of threads within 5 % of the best, for each store instruction.
  ///
  /// - Returns: None where fewer than two numbers of threads were measured.
  func calibrate(
    date: UniversalTime, on machine: MachineIdentity
  ) -> [ThreadCalibration] {
    ThreadCalibration.Store.allCases.compactMap { store in
      let points = threadCurve(store == .nt ? .nt : .clwb)
      let curve = points.compactMap { point in
        point.bandwidth.map {
          ThreadCalibration.Point(threads: point.point.threadCount, bytesPerSecond: $0.median)
        }
      }
      guard curve.count > 1, let accessBytes = points.first?.point.workload.accessBytes else {
        return nil
      }
      return ThreadCalibration(
        region: subject.region, store: store, accessBytes: accessBytes, curve: curve, date: date,
        toolVersion: Version.text, machine: machine)
    }
  }

  /// The share of the measuring windows in which the threads that move bytes had a processor.
  ///
  /// Nil where nobody knows.
  var runningShare: Double? {
    let processors = MachineTopology.read().logicalProcessorCount
    var (wanted, had) = (0.0, 0.0)
    for point in points where point.point.aspect == .bandwidth {
      for run in point.runs {
        guard let seconds = run.processCPUSeconds.value else { return nil }
        had += seconds
        wanted += run.seconds * Double(min(point.point.threadCount, max(1, processors)))
      }
    }
    return wanted > 0 ? min(1, had / wanted) : nil
  }

  /// The share of the processors' time that the host took, over all measurements.
  var stolenShare: Double? {
    let runs = points.flatMap(\.runs)
    let seconds = runs.reduce(0) { $0 + $1.seconds }
    let stolen = runs.compactMap { $0.stolenSeconds.value }
    guard stolen.count == runs.count, seconds > 0 else { return nil }
    let processors = Double(max(1, MachineTopology.read().logicalProcessorCount))
    return stolen.reduce(0, +) / seconds / processors
  }
}

extension MeasureFindings {
  /// The whole document.
  func json(in session: ResultSession) -> JSONValue {
    var target: [JSONValue.Member] = [
      .init("name", .string(subject.name)), .init("about", .string(subject.about)),
      .init("is_model", .bool(subject.isModel)),
      .init("region", .string(subject.region.name)),
      .init("memory_bytes", .integer(Int64(subject.byteCount))),
    ]
    target += subject.members
    return .object(
      session.heading(schema: Self.schema, host: hostMembers) + [
        .init("target", .object(target)),
        .init("clock_ns_subtracted", clockNanoseconds.map { .number($0.plain) } ?? .null),
        .init(
          "clock_ns_subtracted_with_fence", clockNanoseconds.map { .number($0.fenced) } ?? .null),
        .init("points", .array(points.map(\.json))),
        .init("files", .array(files.map(\.json))),
        .init("calibrations", .array(calibrations.map(Self.json))),
        .init("calibration_file", .text(storedIn)),
        .init("warnings", .array(warnings.map { .string($0) })),
      ])
  }

  private static func json(_ calibration: ThreadCalibration) -> JSONValue {
    .object([
      .init("region", .string(calibration.region.name)),
      .init("store", .string(calibration.store.rawValue)),
      .init("threads", .integer(Int64(calibration.threadCount))),
      .init("access_bytes", .integer(Int64(calibration.accessBytes))),
      .init(
        "curve",
        .array(
          calibration.curve.map {
            .object([
              .init("threads", .integer(Int64($0.threads))),
              .init("bandwidth_bytes_per_second", .number($0.bytesPerSecond)),
            ])
          })),
    ])
  }

  /// What of the machine may have spoiled the figures.
  private var hostMembers: [JSONValue.Member] {
    guard !subject.isModel else { return [] }
    let state = frequencyAfter.value
    func words(_ list: [String]?) -> JSONValue { .array((list ?? []).map { .string($0) }) }
    return [
      .init("frequency_governors", words(state?.governors)),
      .init("frequency_drivers", words(state?.drivers)),
      .init("allows_turbo", state?.allowsTurbo.map { .bool($0) } ?? .null),
      .init("clock_khz_before", Self.range(frequencyBefore.value?.currentKilohertz)),
      .init("clock_khz_after", Self.range(state?.currentKilohertz)),
      .init("stolen_share", .figure(stolenShare)),
      .unavailable(frequencyAfter.reason.map { [.init("frequency", .string($0))] } ?? []),
    ]
  }

  private static func range(_ range: ClosedRange<Int>?) -> JSONValue {
    guard let range else { return .null }
    return .array([.integer(Int64(range.lowerBound)), .integer(Int64(range.upperBound))])
  }

  /// One row for each point and each file arm.
  var csv: String {
    let fields = SummaryField<MeasuredPoint>.all
    var text = CSV.row(["arm"] + fields.map(\.name))
    for point in points { text += CSV.row(["raw"] + fields.map { CSV.field($0.value(point)) }) }
    for file in files {
      text += CSV.row([file.arm.rawValue] + fields.map { CSV.field($0.value(file.measured)) })
    }
    return text
  }
}
