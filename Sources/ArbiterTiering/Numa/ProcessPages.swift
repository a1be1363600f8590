// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement
internal import ArbiterPlatform
internal import CArbiter
internal import Glibc

/// The sizes that pages are counted in here; a huge page is as many of them.
enum PageUnit {
  static let bytes = 4096
  static let perIsland = TierUnit.islandBytes / bytes
  static let perChunk = TierUnit.chunkBytes / bytes
}

/// What a process's page tables tell of a chunk: /proc/PID/pagemap.
///
/// Source: Linux, Documentation/admin-guide/mm/pagemap.rst; without privilege all but the frame's
/// number can be read of one's own processes.
struct PageTableReader: ~Copyable {
  private let descriptor: Int32
  private var entries = [UInt64](repeating: 0, count: PageUnit.perChunk)

  /// Opens the tables of a process; nil where it is gone or may not be looked into.
  init?(process: Int32, tree: SystemTree) {
    descriptor = unsafe open("\(tree.root)/proc/\(process)/pagemap", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
  }

  deinit { close(descriptor) }

  /// Reads the entries of the pages of a chunk; false where the kernel has none of it.
  mutating func read(chunk address: UInt64) -> Bool {
    let offset = Int(address / UInt64(PageUnit.bytes)) * MemoryLayout<UInt64>.size
    // SAFETY: the kernel writes at most the bytes that it is told.
    let count = unsafe entries.withUnsafeMutableBytes { room in
      unsafe pread(descriptor, room.baseAddress, room.count, offset)
    }
    return count == entries.count * MemoryLayout<UInt64>.size
  }

  /// Whether a page is in memory and mapped.
  func isPresent(_ page: Int) -> Bool { entries[page] >> 63 != 0 }

  /// Whether a page is mapped by others too: after a fork, or the one page of zeros.
  func isCommon(_ page: Int) -> Bool { entries[page] >> 56 & 1 == 0 }
}

/// Calls of move_pages(2) for pages of one process, with room for those of one chunk.
struct PageCalls {
  /// What a page's status is where the kernel did not get to it.
  static let untouched = Int32.min

  private(set) var addresses: [UInt64] = []
  private(set) var status: [Int32] = []
  private var nodes: [Int32] = []

  init() {
    addresses.reserveCapacity(PageUnit.perChunk)
    status.reserveCapacity(PageUnit.perChunk)
    nodes.reserveCapacity(PageUnit.perChunk)
  }

  var count: Int { addresses.count }

  mutating func removeAll() { addresses.removeAll(keepingCapacity: true) }

  mutating func append(_ address: UInt64) { addresses.append(address) }

  /// Keeps the pages for which the body says so.
  mutating func keep(where body: (Int32) -> Bool) {
    var kept = 0
    for index in addresses.indices where body(status[index]) {
      addresses[kept] = addresses[index]
      kept += 1
    }
    addresses.removeLast(addresses.count - kept)
  }

  /// Learns on which nodes the pages lie; 0, or a negative errno.
  mutating func query(process: Int32) -> Int64 {
    resetStatus()
    if addresses.isEmpty { return 0 }
    // SAFETY: all lists are as long as the count says, and outlive the call.
    return unsafe arb_pages_move(Int32(process), addresses.count, addresses, nil, &status, 0)
  }

  /// Moves the pages to a node; the count of those that did not, or a negative errno.
  mutating func move(process: Int32, to node: Int32, movesShared: Bool) -> Int64 {
    resetStatus()
    if addresses.isEmpty { return 0 }
    nodes.removeAll(keepingCapacity: true)
    for _ in addresses { nodes.append(node) }
    // SAFETY: as above.
    return unsafe arb_pages_move(
      Int32(process), addresses.count, addresses, nodes, &status, movesShared ? 1 : 0)
  }

  private mutating func resetStatus() {
    status.removeAll(keepingCapacity: true)
    for _ in addresses { status.append(Self.untouched) }
  }
}
