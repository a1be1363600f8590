// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A text file of the repository, cut into lines, with its code told apart from its comments.
struct TextFile {
  enum Language {
    case swift
    case c
    case shell
    case markdown
    case other
  }

  /// The path from the root of the repository.
  let path: String
  let language: Language
  /// The lines as they are.
  let lines: [String]
  /// The same lines with the contents of comments and string literals blanked.
  let code: [String]
  /// The same lines with everything but comments blanked.
  let comments: [String]

  init(path: String, text: String) {
    self.path = path
    language = Self.language(of: path, text: text)
    lines = Self.lines(of: text)
    switch language {
    case .swift, .c:
      let split = CodeSplitter.split(text, nested: language == .swift)
      code = Self.lines(of: split.code)
      comments = Self.lines(of: split.comments)
    case .shell:
      code = lines
      comments = lines
    case .markdown, .other:
      code = lines
      comments = []
    }
  }

  /// The module whose sources this file belongs to, if any.
  var module: String? {
    let parts = path.split(separator: "/")
    return parts.count >= 3 && parts[0] == "Sources" ? String(parts[1]) : nil
  }

  private static func lines(of text: String) -> [String] {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    if lines.last?.isEmpty == true { lines.removeLast() }
    return lines
  }

  private static func language(of path: String, text: String) -> Language {
    if path.hasSuffix(".swift") { return .swift }
    if path.hasSuffix(".c") || path.hasSuffix(".h") { return .c }
    if path.hasSuffix(".md") { return .markdown }
    let first = text.prefix { $0 != "\n" }
    return path.hasSuffix(".sh") || (first.hasPrefix("#!") && first.hasSuffix("sh"))
      ? .shell : .other
  }
}

/// The files that belong to the repository.
struct Tree {
  /// Paths from the root of everything tracked, in order.
  let paths: [String]
  /// Those that are text.
  let files: [TextFile]

  /// Makes a tree of the given paths and texts, as the tests of the rules do.
  init(_ texts: [String: String]) {
    paths = texts.keys.sorted()
    files = texts.sorted { $0.key < $1.key }.map { TextFile(path: $0.key, text: $0.value) }
  }

  /// Reads the repository at a root.
  init(root: URL) throws {
    var texts: [String: String] = [:]
    var paths: [String] = []
    for path in try Self.tracked(in: root) ?? Self.walked(in: root) {
      // A file that was removed but not yet committed is still listed.
      guard let data = try? Data(contentsOf: root.appending(path: path)) else { continue }
      paths.append(path)
      if let text = String(data: data, encoding: .utf8), !text.contains("\0") {
        texts[path] = text
      }
    }
    self.paths = paths.sorted()
    files = texts.sorted { $0.key < $1.key }.map { TextFile(path: $0.key, text: $0.value) }
  }

  /// The root of this repository, found from this file's own place.
  static var root: URL {
    URL(filePath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  }

  /// The root as a path.
  static var rootPath: String { root.path(percentEncoded: false) }

  /// The paths git knows, or nil where there is no git or no repository of ours.
  private static func tracked(in root: URL) throws -> [String]? {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    let path = root.path(percentEncoded: false)
    let checkout = path.hasSuffix("/") ? String(path.dropLast()) : path
    // A checkout of another user's, as in a container, is still the one to look at.
    process.arguments = ["git", "-c", "safe.directory=\(checkout)", "-C", path, "ls-files", "-z"]
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0, !data.isEmpty else { return nil }
    return data.split(separator: 0).compactMap { String(data: $0, encoding: .utf8) }
  }

  /// Every path below the root, without version control and build products.
  private static func walked(in root: URL) -> [String] {
    let all = FileManager.default.enumerator(atPath: root.path(percentEncoded: false))
    return (all?.compactMap { $0 as? String } ?? []).filter { path in
      !path.split(separator: "/").contains { $0 == ".git" || $0 == ".build" }
    }
  }
}
