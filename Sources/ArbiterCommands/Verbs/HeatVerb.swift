// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CommandSpec

extension HeatOptions {
  static let name = "heat"

  static let command: Command<HeatOptions> = Command(
    name: name,
    abstract: "Show which memory a program accesses, and when.",
    discussion: """
      Runs a program, watches a process, or reads a recording, and draws address against time for \
      each mapping, the hottest mapping first, with a table of what each is like. On a terminal \
      the picture is text; --output=FILE.svg and FILE.png make files of it, the latter through \
      gnuplot. Low addresses are at the bottom. Colours are equal steps of ratio, the same for \
      all mappings; a blank cell was not seen to be accessed.

      Live programs are sampled: a cell is what its samples stand for, and which back-end took \
      them and what they weigh is said below the picture. Recordings hold every access, in bytes.

      A program that is run keeps its streams and its exit code; the picture goes to standard \
      error.
      """,
    initial: HeatOptions(), groups: groups,
    operands: [
      .command(
        \.program, isRequired: false,
        help: "Program and its arguments; the first word after the options needs no -- before it.")
    ],
    examples: [
      Example("Look at a program", "heat -- ./server"),
      Example("Look at a process for ten seconds", "heat -p 4711 --duration=10s"),
      Example("A picture of a recording", "heat --trace=server.trace -o server.svg"),
    ],
    seeAlso: ["arbiter-record", "arbiter-trace"],
    validate: { (options: HeatOptions) throws(UsageError) in try validate(options) },
    run: { try run($0) })

  private static func run(_ invocation: Invocation<HeatOptions>) throws -> Int32 {
    let options = invocation.options
    let place = try HeatPlace(
      options, command: [invocation.resolved.tool] + invocation.resolved.arguments(),
      leavesStandardOutput: !options.program.isEmpty)
    guard let trace = options.trace else {
      guard let process = options.process else {
        return try LiveHeat.runProgram(options, place: place)
      }
      return try LiveHeat.runAttached(to: Int32(process), options, place: place)
    }
    Interrupt.listen()
    let (result, wasInterrupted) = try RecordedHeat(path: trace, options: options).read()
    try place.write(result, isComplete: !wasInterrupted)
    return wasInterrupted ? ExitCode.interrupted : ExitCode.done
  }
}
