// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Glibc
import Testing

typealias Outcome = Shell.Outcome

extension Shell.Outcome {
  /// The message and the hint, without what every failure begins with.
  var failure: (message: String, hint: String?) {
    let lines = error.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    let hint = lines.count > 1 && lines[1].hasPrefix("  hint: ") ? lines[1].dropFirst(8) : nil
    return (String((lines.first ?? "").dropFirst("arbiter: error: ".count)), hint.map(String.init))
  }
}

/// The built tool, which lies beside this test binary.
enum Tool {
  static let path = "\(Shell.buildFolder)/arbiter"
  static let root = Shell.repositoryFolder
  static let isRoot = geteuid() == 0
}

/// Runs a script with bash in a folder; `$arbiter` is the tool.
func shell(_ script: String, in folder: String = "/tmp") throws -> Outcome {
  try Shell.run(
    "arbiter='\(Tool.path)'; unset NO_COLOR COLUMNS\n"
      + "export ARBITER_STATE_DIR=/no/such/folder\n\(script)", in: folder)
}

/// Runs the tool with arguments as they are.
func arbiter(_ arguments: [String], in folder: String = "/tmp") throws -> Outcome {
  try shell("exec \"$arbiter\" \(arguments.map(Shell.quoted).joined(separator: " "))", in: folder)
}

/// Runs the tool with a line of arguments without quotes.
func arbiter(_ line: String, in folder: String = "/tmp") throws -> Outcome {
  try shell("exec \"$arbiter\" \(line)", in: folder)
}

func text(of path: String) throws -> String {
  try Shell.text(of: path)
}

func names(in folder: String) throws -> [String] {
  try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
}

func exists(_ path: String) -> Bool {
  FileManager.default.fileExists(atPath: path)
}

/// What the checker of XML says of some files in a folder; nothing where all is in order.
func complaints(ofXML names: [String], in folder: String) throws -> String {
  guard works("command -v xmllint"), !names.isEmpty else { return "" }
  let run = try shell("xmllint --noout --nonet \(names.joined(separator: " "))", in: folder)
  return run.code == 0 ? "" : "xmllint: \(run.error)"
}

/// Whether a script succeeds, for tests that need something of the machine.
func works(_ script: String) -> Bool {
  (try? shell(script).code == 0) ?? false
}
