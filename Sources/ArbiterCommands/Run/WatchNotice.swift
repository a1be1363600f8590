// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterReport

/// Tells who waits at the keyboard that processes are being watched, and for how long still.
struct WatchNotice {
  private var meter: ProgressMeter
  private let isQuiet: Bool
  private let seconds: Double?
  private let began = Console.seconds

  /// Makes a notice; where nobody has said how long, it says at once how to end.
  ///
  /// - Parameters:
  ///   - title: What the progress line says.
  ///   - subject: Who is watched.
  ///   - duration: For how long; nil until they end or Ctrl-C.
  ///   - isQuiet: Whether nothing is said.
  init(_ title: String, of subject: String, during duration: TimeSpan?, isQuiet: Bool) {
    let terminal = Console.error()
    meter = ProgressMeter(title, on: terminal)
    self.isQuiet = isQuiet
    seconds = duration.map { $0.nanoseconds / 1e9 }
    if !isQuiet, seconds == nil, terminal.isTerminal {
      Console.note("arbiter: watching \(subject); Ctrl-C ends it and shows the result\n")
    }
  }

  /// Shows how far the time has come, where that is due.
  mutating func show() {
    guard !isQuiet, let seconds else { return }
    let now = Console.seconds - began
    if let line = meter.update(share: now / seconds, atSeconds: now) { Console.note(line) }
  }

  /// Clears the line, if there is one.
  mutating func finish() {
    if let line = meter.finish() { Console.note(line) }
  }
}
