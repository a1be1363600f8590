// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Signals that a program takes in one by one, on a thread of its choice, instead of in handlers.
///
/// They are blocked for the thread that opens the inbox and for all threads that it starts later,
/// so it is opened before any other thread exists.
@safe
public struct SignalInbox {
  /// A signal that has arrived.
  public struct Signal: Sendable, Hashable {
    /// Its number.
    public var number: Int32
    /// Whether the kernel sent it, as a terminal does to all its programs, and not a process.
    public var isFromKernel: Bool
  }

  // SAFETY: plain sets of bits.
  private var awaited = sigset_t()
  private var original = sigset_t()

  /// Blocks signals.
  public init(_ numbers: [Int32]) {
    // SAFETY: both sets outlive the calls.
    unsafe sigemptyset(&awaited)
    for number in numbers { unsafe sigaddset(&awaited, number) }
    unsafe pthread_sigmask(SIG_BLOCK, &awaited, &original)
  }

  /// The signals that were blocked before, for programs that are started.
  var originalMask: sigset_t { original }

  /// Waits for the next signal.
  ///
  /// - Parameter nanoseconds: How long at most; nil for as long as it takes.
  /// - Returns: The signal; nil where the time is up.
  public func next(nanoseconds: Int64?) -> Signal? {
    var set = awaited
    var facts = unsafe siginfo_t()
    let began = SystemClock.monotonicRawNanoseconds()
    while true {
      let number: Int32
      if let nanoseconds {
        let left = max(0, began + nanoseconds - SystemClock.monotonicRawNanoseconds())
        var limit = timespec(tv_sec: Int(left / 1_000_000_000), tv_nsec: Int(left % 1_000_000_000))
        // SAFETY: all three outlive the call.
        number = unsafe sigtimedwait(&set, &facts, &limit)
      } else {
        number = unsafe sigwaitinfo(&set, &facts)
      }
      if number > 0 {
        return Signal(number: number, isFromKernel: unsafe facts.si_code > 0)
      }
      // Another signal's handler ran, or the program was stopped and continued.
      if errno != EINTR { return nil }
    }
  }

  /// Lets the signals through again.
  public func close() {
    var mask = original
    // SAFETY: the set outlives the call.
    unsafe pthread_sigmask(SIG_SETMASK, &mask, nil)
  }

  /// The name of a signal, as SIGTERM; its number where it has none.
  public static func name(of number: Int32) -> String {
    let names: [Int32: String] = [
      SIGHUP: "HUP", SIGINT: "INT", SIGQUIT: "QUIT", SIGILL: "ILL", SIGTRAP: "TRAP",
      SIGABRT: "ABRT", SIGBUS: "BUS", SIGFPE: "FPE", SIGKILL: "KILL", SIGUSR1: "USR1",
      SIGSEGV: "SEGV", SIGUSR2: "USR2", SIGPIPE: "PIPE", SIGALRM: "ALRM", SIGTERM: "TERM",
      SIGXCPU: "XCPU", SIGXFSZ: "XFSZ", SIGSYS: "SYS",
    ]
    return names[number].map { "SIG\($0)" } ?? "signal \(number)"
  }

  /// Whether a signal is ignored by this process.
  public static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    // SAFETY: the kernel fills the structure; the handler is compared as a number, never called.
    guard unsafe sigaction(number, nil, &action) == 0 else { return false }
    return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
  }
}
