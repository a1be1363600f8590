// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterReport
internal import CommandSpec
internal import Glibc

/// Where a heat map goes: a terminal, a file, or a picture.
struct HeatPlace {
  let options: HeatOptions
  let command: [String]
  /// Whether standard output belongs to a program that was run.
  let leavesStandardOutput: Bool
  /// The option that names the file.
  let option: String
  private let file: OutputFile?

  /// Looks at the place before a long run.
  init(
    _ options: HeatOptions, command: [String], leavesStandardOutput: Bool,
    option: String = "output"
  ) throws(Failure) {
    self.options = options
    self.command = command
    self.leavesStandardOutput = leavesStandardOutput
    self.option = option
    file =
      if let path = options.output.output { try OutputFile(path, option: option) } else { nil }
    if options.picture == .png { try Self.checkGnuplot(option, options.output.output ?? "") }
  }

  /// A picture that cannot be drawn is better known before the program runs than after.
  private static func checkGnuplot(_ option: String, _ path: String) throws(Failure) {
    let folders = (Console.environment("PATH") ?? "").split(separator: ":")
    guard !folders.contains(where: { unsafe access("\($0)/gnuplot", X_OK) == 0 }) else { return }
    throw noGnuplot(option, path)
  }

  private static func noGnuplot(_ option: String, _ path: String) -> Failure {
    Failure(
      ExitCode.unavailable, "cannot draw --\(option)=\(path): gnuplot is not installed",
      hint: "install gnuplot-nox, or name a file that ends in .svg")
  }

  /// Writes the result in the form that was asked for.
  func write(_ result: HeatResult, isComplete: Bool) throws {
    if let picture = options.picture { return try draw(result, picture) }
    // As arbiter account: who runs a program quietly, and names no file, wants its output alone.
    if leavesStandardOutput && file == nil && options.output.isQuiet { return }
    let text: String
    switch options.output.format {
    case .json:
      text = HeatDocument.json(result, command: command, isComplete: isComplete).document()
    case .csv: text = HeatDocument.csv(result)
    case .text: text = HeatText.text(result, on: canvas)
    }
    if let file {
      try file.write(text)
    } else if leavesStandardOutput {
      Console.note(text)
    } else {
      try Console.write(text)
    }
  }

  private func draw(_ result: HeatResult, _ form: PictureForm) throws {
    let path = options.output.output ?? ""
    guard !result.isEmpty else {
      throw Failure(
        ExitCode.failed, "there is nothing to draw in \(path): no access was seen",
        hint: result.sentences.last ?? "watch longer")
    }
    switch form {
    case .svg: try file?.write(result.picture.svg())
    case .png:
      guard try result.picture.drawPNG(to: path) == .drawn else {
        throw Self.noGnuplot(option, path)
      }
    }
    if !options.output.isQuiet {
      Console.note(HeatText.summary(result, width: Console.error(options.output.color).columns))
    }
  }

  /// What is written to, as far as it matters how.
  private var canvas: HeatCanvas {
    let descriptor: Int32 = leavesStandardOutput ? 2 : 1
    // A file is no terminal, whatever standard output is.
    let terminal =
      file == nil
      ? Terminal.of(
        descriptor: descriptor, choice: options.output.color, environment: Console.environment)
      : Terminal(
        isTerminal: false, windowColumns: nil, choice: options.output.color,
        environment: Console.environment)
    var window = winsize()
    // SAFETY: `window` outlives the call and has the type that the request fills.
    let isKnown = unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &window) == 0 && window.ws_row > 0
    return HeatCanvas(
      terminal, windowRows: terminal.isTerminal && isKnown ? Int(window.ws_row) : nil,
      environment: Console.environment)
  }
}
