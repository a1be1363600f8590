// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CommandSpec

/// Numbers of processes.
struct ProcessList: OptionValue, Equatable {
  static var placeholder: String { "<PID,...>" }

  var numbers: [Int32]

  init(_ numbers: [Int32]) {
    self.numbers = numbers
  }

  init(argument: String) throws(UsageError) {
    numbers = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let number = Int32(part), number > 0 else {
        throw UsageError("'\(part)' is no process's number", hint: "write numbers: -p 123,456")
      }
      if !numbers.contains(number) { numbers.append(number) }
    }
    guard numbers.count <= 1024 else {
      throw UsageError("\(numbers.count) processes are too many", hint: "use --all")
    }
  }

  var argumentText: String { numbers.map(String.init).joined(separator: ",") }

  /// The processes in a sentence.
  var watchedText: String {
    switch numbers.count {
    case 1: "process \(argumentText)"
    case 2...4: "processes \(numbers.map(String.init).joined(separator: ", "))"
    default: "\(numbers.count) processes"
    }
  }

  var isGiven: Bool { !numbers.isEmpty }
}
