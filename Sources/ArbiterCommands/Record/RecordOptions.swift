// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CommandSpec

/// Options of `arbiter record`.
struct RecordOptions: Equatable {
  var recording: String?
  var hasNoPreload = false
  var format = OutputFormat.text
  var isQuiet = false
  var program: [String] = []

  static let groups: [OptionGroup<RecordOptions>] = [
    OptionGroup(
      "Recording",
      [
        .init(
          "output", \.recording, short: "o", placeholder: "<FILE>", completion: .file,
          help: "File for the recording, which must be given. An earlier recording is replaced, "
            + "another file is not."),
        .init(
          "no-preload", \.hasNoPreload,
          help: "Do not load the library that stands before libpmem and libpmem2: record what the "
            + "program itself reports, through compiler hooks."),
      ]),
    OptionGroup(
      "Output",
      [
        .init("format", \.format, help: "Form of the summary: text, JSON or CSV."),
        .init("quiet", \.isQuiet, short: "q", help: "No summary on standard error."),
      ]),
  ]

  static func validate(_ options: RecordOptions) throws(UsageError) {
    guard let recording = options.recording, !recording.isEmpty else {
      throw UsageError(
        "no file is named for the recording", hint: "name one: arbiter record -o FILE -- PROGRAM")
    }
    try checkProgram(options.program)
  }
}
