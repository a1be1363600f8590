// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPersistence

// The walk over all crash states of a recording.
//
//   W1  Between two states only the lines that differ are written: an image is never built anew.
//   W2  A state is its image and what was acknowledged; it is checked once, where it first occurs.
//       States are told apart by a 64-bit hash: of a million states two are mistaken for each other
//       with a probability below 10^-7.
//   W3  After a crash point every line of the image holds what has settled.

/// Builds and checks the states of one recording.
struct CrashWalk: ~Copyable {
  typealias Check = (borrowing CrashImage) throws -> Bool

  let options: CrashExplorer.Options
  let recording: CrashRecording
  var image: CrashImage
  var model: PersistenceModel
  /// What has settled, eight words for each line.
  private var settled: [LineWords]
  /// The hash of the settled lines.
  private var baseHash: UInt64 = 0
  private var seen: HashSet
  private var random: SeededRandom
  /// Entries that have been applied.
  private(set) var done = 0
  /// The entry that made each group of the model.
  var entryOfGroup: [Int: Int] = [:]
  var summary = CrashExploration()

  // The crash point at hand.

  private(set) var lines: [OpenLine] = []
  private(set) var variants: [[LineVariant]] = []
  /// What a line adds to the hash when it holds a variant.
  private var deltas: [[UInt64]] = []
  /// Which variant each line of the image holds.
  private var shown: [Int] = []
  private var pointStates = 0
  /// The last failure of the check, in words.
  var reason = ""

  init(_ recording: CrashRecording, initial: [UInt8], options: CrashExplorer.Options) throws {
    self.recording = recording
    self.options = options
    image = try CrashImage(byteCount: initial.count)
    model = PersistenceModel(domain: options.domain)
    random = SeededRandom(seed: options.seed)
    seen = HashSet()
    settled = Array(repeating: LineWords(), count: initial.count / 64)
    for word in WordStore.pieces(of: initial, at: 0) {
      settled[word.line][word.word & 7] = word.value
    }
    for line in settled.indices {
      image.put(settled[line], line: line)
      baseHash ^= Self.hash(line, settled[line])
    }
  }

  /// Checks every state of every crash point; returns the first that fails, as small as can be.
  mutating func run(_ check: Check) throws -> CrashFailure? {
    let first = recording.entries.lastIndex { entry in
      if case .start = entry.step { true } else { false }
    }
    if first == nil, let failure = explore(check) { return failure }
    for index in recording.entries.indices {
      apply(index)
      guard index >= first ?? 0 else { continue }
      if let failure = explore(check) { return failure }
      if summary.stateCount >= options.statesMax {
        summary.isComplete = false
        break
      }
    }
    return nil
  }

  private mutating func apply(_ index: Int) {
    let entry = recording.entries[index]
    switch entry.step {
    case .store(let words, let isNonTemporal):
      model.store(words, thread: entry.thread, isNonTemporal: isNonTemporal)
    case .writeBack(let lines):
      model.writeBack(lines: lines, by: options.writeBack, thread: entry.thread)
    case .fence: model.fence(thread: entry.thread)
    case .acknowledge(let number): image.acknowledged = number
    case .start: model.settleAll()
    }
    if entryOfGroup[model.operationCount] == nil { entryOfGroup[model.operationCount] = index }
    done = index + 1
    for word in model.takeSettled() {
      let line = word.line
      baseHash ^= Self.hash(line, settled[line])
      settled[line][word.word & 7] = word.applied(to: settled[line][word.word & 7])
      baseHash ^= Self.hash(line, settled[line])
      image.put(settled[line], line: line)
    }
  }

  /// Checks the states of the crash point after the entries that are done.
  private mutating func explore(_ check: Check) -> CrashFailure? {
    summary.crashPointCount += 1
    let isExhaustive = openLines()
    pointStates = 0
    // First everything: with that a program fails whose own order is wrong.
    var failing: [Int]?
    if visit(everything, check) == false {
      failing = everything
    } else if isExhaustive {
      failing = exhaust(check)
    } else {
      summary.isExhaustive = false
      failing = sample(check)
    }
    let found = failing.map { diagnose(minimised($0, check), check) }
    show(nothing)
    return found
  }

  /// Lists what each line may hold; returns whether all combinations of it will be visited.
  private mutating func openLines() -> Bool {
    var isExhaustive = true
    var total = 1
    let previous = lines
    let (previousVariants, previousDeltas) = (variants, deltas)
    lines = []
    variants = []
    deltas = []
    var place = 0
    for number in model.open.keys.sorted() {
      let stores = model.open[number] ?? []
      while place < previous.count, previous[place].line < number { place += 1 }
      if place < previous.count, previous[place].line == number,
        previous[place].stores == stores, previous[place].settled == settled[number]
      {
        lines.append(previous[place])
        variants.append(previousVariants[place])
        deltas.append(previousDeltas[place])
      } else {
        let line = OpenLine(line: number, stores: stores, settled: settled[number])
        let found = line.variants(limit: options.contentsPerLineMax, random: &random).variants
        let own = Self.hash(number, settled[number])
        lines.append(line)
        variants.append(found)
        deltas.append(found.map { Self.hash(number, $0.words) ^ own })
      }
      let count = lines[lines.count - 1].survivorCount(limit: options.contentsPerLineMax + 1)
      if count > options.contentsPerLineMax { isExhaustive = false }
      total = min(options.statesPerPointMax + 1, total * variants[variants.count - 1].count)
    }
    shown = nothing
    return isExhaustive && total <= options.statesPerPointMax
  }

  // States: for each line the number of a variant.

  var nothing: [Int] { Array(repeating: 0, count: lines.count) }
  var everything: [Int] { variants.map { $0.count - 1 } }

  /// Visits every combination; returns the first that fails.
  private mutating func exhaust(_ check: Check) -> [Int]? {
    var state = nothing
    while pointStates < pointMax {
      if visit(state, check) == false { return state }
      var place = 0
      while place < state.count {
        state[place] += 1
        if state[place] < variants[place].count { break }
        state[place] = 0
        place += 1
      }
      if place == state.count { return nil }
    }
    return nil
  }

  /// Visits none, each single line, all but one, and random states; returns the first that fails.
  private mutating func sample(_ check: Check) -> [Int]? {
    let (none, all) = (nothing, everything)
    if pointStates < pointMax, visit(none, check) == false { return none }
    for (base, other) in [(none, all), (all, none)] {
      for place in lines.indices where pointStates < pointMax {
        var state = base
        state[place] = other[place]
        if visit(state, check) == false { return state }
      }
    }
    // A fixed number of attempts, since few of the states of a point may be new. In turn: one line
    // in part among none and among all others, whole lines, parts of every line.
    for attempt in 0..<options.statesPerPointMax where pointStates < pointMax {
      var state = attempt & 4 == 0 ? none : all
      if attempt & 1 == 0 {
        let place = random.below(lines.count)
        state[place] = random.below(variants[place].count)
      } else {
        for place in lines.indices {
          let count = variants[place].count
          state[place] =
            attempt & 2 == 0 ? random.below(count) : random.below(2) * (count - 1)
        }
      }
      if visit(state, check) == false { return state }
    }
    return nil
  }

  /// States that may be checked at this point: as many as the bounds of point and run leave.
  private var pointMax: Int {
    min(options.statesPerPointMax, options.statesMax - summary.stateCount + pointStates)
  }

  /// Checks a state unless it has been; nil where it has.
  @inline(__always)
  private mutating func visit(_ state: [Int], _ check: Check) -> Bool? {
    var key = baseHash ^ UInt64(bitPattern: Int64(image.acknowledged)) &* 0x9E37_79B9_7F4A_7C15
    for place in state.indices { key ^= deltas[place][state[place]] }
    guard seen.insert(key) else { return nil }
    pointStates += 1
    summary.stateCount += 1
    return passes(state, check)
  }

  /// Shows a state to the check.
  mutating func passes(_ state: [Int], _ check: Check) -> Bool {
    show(state)
    var passes = false
    do {
      passes = try check(image)
      if !passes { reason = "the check returned false" }
    } catch {
      reason = "\(error)"
    }
    if image.takeTouch() {
      for line in settled.indices { image.put(settled[line], line: line) }
      shown = nothing
    }
    return passes
  }

  private mutating func show(_ state: [Int]) {
    for place in state.indices where shown[place] != state[place] {
      image.put(variants[place][state[place]].words, line: lines[place].line)
      shown[place] = state[place]
    }
  }

  /// The bytes of the image with a state.
  mutating func bytes(of state: [Int]) -> [UInt8] {
    show(state)
    return image.bytes(0..<image.byteCount)
  }

  /// Equal for equal content of the same line; that of an empty line costs nothing.
  private static func hash(_ line: Int, _ words: LineWords) -> UInt64 {
    if words == LineWords() { return 0 }
    // Mixed first: else a neighbouring number and a neighbouring line would be one.
    var source = SeededRandom(seed: 1, stream: UInt64(line) &+ 1)
    var hash = source.next()
    for word in 0..<8 {
      hash = (hash ^ words[word]) &* 0xBF58_476D_1CE4_E5B9
      hash ^= hash >> 29
    }
    hash = (hash ^ hash >> 32) &* 0x94D0_49BB_1331_11EB
    return hash ^ hash >> 31
  }
}

/// A set of hashes: open addressing, as they are random already.
struct HashSet {
  private var slots: [UInt64] = Array(repeating: 0, count: 1 << 12)
  private var count = 0
  private var hasZero = false

  /// Adds a hash; false where it is there already.
  mutating func insert(_ hash: UInt64) -> Bool {
    if hash == 0 {
      defer { hasZero = true }
      return !hasZero
    }
    var place = Int(truncatingIfNeeded: hash) & (slots.count - 1)
    while slots[place] != 0 {
      if slots[place] == hash { return false }
      place = (place + 1) & (slots.count - 1)
    }
    slots[place] = hash
    count += 1
    if count * 2 > slots.count { grow() }
    return true
  }

  private mutating func grow() {
    let old = slots
    slots = Array(repeating: 0, count: old.count * 2)
    for hash in old where hash != 0 {
      var place = Int(truncatingIfNeeded: hash) & (slots.count - 1)
      while slots[place] != 0 { place = (place + 1) & (slots.count - 1) }
      slots[place] = hash
    }
  }
}
