// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement
package import ArbiterPlatform

/// Which slots of the slow file any process maps: what a program left behind may be used by those
/// that were forked from it.
package enum SlowMappings {
  /// The slots of a file that are mapped by somebody.
  ///
  /// Told by the file's number alone, as some file systems show another device in memory maps than
  /// elsewhere: a file of the same number elsewhere counts too, which only delays. Processes whose
  /// maps cannot be read are another user's, and none of ours. Reads all memory maps: some tens of
  /// milliseconds on a busy machine.
  package static func slots(inode: UInt64, slotCount: Int, tree: SystemTree) -> Set<UInt32> {
    let chunk = UInt64(TierUnit.chunkBytes)
    var found: Set<UInt32> = []
    for process in ProcessStatus.processes(in: tree) {
      for mapping in ProcessMapping.read(ofProcess: process, from: tree) ?? []
      where mapping.inode == inode {
        let first = mapping.fileOffset / chunk
        let end = mapping.fileOffset + UInt64(mapping.addresses.count) + chunk - 1
        guard first < min(end / chunk, UInt64(slotCount)) else { continue }
        for slot in first..<min(end / chunk, UInt64(slotCount)) { found.insert(UInt32(slot)) }
      }
    }
    return found
  }
}
