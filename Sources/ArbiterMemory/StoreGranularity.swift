// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform

/// The unit in which stores to a mapping have to be pushed towards what survives.
public enum StoreGranularity: String, Sendable, Hashable, CaseIterable {
  /// Stores survive once they are fenced (eADR and a synchronous mapping).
  case byte
  /// Stores survive once their cache lines are written back and fenced (ADR and a synchronous
  /// mapping, or device-DAX).
  case cacheLine = "cache-line"
  /// Stores survive once the kernel has written their pages to the medium (msync).
  case page
  /// Nothing survives a loss of power, whatever is done (tmpfs).
  case volatile

  /// The granularity of a mapping.
  ///
  /// - Parameters:
  ///   - kind: What holds the file.
  ///   - isSynchronous: Whether the kernel granted MAP_SYNC.
  ///   - domain: What survives on this machine; nil where there is no persistent memory.
  /// - Returns: The finest unit that survives.
  public static func of(
    kind: FileSystemKind, isSynchronous: Bool, domain: PersistentMemory.PersistenceDomain?
  ) -> StoreGranularity {
    switch kind {
    case .tmpfs: .volatile
    case .deviceDax: domain == .processorCache ? .byte : .cacheLine
    case .dax, .cached:
      if isSynchronous {
        domain == .processorCache ? .byte : .cacheLine
      } else {
        .page
      }
    }
  }
}
