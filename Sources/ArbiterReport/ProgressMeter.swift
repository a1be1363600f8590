// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Decides what to write to standard error while work is under way.
///
/// On a terminal that is one line, rewritten at most ten times a second and only after the first
/// second; elsewhere it is one line for every 10 % that are done after the first second. The clock
/// is the caller's.
public struct ProgressMeter: Sendable {
  private static let quietSeconds = 1.0
  private static let pauseSeconds = 0.1

  private let terminal: Terminal
  private let title: String
  private var lastSeconds: Double?
  private var lastTenth = 0
  private var shownCount = 0

  /// Makes a meter that has shown nothing.
  public init(_ title: String, on terminal: Terminal) {
    self.title = title
    self.terminal = terminal
  }

  /// Takes in how far the work is.
  ///
  /// - Parameters:
  ///   - share: What is done, from 0 to 1; anything outside is brought inside.
  ///   - seconds: Time since the work began.
  ///   - detail: What is being done.
  /// - Returns: What to write, or nil where nothing is due.
  public mutating func update(
    share: Double, atSeconds seconds: Double, detail: String = ""
  ) -> String? {
    let share = share.isFinite ? min(max(share, 0), 1) : 0
    guard seconds >= Self.quietSeconds else { return nil }
    let percent = Int((share * 100).rounded(.down))
    let line = text(percent: percent, share: share, seconds: seconds, detail: detail)
    guard terminal.isTerminal else {
      guard percent / 10 > lastTenth else { return nil }
      lastTenth = percent / 10
      return line + "\n"
    }
    if let lastSeconds, seconds - lastSeconds < Self.pauseSeconds, share < 1 { return nil }
    lastSeconds = seconds
    shownCount = max(shownCount, line.count)
    // One column stays free: some terminals break the line when the last one is filled.
    let room = max(1, terminal.columns - 1)
    return "\r" + Self.fitted(line, to: room) + "\u{1B}[K"
  }

  /// What to write when the work has ended, however it did: clears the line if there is one.
  public mutating func finish() -> String? {
    guard shownCount > 0 else { return nil }
    shownCount = 0
    lastSeconds = nil
    return "\r\u{1B}[K"
  }

  private func text(percent: Int, share: Double, seconds: Double, detail: String) -> String {
    var line = "\(title) \(percent) %"
    if share > 0, share < 1 {
      let left = seconds / share - seconds
      line += ", \(Figures.duration(nanoseconds: left * 1e9)) left"
    }
    if !detail.isEmpty { line += ", \(detail)" }
    return line
  }

  /// A progress line is the one text that may be cut; the mark says that it was.
  private static func fitted(_ line: String, to room: Int) -> String {
    line.count <= room ? line : String(line.prefix(room - 1)) + "…"
  }
}
