// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import CArbiterCounters

/// Where the bits of a field lie in an event's configuration, as the kernel's `format` files say.
package struct EventField: Sendable, Hashable {
  /// The word: 0 is config, 1 and 2 are config1 and config2.
  package var word: Int
  /// The places of the field's bits, the lowest bit of the value first.
  package var bits: [Int]

  /// Reads a text such as `config:0-7` or `config1:0-7,21`; nil for anything else.
  ///
  /// Source: Linux, Documentation/ABI/testing/sysfs-bus-event_source-devices-format.
  package init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, let word = ["config", "config1", "config2"].firstIndex(of: parts[0])
    else { return nil }
    var bits: [Int] = []
    for range in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
      let ends = range.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
      guard ends.count <= 2, let low = ends[0], let high = ends[ends.count - 1], low >= 0,
        low <= high, high < 64
      else { return nil }
      bits += low...high
    }
    guard Set(bits).count == bits.count else { return nil }
    self.word = word
    self.bits = bits
  }

  /// Puts a value into the field; false where it has more bits than the field.
  package func set(_ value: UInt64, in words: inout [UInt64]) -> Bool {
    guard bits.count == 64 || value >> UInt64(bits.count) == 0 else { return false }
    for (index, place) in bits.enumerated() {
      words[word] |= (value >> UInt64(index) & 1) << UInt64(place)
    }
    return true
  }
}

/// A unit that counts events, as sysfs shows it.
package struct PerformanceUnit: Sendable, Hashable {
  /// The kernel's name, as uncore_imc_0.
  package var name: String
  /// The number by which perf_event_open knows the unit.
  package var type: UInt32
  /// One processor per package: an event that is opened there counts the package's own unit.
  package var processors: [Int]
  /// The fields of a configuration.
  package var fields: [String: EventField]

  /// Why a unit cannot be used, as a clause.
  package struct Refusal: Error, Hashable {
    package var reason: String
  }

  /// Reads a unit; throws the reason where its files do not say enough.
  package static func read(
    _ name: String, from tree: SystemTree
  ) throws(Refusal) -> PerformanceUnit {
    let folder = "/sys/bus/event_source/devices/\(name)"
    guard let type = tree.number("\(folder)/type").flatMap({ UInt32(exactly: $0) }) else {
      throw Refusal(reason: "unit \(name) does not tell its type")
    }
    let processors = SystemTree.numbers(inList: tree.text("\(folder)/cpumask") ?? "")
    guard !processors.isEmpty else {
      throw Refusal(reason: "unit \(name) does not tell its processors (cpumask)")
    }
    var fields: [String: EventField] = [:]
    for field in tree.entries("\(folder)/format") {
      guard let text = tree.text("\(folder)/format/\(field)") else { continue }
      fields[field] = EventField(text)
    }
    return PerformanceUnit(name: name, type: type, processors: processors, fields: fields)
  }

  /// The configuration of an event; throws where the unit's format has no place for it.
  package func configuration(of code: EventCode) throws(Refusal) -> ArbEvent {
    var words: [UInt64] = [0, 0, 0]
    for (name, value) in [("event", code.event), ("umask", code.umask)] where value != 0 {
      guard let field = fields[name], field.set(value, in: &words) else {
        throw Refusal(
          reason: "unit \(self.name) has no field '\(name)' that holds 0x\(hexadecimal(value))")
      }
    }
    return ArbEvent(type: type, config: words[0], config1: words[1], config2: words[2])
  }

  private func hexadecimal(_ value: UInt64) -> String { String(value, radix: 16) }
}
