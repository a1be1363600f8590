// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

extension Rules {
  static let functionLinesMax = 70
  static let fileLinesMax = 800

  /// A Swift function has at most 70 lines from its first word to its closing brace.
  static func functionLength(_ file: TextFile) -> [Finding] {
    guard file.language == .swift else { return [] }
    return file.code.indices.compactMap { start in
      guard startsFunction(file.code[start]), let end = bodyEnd(of: file.code, from: start) else {
        return nil
      }
      let count = end - start + 1
      guard count > functionLinesMax else { return nil }
      return Finding(
        path: file.path, line: start + 1,
        message: "the function has \(count) lines; the most is \(functionLinesMax)")
    }
  }

  /// A Swift file has at most 800 lines.
  static func fileLength(_ file: TextFile) -> [Finding] {
    guard file.language == .swift, file.lines.count > fileLinesMax else { return [] }
    return [
      Finding(
        path: file.path, line: 0,
        message: "the file has \(file.lines.count) lines; the most is \(fileLinesMax)")
    ]
  }

  private static let modifiers: Set<Substring> = [
    "public", "package", "internal", "fileprivate", "private", "open", "static", "class", "final",
    "override", "mutating", "nonmutating", "consuming", "borrowing", "nonisolated", "required",
    "convenience", "indirect", "unsafe", "prefix", "postfix", "infix", "isolated", "async",
  ]

  private static func startsFunction(_ line: String) -> Bool {
    var words = line.split(separator: " ")
    while let word = words.first, modifiers.contains(word) || word.hasPrefix("@") {
      words.removeFirst()
    }
    guard let word = words.first else { return false }
    if word == "func" || word.hasPrefix("subscript") { return true }
    return ["init(", "init?(", "init<", "deinit"].contains { word.hasPrefix($0) }
  }

  /// The line where the function's body ends, or nil for a requirement without a body.
  private static func bodyEnd(of code: [String], from start: Int) -> Int? {
    var parentheses = 0
    var braces = 0
    for index in start..<code.count {
      if braces == 0, parentheses == 0, index > start, endsSignature(code[index]) { return nil }
      for character in code[index].utf8 {
        switch character {
        case UInt8(ascii: "("), UInt8(ascii: "["): parentheses += 1
        case UInt8(ascii: ")"), UInt8(ascii: "]"): parentheses -= 1
        case UInt8(ascii: "{") where parentheses == 0 || braces > 0: braces += 1
        case UInt8(ascii: "}") where braces > 0:
          braces -= 1
          if braces == 0 { return index }
        case UInt8(ascii: "}") where parentheses == 0: return nil
        default: break
        }
      }
    }
    return nil
  }

  /// Whether a line begins something else than the rest of a signature.
  private static func endsSignature(_ line: String) -> Bool {
    guard let word = line.split(separator: " ").first else { return false }
    return !["{", "where", "->", "throws", "throws(", "async"].contains { word.hasPrefix($0) }
  }

  /// An escape from the compiler's checks has a `SAFETY:` comment at most three lines above it.
  static func safetyComments(_ file: TextFile) -> [Finding] {
    guard file.language == .swift else { return [] }
    return file.code.indices.compactMap { index in
      let escapes = ["@unchecked Sendable", "nonisolated(unsafe)"]
      guard let escape = escapes.first(where: { file.code[index].contains($0) }) else { return nil }
      let above = file.comments[max(0, index - 3)...index]
      guard !above.contains(where: { $0.contains("// SAFETY: ") }) else { return nil }
      return Finding(
        path: file.path, line: index + 1,
        message: "\(escape) without a '// SAFETY:' line that says why it holds")
    }
  }

  /// A library module prints nothing: what it has to say it returns.
  static func printing(_ file: TextFile) -> [Finding] {
    guard file.language == .swift, let module = file.module,
      !["ArbiterCommands", "arbiter"].contains(module)
    else { return [] }
    return file.code.indices.compactMap { index in
      let line = file.code[index]
      let calls = ["print", "debugPrint"].contains { name in
        line.contains("\(name)(") && line.containsWord(name)
          && !line.contains("func \(name)(") && !line.contains(".\(name)(")
      }
      guard calls else { return nil }
      return Finding(
        path: file.path, line: index + 1, message: "a library does not print; return the text")
    }
  }

  /// What each module must not import.
  ///
  /// The manifest says which rooms see which; here is what the manifest cannot say (the system's
  /// modules), and the separations that must outlive an edit of it.
  static let bannedImports: [String: Set<String>] = {
    let pure: Set<String> = [
      "FoundationEssentials", "Glibc", "CArbiter", "CArbiterGate", "CArbiterPersist",
      "Synchronization",
    ]
    let machine: Set<String> = ["ArbiterPlatform", "ArbiterMemory", "ArbiterRuntime"]
    return [
      "ArbiterCore": pure,
      "ArbiterMetrics": pure.subtracting(["Synchronization"]),
      "ArbiterDevice": pure,
      "ArbiterScheduler": pure.union(machine).union(["ArbiterSimulator"]),
      "ArbiterWorkloads": pure.union(machine).union(["ArbiterSimulator"]),
      "ArbiterSimulator": pure.union(machine),
      "ArbiterPlatform": ["FoundationEssentials", "ArbiterSimulator"],
      "ArbiterMemory": ["FoundationEssentials", "ArbiterSimulator"],
      "ArbiterRuntime": ["FoundationEssentials", "ArbiterSimulator"],
      "ArbiterProfiler": ["FoundationEssentials", "ArbiterSimulator"],
      "ArbiterTiering": ["FoundationEssentials", "ArbiterSimulator"],
      "ArbiterReport": machine.union(["ArbiterSimulator", "CArbiter"]),
      "CommandSpec": pure.union(machine).union(["ArbiterCore", "ArbiterSimulator"]),
    ]
  }()

  /// Banned in every module: whole Foundation costs 60 MB and start-up, Dispatch hides threads.
  static let bannedEverywhere: Set<String> = ["Foundation", "Dispatch", "XCTest"]

  /// A module imports nothing from its row of the table.
  static func imports(_ file: TextFile) -> [Finding] {
    guard file.language == .swift, let module = file.module else { return [] }
    let banned = bannedEverywhere.union(bannedImports[module] ?? [])
    return file.code.indices.compactMap { index in
      let words = file.code[index].split(separator: " ")
      guard let keyword = words.firstIndex(of: "import"),
        words[..<keyword].allSatisfy({ modifiers.contains($0) || $0.hasPrefix("@") })
      else { return nil }
      let kinds: Set<Substring> = ["struct", "class", "enum", "func", "protocol", "var", "let"]
      let names = words[(keyword + 1)...].drop { kinds.contains($0) }
      guard let name = names.first?.split(separator: ".").first, banned.contains(String(name))
      else { return nil }
      return Finding(
        path: file.path, line: index + 1, message: "\(module) must not import \(name)")
    }
  }
}
