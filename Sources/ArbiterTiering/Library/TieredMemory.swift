// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0
//
// A session inside the program whose memory it places: the same manager on a thread of its own, the
// same mover, and no library in front of anything.

internal import ArbiterCore
public import ArbiterPlacement
public import ArbiterPlatform
internal import ArbiterRuntime
internal import CArbiter
internal import CArbiterTier
internal import Glibc

/// Memory of this program that lies in two tiers, and moves between them as it is used.
///
/// What is allocated here is plain memory at addresses that stay; a thread samples what the program
/// accesses and has the hot part moved to fast memory. A process has one at most, for as long as it
/// lives.
///
/// Not to be used for what the kernel or a device writes past the page tables (O_DIRECT, io_uring
/// with fixed buffers, RDMA): a copy that is under way would lose it.
public final class TieredMemory: Sendable {
  private let driver: TierDriver
  private let isAdopting: Bool
  /// Sizes by address.
  private let sizes = Lock<[UInt: Int]>([:])

  /// Whether this process has one or had one: what has joined a session stays in it.
  private static let isTaken = Lock(false)

  /// Makes the memory and starts the thread that places it.
  ///
  /// - Parameters:
  ///   - fastBytes: Bytes of fast memory, at most.
  ///   - slow: Where the rest lies.
  ///   - slowBytes: Bytes of slow memory; nil for eight times `fastBytes`, as far as there is room.
  ///   - policy: What decides.
  ///   - tree: Where the kernel describes the machine.
  /// - Throws: ``PlatformError`` where slow memory cannot be had, or the process had one before.
  public init(
    fastBytes: UInt64, slow: SlowMemory, slowBytes: UInt64? = nil,
    policy: any PlacementPolicy = AdaptivePlacement(), tree: SystemTree = SystemTree()
  ) throws(PlatformError) {
    // Taken before anything is done, as threads may try at once.
    let isFirst = Self.isTaken.withLock { isTaken in
      defer { isTaken = true }
      return !isTaken
    }
    guard isFirst, arb_tier_is_joined() == 0 else {
      throw PlatformError(
        .invalidArgument,
        reason: "this process has tiered memory already, or is placed by "
          + "'arbiter tier'", nextStep: "use one for the whole program")
    }
    var configuration = TierConfiguration(fastBytes: fastBytes, slow: slow, policy: policy)
    configuration.slowBytes = slowBytes
    let probe: TierProbe
    do throws(PlatformError) {
      probe = try TierProbe.run(configuration, tree: tree)
      driver = try TierDriver(configuration, probe: probe, tree: tree)
    } catch {
      Self.isTaken.withLock { $0 = false }
      throw error
    }
    isAdopting = probe.backEnd == .file
    if isAdopting {
      // SAFETY: functions of C that take nothing, and hold no reference to this object.
      let status = pthread_atfork(
        { arb_tier_fork_prepare() }, { arb_tier_fork_parent() }, { arb_tier_fork_child() })
      if status != 0 { driver.end() }
      guard status == 0 else {
        throw PlatformError(errorNumber: status, path: nil, action: "be told of forks")
      }
    }
  }

  deinit { driver.end() }

  /// Allocates memory, which reads as zero.
  ///
  /// - Parameter byteCount: Its size; whole chunks of 2 MiB are taken for it.
  /// - Returns: The memory, at a multiple of 2 MiB.
  /// - Throws: ``PlatformError`` where there is no memory.
  public func allocate(byteCount: Int) throws(PlatformError) -> UnsafeMutableRawBufferPointer {
    precondition(byteCount > 0, "an allocation of \(byteCount) bytes")
    let chunk = TierUnit.chunkBytes
    guard byteCount <= Int.max - chunk else { throw Self.noMemory(byteCount, ENOMEM) }
    let size = (byteCount + chunk - 1) / chunk * chunk
    let answer = arb_map_aligned(
      size, chunk, -1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, 0)
    // SAFETY: fresh memory of that size, which nobody else knows.
    guard answer > 0, let start = unsafe UnsafeMutableRawPointer(bitPattern: Int(answer)) else {
      throw Self.noMemory(byteCount, Int32(-answer))
    }
    if isAdopting {
      let adopted = arb_tier_adopt(
        UInt64(answer), UInt64(size), PROT_READ | PROT_WRITE, ARB_TIER_PRIVATE)
      // What cannot be managed is memory all the same.
      if adopted < 0 { driver.remark("\(size >> 20) MiB are not managed: errno \(-adopted)") }
    }
    sizes.withLock { $0[UInt(answer)] = size }
    return unsafe UnsafeMutableRawBufferPointer(start: start, count: byteCount)
  }

  /// Gives memory back.
  ///
  /// - Precondition: It was allocated here and not given back yet.
  public func deallocate(_ memory: UnsafeMutableRawBufferPointer) {
    let address = UInt(bitPattern: memory.baseAddress)
    guard let size = sizes.withLock({ $0.removeValue(forKey: address) }) else {
      preconditionFailure("memory that is not of this object")
    }
    if isAdopting { _ = arb_tier_release_begin(UInt64(address), UInt64(size)) }
    // SAFETY: the range is a mapping of this object's, which the caller uses no more.
    let status = unsafe munmap(memory.baseAddress, size)
    if isAdopting {
      if status != 0 { arb_tier_release_failed() }
      arb_tier_unlock()
    }
  }

  /// How the memory is placed, at most some tenths of a second ago.
  public var reading: TierReading { driver.reading }

  /// Which ways were chosen and why, and what was given up since the last call.
  public func takeRemarks() -> [String] { driver.takeRemarks() }

  /// Stops sampling and moving for good; the memory stays where it is and usable.
  public func stop() { driver.end() }

  private static func noMemory(_ byteCount: Int, _ number: Int32) -> PlatformError {
    PlatformError(
      errorNumber: number, path: nil, action: "allocate \(byteCount) bytes",
      nextStep: "ask for less or raise the limit (ulimit -v)")
  }
}
