// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

extension Rules {
  /// Modules that need no test target of their own, each with the reason.
  static let modulesWithoutTests: [String: String] = [
    "Arbiter": "only re-exports the other modules",
    "ArbiterCalibration": "CalibrationTests run its experiments against its data",
    "ArbiterCommands": "CommandLineTests run every verb of the built tool",
    "CArbiter": "has no policy and no state; its callers' tests run every function",
    "CArbiterLibrary": "is the C half of ArbiterC, whose tests compile programs against it",
    "CArbiterPersist": "ArbiterMemoryTests drive every function through its Swift face",
    "CArbiterGate": "ArbiterRuntimeTests drive every function through its Swift face",
    "CArbiterTrace": "ArbiterTraceTests and the fuzzers drive every function",
    "CArbiterHTTP": "has no policy; ExportTests serve hostile clients with it",
    "CArbiterCounters": "has no policy; the tests of ArbiterPlatform run every function",
    "CArbiterDecode": "ArbiterProfilerTests and a fuzzer drive every function",
    "CArbiterHooks": "CommandLineTests compile programs with it and look at every event",
    "CArbiterRecord": "Tests/Stress/recording.c drives both sides; CommandLineTests record",
    "CArbiterSampling": "ArbiterProfilerTests feed its rings and open its events",
    "arbiter": "is main alone; the command-line tests run it",
  ]

  /// A link from a Markdown file to another file leads to one that is tracked.
  static func links(_ tree: Tree) -> [Finding] {
    let known = Set(tree.paths)
    return tree.files.filter { $0.language == .markdown }.flatMap { file in
      outsideFences(file).flatMap { line, text in
        targets(of: text).compactMap { target in
          let path = resolve(target, from: file.path)
          let exists =
            path.isEmpty || known.contains(path)
            || tree.paths.contains { $0.hasPrefix(path + "/") }
          if exists { return nil }
          return Finding(path: file.path, line: line, message: "the link to \(target) is broken")
        }
      }
    }
  }

  /// The files that a line of Markdown links to, without places on the web and in the same file.
  private static func targets(of line: String) -> [String] {
    // Every second piece between backquotes is code.
    let text = line.split(separator: "`", omittingEmptySubsequences: false).enumerated()
      .map { $0.offset.isMultiple(of: 2) ? $0.element : "code" }.joined()
    return text.split(separator: "](", omittingEmptySubsequences: false).dropFirst().compactMap {
      let inside = $0.prefix { $0 != ")" && $0 != " " && $0 != "#" }
      let target = inside.filter { $0 != "<" && $0 != ">" }
      return target.isEmpty || target.contains("://") || target.hasPrefix("mailto:")
        ? nil : target
    }
  }

  private static func resolve(_ target: String, from file: String) -> String {
    var parts = target.hasPrefix("/") ? [] : file.split(separator: "/").dropLast().map(String.init)
    for part in target.split(separator: "/") {
      switch part {
      case ".": break
      case "..": _ = parts.popLast()
      default: parts.append(String(part))
      }
    }
    return parts.joined(separator: "/")
  }

  /// Every module that has code has a test target, or a reason why not.
  static func modulesHaveTests(_ tree: Tree, exempt: [String: String]) -> [Finding] {
    let sources = tree.files.filter { $0.language == .swift || $0.language == .c }
    let modules = Dictionary(grouping: sources.filter { $0.module != nil }) { $0.module ?? "" }
    let missing: [Finding] = modules.keys.sorted().compactMap { module in
      // A room that is still empty has nothing to test.
      let hasCode = modules[module]?.contains { $0.code.contains { !$0.trimmed.isEmpty } } ?? false
      let tested = tree.paths.contains { $0.hasPrefix("Tests/\(module)Tests/") }
      guard hasCode, !tested, exempt[module] == nil else { return nil }
      return Finding(
        path: "Sources/\(module)", line: 0, message: "the module has no tests in \(module)Tests")
    }
    let stale: [Finding] = exempt.keys.sorted().compactMap { module in
      guard tree.paths.contains(where: { $0.hasPrefix("Tests/\(module)Tests/") }) else {
        return nil
      }
      return Finding(
        path: "Sources/\(module)", line: 0, message: "the module is exempt and has tests")
    }
    return missing + stale
  }
}
