// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A thread that runs one closure.
struct JoinableThread {
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  private let handle: pthread_t

  /// Starts the thread; a machine that has no room for one ends the program.
  init(_ run: @escaping @Sendable () -> Void) {
    var handle = pthread_t()
    let body = unsafe Unmanaged.passRetained(Body(run)).toOpaque()
    let status = unsafe pthread_create(
      &handle, nil,
      { argument in
        // SAFETY: the starter passed a retained body, which is taken over here, once.
        if let argument = unsafe argument {
          unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
        }
        return nil
      }, body)
    guard status == 0 else { AppendLogProgram.end(69, "no thread: error \(status)") }
    self.handle = handle
  }

  /// Waits until the closure has returned.
  func join() {
    pthread_join(handle, nil)
  }
}
