// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterProfiles
internal import ArbiterWorkloads
internal import CommandSpec

/// A part of `arbiter measure`.
enum MeasurePart: String, WordValue, CaseIterable {
  case latency
  case bandwidth
  case files

  static var placeholder: String { "<PART>" }
}

/// Options of `arbiter measure`.
struct MeasureOptions: Equatable {
  var path: String?
  var profile: String?
  var modules = 1
  var size: ByteCount?
  var overwrite = false
  var isReadOnly = false
  var only: [MeasurePart] = []
  var threads: ThreadCounts?
  var sizes: [ByteCount] = [64, 256, 1024, 4096].map { ByteCount(bytes: $0) }
  var readShare = Share(0.5)
  var repeatCount = 3
  var duration: TimeSpan?
  var isQuick = false
  var forgets = false
  var seed: UInt64 = 1
  var report = "none"
  var output = OutputOptions()

  static let groups: [OptionGroup<MeasureOptions>] = [
    OptionGroup(
      "Memory",
      [
        .init(
          "profile", \.profile, placeholder: "<NAME|FILE>",
          completion: .words(ProfileLibrary.embedded.names),
          help: "Module of the model that is measured instead of real memory."),
        .init(
          "modules", \.modules, placeholder: "<COUNT>",
          help: "Interleaved modules of the model, 1 to 12."),
        .init(
          "size", \.size,
          help: "Bytes of memory that are used; without it 256MiB, or half of the room there is."),
        .init(
          "overwrite", \.overwrite,
          help: "Write over a file that holds something already, or over a device."),
        .init(
          "read-only", \.isReadOnly, help: "Measure loads alone, and leave the file as it is."),
      ]),
    OptionGroup(
      "Points",
      [
        .init("only", \.only, help: "Parts to measure; all that apply without it."),
        .init(
          "threads", \.threads,
          help: "Numbers of threads; without it powers of two up to all processors."),
        .init("sizes", \.sizes, placeholder: "<SIZE,...>", help: "Sizes of accesses."),
        .init("read-share", \.readShare, help: "Share of loads where they are mixed with stores."),
      ]),
    OptionGroup(
      "Run",
      [
        .init(
          "repeat", \.repeatCount, placeholder: "<COUNT>",
          help: "Rounds in which every point is measured, 3 to 100."),
        .init(
          "duration", \.duration,
          help: "Time of each measurement; without it all of them take some 15 s together."),
        .init("quick", \.isQuick, help: "Take some 3 s, and do not store the calibration."),
        .init("forget", \.forgets, help: "Do not store the calibration."),
        .init("seed", \.seed, placeholder: "<NUMBER>", help: "Source of random addresses."),
      ]),
    ReportPlace.group(\.report),
    OutputOptions.group.within(\.output),
  ]

  static func validate(_ options: MeasureOptions) throws(UsageError) {
    try options.output.validate()
    try ReportPlace(options.report).validate()
    try options.validatePlace()
    for (index, size) in options.sizes.enumerated() {
      guard size.bytes >= 64, size.bytes % 64 == 0, size <= .mebibytes(1) else {
        throw UsageError(
          "--sizes has \(size), which is not a multiple of 64B between 64B and 1MiB",
          hint: "give whole cache lines: --sizes=64B,4KiB")
      }
      guard !options.sizes[..<index].contains(size) else {
        throw UsageError("--sizes names \(size) twice", hint: "name each size once")
      }
    }
    if options.sizes.isEmpty { throw UsageError("--sizes is empty", hint: "give --sizes=256B") }
    if !(3...100).contains(options.repeatCount) {
      throw UsageError(
        "--repeat=\(options.repeatCount) is not within 3 to 100",
        hint: "fewer than 3 rounds show no spread")
    }
    if let duration = options.duration {
      try checkTime("duration", duration, .milliseconds(1) ... .seconds(60))
    }
    if let size = options.size {
      let least = options.sizeMin(processors: 1)
      guard size >= least, size <= .gibibytes(64) else {
        throw UsageError(
          "--size=\(size) is not within \(least) to 64GiB: each thread needs room for "
            + "the largest access", hint: "give --size=256MiB")
      }
    }
  }

  private func validatePlace() throws(UsageError) {
    switch (path, profile) {
    case (nil, nil):
      throw UsageError(
        "nothing to measure is named",
        hint: "name a file, a folder or a device, or give --profile=\(ProfileLibrary.defaultName)")
    case (.some(let path), .some(let profile)):
      throw UsageError(
        "both '\(path)' and --profile=\(profile) are named", hint: "name one of them")
    case (.some(""), nil): throw UsageError("the path is empty", hint: "name a file or a folder")
    case (.some, nil) where modules != 1:
      throw UsageError(
        "--modules=\(modules) is for the model alone", hint: "leave it out, or give --profile")
    case (nil, .some) where only == [.files]:
      throw UsageError("the model has no files", hint: "leave --only=files out")
    case (nil, .some) where overwrite || isReadOnly:
      throw UsageError(
        "--\(overwrite ? "overwrite" : "read-only") is for real memory alone",
        hint: "leave it out")
    default: break
    }
    if overwrite && isReadOnly {
      throw UsageError(
        "--overwrite and --read-only exclude each other", hint: "give one of them")
    }
    if !(1...12).contains(modules) {
      throw UsageError("--modules=\(modules) is not within 1 to 12", hint: "give 1 to 12")
    }
    for (index, part) in only.enumerated() where only[..<index].contains(part) {
      throw UsageError("--only names '\(part.rawValue)' twice", hint: "name each part once")
    }
  }

  /// Whether a part is asked for.
  func includes(_ part: MeasurePart) -> Bool { only.isEmpty || only.contains(part) }

  /// The least memory in which all points have room.
  func sizeMin(processors: Int) -> ByteCount {
    ByteCount(bytes: terms(regionBytes: 0, processors: processors).regionBytesMin)
  }

  /// What is measured in a region of the given size.
  ///
  /// - Parameters:
  ///   - regionBytes: Bytes of memory.
  ///   - processors: Logical processors of the machine; a model has as many as it likes.
  /// - Returns: The terms of the plan.
  func terms(regionBytes: Int, processors: Int) -> MeasurementPlan.Terms {
    var terms = MeasurementPlan.Terms()
    terms.regionBytes = regionBytes
    terms.threadCounts = (threads?.counts ?? defaultThreads(processors: processors)).sorted()
    terms.sizes = sizes.map(\.bytes).sorted()
    terms.readShare = readShare.value
    terms.aspects = []
    if includes(.latency) { terms.aspects.insert(.latency) }
    if includes(.bandwidth) { terms.aspects.insert(.bandwidth) }
    terms.isReadOnly = isReadOnly
    terms.repetitionCount = repeatCount
    return terms
  }

  private func defaultThreads(processors: Int) -> [Int] {
    // The published curves of one module and of six have their peaks and knees here.
    if profile != nil {
      return modules == 1 ? [1, 2, 3, 4, 6, 8, 12] : [1, 2, 3, 4, 6, 8, 10, 12]
    }
    let limit = min(128, max(1, processors))
    var counts: [Int] = []
    var count = 1
    while count < limit {
      counts.append(count)
      count *= 2
    }
    return counts + [limit]
  }

  /// Time of each measurement, without its warm-up.
  ///
  /// - Parameter count: Measurements altogether.
  /// - Returns: Seconds.
  func secondsEach(of count: Int) -> Double {
    if let duration { return duration.seconds }
    let budget = isQuick ? 2.5 : 14.0
    return min(0.25, max(0.005, budget / Double(max(1, count)) / (1 + Self.warmUpShare)))
  }

  /// What a measurement warms up, as a share of its time.
  static let warmUpShare = 0.2
}
