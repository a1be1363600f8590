// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPersistence
import Testing

@Suite("Stores of words")
struct WordStoreTests {
  @Test func `bytes are cut where eight aligned bytes end`() {
    let pieces = WordStore.pieces(of: (1...11).map { UInt8($0) }, at: 61)
    #expect(
      pieces == [
        WordStore(word: 7, mask: 0xFFFF_FF00_0000_0000, value: 0x0302_0100_0000_0000),
        WordStore(word: 8, value: 0x0B0A_0908_0706_0504),
      ])
    #expect(pieces.map(\.line) == [0, 1])
  }

  @Test func `no bytes are no stores`() {
    #expect(WordStore.pieces(of: [], at: 3).isEmpty)
  }

  @Test func `a store leaves the other bytes of its word`() {
    #expect(WordStore(word: 0, mask: 0xFF00, value: 0xAB00).applied(to: 0x1234) == 0xAB34)
  }
}
