// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import CommandSpec

/// How parcels are sorted in the sample tool.
enum Order: String, CaseIterable, WordValue {
  case weight
  case distance
  case postalCode = "postal-code"

  static var placeholder: String { "<ORDER>" }
}

/// A value type from outside the module under test.
struct Grams: Equatable, OptionValue {
  var count: UInt64

  static var placeholder: String { "<GRAMS>" }

  init(count: UInt64) { self.count = count }

  init(argument: String) throws(UsageError) {
    guard argument.hasSuffix("g"), let count = UInt64(argument.dropLast()) else {
      throw UsageError("'\(argument)' has no unit", hint: "write '\(argument)g'")
    }
    self.count = count
  }

  var argumentText: String { "\(count)g" }
}

/// Options that both verbs share.
struct OutputOptions: Equatable {
  var file: String?
  var isQuiet = false

  static let group = OptionGroup<OutputOptions>(
    "Output",
    [
      .init(
        "output", \.file, short: "o", placeholder: "<FILE>", completion: .file,
        help: "Write the list to a file."),
      .init("quiet", \.isQuiet, short: "q", help: "Print nothing but results."),
    ])
}

struct SortOptions: Equatable {
  var bins = 4
  var seed: UInt64 = 23
  var share = 0.25
  var label = ""
  var orders: [Order] = [.weight]
  var sizes: [Int] = []
  var limit: Grams?
  var isFragile: Bool?
  var depot = "."
  var output = OutputOptions()
  var inputs: [String] = []

  static let command = Command(
    name: "sort", abstract: "Sort parcels into bins.",
    discussion: """
      Parcels go into bins by weight. Each bin is
      closed when it is full.

      .dotted lines, 'quotes' and back\\slashes are text.
      """,
    initial: SortOptions(),
    groups: [
      OptionGroup(
        "Sorting",
        [
          .init("bins", \.bins, help: "Number of bins [at least one]."),
          .init("seed", \.seed, help: "Seed of the draw: same seed, same order."),
          .init("share", \.share, help: "Share of the floor that bins may take."),
          .init("label", \.label, help: "Text on the bins."),
          .init("order", \.orders, help: "Keys to sort by."),
          .init("sizes", \.sizes, placeholder: "<LITRES,...>", help: "Sizes of the bins."),
          .init("limit", \.limit, help: "Heaviest parcel that's taken."),
          .init("fragile", \.isFragile, help: "Whether to take fragile parcels only."),
          .init(
            "depot", \.depot, placeholder: "<DIRECTORY>", completion: .directory,
            help: "Where the parcels lie."),
        ]),
      OutputOptions.group.within(\.output),
    ],
    operands: [
      .repeated("<LIST>", \.inputs, completion: .file, help: "Lists of parcels.")
    ],
    examples: [Example("Sort into seven bins", "sort --bins=7 parcels.txt")],
    seeAlso: ["sample-send"],
    validate: { (options: SortOptions) throws(UsageError) in
      guard options.bins > 0 else {
        throw UsageError("--bins=\(options.bins) leaves no bin", hint: "give at least 1")
      }
    },
    run: { $0.options.bins == 13 ? 2 : 0 })
}

struct SendOptions: Equatable {
  var speed: Order = .distance
  var address = ""
  var carrier: Order?
  var output = OutputOptions()
  var courier: [String] = []

  static let command = Command(
    name: "send", abstract: "Send one parcel.", initial: SendOptions(),
    groups: [
      OptionGroup("Sending", [.init("speed", \.speed, help: "What to hurry for.")]),
      OutputOptions.group.within(\.output),
    ],
    operands: [
      .required("<ADDRESS>", \.address, help: "Where it goes."),
      .optional("<CARRIER>", \.carrier, help: "Who takes it."),
      .command(\.courier, help: "Program that hands it over."),
    ],
    run: { Int32($0.options.courier.count) })
}

let version = Command(
  name: "version", abstract: "Print the version.", initial: NoOptions(), run: { _ in 0 })

let sample = CommandSet(
  name: "sample", abstract: "Sort and send parcels.",
  discussion: "Everything here exists to be tested.",
  groups: [
    VerbGroup("Inside", [Verb(SortOptions.command)]),
    VerbGroup("Outside", [Verb(SendOptions.command)]),
    VerbGroup("Other", [Verb(version)]),
  ],
  examples: [
    Example("Sort by weight", "sort --order=weight parcels.txt"),
    Example("Send a parcel", "send --speed=weight Paris -- courier --now"),
  ],
  exitStatuses: [ExitStatus("0", "Done."), ExitStatus("128 + n", "Ended by signal n.")])
