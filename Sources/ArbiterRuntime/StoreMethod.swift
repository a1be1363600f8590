// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice
internal import ArbiterMemory
public import ArbiterPlatform

/// How real stores are issued: an operation together with this processor's instruction for it.
public enum StoreMethod: Sendable, Hashable {
  /// Past the caches.
  case nonTemporal
  /// Into the cache, then written back by the instruction.
  case writeBack(FlushInstruction)
  /// Into the cache only.
  case plain

  /// Makes a method.
  ///
  /// - Throws: ``PlatformError`` with `unsupported` for operations that do not store or that only
  ///   the simulator tells apart.
  public init(_ operation: Operation, processor: ProcessorFeatures) throws(PlatformError) {
    switch operation {
    case .storeNonTemporal: self = .nonTemporal
    case .storeWriteBack: self = .writeBack(processor.bestFlush)
    case .storePlain: self = .plain
    case .storeWriteBackCached, .storePlainCached, .load, .writeBack, .fence:
      throw PlatformError(
        .unsupported, reason: "real threads cannot run the operation \(operation)",
        nextStep: "use a non-temporal, written-back or plain store, or the simulator")
    }
  }

  /// Stores one line.
  @inline(__always)
  func store(_ line: CacheLine, to target: UnsafeMutableRawPointer) {
    // SAFETY: the caller owns 64 aligned bytes at `target`.
    switch self {
    case .nonTemporal: unsafe LineWriter.storeNonTemporal(line, to: target)
    case .plain: unsafe LineWriter.storeCached(line, to: target)
    case .writeBack(let instruction):
      unsafe LineWriter.storeCached(line, to: target)
      unsafe LineWriter.writeBack(target, by: instruction)
    }
  }

  /// Copies whole lines.
  @inline(__always)
  func copy(
    from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, byteCount: Int
  ) {
    var offset = 0
    while offset < byteCount {
      // SAFETY: the caller owns `byteCount` bytes at both, `target` aligned to 64.
      switch self {
      case .nonTemporal:
        unsafe LineWriter.copyNonTemporal(from: source + offset, to: target + offset)
      case .plain: unsafe LineWriter.copyCached(from: source + offset, to: target + offset)
      case .writeBack(let instruction):
        unsafe LineWriter.copyCached(from: source + offset, to: target + offset)
        unsafe LineWriter.writeBack(target + offset, by: instruction)
      }
      offset &+= 64
    }
  }
}
