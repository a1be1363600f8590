// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Runtime
internal import Synchronization

/// A place in a program from where it changed a region.
public struct CallSite: Sendable {
  /// What has been looked up, for all copies of a place.
  private final class Finding: Sendable {
    let location = Mutex<String??>(nil)
  }

  let backtrace: Backtrace?
  private let finding = Finding()

  init(backtrace: Backtrace?) {
    self.backtrace = backtrace
  }

  /// File and line; nil where the program carries no debug information.
  ///
  /// The innermost place outside the access layer and this module.
  ///
  /// - Complexity: The first time reads the program's debug information: up to a second for a
  ///   large one.
  public var location: String? {
    finding.location.withLock { known in
      if let known { return known }
      let found = found
      known = .some(found)
      return found
    }
  }

  private var found: String? {
    guard let frames = backtrace?.symbolicated()?.frames else { return nil }
    for frame in frames {
      guard let location = frame.symbol?.sourceLocation, location.line > 0 else { continue }
      let parts = location.path.split(separator: "/")
      // What a macro has generated has no line that anybody could look up.
      let isHidden =
        parts.contains("ArbiterMemory") || parts.contains("ArbiterCrashTesting")
        || parts.contains("swift-generated-sources") || location.path.hasPrefix("<")
      if !isHidden { return "\(parts.suffix(2).joined(separator: "/")):\(location.line)" }
    }
    return nil
  }
}
