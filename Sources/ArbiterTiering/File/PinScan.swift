// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import ArbiterPlatform

/// Looks for open files through which memory may be written past the page tables: by a device, or
/// by the kernel on pages that it has pinned.
///
/// The last resort behind the functions that the library in the program stands in front of.
package struct PinScan {
  /// Targets of descriptors, by how they begin, and what is said of them.
  private static let targets = [
    ("anon_inode:[io_uring]", "an io_uring"), ("anon_inode:[vfio", "a VFIO device"),
    ("anon_inode:kvm", "a virtual machine (KVM)"), ("/dev/kvm", "a virtual machine (KVM)"),
    ("/dev/vfio", "a VFIO device"), ("/dev/infiniband", "an RDMA device"),
    ("/dev/vhost", "a vhost device"),
  ]
  /// O_DIRECT of asm/fcntl.h, in the flags of fdinfo.
  #if arch(arm64)
  private static let direct = 0o200000
  #else
  private static let direct = 0o40000
  #endif

  private let tree: SystemTree

  package init(tree: SystemTree) { self.tree = tree }

  /// What of a process was opened that pins memory, in words; nil for nothing.
  ///
  /// A descriptor may be set to O_DIRECT later: those of files are looked at each time.
  package func find(process: Int32) -> String? {
    let folder = "/proc/\(process)/fd"
    for name in tree.entries(folder) {
      guard let target = tree.linkTarget("\(folder)/\(name)") else { continue }
      if let known = Self.targets.first(where: { target.hasPrefix($0.0) }) { return known.1 }
      guard target.hasPrefix("/"), !Self.isPlain(target) else { continue }
      guard let info = tree.text("/proc/\(process)/fdinfo/\(name)") else { continue }
      if Self.flags(in: info) & Self.direct != 0 {
        return "a file without the page cache (O_DIRECT)"
      }
    }
    return nil
  }

  /// Files that no flag makes dangerous.
  private static func isPlain(_ target: String) -> Bool {
    ["/dev/null", "/dev/zero", "/dev/pts/", "/dev/tty", "/memfd:", "/proc/", "/sys/"]
      .contains { target.hasPrefix($0) }
  }

  private static func flags(in info: String) -> Int {
    for line in info.split(separator: "\n") where line.hasPrefix("flags:") {
      return line.split(whereSeparator: \.isWhitespace).last.flatMap { Int($0, radix: 8) } ?? 0
    }
    return 0
  }
}
