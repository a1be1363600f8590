// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
internal import Glibc
#endif

/// The time that a program takes, from before it is started until its end is known.
public enum ProgramTime {
  /// Runs a program with its standard output thrown away.
  ///
  /// - Parameter words: The program's path and its arguments.
  /// - Returns: Seconds; nil where it cannot be started or ends with anything but 0.
  public static func seconds(_ words: [String]) -> Double? {
    // SAFETY: the strings outlive the calls; the list ends with nil.
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe arguments.forEach { unsafe free($0) } }
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { _ = unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    var child: pid_t = 0
    var status: Int32 = 0
    let began = ContinuousClock.now
    let number = unsafe posix_spawn(&child, words[0], &actions, nil, &arguments, environ)
    guard number == 0, unsafe waitpid(child, &status, 0) == child, status == 0 else { return nil }
    return (ContinuousClock.now - began) / .seconds(1)
  }
}
