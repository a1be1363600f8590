// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPersistence

// From a failing state to what is wrong with the program.
//
//   all that was stored survives, and still the check fails          wrong order
//   parts of the store that the crash interrupts are lost            torn store
//   what is lost was written back, or went past the cache; no fence  missing fence
//   what is lost would be written back before the next fence         missing fence
//   else                                                             missing flush

extension CrashWalk {
  /// The state with as few lost stores as still fails.
  mutating func minimised(_ state: [Int], _ check: Check) -> [Int] {
    var state = state
    let before = reason
    var isSmaller = true
    while isSmaller {
      isSmaller = false
      for place in state.indices {
        let lost = lostCount(place, state[place])
        let better = variants[place].indices
          .map { (variant: $0, lost: lostCount(place, $0)) }
          .filter { $0.lost < lost }.sorted { $0.lost < $1.lost }
        for candidate in better {
          var attempt = state
          attempt[place] = candidate.variant
          if !passes(attempt, check) {
            state = attempt
            isSmaller = true
            break
          }
        }
      }
    }
    reason = before
    return state
  }

  private func lostCount(_ place: Int, _ variant: Int) -> Int {
    let survivors = variants[place][variant].survivors
    return lines[place].stores.indices.count {
      !lines[place].survives(storeAt: $0, in: survivors)
    }
  }

  /// Says what a failing state means.
  mutating func diagnose(_ state: [Int], _ check: Check) -> CrashFailure {
    // The reason is that of the state that is reported.
    _ = passes(state, check)
    var lost: [OpenStore] = []
    var survived: [OpenStore] = []
    for (place, line) in lines.enumerated() {
      let survivors = variants[place][state[place]].survivors
      for index in line.stores.indices {
        if line.survives(storeAt: index, in: survivors) {
          survived.append(line.stores[index])
        } else {
          lost.append(line.stores[index])
        }
      }
    }
    let calls = recording.calls
    let entries = recording.entries[..<done]
    let last = entries.last.map { calls[$0.call] }
    let fences = entries.count { if case .fence = $0.step { true } else { false } }
    return CrashFailure(
      kind: kind(lost), reason: reason, domain: options.domain, seed: options.seed,
      operation: last?.text ?? "nothing", site: last?.site ?? CallSite(),
      operationCount: entries.last.map { $0.call + 1 } ?? 0, fenceCount: fences,
      lost: places(lost), survived: places(survived), acknowledged: image.acknowledged,
      stateCount: summary.stateCount, image: bytes(of: state))
  }

  private func kind(_ lost: [OpenStore]) -> CrashFailure.Kind {
    if lost.isEmpty { return .wrongOrder }
    if lost.allSatisfy({ entryOfGroup[$0.group] == done - 1 }) {
      return .tornStore
    }
    return lost.contains { isNeverFlushed($0) } ? .missingFlush : .missingFence
  }

  /// Whether nothing asks for a store's line before the next fence of its thread.
  private func isNeverFlushed(_ store: OpenStore) -> Bool {
    if store.isNonTemporal || model.isWrittenBack(store) { return false }
    guard let origin = entryOfGroup[store.group] else { return false }
    // The caches survive: what is open is under way, and only a fence ends that.
    if options.domain == .eadr { return false }
    for entry in recording.entries[(origin + 1)...] where entry.thread == store.thread {
      switch entry.step {
      case .fence: return true
      case .writeBack(let lines) where lines.contains(store.store.line): return false
      default: break
      }
    }
    return true
  }

  /// Merges stores of one operation to one line.
  private func places(_ stores: [OpenStore]) -> [CrashFailure.LineLoss] {
    var found: [CrashFailure.LineLoss] = []
    var index: [SIMD2<Int>: Int] = [:]
    for store in stores {
      guard let entry = entryOfGroup[store.group] else { continue }
      let call = recording.calls[recording.entries[entry].call]
      let key = SIMD2(store.group, store.store.line)
      let start = store.store.word << 3
      if let place = index[key] {
        let range = found[place].bytes
        found[place].bytes =
          min(range.lowerBound, start)..<max(range.upperBound, start + 8)
      } else {
        index[key] = found.count
        found.append(
          CrashFailure.LineLoss(
            line: store.store.line, bytes: start..<start + 8, operation: call.text,
            site: call.site))
      }
    }
    return found
  }
}
