// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
internal import CArbiter
internal import Glibc

/// A thread of the operating system that runs one closure.
public struct WorkerThread: ~Copyable, Sendable {
  private final class Box: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) {
      self.body = body
    }
  }

  private let handle: pthread_t
  private var isJoined = false

  /// Starts a thread.
  ///
  /// - Parameters:
  ///   - processor: The logical processor to stay on; nil for any. A processor that does not exist
  ///     is ignored: placement is a wish.
  ///   - body: What the thread does.
  /// - Throws: ``PlatformError`` with `resourceLimit` where the system refuses another thread.
  public init(
    onProcessor processor: Int? = nil, _ body: @escaping @Sendable () -> Void
  ) throws(PlatformError) {
    let box = Box {
      if let processor { Self.pin(to: processor) }
      body()
    }
    var handle = pthread_t()
    let argument = unsafe Unmanaged.passRetained(box)
    // SAFETY: the new thread takes over the reference that was retained for it.
    let status = unsafe pthread_create(
      &handle, nil,
      { argument in
        if let argument = unsafe argument {
          unsafe Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
        }
        return nil
      }, argument.toOpaque())
    guard status == 0 else {
      unsafe argument.release()
      throw PlatformError(errorNumber: status, path: nil, action: "start another thread")
    }
    self.handle = handle
  }

  deinit {
    if !isJoined { pthread_detach(handle) }
  }

  /// Waits until the thread has ended; all that it wrote is visible afterwards.
  public consuming func join() {
    pthread_join(handle, nil)
    isJoined = true
  }

  private static func pin(to processor: Int) {
    guard processor >= 0, processor < 1024 else { return }
    var mask = [UInt64](repeating: 0, count: 16)
    mask[processor / 64] = 1 << UInt64(processor % 64)
    _ = unsafe arb_thread_set_affinity(mask, mask.count * 8)
  }
}
