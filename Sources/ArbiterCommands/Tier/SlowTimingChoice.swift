// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterPlacement
internal import ArbiterPlatform
internal import ArbiterProfiles
internal import ArbiterSimulator
internal import ArbiterTiering
internal import CommandSpec

/// What slow memory is taken to cost, by the user's word or by what was measured here.
struct SlowTimingChoice: Equatable {
  var timing: TierTiming
  /// Where the figures come from, as a sentence.
  var source: String

  /// Kinds of memory, beside the profiles of modules.
  static let kinds: [(name: String, timing: TierTiming)] = [
    ("dram", .dram), ("cxl", .cxl), ("persistent", .persistent), ("disk", .disk),
  ]

  /// Every name that `--profile` takes.
  static var names: [String] { kinds.map(\.name) + ProfileLibrary.embedded.names }

  init(timing: TierTiming, source: String) {
    self.timing = timing
    self.source = source
  }

  /// The timing of a kind, or of one module of a profile by name or file.
  init(named name: String) throws {
    if let kind = Self.kinds.first(where: { $0.name == name }) {
      timing = kind.timing
    } else {
      guard name.contains("/") || name.hasSuffix(".json") || Self.names.contains(name) else {
        let nearest = nearestName(to: name, among: Self.names)
        throw Failure(
          ExitCode.usage, "--profile=\(name) is not one of \(Self.names.joined(separator: ", "))",
          hint: nearest.map { "did you mean '\($0)'?" }
            ?? "give one of those names, or a .json file"
        )
      }
      timing = TierMemory.modules(try loadProfile(name), count: 1).timing
    }
    source =
      "slow memory is taken to be \(Int(timing.loadNanoseconds.rounded())) ns away, by "
      + "--profile=\(name)"
  }

  /// What is typical of a path's memory, written to as fast as was measured with `arbiter measure`.
  ///
  /// tmpfs stands for memory that is slower than itself: its own figures would say that nothing is
  /// gained by moving. Latencies are not stored by calibrations.
  ///
  /// - Returns: nil where nothing is calibrated.
  init?(
    calibrated book: CalibrationBook, _ region: RegionIdentity, _ holder: FileSystemKind,
    on machine: MachineIdentity
  ) {
    guard holder != .tmpfs else { return nil }
    // Copies into slow memory go by the kernel, which writes past the caches on DAX.
    let found = [ThreadCalibration.Store.nt, .clwb].lazy.compactMap {
      book.calibration(of: region, store: $0, on: machine)
    }
    guard let calibration = found.first,
      let best = calibration.curve.map(\.bytesPerSecond).max(), best > 0
    else { return nil }
    let (typical, source) = TierTiming.typical(of: holder)
    timing = typical
    timing.writeBytesPerSecond = best
    let rate = (best / 1e8).rounded() / 10
    self.source = "\(source), and written at \(rate) GB/s, as calibrated \(calibration.date.day)"
  }

  /// What was measured of a path on this machine; nil where nothing was.
  static func measured(_ path: String) -> SlowTimingChoice? {
    // What was never calibrated, or cannot be read, is no reason not to run.
    guard let book = try? CalibrationFile.ofUser().read(), !book.calibrations.isEmpty,
      let region = try? RegionIdentity.of(path: path),
      let holder = try? FileSystemKind.of(path: path)
    else { return nil }
    return SlowTimingChoice(calibrated: book, region, holder, on: .read())
  }
}
