// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CommandSpec

/// Options of `arbiter completions`.
struct CompletionsOptions: Equatable {
  var shell = Shell.bash

  static let command: Command<CompletionsOptions> = Command(
    name: "completions", abstract: "Print the completion script of a shell.",
    initial: CompletionsOptions(),
    operands: [
      .required(
        "<SHELL>", \.shell, completion: .words(["bash", "zsh", "fish"]), help: "The shell.")
    ],
    examples: [
      Example("Load completions into this bash", "completions bash > /tmp/arbiter.bash")
    ],
    run: { invocation in
      try Console.write(Tool.commands.completionScript(for: invocation.options.shell))
      return ExitCode.done
    })
}
