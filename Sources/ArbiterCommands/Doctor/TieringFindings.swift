// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import ArbiterPlatform
internal import ArbiterTiering
internal import Glibc

/// What this machine lets `arbiter tier` do, for `doctor`.
package enum TieringFindings {
  /// All of them, in the order in which people ask.
  static func gather() -> [Finding] {
    let tree = SystemTree()
    return [
      libraryFinding,
      userFaultFinding(tree, mayOpenDevice: unsafe access(device, R_OK | W_OK) == 0),
      nodeFinding(tree), heapFinding(tree),
    ]
  }

  private static var libraryFinding: Finding {
    do throws(PlatformError) {
      let library = try TierPreload(
        managesHeaps: false, override: Console.environment(TierPreload.variable),
        executable: TierPreload.ownExecutable)
      return Finding(
        topic: "tier_library", status: .available,
        sentence: "Programs' memory is placed by \(library.path).")
    } catch {
      return Finding(
        topic: "tier_library", status: .absent,
        sentence: "Programs' memory cannot be placed in files: \(error.reason); "
          + "\(error.nextStep).")
    }
  }

  private static let device = "/dev/userfaultfd"

  // MARK: Moving

  /// Whether memory can be moved inside a program while the kernel copies to and from it.
  ///
  /// - Parameters:
  ///   - tree: Where the kernel's files are read.
  ///   - mayOpenDevice: Whether this user may open /dev/userfaultfd.
  /// - Returns: The finding.
  package static func userFaultFinding(_ tree: SystemTree, mayOpenDevice: Bool) -> Finding {
    let topic = "tier_userfaultfd"
    guard let setting = tree.number("/proc/sys/vm/unprivileged_userfaultfd") else {
      return Finding(
        topic: topic, status: .absent,
        sentence: "Memory cannot be moved between DRAM and a file (arbiter tier --slow=PATH): this "
          + "kernel has no userfaultfd; it needs CONFIG_USERFAULTFD and Linux 6.1 or newer.")
    }
    let why: String?
    if setting == 1 {
      why = "vm.unprivileged_userfaultfd is 1"
    } else if hasTracingRight(tree) {
      why = "this user has CAP_SYS_PTRACE"
    } else {
      why = mayOpenDevice ? "this user may open \(device)" : nil
    }
    guard let why else {
      return Finding(
        topic: topic, status: .absent,
        sentence: "Memory cannot be moved between DRAM and a file (arbiter tier --slow=PATH): it "
          + "stays where it was mapped first. Grant this user \(device) (setfacl -m u:NAME:rw "
          + "\(device)) or set vm.unprivileged_userfaultfd=1.")
    }
    return Finding(
      topic: topic, status: .available,
      sentence: "Memory moves between DRAM and a file (arbiter tier --slow=PATH): \(why).")
  }

  /// Whether the process has the right to trace others, bit 19 of its effective rights.
  private static func hasTracingRight(_ tree: SystemTree) -> Bool {
    let lines = tree.text("/proc/self/status")?.split(separator: "\n") ?? []
    let line = lines.first { $0.hasPrefix("CapEff:") }
    let bits = line?.split(whereSeparator: \.isWhitespace).last.flatMap { UInt64($0, radix: 16) }
    return (bits ?? 0) >> 19 & 1 == 1
  }

  /// Whether there is a node of memory to move pages to.
  package static func nodeFinding(_ tree: SystemTree) -> Finding {
    let topic = "tier_nodes"
    func nodes(_ name: String) -> [Int] {
      SystemTree.numbers(inList: tree.text("/sys/devices/system/node/\(name)") ?? "")
    }
    let withMemory = nodes("has_memory")
    let bare = withMemory.filter { !nodes("has_cpu").contains($0) }
    if withMemory.count < 2 {
      return Finding(
        topic: topic, status: .absent,
        sentence: "Pages have no second memory node to move to (arbiter tier --slow=node:N).")
    }
    let names = (bare.isEmpty ? withMemory : bare).map { "node:\($0)" }.joined(separator: ", ")
    return Finding(
      topic: topic, status: .available,
      sentence: bare.isEmpty
        ? "Pages move between memory nodes (arbiter tier --slow=node:N): \(names); all of them "
          + "have processors."
        : "Pages move to memory without processors (arbiter tier): --slow=\(names).")
  }

  // MARK: Heaps

  /// Whether heaps are placed too.
  ///
  /// The library is looked for and not loaded: loading an allocator has effects.
  package static func heapFinding(_ tree: SystemTree) -> Finding {
    let name = TierPreload.allocatorName
    return TierPreload.folders.contains { tree.entries($0).contains(name) }
      ? Finding(
        topic: "tier_heaps", status: .available,
        sentence: "\(name) makes what malloc gives out placeable under arbiter tier --slow=PATH.")
      : Finding(
        topic: "tier_heaps", status: .absent,
        sentence: "\(name), which makes what malloc gives out placeable under arbiter tier "
          + "--slow=PATH, is not installed; install the package libjemalloc2.")
  }
}
