// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterReport
internal import CommandSpec

/// `arbiter version`.
enum VersionVerb {
  static let command: Command<NoOptions> = Command(
    name: "version", abstract: "Print the version of the tool and of its formats.",
    initial: NoOptions(),
    examples: [Example("Print the version", "version")],
    run: { _ in
      try Console.write("arbiter \(Version.text) (results \(ResultDocument.schema))\n")
      return ExitCode.done
    })
}
