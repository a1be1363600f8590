// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlacement
package import ArbiterPlatform

/// A stretch of a process's addresses that holds anonymous memory.
package struct MemoryArea: Hashable {
  /// Which memory it is, where other processes may map the same.
  package struct Identity: Hashable {
    package var device: UInt64
    package var inode: UInt64
  }

  package var addresses: Range<UInt64>
  /// Nil where it is the process's own.
  package var identity: Identity?
  /// Where in the shared memory it begins.
  package var offset: UInt64 = 0

  /// The chunks that lie wholly inside.
  package var chunks: StrideTo<UInt64> {
    let size = UInt64(TierUnit.chunkBytes)
    let first = (addresses.lowerBound &+ size - 1) / size * size
    return stride(from: first, to: max(first, addresses.upperBound / size * size), by: Int(size))
  }

  package var chunkCount: Int {
    let size = UInt64(TierUnit.chunkBytes)
    let first = (addresses.lowerBound &+ size - 1) / size
    return Int(max(first, addresses.upperBound / size) - first)
  }

  /// Guards of stacks are no larger; what is reserved for later usually is.
  private static let guardBytesMax: UInt64 = 64 << 10
  /// Stacks are no larger, most of the time; what follows a guard and is, is no stack.
  private static let stackBytesMax: UInt64 = 16 << 20

  /// The areas of a memory map in which at least one chunk lies.
  ///
  /// Anonymous memory that can be read, of the process's own or shared, which no file system keeps;
  /// the stacks of threads, which are known by the guard below them, are left out. Neighbours of
  /// one kind are one area: the kernel splits them at every advice.
  package static func areas(of mappings: [ProcessMapping]) -> [MemoryArea] {
    var areas: [MemoryArea] = []
    var below: ProcessMapping?
    for mapping in mappings {
      defer { below = mapping }
      guard mapping.isReadable, let kind = kind(of: mapping) else { continue }
      if let below, isStack(mapping, above: below) { continue }
      var area = MemoryArea(addresses: mapping.addresses, offset: mapping.fileOffset)
      if case .shared(let identity) = kind { area.identity = identity }
      if let last = areas.last, last.addresses.upperBound == area.addresses.lowerBound,
        last.identity == area.identity,
        last.identity == nil
          || last.offset + UInt64(last.addresses.count) == area.offset
      {
        areas[areas.count - 1].addresses =
          last.addresses.lowerBound..<area.addresses.upperBound
      } else {
        areas.append(area)
      }
    }
    return areas.filter { $0.chunkCount > 0 }
  }

  private static func isStack(_ mapping: ProcessMapping, above below: ProcessMapping) -> Bool {
    !mapping.isShared && mapping.name.isEmpty && !below.isReadable && !below.isWritable
      && below.inode == 0 && below.addresses.upperBound == mapping.addresses.lowerBound
      && below.addresses.count <= guardBytesMax && mapping.addresses.count <= stackBytesMax
  }

  private enum Kind {
    case own
    case shared(Identity)
  }

  /// What kind of memory that may be managed it is; nil for what may not.
  private static func kind(of mapping: ProcessMapping) -> Kind? {
    if mapping.inode == 0, !mapping.isShared {
      let name = mapping.name
      let isOwn =
        name.isEmpty || name == "[heap]" || name.hasPrefix("[anon:") && !name.contains("stack")
      return isOwn ? .own : nil
    }
    // Shared memory without a file system: the kernel's own names for it.
    let isAnonymous = ["/dev/zero (deleted)", "/memfd:", "/SYSV", "[anon_shmem:"].contains {
      mapping.name.hasPrefix($0)
    }
    guard mapping.isShared, isAnonymous else { return nil }
    let device = UInt64(mapping.deviceMajor) << 32 | UInt64(mapping.deviceMinor)
    return .shared(Identity(device: device, inode: mapping.inode))
  }
}
