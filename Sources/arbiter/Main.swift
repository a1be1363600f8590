// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCommands
internal import Glibc

@main
enum Main {
  static func main() {
    // The Swift runtime reads the arguments below /proc; without it every command is an empty one.
    guard CommandLine.argc > 0 else { exit(Tool.withoutArguments()) }
    exit(Tool.run(Array(CommandLine.arguments.dropFirst())))
  }
}
