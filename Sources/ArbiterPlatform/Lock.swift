// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A value that one thread at a time may reach: a POSIX mutex and what it guards.
///
/// As `Synchronization.Mutex`, whose locking the thread sanitizer does not see, so that it would
/// report every use of what such a mutex guards.
@safe
package struct Lock<Value: ~Copyable>: ~Copyable {
  // SAFETY: both are allocated in init and freed in deinit; the value is reached only between
  // locking and unlocking.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let value: UnsafeMutablePointer<Value>

  /// Makes a lock that guards the value.
  package init(_ value: consuming sending Value) {
    unsafe mutex = .allocate(capacity: 1)
    unsafe mutex.initialize(to: pthread_mutex_t())
    let status = unsafe pthread_mutex_init(mutex, nil)
    precondition(status == 0, "pthread_mutex_init: error \(status)")
    unsafe self.value = .allocate(capacity: 1)
    unsafe self.value.initialize(to: value)
  }

  deinit {
    unsafe value.deinitialize(count: 1)
    unsafe value.deallocate()
    unsafe pthread_mutex_destroy(mutex)
    unsafe mutex.deallocate()
  }

  /// Runs the body while no other thread does.
  package borrowing func withLock<Result: ~Copyable, Failure: Error>(
    _ body: (inout sending Value) throws(Failure) -> sending Result
  ) throws(Failure) -> sending Result {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    // SAFETY: the mutex is held, and the reference ends with the body.
    return try unsafe body(&value.pointee)
  }
}

// SAFETY: threads reach the value one at a time, and what goes in and out is sent.
extension Lock: @unchecked Sendable where Value: ~Copyable {}
