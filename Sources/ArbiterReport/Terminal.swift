// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// When to use colour.
public enum ColorChoice: String, Sendable, Hashable, CaseIterable {
  /// On a terminal that has colours and whose user has not asked for none.
  case auto
  /// Always.
  case always
  /// Never.
  case never
}

/// Something that text is written to, as far as it matters how to write.
public struct Terminal: Sendable, Hashable {
  /// Emphasis that never carries meaning on its own.
  public enum Style: Int, Sendable, Hashable, CaseIterable {
    /// Strong.
    case bold = 1
    /// Faint.
    case dim = 2
    /// For errors.
    case red = 31
    /// For what is good.
    case green = 32
    /// For warnings.
    case yellow = 33
    /// For names.
    case cyan = 36
  }

  /// The width where none can be asked for.
  public static let columnsDefault = 80
  /// The narrowest and the widest text that reads well.
  public static let columnsRange = 40...200

  /// Whether somebody looks at it rather than a file or a program.
  public let isTerminal: Bool
  /// Whether text is coloured.
  public let hasColor: Bool
  /// Characters in a line.
  public let columns: Int

  /// Decides from facts alone.
  ///
  /// - Parameters:
  ///   - isTerminal: Whether the descriptor is a terminal.
  ///   - windowColumns: The width of the terminal's window, if it has one.
  ///   - choice: The option `--color`.
  ///   - environment: Looks up an environment variable.
  public init(
    isTerminal: Bool, windowColumns: Int?, choice: ColorChoice = .auto,
    environment: (String) -> String?
  ) {
    self.isTerminal = isTerminal
    let stated = environment("COLUMNS").flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
    let window = isTerminal ? windowColumns.flatMap { $0 > 0 ? $0 : nil } : nil
    let wanted = stated ?? window ?? Self.columnsDefault
    columns = min(max(wanted, Self.columnsRange.lowerBound), Self.columnsRange.upperBound)
    switch choice {
    case .always: hasColor = true
    case .never: hasColor = false
    case .auto:
      // no-color.org: any value but the empty one switches colour off.
      let isRefused = environment("NO_COLOR").map { !$0.isEmpty } ?? false
      let kind = environment("TERM") ?? ""
      hasColor = isTerminal && !isRefused && kind != "dumb" && !kind.isEmpty
    }
  }

  /// Asks the system about a descriptor.
  ///
  /// - Parameters:
  ///   - descriptor: 1 for the standard output, 2 for the standard error.
  ///   - choice: The option `--color`.
  ///   - environment: Looks up an environment variable.
  /// - Returns: What the descriptor is; a file is 80 columns wide and has no colour.
  public static func of(
    descriptor: Int32, choice: ColorChoice = .auto, environment: (String) -> String?
  ) -> Terminal {
    var window = winsize()
    // SAFETY: `window` outlives the call and has the type that the request fills.
    let isKnown = unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &window) == 0
    return Terminal(
      isTerminal: isatty(descriptor) == 1, windowColumns: isKnown ? Int(window.ws_col) : nil,
      choice: choice, environment: environment)
  }

  /// Returns the text with emphasis where there is colour, and as it is where there is none.
  public func styled(_ text: String, _ styles: Style...) -> String {
    guard hasColor, !styles.isEmpty else { return text }
    let codes = styles.map { String($0.rawValue) }.joined(separator: ";")
    return "\u{1B}[\(codes)m\(text)\u{1B}[0m"
  }
}
