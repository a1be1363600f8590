// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
public import ArbiterMemory

/// What a loss of power has left, as a program finds it when it starts again.
///
/// Valid during the check to which it is handed.
public struct CrashImage: ~Copyable {
  /// Whether code has had the region in hand, so that all of it may have changed.
  private final class Touch {
    var isTouched = false
  }

  let region: MappedRegion
  private let touch = Touch()
  /// The last number that the run acknowledged before the crash; 0 where it never did.
  ///
  /// What the program had promised to somebody outside: it must be found again.
  public internal(set) var acknowledged = 0

  init(byteCount: Int) throws {
    // The caches of this region never have to be emptied: nobody will cut its power.
    region = try MappedRegion(
      anonymousNamed: "crash-image", byteCount: ByteCount(bytes: byteCount),
      options: .init(forcedGranularity: .byte))
  }

  /// Bytes of the image, a multiple of a page.
  public var byteCount: Int { region.byteCount }

  /// Loads an aligned word.
  ///
  /// - Precondition: `offset` is a multiple of 8 within the image.
  @inline(__always)
  public func word(at offset: Int) -> UInt64 { region.loadAtomically(at: offset) }

  /// Loads a value from any offset.
  ///
  /// - Precondition: The value lies within the image.
  public func load<Value: BitwiseCopyable>(_ type: Value.Type, at offset: Int) -> Value {
    unsafe withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: offset, as: type) }
  }

  /// Copies bytes out of the image.
  ///
  /// - Precondition: The range lies within the image.
  public func bytes(_ range: Range<Int>) -> [UInt8] {
    unsafe withUnsafeBytes { unsafe Array($0[range]) }
  }

  /// Lends all bytes of the image; the pointer must not be kept.
  public func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // SAFETY: the region is mapped as long as the image lives.
    unsafe try body(UnsafeRawBufferPointer(start: region.base, count: region.byteCount))
  }

  /// Lends the image as a region, for recovery code, which may change it.
  ///
  /// Changes are gone when the next state is checked.
  public func withRegion<Result, Failure: Error>(
    _ body: (borrowing MappedRegion) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    touch.isTouched = true
    return try body(region)
  }

  /// Puts a line in its place.
  @inline(__always)
  func put(_ words: SIMD8<UInt64>, line: Int) {
    // SAFETY: the walk takes line numbers from operations on a region of the same size.
    unsafe region.base.storeBytes(of: words, toByteOffset: line << 6, as: SIMD8<UInt64>.self)
  }

  /// Whether code may have changed the image since the last call.
  func takeTouch() -> Bool {
    defer { touch.isTouched = false }
    return touch.isTouched
  }
}
