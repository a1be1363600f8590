// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What the kernel under the tests allows and tells.
public enum KernelSupport {
  /// Whether userfaultfd may be used here: memory inside a program cannot be moved without it.
  public static let permitsUserfaultfd = Shell.succeeds(
    """
    test "$(id -u)" = 0 || test -w /dev/userfaultfd ||
      test "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 1
    """)

  /// Whether the kernel says what is mapped by request (Linux 6.11); before, the hooks are trusted.
  public static let tellsMappings = Shell.succeeds(
    #"printf '6.11\n%s\n' "$(uname -r)" | sort -VC"#)
}
