// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

extension AdaptivePlacement {
  /// Takes over where the chunks lie; returns the bytes of those that are new.
  mutating func refresh(_ view: borrowing PlacementView) -> Int {
    let now = view.timeNanoseconds
    let chunks = view.chunks
    grow(to: chunks.capacity)
    let isFirst = groups.mean == 0
    var newBytes = 0
    for index in states.indices {
      guard let chunk = chunks[index] else {
        states[index].isKnown = false
        continue
      }
      if !states[index].isKnown {
        states[index].isKnown = true
        states[index].seenAt = isFirst ? Int64.min / 2 : now
        newBytes += chunk.presentIslands.bytes
      }
      states[index].slow = chunk.slowIslands.rawValue
      states[index].present = chunk.presentIslands.rawValue
      states[index].isMovable = chunk.isMovable
      if states[index].underWay != 0, now - states[index].underWaySince > 10_000_000_000 {
        // Its outcome was lost.
        bytesUnderWay -= states[index].bytesUnderWay
        states[index].underWay = 0
        states[index].bytesUnderWay = 0
      }
    }
    return isFirst ? 0 : newBytes
  }

  /// Turns the samples since the last step into averages, and into what their groups are worth.
  mutating func learn(elapsed: Int64, now: Int64) {
    let seconds = Double(elapsed) / 1e9
    let shortFactor = Float(exponential(-seconds / (parameters.shortSeconds * pace)))
    let longFactor = Float(exponential(-seconds / parameters.longSeconds))
    // In a steady state the average holds this many times the heat of a second.
    let shortRate = (1 - shortFactor) / Float(seconds)
    let longRate = (1 - longFactor) / Float(seconds)
    let unit = scale.unitMax
    var slowHeat = 0.0
    groups.clearMembers()
    for index in states.indices where states[index].isKnown {
      var state = states[index]
      let isSlow = state.slow.nonzeroBitCount > TierUnit.islandsPerChunk / 2
      // What comes in one burst is not trusted: at most a sample, or three times what is usual.
      let usual = max(state.short * shortRate, state.long * longRate) * Float(seconds)
      let heat = min(state.pending, unit + 2 * usual)
      groups.observe(
        group: state.groupBefore, justBefore: state.group, heat: Double(heat), seconds: seconds)
      state.short = state.short * shortFactor + heat
      state.long = state.long * longFactor + heat
      state.pending = 0
      state.touched = 0
      let group = HeatGroups.group(
        long: state.long, shortRate: state.short * shortRate, longRate: state.long * longRate,
        isSlow: isSlow)
      state.groups = state.groups << 8 | UInt32(group)
      groups.addMember(group)
      if isSlow { slowHeat += Double(heat) }
      state.warmSince = state.long <= HeatGroups.forgotten ? Int64.max : min(state.warmSince, now)
      states[index] = state
    }
    sketch.fade(bySeconds: seconds)
    groups.learn(
      fading: exponential(-seconds / (parameters.learningSeconds * pace)),
      rare: exponential(-seconds / parameters.learningSecondsMax),
      recent: exponential(-seconds / (parameters.doubtSeconds * pace)),
      evidence: parameters.evidence,
      priorSeconds: parameters.priorSeconds * pace, fastUnit: scale.fastUnit,
      slowUnit: scale.slowUnit)
    // G6: the groups lag behind; what all of slow memory got just now does not.
    let faded = exponential(-seconds / (parameters.balanceSeconds * pace))
    slowHeatNow = slowHeatNow * faded + slowHeat
    slowSecondsNow = slowSecondsNow * faded + seconds
    let expected = groups.expectedSlowHeat * slowSecondsNow
    let chance = 2 * (slowHeatNow * scale.slowUnit).squareRoot() + scale.slowUnit
    balance = expected > 0 ? Float(min(1, (slowHeatNow + chance) / expected)) : 1
  }
}
