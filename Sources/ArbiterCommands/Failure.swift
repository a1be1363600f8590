// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterProfiles
internal import ArbiterReport
internal import ArbiterSimulator
internal import ArbiterTrace
internal import CommandSpec
internal import Glibc

/// Exit codes of the tool; the numbers above 63 are those of `sysexits.h`.
enum ExitCode {
  static let done: Int32 = 0
  static let failed: Int32 = 1
  static let usage: Int32 = 64
  static let badInput: Int32 = 65
  static let unavailable: Int32 = 69
  static let ourFault: Int32 = 70
  static let inputOutput: Int32 = 74
  static let permission: Int32 = 77
  static let notExecutable: Int32 = 126
  static let noProgram: Int32 = 127
  static let interrupted: Int32 = 130

  static let all: [ExitStatus] = [
    ExitStatus("0", "Done."),
    ExitStatus("1", "The operation failed, or verification found a difference."),
    ExitStatus("64", "The command line was wrong."),
    ExitStatus("65", "An input file was wrong."),
    ExitStatus("69", "This machine lacks what the command needs."),
    ExitStatus("70", "An internal error; please report it with the seed."),
    ExitStatus("74", "Reading or writing failed."),
    ExitStatus("77", "Permission was denied."),
    ExitStatus("126", "The program to run could not be executed."),
    ExitStatus("127", "The program to run was not found."),
    ExitStatus("130", "Interrupted from the keyboard."),
    ExitStatus("128 + n", "The program that was run was ended by signal n."),
  ]
}

/// A failure of a verb with its exit code and the next step.
package struct Failure: Error, Equatable {
  /// The exit code.
  package var code: Int32
  /// What failed, as a clause.
  package var message: String
  /// What to do next; nil where nobody knows.
  package var hint: String?

  init(_ code: Int32, _ message: String, hint: String? = nil) {
    self.code = code
    self.message = message
    self.hint = hint
  }

  /// What any error of the modules below means to the person at the keyboard.
  init(_ error: any Error) {
    switch error {
    case let failure as Failure: self = failure
    case let usage as UsageError:
      self.init(ExitCode.usage, usage.message, hint: usage.hint)
    case let profile as ProfileError:
      self.init(ExitCode.badInput, "\(profile)", hint: "see Profiles/ for complete examples")
    case let calibration as CalibrationError:
      self.init(ExitCode.badInput, "\(calibration)", hint: calibration.nextStep)
    case let simulation as SimulationError:
      self.init(ExitCode.usage, simulation.reason)
    case let report as ReportError:
      let denied = report.errorNumber == EACCES || report.errorNumber == EPERM
      self.init(denied ? ExitCode.permission : ExitCode.inputOutput, "\(report)")
    case let trace as TraceError:
      self.init(
        trace.code == .inputOutput ? ExitCode.inputOutput : ExitCode.badInput, trace.place,
        hint: trace.nextStep)
    case let platform as PlatformError:
      self.init(Self.code(of: platform), platform.reason, hint: platform.nextStep)
      if let path = platform.path { message += " (\(path))" }
    default:
      self.init(ExitCode.ourFault, "unexpected error: \(error)", hint: "please report this")
    }
  }

  private static func code(of error: PlatformError) -> Int32 {
    switch error.code {
    case .noPermission: ExitCode.permission
    case .noSpace, .system: ExitCode.inputOutput
    case .notFound, .tooSmall, .invalidArgument: ExitCode.usage
    case .unsupported, .resourceLimit: ExitCode.unavailable
    default: ExitCode.failed
    }
  }

  /// The lines for standard error.
  var rendered: String {
    let hintLine = hint.map { "\n  hint: \(Self.harmless($0))" } ?? ""
    return "arbiter: error: \(Self.harmless(message))\(hintLine)"
  }

  /// What the user typed comes back in messages, and must not drive the terminal.
  static func harmless(_ text: String) -> String {
    String(
      String.UnicodeScalarView(
        text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 }))
  }
}

/// The bytes of a file that the user has named with an option.
func readFile(
  _ path: String, for option: String, bytesMax: Int = 1 << 20
) throws(Failure) -> [UInt8] {
  do {
    return Array(try FileSystem.read(path, bytesMax: bytesMax).utf8)
  } catch {
    let isDenied = error.errorNumber == EACCES || error.errorNumber == EPERM
    let isTrouble = [EIO, ENOMEM, EMFILE, ENFILE].contains(error.errorNumber)
    throw Failure(
      isDenied ? ExitCode.permission : isTrouble ? ExitCode.inputOutput : ExitCode.badInput,
      "cannot read --\(option)=\(path): \(Console.reason(error.errorNumber))",
      hint: "check the path")
  }
}
