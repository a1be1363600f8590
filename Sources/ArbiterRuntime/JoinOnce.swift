// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform

/// A copyable handle of a thread, for collections; whoever joins first waits for its end.
final class JoinOnce: Sendable {
  private let thread: Lock<WorkerThread?>

  init(_ thread: consuming WorkerThread) {
    self.thread = Lock(thread)
  }

  func join() {
    let taken = thread.withLock { $0.take() }
    taken?.join()
  }
}
