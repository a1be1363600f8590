// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
internal import Glibc

/// The library that gates programs which do not know of Arbiter: where it is, and what it is told.
public struct PreloadLibrary: Sendable, Hashable {
  /// The library's file name.
  public static let fileName = "libarbiter-preload.so"
  /// The environment variable that names the library.
  public static let variable = "ARBITER_PRELOAD_LIBRARY"

  /// Where the library lies; an absolute path.
  public let path: String

  /// Makes a library that lies somewhere else.
  ///
  /// - Parameter path: Where; an absolute path.
  public init(path: String) {
    self.path = path
  }

  /// Finds the library: where the variable says, beside the executable, in ../lib/arbiter.
  ///
  /// - Parameters:
  ///   - override: The value of ``variable``; nil or empty where it is not set.
  ///   - executable: The path of the running tool.
  /// - Returns: The library, which nobody has looked into.
  /// - Throws: ``PlatformError`` with `notFound` and the places.
  public static func find(
    override: String?, executable: String
  ) throws(PlatformError) -> PreloadLibrary {
    if let override, !override.isEmpty {
      guard let found = absolute(override) else {
        throw PlatformError(
          .notFound, path: override, reason: "\(variable) names no readable file",
          nextStep: "correct or unset \(variable)")
      }
      return PreloadLibrary(path: found)
    }
    let folder = executable.split(separator: "/").dropLast().map { "/\($0)" }.joined()
    let places = ["\(folder)/\(fileName)", "\(folder)/../lib/arbiter/\(fileName)"]
    guard let found = places.lazy.compactMap(absolute).first else {
      throw PlatformError(
        .notFound, reason: "\(fileName) is neither in \(folder) nor in \(folder)/../lib/arbiter",
        nextStep: "build the product arbiter-preload or set \(variable)")
    }
    return PreloadLibrary(path: found)
  }

  /// The path of the program that is running.
  public static var ownExecutable: String {
    absolute("/proc/self/exe") ?? ""
  }

  /// The variables that a gated program starts with.
  ///
  /// - Parameters:
  ///   - environment: The variables of whoever starts it, as NAME=value.
  ///   - pagePath: The control page.
  ///   - session: The session.
  /// - Returns: The same variables with ours; LD_PRELOAD keeps what it held behind our library.
  public func environment(
    adding environment: [String], pagePath: String, session: Int
  ) -> [String] {
    // A run inside a run gates once, with the innermost page.
    let others = environment.filter {
      !$0.hasPrefix("ARBITER_CONTROL=") && !$0.hasPrefix("ARBITER_SESSION=")
    }
    return preloading(others) + ["ARBITER_CONTROL=\(pagePath)", "ARBITER_SESSION=\(session)"]
  }

  /// The variables with the library before whatever else is preloaded, named once.
  ///
  /// - Parameter environment: The variables of whoever starts the program, as NAME=value.
  /// - Returns: The same variables; LD_PRELOAD keeps what it held behind the library.
  public func preloading(_ environment: [String]) -> [String] {
    var preloaded = [path]
    var others: [String] = []
    for entry in environment {
      if entry.hasPrefix("LD_PRELOAD=") {
        let earlier = entry.dropFirst("LD_PRELOAD=".count)
        let rest = earlier.split { $0 == ":" || $0 == " " }.map(String.init)
        preloaded = [path] + rest.filter { $0 != path }
      } else {
        others.append(entry)
      }
    }
    return others + ["LD_PRELOAD=\(preloaded.joined(separator: ":"))"]
  }

  private static func absolute(_ path: String) -> String? {
    guard unsafe access(path, R_OK) == 0 else { return nil }
    // SAFETY: realpath allocates the text, which is copied and freed here.
    guard let text = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(text) }
    return unsafe String(cString: text)
  }
}
