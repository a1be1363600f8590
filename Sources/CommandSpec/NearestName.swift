// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Finds the known name that a mistyped one most likely stands for.
///
/// A candidate qualifies within a third of its length in edits (at least one), or when the typed
/// name is the beginning of that candidate alone.
///
/// - Parameters:
///   - typed: The name as it was typed.
///   - candidates: The names that exist, in the order in which ties are decided.
/// - Returns: The nearest candidate, or nil when nothing is near enough to be worth offering.
/// - Complexity: O(*n*·*m*) per candidate in the lengths of the two names.
package func nearestName(to typed: String, among candidates: [String]) -> String? {
  let extended = candidates.filter { typed.count >= 2 && $0.hasPrefix(typed) }
  if extended.count == 1 { return extended.first }
  var nearest: (name: String, distance: Int)?
  for candidate in candidates {
    let distance = editDistance(typed, candidate)
    guard distance <= max(1, candidate.count / 3) else { continue }
    if distance < nearest?.distance ?? Int.max { nearest = (candidate, distance) }
  }
  return nearest?.name
}

/// Counts the insertions, deletions, substitutions and swaps of neighbours between two names.
///
/// This is the optimal-string-alignment distance: no part of a name is edited twice.
///
/// - Parameters:
///   - first: One name.
///   - second: The other name.
/// - Returns: The distance, zero for equal names.
/// - Complexity: O(*n*·*m*) in the lengths of the two names.
package func editDistance(_ first: String, _ second: String) -> Int {
  let source = Array(first)
  let target = Array(second)
  if source.isEmpty || target.isEmpty { return max(source.count, target.count) }
  var beforeLast = [Int](repeating: 0, count: target.count + 1)
  var last = Array(0...target.count)
  for row in 1...source.count {
    var current = [Int](repeating: row, count: target.count + 1)
    for column in 1...target.count {
      let substitution = source[row - 1] == target[column - 1] ? 0 : 1
      var best = min(last[column] + 1, current[column - 1] + 1, last[column - 1] + substitution)
      let swapped =
        row > 1 && column > 1 && source[row - 1] == target[column - 2]
        && source[row - 2] == target[column - 1]
      if swapped { best = min(best, beforeLast[column - 2] + 1) }
      current[column] = best
    }
    beforeLast = last
    last = current
  }
  return last[target.count]
}
