// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterPlatform
internal import ArbiterProfiles
internal import ArbiterRuntime
internal import ArbiterScheduler
internal import Glibc

/// How many threads may write at once where the program does not say: as many as this user has
/// calibrated, like `arbiter run`, else the usual number.
struct LibraryLimits {
  /// Without an option and a calibration.
  static let usualCount = 4

  /// Permits of memory that belongs to no set.
  var permitCount: Int
  /// Workers of the program, whatever sets it writes to.
  var workerCount: Int
  /// The sets, with permits of their own where they are calibrated.
  var sets: [PlannedSet]

  /// Decides; the user's file is read only where a number is missing that the scheme needs.
  ///
  /// - Throws: ``PlatformError`` where the file is there and not in order.
  init(_ options: LibraryOptions, sets planned: [PlannedSet]) throws(PlatformError) {
    sets = planned
    permitCount = options.permitCount ?? Self.usualCount
    workerCount = options.workerCount ?? Self.usualCount
    let isAsked =
      switch options.scheme {
      case .lock: options.permitCount == nil
      case .delegation: options.workerCount == nil
      case .baseline, .fence, .arbiter, .arbiterPaper: false
      }
    guard isAsked, !sets.isEmpty, let book = try Self.book() else { return }
    let machine = MachineIdentity.read()
    let counts = sets.map { set in
      let region =
        set.interleaveSet.map { RegionIdentity($0, moduleCount: set.moduleCount) }
        ?? .profile(options.profile ?? set.name)
      // What is copied goes past the cache, unless it is short.
      return book.threadCount(for: region, stores: [.nt, .clwb], on: machine)?.threadCount
    }
    if options.scheme == .lock {
      for index in sets.indices { sets[index].permitCount = counts[index] }
    } else if let most = counts.map({ $0 ?? Self.usualCount }).max() {
      workerCount = min(most, LibraryOptions.workerCountMax)
    }
  }

  /// What this user has calibrated; nil where there is no file that could be read.
  private static func book() throws(PlatformError) -> CalibrationBook? {
    guard let path = CalibrationDocument.path(environment: variable),
      let text = SystemTree().text(path)
    else { return nil }
    do throws(CalibrationError) {
      return try CalibrationDocument.read(Array(text.utf8), path: path)
    } catch {
      throw PlatformError(
        .invalidArgument, path: error.path, reason: "line \(error.line): \(error.reason)",
        nextStep: error.nextStep)
    }
  }

  /// A variable of the environment; none in programs that gain rights by being started, since
  /// whoever starts them chooses it.
  private static func variable(_ name: String) -> String? {
    guard getuid() == geteuid(), getgid() == getegid() else { return nil }
    // SAFETY: the text is copied at once.
    guard let text = unsafe getenv(name) else { return nil }
    return unsafe String(cString: text)
  }
}
