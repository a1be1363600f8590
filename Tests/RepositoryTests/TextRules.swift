// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

extension Rules {
  static let columnsMax = 100

  /// A line has at most 100 columns; in Markdown, tables, links and figures may be wider.
  static func columns(_ file: TextFile) -> [Finding] {
    guard [.swift, .c, .markdown].contains(file.language) else { return [] }
    return file.lines.indices.compactMap { index in
      let line = file.lines[index]
      guard line.utf8.count > columnsMax, line.count > columnsMax else { return nil }
      if file.language == .markdown,
        line.trimmed.hasPrefix("|") || line.contains("](") || line.contains("://")
      {
        return nil
      }
      return Finding(
        path: file.path, line: index + 1,
        message: "the line has \(line.count) columns; the most is \(columnsMax)")
    }
  }

  /// A note on work to be done names the issue where it is planned.
  static func openEnds(_ file: TextFile) -> [Finding] {
    file.comments.indices.compactMap { index in
      let line = file.comments[index]
      for word in ["TODO", "FIXME"] where line.containsWord(word) {
        let after = line.range(of: word).map { line[$0.upperBound...] } ?? ""
        let number = after.dropFirst(2).prefix { $0.isNumber }
        if after.hasPrefix("(#"), !number.isEmpty, after.dropFirst(2 + number.count).first == ")" {
          continue
        }
        return Finding(
          path: file.path, line: index + 1,
          message: "\(word) without an issue number; write \(word)(#12)")
      }
      return nil
    }
  }

  /// A Markdown file has one title of the first level.
  static func oneTitle(_ file: TextFile) -> [Finding] {
    guard file.language == .markdown else { return [] }
    let titles = outsideFences(file).filter { $0.text.hasPrefix("# ") }
    guard titles.count != 1 else { return [] }
    return [
      Finding(
        path: file.path, line: titles.dropFirst().first?.line ?? 0,
        message: "the document has \(titles.count) titles of the first level; it needs one")
    ]
  }

  /// Folders with a license of their own, and the reason why.
  static let licensedFolders: [(path: String, license: String)] = [
    // The plug-in is linked with QEMU when QEMU loads it.
    ("Tests/VirtualMachine/plugin/", "GPL-2.0-or-later")
  ]

  /// A source names its license in its first lines.
  static func licenseHeader(_ file: TextFile) -> [Finding] {
    guard [.swift, .c, .shell].contains(file.language) else { return [] }
    let folder = licensedFolders.first { file.path.hasPrefix($0.path) }
    let wanted = ["Apache-2.0"] + (folder.map { [$0.license] } ?? [])
    let head = file.lines.prefix(5)
    let isThere = wanted.contains { license in
      head.contains { $0.contains("SPDX-License-Identifier: \(license)") }
    }
    guard !isThere else { return [] }
    let names = wanted.map { "'SPDX-License-Identifier: \($0)'" }.joined(separator: " or ")
    return [
      Finding(path: file.path, line: 1, message: "no \(names) in the first five lines")
    ]
  }

  /// A file names no path of the machine it was written on.
  static func machinePaths(_ file: TextFile, root: String) -> [Finding] {
    // A root of one component could be an ordinary word between slashes.
    let own = root.hasSuffix("/") ? String(root.dropLast()) : root
    let homes = ["/home" + "/", "/Users" + "/", "/root" + "/"]
    let roots = own.split(separator: "/").count >= 2 ? [own] : []
    return file.lines.indices.compactMap { index in
      let line = file.lines[index]
      guard line.utf8.contains(UInt8(ascii: "/")) else { return nil }
      for path in homes + roots {
        guard let found = line.range(of: path) else { continue }
        let before = line[..<found.lowerBound].last
        if let before, before.continuesName || "./-~}".contains(before) { continue }
        return Finding(
          path: file.path, line: index + 1, message: "names a path of one machine: \(path)")
      }
      return nil
    }
  }

  /// The lines of a Markdown file that are not in a fenced block, with their numbers.
  static func outsideFences(_ file: TextFile) -> [(line: Int, text: String)] {
    var fence: Substring?
    return file.lines.enumerated().compactMap { index, line in
      let start = line.drop { $0 == " " }.prefix(3)
      if start == "```" || start == "~~~" {
        if fence == nil { fence = start } else if fence == start { fence = nil }
        return nil
      }
      return fence == nil ? (index + 1, line) : nil
    }
  }
}
