// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// The modules over which the platform spreads addresses as one, and where they sit.
///
/// Amplification belongs to modules, so counters are read and controllers run once per set.
public struct InterleaveSet: Sendable, Hashable {
  /// The cookie by which the platform knows the set; nil where it gives none.
  public var cookie: UInt64?
  /// The kernel's names of the set's regions, as region0.
  public var regions: [String]
  /// The modules, in the order of the interleave; empty where the kernel hides them.
  public var modules: [PersistentMemory.Module]
  /// The NUMA node; nil where unknown.
  public var node: Int?

  /// Makes a set.
  public init(
    cookie: UInt64? = nil, regions: [String], modules: [PersistentMemory.Module], node: Int?
  ) {
    self.cookie = cookie
    self.regions = regions
    self.modules = modules
    self.node = node
  }

  /// The names of its regions, as region0+region1.
  public var name: String { regions.joined(separator: "+") }
}

extension PersistentMemory {
  /// The interleave sets: regions with one cookie share their modules; a region without a cookie
  /// is a set of its own.
  public var interleaveSets: [InterleaveSet] {
    var sets: [InterleaveSet] = []
    for region in regions {
      // A region may lie on what is no module at all, such as memory that the user has reserved.
      let parts = region.mappings.filter { SystemTree.isNumbered($0.module, "nmem") }
        .sorted { ($0.position ?? 0) < ($1.position ?? 0) }
      let own = parts.map { part in
        modules.first { $0.name == part.module } ?? Module(name: part.module)
      }
      let known = sets.firstIndex { $0.cookie != nil && $0.cookie == region.setCookie }
      guard let known else {
        sets.append(
          InterleaveSet(
            cookie: region.setCookie, regions: [region.name], modules: own, node: region.node))
        continue
      }
      sets[known].regions.append(region.name)
      for module in own where !sets[known].modules.contains(where: { $0.name == module.name }) {
        sets[known].modules.append(module)
      }
    }
    return sets
  }

  /// The interleave set to which a region belongs.
  public func interleaveSet(ofRegion name: String) -> InterleaveSet? {
    interleaveSets.first { $0.regions.contains(name) }
  }
}
