// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Runtime

/// A place in a program from where it changed a region.
public struct CallSite: Sendable {
  let backtrace: Backtrace?

  /// File and line; nil where the program carries no debug information.
  ///
  /// The innermost place outside the access layer and of this module.
  ///
  /// - Complexity: Reads the program's debug information: up to a second for a large one.
  public var location: String? {
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
