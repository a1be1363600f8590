// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import CommandSpec
import Testing

@Suite("Help")
struct HelpTests {
  @Test func `help on the tool lists the verbs with one line each`() {
    #expect(
      sample.help(on: nil) == """
        Sort and send parcels.

        Usage: sample <verb> [options] [-- <COMMAND>...]

        Inside:
          sort     Sort parcels into bins.

        Outside:
          send     Send one parcel.

        Other:
          version  Print the version.

        Examples:
          Sort by weight:
            sample sort --order=weight parcels.txt
          Send a parcel:
            sample send --speed=weight Paris -- courier --now

        'sample help <verb>' explains a verb. Manual page: sample(1)

        """)
  }

  @Test func `help on a verb groups its options and prints their defaults`() {
    #expect(
      sample.help(on: SortOptions.command.described) == """
        Sort parcels into bins.

        Usage: sample sort [options] [<LIST>...]

        Operands:
          <LIST>  Lists of parcels.

        Sorting:
              --bins=<N>              Number of bins [at least one]. [default: 4]
              --seed=<N>              Seed of the draw: same seed, same order.
                                      [default: 23]
              --share=<NUMBER>        Share of the floor that bins may take.
                                      [default: 0.25]
              --label=<TEXT>          Text on the bins. [default: '']
              --order=<ORDER,...>     Keys to sort by. Any of: weight, distance,
                                      postal-code. [default: weight]
              --sizes=<LITRES,...>    Sizes of the bins.
              --limit=<GRAMS>         Heaviest parcel that's taken.
              --fragile=<true|false>  Whether to take fragile parcels only.
              --depot=<DIRECTORY>     Where the parcels lie. [default: .]

        Output:
          -o, --output=<FILE>         Write the list to a file.
          -q, --quiet                 Print nothing but results.

        Help:
          -h, --help                  Print this help.

        Examples:
          Sort into seven bins:
            sample sort --bins=7 parcels.txt

        Manual page: sample-sort(1)

        """)
  }

  @Test(arguments: [40, 60, 80, 132])
  func `help keeps to the width except in examples`(_ width: Int) {
    for verb in [nil] + sample.verbs.map(Optional.some) {
      let help = sample.help(on: verb, style: HelpStyle(width: width))
      for line in help.split(separator: "\n") where !line.hasPrefix("    sample ") {
        #expect(line.count <= width)
      }
    }
  }

  @Test func `colour makes headings bold and changes nothing else`() {
    let plain = sample.help(on: nil)
    let bold = sample.help(on: nil, style: HelpStyle(isBold: true))
    #expect(bold.contains("\u{1B}[1mUsage:\u{1B}[0m sample"))
    #expect(bold.replacing("\u{1B}[1m", with: "").replacing("\u{1B}[0m", with: "") == plain)
    #expect(!plain.contains("\u{1B}"))
  }

  @Test func `examples parse, and one that does not is found`() {
    #expect(sample.brokenExamples().isEmpty)
    let broken = CommandSet(
      name: "sample", abstract: "Sort parcels.",
      groups: [VerbGroup("Inside", [Verb(SortOptions.command)])],
      examples: [Example("Sort", "sort --bin=4 | less"), Example("Sort", "sort > --x")])
    #expect(broken.brokenExamples().map(\.example.arguments) == ["sort --bin=4 | less"])
  }
}
