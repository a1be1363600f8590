// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What moving costs, in the view of one step.
struct MigrationCost {
  let nanosecondsPerIsland: Double
  let nanosecondsPerMove: Double

  init(_ tiers: TierPair, copyBytesPerSecond: Double, to destination: Tier) {
    let source = destination == .fast ? tiers.slow : tiers.fast
    let target = destination == .fast ? tiers.fast : tiers.slow
    let speed = max(
      1e6, min(copyBytesPerSecond, source.readBytesPerSecond, target.writeBytesPerSecond))
    nanosecondsPerIsland = Double(TierUnit.islandBytes) / speed * 1e9
    nanosecondsPerMove = max(0, tiers.migrationNanoseconds)
  }

  func nanoseconds(_ islands: Int) -> Double {
    nanosecondsPerMove + nanosecondsPerIsland * Double(islands)
  }

  func perIsland(_ islands: Int) -> Double { nanoseconds(islands) / Double(max(1, islands)) }
}

extension AdaptivePlacement {
  /// Costs, room and reasons of one step.
  struct Decision {
    let now: Int64
    let up: MigrationCost
    let down: MigrationCost
    /// Bytes that may still be filled.
    var free: Int
    /// Bytes to free for the reserve.
    var missing: Int
    /// Whether more lies in fast memory than may.
    let isOver: Bool
    /// Heat that moves to fast memory less what moves away.
    var gain = 0.0
  }

  /// Returns the heat that moves to fast memory less what moves away.
  mutating func decide(
    _ view: borrowing PlacementView, seconds: Double, into migrations: inout [Migration]
  ) -> Double {
    let tiers = view.tiers
    var used = bytesUnderWay
    for state in states where state.isKnown {
      used += IslandSet(rawValue: state.present & ~state.slow).bytes
    }
    let reserve = min(
      Double(tiers.fastBytes) * parameters.reserveShare, growth * parameters.reserveSeconds)
    let budget = max(0, tiers.fastBytes - Int(reserve))
    var decision = Decision(
      now: view.timeNanoseconds,
      up: MigrationCost(tiers, copyBytesPerSecond: parameters.copyBytesPerSecond, to: .fast),
      down: MigrationCost(tiers, copyBytesPerSecond: parameters.copyBytesPerSecond, to: .slow),
      free: max(0, budget - used), missing: max(0, used - budget),
      isOver: used > tiers.fastBytes)
    makePlan(capacity: budget / TierUnit.islandBytes, now: decision.now)
    let isUrgent = plan.rising.first.map { paysUrgently($0, decision) } ?? false
    // The faster samples come the sooner one knows, and the sooner it may be spent.
    var share = min(parameters.moverShareUrgent, parameters.moverShare / min(1, pace))
    if isUrgent {
      share = min(
        parameters.moverShareUrgent, share + account.credit / 1e9 * parameters.moverShareCredit)
    }
    account.advance(seconds: seconds, allowance: parameters.allowance, moverShare: share)
    var victims = 0
    keepReserve(&decision, nextVictim: &victims, into: &migrations)
    exchange(&decision, nextVictim: &victims, into: &migrations)
    return decision.gain
  }

  // MARK: - What might move

  /// Fills the histogram, finds the cut and collects the candidates.
  mutating func makePlan(capacity: Int, now: Int64) {
    plan.clear()
    let overall = sketch.concentration
    // Two passes: the cut is known only after the first.
    for index in states.indices where states[index].isKnown {
      let state = states[index]
      let estimate = groups.estimates[Int(state.group)].mean
      let present = state.present.nonzeroBitCount
      guard present > 0 else { continue }
      if isSplit(index, overall: overall) {
        let shares = sketch.share(
          out: index, present: state.present, slow: state.slow, at: now
        ) { _, share in plan.count(1, heat: estimate * share) }
        let unseen = state.present & ~shares.seen
        plan.count((unseen & ~state.slow).nonzeroBitCount, heat: estimate * shares.unseenFast)
        plan.count((unseen & state.slow).nonzeroBitCount, heat: estimate * shares.unseenSlow)
      } else {
        plan.count(present, heat: estimate / Float(present))
      }
    }
    plan.findCut(capacity: capacity)
    for index in states.indices where states[index].isKnown && states[index].isMovable {
      let state = states[index]
      guard state.underWay == 0, now >= state.retryAt, state.present != 0 else { continue }
      if isSplit(index, overall: overall) {
        addScattered(index, state, now: now)
      } else {
        addWhole(index, state, now: now)
      }
    }
    plan.order()
  }

  /// Whether a chunk's islands are to be judged one by one.
  private func isSplit(_ index: Int, overall: Double) -> Bool {
    guard moveUnit == .island else { return false }
    let concentration = sketch.concentration(
      of: index, overall: overall, prior: parameters.splitPrior)
    return concentration >= parameters.splitConcentration
  }

  /// Expected heat of a chunk, on the side that speaks against moving it.
  private func careful(_ state: ChunkState, rises: Bool) -> Float {
    let estimate = groups.estimates[Int(state.group)]
    let margin = Float(parameters.confidence) * estimate.error
    return max(0, rises ? estimate.mean * balance - margin : estimate.mean + margin)
  }

  /// For how long its heat is expected to last: as long again as it has lasted.
  private func horizon(_ state: ChunkState, now: Int64) -> Float {
    let age = state.warmSince < now ? Double(now - state.warmSince) / 1e9 : 0
    return Float(min(parameters.horizonSecondsMax, max(parameters.horizonSeconds, age)))
  }

  private func isNew(_ state: ChunkState, now: Int64) -> Bool {
    let grace = Int64(parameters.graceSeconds * 1e9)
    return now - state.seenAt < grace || (state.wasPromoted && now - state.movedAt < grace)
  }

  private mutating func addWhole(_ index: Int, _ state: ChunkState, now: Int64) {
    let present = Float(state.present.nonzeroBitCount)
    let bucket = PlacementPlan.bucket(groups.estimates[Int(state.group)].mean / present)
    let slow = state.slow & state.present
    if slow != 0, bucket >= plan.cut {
      let heat = careful(state, rises: true) / present
      if heat > 0 {
        plan.rise(
          PlacementCandidate(
            chunk: Int32(index), islands: slow, heat: heat,
            lately: state.short,
            horizonSeconds: horizon(state, now: now)))
        return
      }
    }
    let fast = state.present & ~state.slow
    guard fast != 0, !isNew(state, now: now) else { return }
    if state.idle & fast != 0, moveUnit == .island || fast & ~state.idle == 0 {
      plan.fall(
        PlacementCandidate(chunk: Int32(index), islands: state.idle & fast, heat: 0, lately: 0))
    } else if bucket <= plan.cut {
      let heat = careful(state, rises: false) / present
      plan.fall(
        PlacementCandidate(chunk: Int32(index), islands: fast, heat: heat, lately: state.short))
    }
  }

  /// The islands of a chunk by how far from the cut they are: a candidate for each octave, as what
  /// lies far from it pays where the mean of all of them would not.
  private mutating func addScattered(
    _ index: Int, _ state: ChunkState, now: Int64
  ) {
    let mean = groups.estimates[Int(state.group)].mean
    let cut = plan.cut
    var rising = IslandLevels()
    var falling = IslandLevels()
    func sort(_ islands: UInt64, _ share: Float) {
      let bucket = PlacementPlan.bucket(mean * share)
      if bucket > cut {
        rising.add(islands & state.slow, share: share, bucketsOff: bucket - cut - 1)
      } else {
        let idle = islands & ~state.slow & state.idle
        falling.add(islands & ~state.slow & ~idle, share: share, bucketsOff: cut - bucket)
        falling.add(idle, share: 0, bucketsOff: .max)
      }
    }
    let shares = sketch.share(
      out: index, present: state.present, slow: state.slow, at: now
    ) { island, share in sort(1 << UInt64(island), share) }
    let unseen = state.present & ~shares.seen
    sort(unseen & ~state.slow, shares.unseenFast)
    sort(unseen & state.slow, shares.unseenSlow)
    let low = careful(state, rises: true)
    let horizonSeconds = horizon(state, now: now)
    if low > 0 {
      rising.forEach { islands, share in
        plan.rise(
          PlacementCandidate(
            chunk: Int32(index), islands: islands, heat: low * share, lately: state.short,
            horizonSeconds: horizonSeconds))
      }
    }
    guard !isNew(state, now: now) else { return }
    let high = careful(state, rises: false)
    falling.forEach { islands, share in
      plan.fall(
        PlacementCandidate(
          chunk: Int32(index), islands: islands, heat: high * share, lately: state.short))
    }
  }

  // MARK: - What moves

  /// Gain over cost of bringing a candidate in, if room costs nothing.
  private func paysUrgently(_ candidate: PlacementCandidate, _ decision: Decision) -> Bool {
    let gain = Double(candidate.heat) * scale.saving * Double(candidate.horizonSeconds)
    let cost =
      decision.up.perIsland(candidate.count) + decision.down.nanosecondsPerIsland
    return gain > parameters.urgency * cost
  }

  /// Whether exchanging islands pays; `victim` is nil where there is room.
  private func pays(
    _ candidate: PlacementCandidate, for victim: PlacementCandidate?, factor: Double,
    _ decision: Decision
  ) -> Bool {
    var heat = Double(candidate.heat)
    var cost = decision.up.perIsland(candidate.count)
    if let victim {
      heat -= Double(victim.heat) * (1 + parameters.band)
      cost += decision.down.perIsland(victim.count)
    }
    let gain = heat * scale.saving * Double(candidate.horizonSeconds)
    return gain > parameters.margin * factor * cost
  }

  /// Factor by which a chunk that went back and forth must earn more.
  private func turnFactor(_ chunk: Int32, _ decision: Decision) -> Double {
    let turns = states[Int(chunk)].turns(
      at: decision.now, fadingNanoseconds: Int64(parameters.turnSeconds * 1e9))
    return turns > 0 ? 1 / exponential(-Double(turns) * (parameters.turnFactor - 1)) : 1
  }

  private mutating func keepReserve(
    _ decision: inout Decision, nextVictim: inout Int, into migrations: inout [Migration]
  ) {
    let islandsMean = groups.mean / Float(TierUnit.islandsPerChunk)
    while decision.missing > 0, nextVictim < plan.falling.count, account.tokens > 0 {
      let victim = plan.falling[nextVictim]
      guard isFree(victim) else {
        nextVictim += 1
        continue
      }
      let isCold = Double(victim.heat) < Double(islandsMean) * parameters.reserveHeat
      guard decision.isOver || (isCold && account.canSpend) else { return }
      nextVictim += 1
      let bytes = emit(victim, to: .slow, because: .reserve, &decision, into: &migrations)
      decision.missing -= bytes
    }
  }

  private mutating func exchange(
    _ decision: inout Decision, nextVictim: inout Int, into migrations: inout [Migration]
  ) {
    guard decision.now >= fullUntil else { return }
    var refused = 0
    for candidate in plan.rising {
      guard account.tokens > 0, refused < 64 else { return }
      guard isFree(candidate) else { continue }
      let isReturn = states[Int(candidate.chunk)].lowered & candidate.islands != 0
      guard account.canSpend || isReturn else { continue }
      let need = IslandSet(rawValue: candidate.islands).bytes
      let factor = turnFactor(candidate.chunk, decision)
      // Look first whether there is room enough and all of it pays; then take it.
      var room = decision.free
      var last = nextVictim
      var isWorth = room >= need && pays(candidate, for: nil, factor: factor, decision)
      while room < need, last < plan.falling.count {
        let victim = plan.falling[last]
        last += 1
        guard isFree(victim), victim.chunk != candidate.chunk else { continue }
        isWorth = pays(candidate, for: victim, factor: factor, decision)
        guard isWorth else { break }
        room += IslandSet(rawValue: victim.islands).bytes
      }
      guard isWorth, room >= need else {
        refused += 1
        continue
      }
      while nextVictim < last {
        let victim = plan.falling[nextVictim]
        nextVictim += 1
        guard isFree(victim), victim.chunk != candidate.chunk else { continue }
        decision.free += emit(
          victim, to: .slow, because: .exchange, &decision, into: &migrations)
      }
      // P2: of victims of one chunk only the first was taken; the next candidate has the room.
      guard decision.free >= need else { continue }
      let bytes = emit(candidate, to: .fast, because: .hot, &decision, into: &migrations)
      decision.free -= bytes
    }
  }

  /// Whether the chunk may still be decided on: of several candidates of a chunk one moves a step.
  private func isFree(_ candidate: PlacementCandidate) -> Bool {
    states[Int(candidate.chunk)].underWay == 0
  }

  /// Appends a decision and books it; returns its bytes.
  private mutating func emit(
    _ candidate: PlacementCandidate, to destination: Tier, because reason: Migration.Reason,
    _ decision: inout Decision, into migrations: inout [Migration]
  ) -> Int {
    let islands = IslandSet(rawValue: candidate.islands)
    let cost = destination == .fast ? decision.up : decision.down
    let nanoseconds = cost.nanoseconds(islands.count)
    migrations.append(
      Migration(chunk: candidate.chunk, islands: islands, to: destination, because: reason))
    account.spend(nanoseconds, because: reason)
    account.take(nanoseconds)
    let bytes = destination == .fast ? islands.bytes : -islands.bytes
    let heat = Double(candidate.heat) * Double(islands.count)
    decision.gain += destination == .fast ? heat : -heat
    let chunk = Int(candidate.chunk)
    states[chunk].underWay = candidate.islands
    states[chunk].underWaySince = decision.now
    states[chunk].bytesUnderWay = bytes
    states[chunk].costUnderWay = nanoseconds
    bytesUnderWay += bytes
    return islands.bytes
  }
}
