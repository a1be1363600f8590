// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What a loss of power leaves.
public enum PersistenceDomain: String, Sendable, Hashable, CaseIterable {
  /// What the memory controller has accepted: the caches are lost.
  case adr
  /// The caches too. Write-combining buffers are lost: non-temporal stores need their fence.
  case eadr
}

/// How a line is asked to leave the caches.
public enum WriteBackKind: String, Sendable, Hashable, CaseIterable {
  /// Keeps the line; promises nothing before the next fence of its thread.
  case clwb
  /// Evicts the line; promises nothing before the next fence of its thread.
  case clflushopt
  /// Evicts the line in order with stores: needs no fence.
  case clflush
}

/// Bytes of one aligned 8-byte word that a store writes; they arrive together or not at all.
@frozen
public struct WordStore: Sendable, Hashable {
  /// The word's number: its byte offset by eight.
  public var word: Int
  /// The bits that are written.
  public var mask: UInt64
  /// What is written; zero outside the mask.
  public var value: UInt64

  /// Makes a store to one word.
  public init(word: Int, mask: UInt64 = .max, value: UInt64) {
    self.word = word
    self.mask = mask
    self.value = value & mask
  }

  /// The number of the cache line that holds the word.
  public var line: Int { word >> 3 }

  /// The content of a word after the store.
  public func applied(to content: UInt64) -> UInt64 { content & ~mask | value }

  /// Cuts bytes into stores of single words, by ascending address.
  ///
  /// - Parameters:
  ///   - bytes: What is stored.
  ///   - offset: Where; need not be aligned.
  /// - Returns: A store for each word that the bytes touch.
  /// - Complexity: O(*n*).
  public static func pieces(of bytes: some Sequence<UInt8>, at offset: Int) -> [WordStore] {
    var pieces: [WordStore] = []
    var place = offset
    for byte in bytes {
      if pieces.last?.word != place >> 3 {
        pieces.append(WordStore(word: place >> 3, mask: 0, value: 0))
      }
      let shift = UInt64(place & 7) << 3
      pieces[pieces.count - 1].mask |= 0xFF << shift
      pieces[pieces.count - 1].value |= UInt64(byte) << shift
      place += 1
    }
    return pieces
  }
}
