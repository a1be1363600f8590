// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Remarks that wait to be told, each told once.
struct RemarkList {
  private var waiting: [String] = []
  private var told: Set<String> = []

  /// The most that are told of one session: beyond that they would be noise.
  private static let countMax = 64

  /// Adds a remark, unless it was told before.
  mutating func add(_ remark: String) {
    guard told.count <= Self.countMax, told.insert(remark).inserted else { return }
    waiting.append(told.count > Self.countMax ? "further remarks are left out" : remark)
  }

  /// Hands over what waits.
  mutating func take() -> [String] {
    defer { waiting = [] }
    return waiting
  }
}
