// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCrashTesting
import ArbiterMemory
import ArbiterPersistence

/// How a structure makes one thing durable before another; the first three are right.
enum Form: String, CaseIterable {
  case cached, streamed, byPointer
  case missingFlush, missingFence, streamedWithoutFence, wrongOrder

  static let right: [Form] = [.cached, .streamed, .byPointer]
  static let planted: [(form: Form, kind: CrashFailure.Kind)] = [
    (.missingFlush, .missingFlush), (.missingFence, .missingFence),
    (.streamedWithoutFence, .missingFence), (.wrongOrder, .wrongOrder),
  ]
}

/// Stores `content` so that it is durable before the word that publishes it, or wrongly.
func publish(
  _ content: [UInt64], at offset: Int, by word: UInt64, at root: Int, form: Form,
  in region: borrowing MappedRegion
) throws {
  let range = offset..<offset + content.count * 8
  func publishWord() throws {
    region.storeAtomically(word, at: root)
    try region.persist(root..<root + 8)
  }
  func store() {
    unsafe content.withUnsafeBytes { unsafe region.store($0, at: offset) }
  }
  switch form {
  case .cached:
    store()
    try region.persist(range)
  case .streamed:
    unsafe content.withUnsafeBytes { unsafe region.copy($0, to: offset, by: .nonTemporal) }
    region.drain()
  case .byPointer:
    for (index, word) in content.enumerated() {
      unsafe region.base.storeBytes(of: word, toByteOffset: offset + index * 8, as: UInt64.self)
    }
    region.flush(range)
    region.drain()
  case .missingFlush:
    store()
    region.drain()
  case .missingFence:
    store()
    region.flush(range)
  case .streamedWithoutFence:
    unsafe content.withUnsafeBytes { unsafe region.copy($0, to: offset, by: .nonTemporal) }
  case .wrongOrder:
    try publishWord()
    store()
    try region.persist(range)
    return
  }
  try publishWord()
}

/// A log without checksums: a count that promises records, which may cross lines.
enum CountedLog {
  static let recordWords = 10

  static func record(_ number: Int) -> [UInt64] {
    (0..<recordWords).map { UInt64(number * 1000 + $0) }
  }

  static func offset(_ number: Int) -> Int { 64 + (number - 1) * recordWords * 8 }

  static func append(_ number: Int, form: Form, to region: borrowing MappedRegion) throws {
    try publish(
      record(number), at: offset(number), by: UInt64(number), at: 0, form: form, in: region)
  }

  static func check(_ image: borrowing CrashImage) -> Bool {
    let count = Int(image.word(at: 0))
    if count < image.acknowledged { return false }
    for number in stride(from: 1, through: count, by: 1) {
      for (index, word) in record(number).enumerated()
      where image.word(at: offset(number) + index * 8) != word { return false }
    }
    return true
  }

  static func explore(
    _ form: Form, count: Int = 3, options: CrashExplorer.Options = .init()
  ) throws -> CrashExploration {
    try CrashExplorer(bytes: 4096, options: options).explore { region, run in
      for number in 1...count {
        try append(number, form: form, to: region)
        run.acknowledge(number)
      }
    } check: {
      check($0)
    }
  }
}

/// Two slots and a word that says which of them holds.
enum TwoSlots {
  static let slotWords = 12

  static func offset(_ version: UInt64) -> Int { version & 1 == 0 ? 128 : 512 }

  static func content(_ version: UInt64) -> [UInt64] {
    (0..<slotWords).map { version << 32 | UInt64($0) }
  }

  static func update(_ version: UInt64, form: Form, in region: borrowing MappedRegion) throws {
    try publish(
      content(version), at: offset(version), by: version, at: 0, form: form, in: region)
  }

  static func check(_ image: borrowing CrashImage) -> Bool {
    let version = image.word(at: 0)
    if version < image.acknowledged { return false }
    if version == 0 { return true }
    return content(version).enumerated().allSatisfy { index, word in
      image.word(at: offset(version) + index * 8) == word
    }
  }

  static func explore(
    _ form: Form, options: CrashExplorer.Options = .init()
  ) throws -> CrashExploration {
    try CrashExplorer(bytes: 4096, options: options).explore { region, run in
      for version in UInt64(1)...4 {
        try update(version, form: form, in: region)
        run.acknowledge(Int(version))
      }
    } check: {
      check($0)
    }
  }
}

/// A list that grows at its head: nodes of one line, each with a number and a link.
enum LinkedList {
  static func push(_ number: UInt64, form: Form, on region: borrowing MappedRegion) throws {
    let head = region.loadAtomically(at: 0)
    let node = 64 * number
    try publish([number, head], at: Int(node), by: node, at: 0, form: form, in: region)
  }

  /// Walks the list: the numbers count down to 1, as they were pushed.
  static func check(_ image: borrowing CrashImage) -> Bool {
    var node = Int(image.word(at: 0))
    if node / 64 < image.acknowledged { return false }
    while node != 0 {
      if image.word(at: node) != node / 64 { return false }
      let next = Int(image.word(at: node + 8))
      if next != node - 64 { return false }
      node = next
    }
    return true
  }

  static func explore(
    _ form: Form, options: CrashExplorer.Options = .init()
  ) throws -> CrashExploration {
    try CrashExplorer(bytes: 4096, options: options).explore { region, run in
      for number in UInt64(1)...5 {
        try push(number, form: form, on: region)
        run.acknowledge(Int(number))
      }
    } check: {
      check($0)
    }
  }
}

/// The structures under one name.
enum Structure: String, CaseIterable {
  case log, slots, list

  @discardableResult
  func explore(
    _ form: Form, options: CrashExplorer.Options = .init()
  ) throws -> CrashExploration {
    switch self {
    case .log: try CountedLog.explore(form, options: options)
    case .slots: try TwoSlots.explore(form, options: options)
    case .list: try LinkedList.explore(form, options: options)
    }
  }
}
