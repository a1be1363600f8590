// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import ArbiterPlatform
internal import Glibc

/// Why the kernel does not let somebody sample, in sentences.
package enum SamplingRefusal {
  /// The error for what `perf_event_open` answered.
  ///
  /// - Parameters:
  ///   - number: The errno.
  ///   - object: What was to be sampled or opened, such as "process 12".
  ///   - isPrecise: Whether the event is one of the processor's.
  ///   - tree: Where the kernel describes the machine.
  /// - Returns: The error.
  package static func opening(
    _ number: Int32, _ object: String, isPrecise: Bool, tree: SystemTree
  ) -> PlatformError {
    switch number {
    case EACCES, EPERM:
      permission(object, paranoid: tree.number("/proc/sys/kernel/perf_event_paranoid"))
    case ENOENT, ENODEV, EOPNOTSUPP:
      unsupported(isPrecise: isPrecise)
    case EMFILE, ENFILE, ENOMEM:
      PlatformError(
        .resourceLimit, reason: "cannot open events of \(object): out of descriptors or memory",
        nextStep: "raise the hard limit of descriptors (ulimit -Hn) or sample fewer threads")
    case ESRCH:
      PlatformError(
        .notFound, reason: "\(object) does not exist", nextStep: "check its number with ps")
    case ENOSYS:
      PlatformError(
        .unsupported, reason: "this kernel has no perf_event_open",
        nextStep: "use a kernel with CONFIG_PERF_EVENTS")
    default:
      PlatformError(errorNumber: number, path: nil, action: "sample \(object)")
    }
  }

  private static func permission(_ object: String, paranoid: Int?) -> PlatformError {
    guard let paranoid else {
      return PlatformError(
        .noPermission,
        reason: "may not sample \(object); kernel.perf_event_paranoid cannot be read",
        nextStep: "run as root or grant the program CAP_PERFMON")
    }
    if paranoid > 2 {
      return PlatformError(
        .noPermission,
        reason: "may not sample \(object): kernel.perf_event_paranoid is \(paranoid), which leaves "
          + "sampling to root",
        nextStep: "run 'sysctl kernel.perf_event_paranoid=2' as root, or grant CAP_PERFMON")
    }
    return PlatformError(
      .noPermission,
      reason: "may not sample \(object): kernel.perf_event_paranoid is \(paranoid), which allows "
        + "one's own processes; this one is another user's, guards itself, or a container forbids it",
      nextStep: "run as the process's user or as root, or grant CAP_PERFMON and CAP_SYS_PTRACE")
  }

  private static func unsupported(isPrecise: Bool) -> PlatformError {
    guard isPrecise else {
      return PlatformError(
        .unsupported, reason: "this kernel does not offer the event",
        nextStep: "use another back-end")
    }
    return PlatformError(
      .unsupported,
      reason: "this machine offers no precise store event (no performance-monitoring unit)",
      nextStep: "use the timer, or a machine whose hypervisor passes the unit on")
  }
}
