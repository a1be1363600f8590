// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterDevice
import ArbiterSimulator
import Testing

@Suite("Event clock")
struct EventClockTests {
  @Test(arguments: [1, 2, 3, 7, 8, 9, 28, 128])
  func `the first event is the earliest, of equal times the lowest component`(count: Int) {
    let clock = EventClock(componentCount: count)
    var reference = [Int64?](repeating: nil, count: count)
    var random = SeededRandom(seed: UInt64(count))
    for _ in 0..<5003 {
      let component = random.below(count)
      if random.below(4) == 0 {
        clock.cancel(component)
        reference[component] = nil
      } else {
        // Few distinct times, so that ties are common.
        let time = Int64(random.below(11)) << 40
        clock.schedule(component, at: time)
        reference[component] = time
      }
      let first = reference.indices.filter { reference[$0] != nil }.min {
        (reference[$0] ?? 0, $0) < (reference[$1] ?? 0, $1)
      }
      guard let first else {
        #expect(clock.first == EventClock.never)
        continue
      }
      #expect(EventClock.component(of: clock.first) == first)
      #expect(EventClock.time(of: clock.first) == reference[first])
    }
  }
}

@Suite("Core window")
struct WindowTests {
  /// Appends and removes at random places and compares with an array.
  private func expectArray(_ lines: consuming WaitingLines, seed: UInt64) {
    var reference: [UInt64] = []
    var random = SeededRandom(seed: seed)
    var serial: UInt64 = 0
    for _ in 0..<20_011 {
      let isGrowing = random.below(7) < (serial / 97 % 2 == 0 ? 5 : 2)
      if reference.count < WaitingLines.capacity && (isGrowing || reference.isEmpty) {
        serial += 1
        let module = UInt8(random.below(3))
        lines.append(PendingLine(address: serial << 8 | UInt64(module), module: module))
        reference.append(serial << 8 | UInt64(module))
      } else if random.below(2) == 0 {
        let place = random.below(reference.count)
        #expect(lines.remove(at: place).address == reference.remove(at: place))
      } else {
        let module = random.below(3)
        let places = reference.indices.filter { Int(reference[$0] & 0xFF) == module }
        #expect(lines.count(ofModule: module) == places.count)
        if places.isEmpty { continue }
        let turn = random.below(places.count)
        let removed = lines.remove(turn, ofModule: module).address
        #expect(removed == reference.remove(at: places[turn]))
      }
      #expect(lines.count == reference.count)
      for place in reference.indices { #expect(lines[place].address == reference[place]) }
    }
  }

  @Test func `waiting stores keep their order whoever leaves`() {
    expectArray(WaitingLines(), seed: 1)
  }

  @Test func `entries come free in order, each at its time`() {
    var window = LineWindow()
    var times: [Int64] = []
    var taken = 0
    var random = SeededRandom(seed: 3)
    var now: Int64 = 0
    for _ in 0..<20_011 {
      switch random.below(3) {
      case 0 where taken + times.count < LineWindow.maximumLines:
        window.take()
        taken += 1
      case 1 where taken > 0:
        let time = now + Int64(random.below(40))
        window.accept(returningAt: time)
        taken -= 1
        times.append(max(time, times.last ?? time))
      default:
        now += Int64(random.below(9))
        window.reclaim(now: now)
        times.removeAll { $0 <= now }
      }
      #expect(window.inFlight == taken + times.count)
      #expect(window.returningCount == times.count)
      #expect(window.isAccepted == (taken == 0))
      #expect(window.lastReturn == times.last)
      if let next = times.first { #expect(window.nextReturn == next) }
    }
  }
}

@Suite("Read buffer")
struct ReadBufferTests {
  private enum State {
    case absent
    case pending(Int)
    case ready
  }

  private func state(_ buffer: inout ReadBuffer, _ block: UInt64) -> State {
    switch buffer.lookup(block) {
    case .absent: .absent
    case .pending(let slot): .pending(slot)
    case .ready: .ready
    }
  }

  @Test(arguments: [1, 2, 3, 64])
  func `pending blocks stay, ready ones never exceed the buffer`(blocks: Int) {
    let inService = 5
    let profile = profile {
      $0.readBufferBlocks = blocks
      $0.readPendingQueueLines = inService
    }
    var buffer = ReadBuffer(profile: profile)
    var random = SeededRandom(seed: 5)
    // Slot and waiting loads of every pending block, youngest load first.
    var pending: [UInt64: (slot: Int, waiters: [Int32])] = [:]
    var waiterCount: Int32 = 0
    for _ in 0..<3001 {
      let block = UInt64(random.below(blocks * 2 + 3))
      if pending.count == inService || (random.below(3) == 0 && !pending.isEmpty) {
        let done = pending.keys.sorted()[random.below(pending.count)]
        let entry = pending.removeValue(forKey: done)
        #expect(buffer.complete(entry?.slot ?? 0) == entry?.waiters.first ?? -1)
        guard case .ready = state(&buffer, done) else {
          Issue.record("block \(done) was read and is not there")
          return
        }
      } else if pending[block] != nil {
        waiterCount += 1
        let next = buffer.addWaiter(waiterCount, to: pending[block]?.slot ?? 0)
        #expect(next == pending[block]?.waiters.first ?? -1)
        pending[block]?.waiters.insert(waiterCount, at: 0)
      } else if case .absent = state(&buffer, block) {
        pending[block] = (buffer.allocate(block), [])
      }
      expectSound(&buffer, pending.mapValues(\.slot), blocks)
    }
  }

  private func expectSound(
    _ buffer: inout ReadBuffer, _ pending: [UInt64: Int], _ blocks: Int
  ) {
    var ready = 0
    for block in 0..<UInt64(blocks * 2 + 3) {
      switch state(&buffer, block) {
      case .ready: ready += 1
      case .pending(let slot): #expect(pending[block] == slot)
      case .absent: #expect(pending[block] == nil)
      }
    }
    #expect(ready <= blocks)
  }

  @Test func `the block that was not used for longest makes room`() {
    let profile = profile { $0.readBufferBlocks = 5 }
    var buffer = ReadBuffer(profile: profile)
    var reference: [UInt64] = []
    var random = SeededRandom(seed: 6)
    for _ in 0..<2003 {
      let block = UInt64(random.below(9))
      let place = reference.firstIndex(of: block)
      switch buffer.lookup(block) {
      case .ready: #expect(place != nil, "block \(block) should have left")
      case .pending: Issue.record("nothing is pending")
      case .absent:
        #expect(place == nil, "block \(block) left too early")
        _ = buffer.complete(buffer.allocate(block))
      }
      if let place { reference.remove(at: place) }
      reference.append(block)
      if reference.count > 5 { reference.removeFirst() }
    }
  }
}
