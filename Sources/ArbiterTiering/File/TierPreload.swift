// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
internal import ArbiterRuntime
internal import Glibc

/// The libraries that programs get under the file back-end, and what they are told.
public struct TierPreload: Sendable, Hashable {
  /// The library's file name.
  public static let fileName = "libarbiter-tier.so"
  /// The environment variable that names the library.
  public static let variable = "ARBITER_TIER_LIBRARY"
  /// The allocator whose memory the library sees.
  public static let allocatorName = "libjemalloc.so.2"

  /// Where the library lies.
  public let path: String
  /// Where the allocator lies; nil where it is not used.
  public let allocator: String?

  /// Where Debian and others put libraries.
  public static let folders = [
    "/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64", "/usr/lib", "/usr/local/lib",
  ]

  /// Finds the library: where the variable says, beside the executable, in ../lib/arbiter.
  ///
  /// - Parameters:
  ///   - managesHeaps: Whether the allocator is wanted too.
  ///   - override: The value of ``variable``; nil or empty where it is not set.
  ///   - executable: The path of the running tool.
  ///   - tree: Where libraries are looked for.
  /// - Throws: ``PlatformError`` with `notFound` and the places.
  public init(
    managesHeaps: Bool, override: String?, executable: String, tree: SystemTree = SystemTree()
  ) throws(PlatformError) {
    let folder = executable.split(separator: "/").dropLast().map { "/\($0)" }.joined()
    var places = ["\(folder)/\(Self.fileName)", "\(folder)/../lib/arbiter/\(Self.fileName)"]
    if let override, !override.isEmpty { places = [override] }
    guard let found = places.first(where: { unsafe access($0, R_OK) == 0 }) else {
      throw PlatformError(
        .notFound, path: places[0], reason: "there is no library that moves a program's memory",
        nextStep: "build the product arbiter-tier or set \(Self.variable)")
    }
    path = Self.resolved(found)
    allocator =
      managesHeaps
      ? Self.folders.map { "\(tree.root)\($0)/\(Self.allocatorName)" }
        .first { unsafe access($0, R_OK) == 0 }
      : nil
  }

  /// The variables that a program starts with.
  ///
  /// - Parameters:
  ///   - environment: The variables of whoever starts it, as NAME=value.
  ///   - page: The descriptor of the tier page, of this process.
  ///   - slow: The descriptor of the slow file, of this process.
  /// - Returns: The same variables with ours; LD_PRELOAD keeps what it held behind our libraries.
  public func environment(adding environment: [String], page: Int32, slow: Int32) -> [String] {
    // A session inside a session places with the innermost page.
    var composed = environment.filter { !$0.hasPrefix("ARBITER_TIER=") }
    if let allocator { composed = PreloadLibrary(path: allocator).preloading(composed) }
    composed = PreloadLibrary(path: path).preloading(composed)
    let own = "/proc/\(getpid())/fd"
    return composed + ["ARBITER_TIER=\(own)/\(page):\(own)/\(slow)"]
  }

  /// The path of the program that is running.
  public static var ownExecutable: String { PreloadLibrary.ownExecutable }

  private static func resolved(_ path: String) -> String {
    // SAFETY: realpath allocates the text, which is copied and freed here.
    guard let text = unsafe realpath(path, nil) else { return path }
    defer { unsafe free(text) }
    return unsafe String(cString: text)
  }
}
