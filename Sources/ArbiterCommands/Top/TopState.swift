// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
package import ArbiterProfiler
internal import CommandSpec

/// What a person has chosen on the live screen; keys change it and nothing else does.
package struct TopState: Equatable {
  /// By what tasks are ordered.
  package enum Order: String, WordValue, CaseIterable {
    static var placeholder: String { "<ORDER>" }

    case written
    case total
    case cpu
    case delay
    case mapped
    case process
    case command

    /// The key that chooses it.
    package var key: Character {
      switch self {
      case .written: "w"
      case .total: "t"
      case .cpu: "c"
      case .delay: "d"
      case .mapped: "m"
      case .process: "p"
      case .command: "n"
      }
    }

    /// The order in one or two words.
    var name: String {
      switch self {
      case .written: "written/s"
      case .total: "written"
      case .cpu: "CPU"
      case .delay: "delay"
      case .mapped: "mapped"
      case .process: "PID"
      case .command: "name"
      }
    }

    var meaning: String {
      switch self {
      case .written: "by what they store in a second"
      case .total: "by what they have stored"
      case .cpu: "by CPU time"
      case .delay: "by the time that gates make them wait"
      case .mapped: "by the slow memory that they map"
      case .process: "by process number"
      case .command: "by name"
      }
    }
  }

  /// What is to be done after a key.
  package enum Effect: Equatable {
    case nothing
    case redraw
    case quit
  }

  package var order = Order.written
  package var isReversed = false
  package var isPaused = false
  package var showsHelp = false
  /// Whether processes that use no slow memory are shown too.
  package var showsEveryProcess = false
  package var intervalSeconds: Double
  /// Tasks that are scrolled out at the top.
  package var skippedCount = 0

  /// What + and - step through.
  static let intervals: [Double] = [0.25, 0.5, 1, 2, 5, 10, 30, 60]

  package init(intervalSeconds: Double = 1) {
    self.intervalSeconds = intervalSeconds
  }

  /// Answers a key.
  ///
  /// - Parameters:
  ///   - key: The key.
  ///   - taskCount: Tasks of the reading that is shown.
  /// - Returns: What is to be done now.
  package mutating func press(_ key: TopKey, taskCount: Int) -> Effect {
    let before = self
    if showsHelp, key != .character("q") {
      // Any key leaves the help.
      showsHelp = false
      return .redraw
    }
    switch key {
    case .character("q"): return .quit
    case .character("h"), .character("?"): showsHelp = true
    case .character(" "): isPaused.toggle()
    case .character("e"): showsEveryProcess.toggle()
    case .character("r"): isReversed.toggle()
    case .character("+"):
      intervalSeconds = Self.intervals.first { $0 > intervalSeconds } ?? intervalSeconds
    case .character("-"):
      intervalSeconds = Self.intervals.last { $0 < intervalSeconds } ?? intervalSeconds
    case .character(let letter):
      guard let order = Order.allCases.first(where: { $0.key == letter }) else { return .nothing }
      self.order = order
    case .down: scroll(by: 1, taskCount)
    case .up: scroll(by: -1, taskCount)
    case .pageDown: scroll(by: 10, taskCount)
    case .pageUp: scroll(by: -10, taskCount)
    case .home: skippedCount = 0
    case .end: scroll(by: taskCount, taskCount)
    case .escape, .unknown: return .nothing
    }
    return self == before ? .nothing : .redraw
  }

  private mutating func scroll(by count: Int, _ taskCount: Int) {
    skippedCount = max(0, min(skippedCount + count, taskCount - 1))
  }

  /// The tasks in the order that was chosen; equals stand by process number.
  package func ordered(_ tasks: [TaskInterval]) -> [TaskInterval] {
    func figure(_ task: TaskInterval) -> Double? {
      switch order {
      case .written: task.writeRate.value?.value
      case .total: task.task.written.value?.value
      case .cpu: task.cpuShare.value
      case .delay: task.delayShare.value
      case .mapped: task.task.mappedBytes.value.map { Double($0) }
      case .process, .command: nil
      }
    }
    let sorted = tasks.sorted { one, other in
      switch order {
      case .process: return one.task.process < other.task.process
      case .command:
        return (one.task.command, one.task.process) < (other.task.command, other.task.process)
      case .written, .total, .cpu, .delay, .mapped:
        // Largest first; what is unavailable comes last.
        let (mine, theirs) = (figure(one) ?? -1, figure(other) ?? -1)
        return mine == theirs ? one.task.process < other.task.process : mine > theirs
      }
    }
    return isReversed ? sorted.reversed() : sorted
  }
}

/// A key of a terminal.
package enum TopKey: Equatable {
  case character(Character)
  case up
  case down
  case pageUp
  case pageDown
  case home
  case end
  case escape
  case unknown
}

/// Makes keys of what a terminal sends.
package struct TopKeyReader {
  private var sequence: [UInt8] = []

  /// A longer sequence than any key's is thrown away.
  private static let sequenceMax = 16

  /// Makes a reader that has seen nothing.
  package init() {}

  /// Takes bytes in and gives the keys that they complete.
  package mutating func add(_ bytes: some Sequence<UInt8>) -> [TopKey] {
    var keys: [TopKey] = []
    for byte in bytes {
      if sequence.isEmpty {
        if byte == 0x1B { sequence = [byte] } else { keys.append(Self.plain(byte)) }
        continue
      }
      if sequence.count == 1, byte != UInt8(ascii: "["), byte != UInt8(ascii: "O") {
        // Escape by itself, and then another key.
        keys.append(.escape)
        sequence = []
        if byte == 0x1B { sequence = [byte] } else { keys.append(Self.plain(byte)) }
        continue
      }
      sequence.append(byte)
      let ends = sequence.count > 2 && (0x40...0x7E).contains(byte)
      if ends || sequence.count > Self.sequenceMax {
        keys.append(Self.named(sequence))
        sequence = []
      }
    }
    return keys
  }

  /// Whether an escape waits for what follows it.
  package var isOpen: Bool { !sequence.isEmpty }

  /// Says that nothing followed an escape in time.
  package mutating func timeOut() -> [TopKey] {
    guard isOpen else { return [] }
    sequence = []
    return [.escape]
  }

  private static func plain(_ byte: UInt8) -> TopKey {
    guard (0x20...0x7E).contains(byte) else { return .unknown }
    return .character(Character(UnicodeScalar(byte)))
  }

  private static func named(_ sequence: [UInt8]) -> TopKey {
    switch String(decoding: sequence.dropFirst(2), as: UTF8.self) {
    case "A": .up
    case "B": .down
    case "H", "1~", "7~": .home
    case "F", "4~", "8~": .end
    case "5~": .pageUp
    case "6~": .pageDown
    default: .unknown
    }
  }
}
