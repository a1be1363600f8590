// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterSimulator
import Testing

/// What a write-combining buffer with a deterministic victim rule must do, in the plainest words.
private struct ReferenceBuffer {
  struct Entry {
    var block: UInt64
    var mask: UInt8
  }

  let capacity: Int
  let isFirstIn: Bool
  /// Next victim first.
  var entries: [Entry] = []
  /// Full blocks that wait for the medium, in the order in which they became full.
  var full: [UInt64] = []
  var overwritten: UInt64 = 0

  /// Writes a line; returns the dirty block that had to go, if any.
  mutating func write(_ block: UInt64, _ line: Int) -> BlockWrite? {
    var evicted: BlockWrite?
    var place: Int
    if let found = entries.firstIndex(where: { $0.block == block }) {
      place = found
    } else {
      if entries.count == capacity {
        let victim = entries.removeFirst()
        full.removeAll { $0 == victim.block }
        if victim.mask != 0 {
          evicted = BlockWrite(block: victim.block, mask: victim.mask)
        }
      }
      entries.append(Entry(block: block, mask: 0))
      place = entries.count - 1
    }
    let bit: UInt8 = 1 << UInt8(line)
    if entries[place].mask & bit != 0 { overwritten += 1 }
    entries[place].mask |= bit
    if entries[place].mask == 15 && !full.contains(block) { full.append(block) }
    if !isFirstIn { entries.append(entries.remove(at: place)) }
    return evicted
  }

  mutating func takeFull() -> UInt64? {
    if full.isEmpty { return nil }
    let block = full.removeFirst()
    for place in entries.indices where entries[place].block == block { entries[place].mask = 0 }
    return block
  }
}

@Suite("Write-combining buffer")
struct WriteCombiningBufferTests {
  /// Every sequence of 7 steps over three blocks and two slots; a step writes a block's next line,
  /// rewrites its first line, or lets the medium take a full block.
  @Test(arguments: [VictimRule.leastRecent, .firstIn])
  func `every short sequence does what the reference does`(rule: VictimRule) {
    let steps = 7
    let letters = 7
    let profile = profile {
      $0.bufferBlocks = 2
      $0.victimRule = rule
      $0.sweepNanoseconds = 0
    }
    let sequences = (0..<steps).reduce(1) { count, _ in count * letters }
    var wrong = 0
    for sequence in 0..<sequences {
      if !agrees(sequence, steps, letters, profile) { wrong += 1 }
      if wrong == 1 { Issue.record("sequence \(sequence) in base \(letters) differs") }
    }
    #expect(wrong == 0)
  }

  private func agrees(
    _ sequence: Int, _ steps: Int, _ letters: Int, _ profile: DeviceProfile
  ) -> Bool {
    var buffer = WriteCombiningBuffer(profile: profile, random: SeededRandom(seed: 1))
    var reference = ReferenceBuffer(capacity: 2, isFirstIn: profile.victimRule == .firstIn)
    var next = [0, 0, 0]
    var rest = sequence
    for _ in 0..<steps {
      let letter = rest % letters
      rest /= letters
      if letter == 6 {
        guard buffer.hasFull == !reference.full.isEmpty else { return false }
        guard let block = reference.takeFull() else { continue }
        let write = buffer.takeFull()
        guard write.block == block, write.mask == 15 else { return false }
      } else {
        let block = letter % 3
        let line = letter < 3 ? next[block] : 0
        if letter < 3 { next[block] = (next[block] + 1) % 4 }
        guard write(&buffer, &reference, UInt64(block), line) else { return false }
      }
      guard isEqual(buffer, reference) else { return false }
    }
    return true
  }

  private func write(
    _ buffer: inout WriteCombiningBuffer, _ reference: inout ReferenceBuffer, _ block: UInt64,
    _ line: Int
  ) -> Bool {
    let expected = reference.write(block, line)
    if buffer.merge(block: block, line: line) { return expected == nil }
    let victim = buffer.chooseVictim()
    let write = buffer.evict(victim.slot)
    buffer.allocate(victim.slot, block: block, line: line)
    guard let expected else { return !victim.isDirty }
    return victim.isDirty && write.block == expected.block && write.mask == expected.mask
  }

  private func isEqual(
    _ buffer: borrowing WriteCombiningBuffer, _ reference: ReferenceBuffer
  ) -> Bool {
    var dirty = 0
    var partial = 0
    for block in 0..<UInt64(3) {
      let mask = reference.entries.first { $0.block == block }?.mask ?? 0
      dirty += mask.nonzeroBitCount
      partial += mask != 0 && mask != 15 ? 1 : 0
      for line in 0..<4
      where buffer.holdsDirty(block: block, line: line) != (mask >> UInt8(line) & 1 == 1) {
        return false
      }
    }
    return buffer.dirtyLines == dirty && buffer.partialBlocks == partial
      && buffer.overwrittenLines == reference.overwritten
      && buffer.hasFull == !reference.full.isEmpty
  }

  @Test(arguments: [1, 2, 4])
  func `a drawn victim is the least recent of its candidates`(candidates: Int) {
    let profile = profile {
      $0.bufferBlocks = 64
      $0.victimCandidates = candidates
    }
    var buffer = WriteCombiningBuffer(profile: profile, random: SeededRandom(seed: 7))
    for block in 0..<UInt64(64) { buffer.allocate(Int(block), block: block, line: 0) }
    // Slots were written in their order: the lower, the less recent.
    var sum = 0
    let draws = 20_011
    for _ in 0..<draws { sum += buffer.chooseVictim().slot }
    let mean = Double(sum) / Double(draws)
    // The mean of the smallest of k numbers drawn from 0..<64 is close to 64 ÷ (k + 1) - ½.
    #expect(abs(mean - (64 / Double(candidates + 1) - 0.5)) < 0.7)
  }
}
