// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import CommandSpec
import Testing

/// Arguments, separated by spaces, and the message and hint that answer them.
struct Mistake: CustomTestStringConvertible, Sendable {
  let line: String
  let message: String
  let hint: String

  init(_ line: String, _ message: String, _ hint: String) {
    self.line = line
    self.message = message
    self.hint = hint
  }

  var testDescription: String { line }

  static let sortHelp = "'sample sort --help' lists the options"
  static let sendUsage = "usage: sample send [options] <ADDRESS> [<CARRIER>] [-- <COMMAND>...]"

  static let all = [
    Mistake("sotr", "unknown verb 'sotr'", "did you mean 'sample sort'?"),
    Mistake("launch", "unknown verb 'launch'", "'sample help' lists the verbs"),
    Mistake(
      "--quiet sort", "option '--quiet' stands before the verb",
      "options follow the verb: sample <verb> --quiet"),
    Mistake("help sned", "unknown verb 'sned'", "did you mean 'sample send'?"),
    Mistake(
      "help sort send", "unexpected operand 'send'",
      "ask for one verb at a time: sample help sort"),
    Mistake("sort --bnis=4", "unknown option '--bnis'", "did you mean '--bins'?"),
    Mistake("sort --lab=x", "unknown option '--lab'", "did you mean '--label'?"),
    Mistake("sort --colour", "unknown option '--colour'", sortHelp),
    Mistake("sort -x", "unknown option '-x'", sortHelp),
    Mistake("sort -bins 4", "unknown option '-bins'", "did you mean '--bins'?"),
    Mistake("sort -qo f", "unknown option '-qo'", "-q stands alone: write '-q'"),
    Mistake("sort -ofile", "unknown option '-ofile'", "-o stands alone: write '-o <FILE>'"),
    Mistake("sort --bins", "--bins needs a value", "write '--bins=<N>'"),
    Mistake(
      "sort --bins --quiet", "--bins needs a value but '--quiet' follows", "write '--bins=<N>'"),
    Mistake("sort -o", "-o needs a value", "write '--output=<FILE>'"),
    Mistake("sort --quiet=yes", "--quiet takes no value but got 'yes'", "write --quiet alone"),
    Mistake("sort --bins=1 --bins=2", "--bins is given twice", "keep one of '1' and '2'"),
    Mistake("sort -o a --output=b", "--output is given twice", "keep one of 'a' and 'b'"),
    Mistake("sort -q -q", "--quiet is given twice", "once is enough"),
    Mistake(
      "sort --bins=4x", "--bins: '4x' is not a whole number",
      "--bins takes <N>; see 'sample sort --help'"),
    Mistake(
      "sort --bins=", "--bins: '' is not a whole number",
      "--bins takes <N>; see 'sample sort --help'"),
    Mistake(
      "sort --bins=1_", "--bins: '1_' is not a whole number",
      "--bins takes <N>; see 'sample sort --help'"),
    Mistake(
      "sort --seed -1", "--seed: '-1' is out of range",
      "give a whole number from 0 to 18446744073709551615"),
    Mistake(
      "sort --seed=18446744073709551616", "--seed: '18446744073709551616' is out of range",
      "give a whole number from 0 to 18446744073709551615"),
    Mistake(
      "sort --share=nan", "--share: 'nan' is not a decimal number",
      "--share takes <NUMBER>; see 'sample sort --help'"),
    Mistake(
      "sort --share=1e999", "--share: '1e999' is not a decimal number",
      "--share takes <NUMBER>; see 'sample sort --help'"),
    Mistake(
      "sort --order=weigth", "--order: 'weigth' is not one of weight, distance, postal-code",
      "did you mean 'weight'?"),
    Mistake(
      "sort --order=weight,,distance", "--order: 'weight,,distance' has an empty element",
      "separate values by single commas"),
    Mistake(
      "sort --sizes=3 --sizes=x", "--sizes: 'x' is not a whole number",
      "--sizes takes <LITRES,...>; see 'sample sort --help'"),
    Mistake("sort --limit=40", "--limit: '40' has no unit", "write '40g'"),
    Mistake(
      "sort --fragile=maybe", "--fragile: 'maybe' is not one of true, false",
      "--fragile takes <true|false>; see 'sample sort --help'"),
    Mistake("sort --bins=0", "--bins=0 leaves no bin", "give at least 1"),
    Mistake("version now", "unexpected operand 'now'", "usage: sample version"),
    Mistake("send", "missing <ADDRESS>", sendUsage),
    Mistake("send -- courier", "missing <ADDRESS>", sendUsage),
    Mistake(
      "send Paris cargo", "<CARRIER>: 'cargo' is not one of weight, distance, postal-code",
      "see 'sample send --help'"),
    Mistake(
      "send Paris weight x", "unexpected operand 'x'",
      "put '--' before a command: sample send -- x"),
    Mistake(
      "send Paris weight speed=weight", "unexpected operand 'speed=weight'",
      "did you mean '--speed=weight'?"),
  ]
}

/// Parses arguments separated by spaces with the sample's sort verb.
private func sorted(_ line: String) throws -> Invocation<SortOptions> {
  try SortOptions.command.parse(line.split(separator: " ").map(String.init), tool: "sample")
}

@Suite("Parsing")
struct ParsingTests {
  @Test(arguments: Mistake.all)
  func `a mistake is answered with what is wrong and the next step`(_ mistake: Mistake) {
    #expect(throws: UsageError(mistake.message, hint: mistake.hint)) {
      try sample.interpret(mistake.line.split(separator: " ").map(String.init))
    }
  }

  @Test func `an error renders as one line and an indented hint`() {
    let error = UsageError("unknown verb 'x'", hint: "try 'help'")
    #expect(error.rendered(tool: "sample") == "sample: error: unknown verb 'x'\n  hint: try 'help'")
    #expect(UsageError("no luck").rendered(tool: "sample") == "sample: error: no luck")
  }

  @Test func `no arguments leave the defaults`() throws {
    let invocation = try sorted("")
    #expect(invocation.options == SortOptions())
    #expect(invocation.given.isEmpty)
  }

  @Test func `values follow an equals sign or a space`() throws {
    let glued = try sorted("--bins=1_009 --seed=7 --share=.5 --limit=40g --output=a=b")
    let apart = try sorted("--bins 1_009 --seed 7 --share .5 --limit 40g -o a=b")
    var expected = SortOptions()
    expected.bins = 1009
    expected.seed = 7
    expected.share = 0.5
    expected.limit = Grams(count: 40)
    expected.output.file = "a=b"
    #expect(glued.options == expected)
    #expect(apart.options == expected)
    #expect(glued.given == ["bins", "seed", "share", "limit", "output"])
    #expect(apart.given == glued.given)
  }

  @Test func `a given list replaces the default and its repeats add up`() throws {
    #expect(try sorted("--order=distance,postal-code").options.orders == [.distance, .postalCode])
    let repeated = try sorted("--order=distance --sizes=3,5 --order=weight --sizes=7").options
    #expect(repeated.orders == [.distance, .weight])
    #expect(repeated.sizes == [3, 5, 7])
  }

  @Test func `flags stand alone and optional flags take a word`() throws {
    #expect(try sorted("-q").options.output.isQuiet)
    #expect(try sorted("--quiet list").options.inputs == ["list"])
    #expect(try sorted("--fragile=false").options.isFragile == false)
    #expect(try sorted("--fragile true").options.isFragile == true)
  }

  @Test func `negative numbers and a lone dash are values`() throws {
    #expect(try sorted("--sizes -3").options.sizes == [-3])
    #expect(try sorted("-o - -").options.output.file == "-")
    #expect(try sorted("-o - -").options.inputs == ["-"])
    #expect(try sorted("--label=--odd").options.label == "--odd")
  }

  @Test func `options may follow operands until two dashes end them`() throws {
    let options = try sorted("first --bins 7 -- --bins -h").options
    #expect(options.bins == 7)
    #expect(options.inputs == ["first", "--bins", "-h"])
  }

  @Test func `the command after two dashes is untouched`() throws {
    let invocation = try SendOptions.command.parse(
      ["Paris", "--speed=weight", "--", "courier", "--speed=x", "--", "--help"], tool: "sample")
    #expect(invocation.options.address == "Paris")
    #expect(invocation.options.carrier == nil)
    #expect(invocation.options.courier == ["courier", "--speed=x", "--", "--help"])
  }

  @Test(arguments: [
    (["--speed", "7", "ship", "--speed=x", "--", "-h"], ["ship", "--speed=x", "--", "-h"]),
    (["--speed=7", "--", "--ship"], ["--ship"]), (["ship"], ["ship"]), (["--", "--"], ["--"]),
  ])
  func `a command that is the only operand begins at the first word that is no option`(
    _ line: [String], _ program: [String]
  ) throws {
    let invocation = try Sailing.command.parse(line, tool: "sample")
    #expect(invocation.options.program == program)
    #expect(invocation.options.speed == (line.count > 1 && line[0] != "--" ? 7 : 1))
    #expect(throws: UsageError.self) {
      try Sailing.command.parse(["--speed", "7"], tool: "sample")
    }
  }

  @Test(arguments: [
    ("--speed 7 ship --help", false), ("ship -h", false), ("-- --help", false),
    ("--help ship", true), ("--speed 7 -h ship", true), ("-h", true),
  ])
  func `help asked of a command is the command's own`(_ line: String, _ isOurs: Bool) throws {
    let tool = CommandSet(
      name: "sample", abstract: "A.", groups: [VerbGroup("All", [Verb(Sailing.command)])])
    let request = try tool.interpret(["sail"] + line.split(separator: " ").map(String.init))
    if case .help = request { #expect(isOurs) } else { #expect(!isOurs) }
  }

  @Test(arguments: ["", "help", "--help", "-h", "help help"])
  func `help on the tool has several spellings`(_ line: String) throws {
    let request = try sample.interpret(line.split(separator: " ").map(String.init))
    guard case .help(nil) = request else {
      Issue.record("'\(line)' asked for \(request)")
      return
    }
  }

  @Test(arguments: [
    "help send", "send --help", "send -h", "send --bogus -h", "send --speed --help",
  ])
  func `help on a verb wins over mistakes beside it`(_ line: String) throws {
    let request = try sample.interpret(line.split(separator: " ").map(String.init))
    guard case .help(let verb?) = request else {
      Issue.record("'\(line)' asked for \(request)")
      return
    }
    #expect(verb.name == "send")
  }

  @Test(arguments: [
    (["sort", "--bins=13"], Int32(2)), (["send", "Oslo", "--", "a", "-h", "b"], Int32(3)),
  ])
  func `running a request calls the verb with its options`(_ line: [String], _ code: Int32) throws {
    guard case .run(let prepared) = try sample.interpret(line) else {
      Issue.record("\(line) did not ask for a run")
      return
    }
    #expect(try prepared.run() == code)
  }

  @Test func `the option for the version stands for the verb`() throws {
    guard case .run(let prepared) = try sample.interpret(["--version"]) else {
      Issue.record("--version did not ask for a run")
      return
    }
    #expect(prepared.resolved.arguments() == ["version"])
  }

  @Test(arguments: [
    ("threads", "threads", 0), ("", "abc", 3), ("abc", "", 3), ("ab", "ba", 1), ("cat", "cut", 1),
    ("kitten", "sitting", 3), ("seed", "sed", 1),
  ])
  func `edits between two names are counted`(_ first: String, _ second: String, _ distance: Int) {
    #expect(editDistance(first, second) == distance)
    #expect(editDistance(second, first) == distance)
  }
}

/// A verb whose only operand is a command.
private struct Sailing: Equatable {
  var speed = 1
  var program: [String] = []

  static let command: Command<Sailing> = Command(
    name: "sail", abstract: "Run a ship.", initial: Sailing(),
    groups: [OptionGroup("Sailing", [.init("speed", \.speed, help: "Knots.")])],
    operands: [.command(\.program, isRequired: true, help: "The ship.")],
    run: { _ in 0 })
}
