// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport

/// Runs a script with a shell that reads no settings of a user's, and collects what it prints on
/// either stream.
func output(of script: String, shell: String = "bash") throws -> (text: String, status: Int32) {
  let option = shell == "bash" ? "--norc --noprofile -c" : "-c"
  // In a shell of its own, so that an error in its grammar is on the same stream.
  let outcome = try Shell.run("exec 2>&1; \(shell) \(option) \(Shell.quoted(script))")
  return (outcome.output, outcome.code)
}

/// Whether a program can be found.
func isInstalled(_ program: String) -> Bool { Shell.has(program) }
