// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import Glibc

/// A program that a verb runs for the user: found, started, signalled and waited for.
///
/// Its streams, terminal and exit code are its own. Signals that the user sends to arbiter reach
/// it, and those of the terminal reach it by themselves.
final class ProgramHost {
  /// The program and its arguments.
  let words: [String]
  let file: ProgramFile
  private(set) var child: ChildProgram?
  /// When the program was started, in seconds of the console's clock.
  private(set) var began = 0.0

  private let inbox: SignalInbox

  /// Ends are waited for, SIGUSR1 is answered, all others are passed on.
  private static let signals = [SIGCHLD, SIGUSR1, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR2]

  /// Finds the program.
  static func find(_ words: [String]) throws(Failure) -> ProgramFile {
    do throws(PlatformError) {
      return try ProgramFile.find(words.first ?? "", searchPath: Console.environment("PATH"))
    } catch {
      throw failure(error)
    }
  }

  /// Why nothing is seen of a program that runs with rights that this user has not.
  static func rightsNote(_ file: ProgramFile?) -> String? {
    guard let file, file.changesRights else { return nil }
    return
      "\(file.path) runs with the rights of its owner (setuid): the kernel lets nobody sample it "
      + "but root."
  }

  /// Takes in signals from now on; to be made before any thread exists.
  init(_ words: [String], file: ProgramFile) {
    self.words = words
    self.file = file
    // An ignored SIGCHLD would make the kernel forget how the program ended.
    _ = signal(SIGCHLD, SIG_DFL)
    // Before any thread exists, so that all of them leave the signals to this one.
    inbox = SignalInbox(Self.signals)
  }

  /// Lets signals through again.
  func close() { inbox.close() }

  /// By the custom of shells: 127 for no program, 126 for one that cannot be executed.
  private static func failure(_ error: PlatformError) -> Failure {
    Failure(
      error.code == .notFound ? ExitCode.noProgram : ExitCode.notExecutable, error.reason,
      hint: error.nextStep)
  }

  /// A signal that asked for the end before there was a program to pass it on to.
  func endBeforeStart() -> Int32? {
    while let signal = inbox.next(nanoseconds: 0) {
      let endsPrograms = [SIGINT, SIGTERM, SIGHUP, SIGQUIT].contains(signal.number)
      if endsPrograms && !SignalInbox.isIgnored(signal.number) { return signal.number }
    }
    return nil
  }

  /// Starts the program with the given environment.
  func start(environment: [String]) throws(Failure) {
    do throws(PlatformError) {
      try begin { () throws(PlatformError) in try spawn(environment) }
    } catch {
      throw Self.failure(error)
    }
  }

  /// The same through somebody who prepares for the program and then starts it.
  ///
  /// - Throws: A failure of the program; what else the preparation throws as it is.
  func start(
    environment: [String],
    through launch: (() throws(PlatformError) -> ChildProgram) throws(PlatformError) -> ChildProgram
  ) throws {
    var refused: PlatformError?
    do throws(PlatformError) {
      try begin { () throws(PlatformError) in
        try launch { () throws(PlatformError) in
          do throws(PlatformError) {
            return try spawn(environment)
          } catch {
            refused = error
            throw error
          }
        }
      }
    } catch {
      if let refused { throw Self.failure(refused) }
      throw error
    }
  }

  private func begin(_ start: () throws(PlatformError) -> ChildProgram) throws(PlatformError) {
    began = Console.seconds
    child = try start()
  }

  private func spawn(_ environment: [String]) throws(PlatformError) -> ChildProgram {
    try ChildProgram(
      file, arguments: words, environment: environment, inbox: inbox,
      ignoresPipe: Tool.pipeWasIgnored)
  }

  /// Waits for the program's end and answers signals meanwhile.
  ///
  /// - Parameters:
  ///   - tend: What else is to be done now and then; returns how long it may be left alone at most,
  ///     in nanoseconds, or nil for as long as it takes.
  ///   - report: Answers SIGUSR1.
  /// - Returns: How the program ended.
  func attend(tend: () -> Int64?, report: () -> Void) -> ChildProgram.Ending {
    guard let child else { preconditionFailure("a program is started before it is attended") }
    while true {
      guard let signal = inbox.next(nanoseconds: tend()) else { continue }
      switch signal.number {
      case SIGCHLD:
        if let ending = child.reap() { return ending }
      case SIGUSR1: report()
      default:
        // What a terminal sends, it sends to the program too.
        if !signal.isFromKernel { child.send(signal.number) }
      }
    }
  }
}
