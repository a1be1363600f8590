// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterReport
internal import CommandSpec

/// Options of every verb that prints results.
struct OutputOptions: Equatable {
  var format = OutputFormat.text
  var output: String?
  var color = ColorChoice.auto
  var isQuiet = false

  func validate() throws(UsageError) {
    if output == "" {
      throw UsageError("--output is empty", hint: "name a file, or leave the option out")
    }
  }

  /// Form and place of the summary of a program that was run, which has the standard output to
  /// itself.
  static let ofSummary: [OptionSpec<OutputOptions>] = [
    .init("format", \.format, help: "Form of the summary: text, JSON or CSV."),
    .init(
      "output", \.output, short: "o", placeholder: "<FILE>", completion: .file,
      help: "File for the summary instead of standard error; replaced when it is complete."),
  ]

  static let group = OptionGroup<OutputOptions>(
    "Output",
    [
      .init("format", \.format, help: "Form of the results: a table, JSON or CSV."),
      .init(
        "output", \.output, short: "o", placeholder: "<FILE>", completion: .file,
        help: "File for the results instead of standard output; replaced when they are complete."),
      .init("color", \.color, help: "Whether text is coloured; NO_COLOR is respected."),
      .init("quiet", \.isQuiet, short: "q", help: "No progress and no remarks on standard error."),
    ])
}
