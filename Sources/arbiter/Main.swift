// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCommands
internal import Glibc

@main
enum Main {
  static func main() {
    exit(Tool.run(Array(CommandLine.arguments.dropFirst())))
  }
}
