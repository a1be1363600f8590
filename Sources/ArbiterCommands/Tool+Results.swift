// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterProfiles
internal import ArbiterReport
internal import ArbiterSimulator
internal import CommandSpec

extension Tool {
  /// Writes the pages on the model below a folder; for `Documentation/results/regenerate`, not for
  /// users.
  static func writeResults(below operands: [String]) throws -> Int32 {
    guard operands.count == 1, let root = operands.first, !root.isEmpty else {
      throw UsageError(
        "write-results takes one folder", hint: "run Documentation/results/regenerate instead")
    }
    let results = "\(root)/Documentation/results"
    let fidelity = try fidelityReport()
    let sensitivity = try sensitivityReport()
    let tiers = try tierReport()
    guard let fidelity, let sensitivity, let tiers else { return ExitCode.interrupted }
    try write(
      fidelity, "fidelity", by: "fidelity", below: results,
      about: "[Calibration](calibration.md) says more about the targets, "
        + "[conflicts](conflicts.md) what publications disagree on, and "
        + "[sensitivity](sensitivity.md) what hangs on uncertain numbers.")
    try write(
      sensitivity, "sensitivity", by: "sensitivity", below: results,
      about: "The ranges stand in `Profiles/`; [fidelity](fidelity.md) says how far the model is "
        + "from hardware.")
    try write(
      tiers, "tiers", by: "simulate --tiers=all", below: results,
      about: "[Placement](../Placement.md) says what is modelled, and what speaks for whom.")
    return ExitCode.done
  }

  private static func fidelityReport() throws -> Report? {
    let options = FidelityOptions()
    let session = try ResultSession(
      FidelityOptions.command.resolve(options, tool: "arbiter"), output: options.output,
      seed: options.seed, profile: nil)
    let study = try FidelityStudy(numbers: [], own: nil, seeds: options.seeds, traces: true)
    let findings = try FidelityOptions.findings(of: study, in: session)
    return session.wasInterrupted ? nil : findings.report(own: nil, in: session)
  }

  private static func sensitivityReport() throws -> Report? {
    let options = SensitivityOptions()
    let resolved = try loadResolvedProfile(options.profile)
    let session = try ResultSession(
      SensitivityOptions.command.resolve(options, tool: "arbiter"), output: options.output,
      seed: options.seed, profile: resolved.profile)
    let study = SensitivityStudy(
      resolved, keys: [], drawCount: options.drawCount, seed: options.seed)
    let findings = try SensitivityOptions.findings(of: study, in: session)
    return session.wasInterrupted ? nil : findings?.report(in: session)
  }

  private static func tierReport() throws -> Report? {
    let options = SimulateOptions()
    let session = try ResultSession(
      SimulateOptions.command.resolve(options, tool: "arbiter"), output: options.output,
      seed: options.seed, profile: try loadProfile(options.profile))
    let findings = try SimulateOptions.tierFindings(
      of: .streams(TierStreamKind.allCases), options, given: [], parameters: [], in: session)
    return session.wasInterrupted ? nil : findings.report(in: session)
  }

  /// Writes one page and the folder of its pictures, from which older ones go.
  private static func write(
    _ report: Report, _ name: String, by command: String, below results: String,
    about links: String
  ) throws {
    let folder = "\(results)/\(name)"
    switch try FileSystem.kind(folder) {
    case .nothing: try FileSystem.makeFolder(folder)
    default:
      for old in try FileSystem.names(in: folder) where old.hasSuffix(".svg") {
        try FileSystem.removeFile("\(folder)/\(old)")
      }
    }
    let drawn = try report.drawPictures(in: folder)
    guard drawn.count == report.allPlots.count else {
      throw Failure(
        ExitCode.unavailable, "the pictures could not be drawn: gnuplot is not installed",
        hint: "install the package gnuplot-nox")
    }
    let note =
      "Written by `Documentation/results/regenerate` (arbiter \(Version.text)); `./arbiter "
      + "\(command) --report=FOLDER` makes the same page from your machine. \(links)"
    try FileSystem.write(
      report.markdown(note: note, pictures: name, drawn: drawn), to: "\(results)/\(name).md")
  }
}
