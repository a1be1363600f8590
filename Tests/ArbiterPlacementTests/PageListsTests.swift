// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterPlacement
import ArbiterTestSupport
import Testing

@Suite struct `lists of pages` {
  @Test func `hold what arrays would hold, in their order`() {
    let (pages, listCount) = (24, 4)
    var random = SeededRandom(seed: ProcessSeed.value, stream: 21)
    var lists = PageLists(listCount: listCount)
    var model = Array(repeating: [Int](), count: listCount)
    lists.grow(to: pages)
    func take(_ page: Int) { for list in model.indices { model[list].removeAll { $0 == page } } }
    for step in 0..<20_000 {
      let (page, list) = (random.below(pages), random.below(listCount))
      switch random.below(4) {
      case 0, 1:
        take(page)
        model[list].append(page)
        lists.append(page, to: list)
      case 2:
        take(page)
        lists.remove(page)
      default:
        let first = model[list].isEmpty ? nil : model[list].removeFirst()
        let popped = lists.popFirst(of: list)
        guard popped == first else {
          Issue.record("seed \(ProcessSeed.value), step \(step): \(popped ?? -1)")
          return
        }
      }
      for list in model.indices {
        let isSame = lists.count(of: list) == model[list].count
        guard isSame, lists.first(of: list) == model[list].first else {
          Issue.record("seed \(ProcessSeed.value), step \(step): list \(list)")
          return
        }
      }
    }
    for list in model.indices {
      var left: [Int] = []
      while let page = lists.popFirst(of: list) { left.append(page) }
      #expect(left == model[list])
    }
  }

  @Test func `keep what they hold when there are more pages`() {
    var lists = PageLists(listCount: 1)
    lists.grow(to: 1)
    lists.append(0, to: 0)
    lists.grow(to: 1000)
    lists.append(999, to: 0)
    lists.grow(to: 10)
    #expect(lists.popFirst(of: 0) == 0)
    #expect(lists.popFirst(of: 0) == 999)
    #expect(lists.popFirst(of: 0) == nil)
  }
}
