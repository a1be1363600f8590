// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// What the helper process says to its parent, one line of ASCII per fact:
//
//   arbiter-module-counters 1
//   module <reading> <index> <count> <time> <handle> <reads> <writes> <requests: read> <write>
//   refused <reading> <index> <count> <time> <handle> <error of the library>
//   unavailable <reason, to the end of the line>
//
// Numbers are decimal, without a sign, separated by single spaces. A reading is `count` lines with
// the indices 0 to count - 1; readings count from 1. The library shares the helper's address space
// and may print what it likes, so nothing that differs from this in one byte is believed.

/// A module's counts over its life, each in units of 64 B.
package struct ModuleCounts: Sendable, Hashable {
  /// Reads from the medium, those that belong to media writes included.
  package var mediaReads: UInt64
  /// Writes to the medium.
  package var mediaWrites: UInt64
  /// Read commands of the processor's memory controller.
  package var requestedReads: UInt64
  /// Write commands of the processor's memory controller.
  package var requestedWrites: UInt64

  package init(
    mediaReads: UInt64, mediaWrites: UInt64, requestedReads: UInt64, requestedWrites: UInt64
  ) {
    self.mediaReads = mediaReads
    self.mediaWrites = mediaWrites
    self.requestedReads = requestedReads
    self.requestedWrites = requestedWrites
  }
}

/// What one module answered in one reading.
package struct ModuleAnswer: Sendable, Hashable {
  /// The counts, or the error that the library gave instead.
  package enum Outcome: Sendable, Hashable {
    case counts(ModuleCounts)
    case refused(Int)
  }

  /// CLOCK_MONOTONIC_RAW in the middle of the reading.
  package var timeNanoseconds: Int64
  package var handle: UInt32
  package var outcome: Outcome

  package init(timeNanoseconds: Int64, handle: UInt32, outcome: Outcome) {
    self.timeNanoseconds = timeNanoseconds
    self.handle = handle
    self.outcome = outcome
  }
}

/// One reading of every module that the library knows.
package struct ModuleReading: Sendable, Hashable {
  /// Which reading of a feed it is, over all helpers; from 1.
  package var number: UInt64
  package var answers: [ModuleAnswer]
}

/// One line of the helper.
package enum HelperLine: Sendable, Hashable {
  case greeting
  case answer(reading: UInt64, index: Int, count: Int, ModuleAnswer)
  case unavailable(String)

  /// Longest line in bytes, its end included.
  package static let bytesMax = 512
  /// Most modules of a machine: 8 sockets of 8 modules.
  package static let modulesMax = 64
  private static let greetingText = "arbiter-module-counters 1"

  /// The line as it is written, without its end.
  package var text: String {
    switch self {
    case .greeting: return Self.greetingText
    case .unavailable(let reason):
      let clean = reason.unicodeScalars.map { $0.value >= 0x20 && $0.value < 0x7F ? $0 : " " }
      var text = "unavailable "
      text.unicodeScalars.append(contentsOf: clean.prefix(Self.bytesMax / 2))
      return text
    case .answer(let reading, let index, let count, let answer):
      let place = "\(reading) \(index) \(count) \(answer.timeNanoseconds) \(answer.handle)"
      switch answer.outcome {
      case .refused(let error): return "refused \(place) \(error)"
      case .counts(let counts):
        return "module \(place) \(counts.mediaReads) \(counts.mediaWrites) "
          + "\(counts.requestedReads) \(counts.requestedWrites)"
      }
    }
  }

  /// Reads a line without its end; nil for anything that is not exactly one.
  package init?(_ line: String) {
    if line == Self.greetingText {
      self = .greeting
      return
    }
    guard line.utf8.count < Self.bytesMax, line.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
      return nil
    }
    if line.hasPrefix("unavailable "), line.utf8.count > 12 {
      self = .unavailable(String(line.dropFirst(12)))
      return
    }
    let words = line.split(separator: " ", omittingEmptySubsequences: false)
    let numbers = words.dropFirst().compactMap { Self.number($0) }
    guard numbers.count == words.count - 1, numbers.count >= 6,
      let index = Int(exactly: numbers[1]), let count = Int(exactly: numbers[2]),
      count <= Self.modulesMax, index < count, let time = Int64(exactly: numbers[3]),
      let handle = UInt32(exactly: numbers[4])
    else { return nil }
    let outcome: ModuleAnswer.Outcome
    switch (words[0], numbers.count) {
    case ("module", 9):
      outcome = .counts(
        ModuleCounts(
          mediaReads: numbers[5], mediaWrites: numbers[6], requestedReads: numbers[7],
          requestedWrites: numbers[8]))
    case ("refused", 6):
      guard let error = Int(exactly: numbers[5]) else { return nil }
      outcome = .refused(error)
    default: return nil
    }
    self = .answer(
      reading: numbers[0], index: index, count: count,
      ModuleAnswer(timeNanoseconds: time, handle: handle, outcome: outcome))
  }

  /// A number of digits alone, written the one way in which it can be.
  private static func number(_ word: Substring) -> UInt64? {
    guard word.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), word.utf8.first != 0x30 || word == "0"
    else { return nil }
    return UInt64(word)
  }
}

/// Puts a helper's lines together to readings.
package struct ReadingAssembler {
  /// What a line led to.
  package enum Step: Hashable {
    case more
    case reading([ModuleAnswer])
    case unavailable(String)
    case wrong
  }

  package init() {}

  private var isGreeted = false
  private var reading: UInt64 = 0
  private var answers: [ModuleAnswer] = []
  private var expectedCount = 0

  /// Takes the next line in.
  package mutating func add(_ text: String) -> Step {
    guard let line = HelperLine(text) else { return .wrong }
    switch line {
    case .greeting:
      if isGreeted { return .wrong }
      isGreeted = true
      return .more
    case .unavailable(let reason): return isGreeted ? .unavailable(reason) : .wrong
    case .answer(let number, let index, let count, let answer):
      guard isGreeted else { return .wrong }
      if index == 0, answers.isEmpty, number == reading + 1 {
        reading = number
        expectedCount = count
      }
      guard number == reading, index == answers.count, count == expectedCount,
        !answers.contains(where: { $0.handle == answer.handle })
      else { return .wrong }
      answers.append(answer)
      if answers.count < expectedCount { return .more }
      defer { answers = [] }
      return .reading(answers)
    }
  }
}
