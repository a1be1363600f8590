// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterReport
internal import Glibc
internal import Synchronization

/// Signals that have arrived and were not answered: bit n is signal n.
///
/// The handlers set bits, the loop takes them; nothing else is ordered by them, so relaxed is
/// enough.
private let raisedSignals = Atomic<UInt64>(0)

// The terminal of a live screen: alternate screen, no echo, keys as they are pressed.
//
//   leave ◄──── enter ────► wait, draw ...
//
// I1  Whatever ends or stops the loop, `leave` has given the terminal back before.
// I2  Signals are blocked but for the moment of waiting, so that none arrives between looking for
//     it and waiting (pselect).
// I3  A frame is one write, and holds only lines that are not there yet.

/// A terminal that shows a live screen.
final class TopTerminal {
  /// What ended a wait.
  enum Event: Equatable {
    case timeUp
    case keys([TopKey])
    /// The window has another size, or the screen was left and is to be drawn anew.
    case redraw
    /// A signal that asks for the end.
    case ended(Int32)
    /// Nobody is at the terminal any more.
    case closed
  }

  private let output: Int32
  /// Nil where no keys can be read.
  private let input: Int32?
  private let terminal: Terminal
  private var original = termios()
  private var isEntered = false
  private var shown: [String] = []
  private var reader = TopKeyReader()
  private var waitMask = sigset_t()

  private static let ending = [SIGINT, SIGTERM, SIGHUP, SIGQUIT]
  private static let others = [SIGWINCH, SIGTSTP, SIGCONT]

  /// Takes in signals from now on; to be made before any thread exists.
  ///
  /// - Returns: Nil where standard output is no terminal that can be drawn on.
  init?(_ terminal: Terminal) {
    let kind = Console.environment("TERM") ?? ""
    guard terminal.isTerminal, !kind.isEmpty, kind != "dumb" else { return nil }
    self.terminal = terminal
    output = 1
    // SAFETY: the structure outlives the call.
    input = unsafe isatty(0) == 1 && tcgetattr(0, &original) == 0 ? 0 : nil
    var blocked = sigset_t()
    // SAFETY: the sets outlive the calls; the handler only changes an atomic word, which signals
    // allow.
    unsafe sigemptyset(&blocked)
    for number in Self.ending + Self.others where !SignalInbox.isIgnored(number) {
      unsafe sigaddset(&blocked, number)
    }
    unsafe pthread_sigmask(SIG_BLOCK, &blocked, &waitMask)
    for number in Self.ending + Self.others where !SignalInbox.isIgnored(number) {
      unsafe sigdelset(&waitMask, number)
      Self.listen(to: number)
    }
  }

  private static func listen(to number: Int32) {
    // SAFETY: the handler only changes an atomic word, which signals allow.
    _ = signal(number) { raisedSignals.bitwiseOr(1 << UInt64($0), ordering: .relaxed) }
  }

  /// The size of the window; 80 by 24 where it has none.
  var size: (columns: Int, rows: Int) {
    var window = winsize()
    // SAFETY: `window` outlives the call and has the type that the request fills.
    guard unsafe ioctl(output, UInt(TIOCGWINSZ), &window) == 0, window.ws_col > 0,
      window.ws_row > 0
    else { return (80, 24) }
    return (min(Int(window.ws_col), 500), min(Int(window.ws_row), 500))
  }

  /// Takes the terminal.
  func enter() {
    if input != nil {
      var raw = original
      raw.c_lflag &= ~tcflag_t(ICANON | ECHO | IEXTEN)
      raw.c_iflag &= ~tcflag_t(IXON)
      // SAFETY: the structure outlives the call.
      _ = unsafe tcsetattr(0, TCSADRAIN, &raw)
    }
    isEntered = true
    shown = []
    _ = Console.writeAll("\u{1B}[?1049h\u{1B}[?25l\u{1B}[2J", to: output)
  }

  /// Gives the terminal back as it was; may be called more than once.
  func leave() {
    guard isEntered else { return }
    isEntered = false
    _ = Console.writeAll("\u{1B}[0m\u{1B}[?25h\u{1B}[?1049l", to: output)
    if input != nil {
      var before = original
      // SAFETY: the structure outlives the call. Unread keys go: they were meant for the screen.
      _ = unsafe tcsetattr(0, TCSAFLUSH, &before)
    }
  }

  /// Draws lines from the top; returns whether the terminal took them.
  func draw(_ lines: [TopLine]) -> Bool {
    let fresh = lines.map { line in line.style.map { terminal.styled(line.text, $0) } ?? line.text }
    var text = shown.isEmpty ? "\u{1B}[2J" : ""
    for (row, line) in fresh.enumerated() where row >= shown.count || shown[row] != line {
      // The rest of the row is cleared first: after its last column the cursor hangs.
      text += "\u{1B}[\(row + 1);1H\u{1B}[K\(line)"
    }
    if shown.count > fresh.count { text += "\u{1B}[\(fresh.count + 1);1H\u{1B}[J" }
    shown = fresh
    return text.isEmpty || Console.writeAll(text, to: output) == 0
  }

  /// How long an escape waits for the rest of a key.
  private static let escapeNanoseconds: Int64 = 50_000_000

  /// Waits for keys, a signal or the end of the time.
  func wait(nanoseconds: Int64) -> Event {
    if let event = answerSignals() { return event }
    let left = reader.isOpen ? min(nanoseconds, Self.escapeNanoseconds) : nanoseconds
    var limit = timespec(
      tv_sec: Int(max(0, left) / 1_000_000_000), tv_nsec: Int(max(0, left) % 1_000_000_000))
    var mask = waitMask
    // Descriptor 0 is the first bit.
    var watched = fd_set()
    if input != nil { watched.__fds_bits.0 = 1 }
    // SAFETY: all three outlive the call.
    let count = unsafe pselect(1, &watched, nil, nil, &limit, &mask)
    if count < 0 { return answerSignals() ?? .keys([]) }
    if count == 0 {
      if reader.isOpen { return .keys(reader.timeOut()) }
      return .timeUp
    }
    return readKeys()
  }

  private func readKeys() -> Event {
    var bytes = [UInt8](repeating: 0, count: 256)
    // SAFETY: the kernel writes at most the capacity that it is told.
    let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(0, $0.baseAddress, $0.count) }
    if count > 0 { return .keys(reader.add(bytes.prefix(count))) }
    if count < 0, errno == EINTR || errno == EAGAIN { return .keys([]) }
    return .closed
  }

  private func answerSignals() -> Event? {
    let raised = raisedSignals.exchange(0, ordering: .relaxed)
    guard raised != 0 else { return nil }
    func has(_ number: Int32) -> Bool { raised & (1 << UInt64(number)) != 0 }
    if let number = Self.ending.first(where: has) { return .ended(number) }
    if has(SIGTSTP) { stop() }
    if has(SIGCONT) {
      // Stopped by a signal that cannot be answered: somebody else had the terminal meanwhile.
      isEntered = false
      enter()
    }
    shown = []
    return .redraw
  }

  /// Stops as the user asked, with the terminal given back, until somebody lets it go on.
  private func stop() {
    leave()
    _ = signal(SIGTSTP, SIG_DFL)
    var stopping = sigset_t()
    // SAFETY: the set outlives the calls. Unblocking it stops the process at once.
    unsafe sigemptyset(&stopping)
    unsafe sigaddset(&stopping, SIGTSTP)
    _ = raise(SIGTSTP)
    unsafe pthread_sigmask(SIG_UNBLOCK, &stopping, nil)
    unsafe pthread_sigmask(SIG_BLOCK, &stopping, nil)
    Self.listen(to: SIGTSTP)
    enter()
  }
}
