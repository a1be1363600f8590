// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterRuntime
internal import CArbiterSampling
internal import Glibc

/// A thread that waits to start one program, so that events can be attached to it before.
///
/// The program inherits them. The thread ends at once, and so nothing else does.
@safe
final class LauncherThread {
  // SAFETY: what both threads touch, each before or after the other: `isReady` is posted after the
  // number is written, `mayGo` after the job is, and the job's results are read after the join.
  @safe
  private final class State: @unchecked Sendable {
    let isReady: UnsafeMutablePointer<sem_t>
    let mayGo: UnsafeMutablePointer<sem_t>
    var thread: Int32 = 0
    var job: (() -> Void)?

    init() {
      unsafe isReady = .allocate(capacity: 1)
      unsafe mayGo = .allocate(capacity: 1)
      unsafe sem_init(isReady, 0, 0)
      unsafe sem_init(mayGo, 0, 0)
    }

    deinit {
      unsafe sem_destroy(isReady)
      unsafe sem_destroy(mayGo)
      unsafe isReady.deallocate()
      unsafe mayGo.deallocate()
    }
  }

  private let state: State
  private var worker: WorkerThread?

  /// The kernel's number of the thread.
  var thread: Int32 { state.thread }

  /// Starts the thread.
  init() throws(PlatformError) {
    let state = State()
    self.state = state
    worker = try WorkerThread {
      state.thread = arb_sampling_thread()
      unsafe sem_post(state.isReady)
      while unsafe sem_wait(state.mayGo) != 0 {}
      state.job?()
    }
    while unsafe sem_wait(state.isReady) != 0 {}
  }

  /// Lets the thread do something, and waits for it.
  func run<Value>(
    _ body: () throws(PlatformError) -> Value
  ) throws(PlatformError) -> Value {
    var result: Result<Value, PlatformError>?
    withoutActuallyEscaping(body) { body in
      state.job = {
        do throws(PlatformError) {
          result = .success(try body())
        } catch {
          result = .failure(error)
        }
      }
      finish()
    }
    guard let result else { preconditionFailure("a launcher that has ended already") }
    return try result.get()
  }

  /// Lets the thread end; a second call does nothing.
  func cancel() { finish() }

  private func finish() {
    guard let worker = worker.take() else { return }
    unsafe sem_post(state.mayGo)
    worker.join()
    state.job = nil
  }
}
