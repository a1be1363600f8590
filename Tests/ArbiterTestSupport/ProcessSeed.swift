// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Where random tests start.
public enum ProcessSeed {
  /// `ARBITER_SEED`, which repeats a failure, or a seed of our own.
  public static let value: UInt64 = {
    // SAFETY: the text is copied before anybody could change the environment.
    guard let text = unsafe getenv("ARBITER_SEED") else { return 20_260 }
    return unsafe UInt64(String(cString: text)) ?? 20_260
  }()
}
