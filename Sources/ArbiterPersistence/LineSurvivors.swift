// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterCore

/// The eight words of a cache line.
public typealias LineWords = SIMD8<UInt64>

/// Which open stores of one line have arrived, by the rules P2 and P5 of the model.
public struct LineSurvivors: Sendable, Hashable {
  /// How many groups of cached stores have arrived whole.
  public var wholeGroups = 0
  /// The words of the next group that have arrived, one bit each.
  public var partialWords: UInt8 = 0
  /// How many non-temporal stores to each word have arrived.
  public var streamedCounts = SIMD8<UInt32>()
}

/// One way in which a line may be found after a loss of power.
public struct LineVariant: Sendable, Hashable {
  /// Which of the open stores have arrived.
  public var survivors: LineSurvivors
  /// What the line then holds.
  public var words: LineWords
}

/// The open stores of one line, and what may have arrived of them.
public struct OpenLine: Sendable {
  /// The number of the line.
  public let line: Int
  /// The stores, in program order.
  public let stores: [OpenStore]
  /// What the line holds if none has arrived.
  public let settled: LineWords
  /// Of each store: the number of its group among the cached ones, or its rank among the
  /// non-temporal stores to its word.
  private let ranks: [Int]
  /// The words of each group of cached stores, one bit each.
  private let groups: [UInt8]
  /// How many non-temporal stores there are to each word.
  private let streamedCounts: SIMD8<UInt32>

  /// Makes the line from its open stores and its settled content.
  public init(line: Int, stores: [OpenStore], settled: LineWords) {
    var ranks: [Int] = []
    var groups: [UInt8] = []
    var streamed = SIMD8<UInt32>()
    var lastGroup = -1
    for store in stores {
      let word = store.store.word & 7
      if store.isNonTemporal {
        ranks.append(Int(streamed[word]))
        streamed[word] += 1
      } else {
        if store.group != lastGroup { groups.append(0) }
        lastGroup = store.group
        groups[groups.count - 1] |= 1 << UInt8(word)
        ranks.append(groups.count - 1)
      }
    }
    self.line = line
    self.stores = stores
    self.settled = settled
    self.ranks = ranks
    self.groups = groups
    streamedCounts = streamed
  }

  /// Whether a store is among those that have arrived.
  public func survives(storeAt index: Int, in survivors: LineSurvivors) -> Bool {
    let word = stores[index].store.word & 7
    if stores[index].isNonTemporal { return ranks[index] < survivors.streamedCounts[word] }
    return ranks[index] < survivors.wholeGroups
      || ranks[index] == survivors.wholeGroups && survivors.partialWords >> UInt8(word) & 1 == 1
  }

  /// What the line holds when just these stores have arrived.
  public func words(_ survivors: LineSurvivors) -> LineWords {
    var words = settled
    for index in stores.indices where survives(storeAt: index, in: survivors) {
      let store = stores[index].store
      words[store.word & 7] = store.applied(to: words[store.word & 7])
    }
    return words
  }

  /// All open stores have arrived.
  public var all: LineSurvivors {
    LineSurvivors(wholeGroups: groups.count, streamedCounts: streamedCounts)
  }

  /// How many sets of stores may have arrived; at most `limit` is counted.
  public func survivorCount(limit: Int) -> Int {
    var count = 1
    for group in groups {
      count += (1 << group.nonzeroBitCount) - 1
      if count >= limit { return limit }
    }
    for word in 0..<8 {
      count = min(limit, count * (Int(streamedCounts[word]) + 1))
    }
    return min(limit, count)
  }

  /// The different contents that the line may have: first that without any open store, last that
  /// with all of them.
  ///
  /// - Parameters:
  ///   - limit: Where there are more sets of stores than this, a choice of them: whole groups,
  ///     each single word and all but one of the group under way, and random ones.
  ///   - random: For the choice.
  /// - Returns: The variants, and whether they are all.
  public func variants(
    limit: Int, random: inout SeededRandom
  ) -> (variants: [LineVariant], isExhaustive: Bool) {
    let isExhaustive = survivorCount(limit: limit + 1) <= limit
    var found: [LineVariant] = []
    var seen: Set<LineWords> = []
    func add(_ survivors: LineSurvivors) {
      let words = words(survivors)
      if seen.insert(words).inserted {
        found.append(LineVariant(survivors: survivors, words: words))
      }
    }
    add(LineSurvivors())
    if isExhaustive {
      for cached in cachedChoices(isExhaustive: true, limit: limit, random: &random) {
        for streamed in streamedChoices() {
          add(merged(cached, streamed))
        }
      }
    } else {
      addChoice(limit: limit, random: &random, add)
    }
    // Last comes the line with everything, also where other sets give the same content.
    let last = LineVariant(survivors: all, words: words(all))
    let first = found.removeFirst()
    found.removeAll { $0.words == last.words }
    if !found.isEmpty || first.words != last.words { found.append(last) }
    return ([first] + found, isExhaustive)
  }

  private func merged(_ cached: LineSurvivors, _ streamed: SIMD8<UInt32>) -> LineSurvivors {
    var survivors = cached
    survivors.streamedCounts = streamed
    return survivors
  }

  /// A choice of sets, each offered to `add`.
  private func addChoice(
    limit: Int, random: inout SeededRandom, _ add: (LineSurvivors) -> Void
  ) {
    for cached in cachedChoices(isExhaustive: false, limit: limit, random: &random) {
      add(cached)
      add(merged(cached, streamedCounts))
    }
    for word in 0..<8 where streamedCounts[word] > 0 {
      var single = SIMD8<UInt32>()
      single[word] = streamedCounts[word]
      add(merged(LineSurvivors(), single))
      add(merged(all, streamedCounts &- single))
    }
    for _ in 0..<max(8, limit / 4) {
      var survivors = LineSurvivors()
      survivors.wholeGroups = random.below(groups.count + 1)
      if survivors.wholeGroups < groups.count {
        let words = groups[survivors.wholeGroups]
        survivors.partialWords = words & UInt8(truncatingIfNeeded: random.next() >> 32)
        if survivors.partialWords == words {
          survivors.partialWords = 0
          survivors.wholeGroups += 1
        }
      }
      for word in 0..<8 where streamedCounts[word] > 0 {
        survivors.streamedCounts[word] = UInt32(random.below(Int(streamedCounts[word]) + 1))
      }
      add(survivors)
    }
  }

  /// What may have arrived of the cached stores: everything, or what is most telling.
  private func cachedChoices(
    isExhaustive: Bool, limit: Int, random: inout SeededRandom
  ) -> [LineSurvivors] {
    var choices = [LineSurvivors()]
    // Of a long history the ends say most.
    let step = isExhaustive ? 1 : max(1, groups.count / max(1, limit / 4))
    for (index, group) in groups.enumerated() where index % step == 0 || index + 1 == groups.count {
      let isLast = index + 1 == groups.count
      if isExhaustive {
        var subset: UInt8 = (0 &- group) & group
        while subset != group {
          choices.append(LineSurvivors(wholeGroups: index, partialWords: subset))
          subset = (subset &- group) & group
        }
      } else if isLast, group.nonzeroBitCount > 1 {
        for word in UInt8(0)..<8 where group >> word & 1 == 1 {
          choices.append(LineSurvivors(wholeGroups: index, partialWords: 1 << word))
          choices.append(LineSurvivors(wholeGroups: index, partialWords: group & ~(1 << word)))
        }
      }
      choices.append(LineSurvivors(wholeGroups: index + 1))
    }
    return choices
  }

  /// Every number of arrived non-temporal stores per word.
  private func streamedChoices() -> [SIMD8<UInt32>] {
    var choices = [SIMD8<UInt32>()]
    for word in 0..<8 where streamedCounts[word] > 0 {
      let before = choices
      for count in 1...streamedCounts[word] {
        choices += before.map {
          var choice = $0
          choice[word] = count
          return choice
        }
      }
    }
    return choices
  }
}
