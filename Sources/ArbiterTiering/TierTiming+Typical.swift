// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlacement
public import ArbiterPlatform

extension TierTiming {
  /// DRAM of the thread's own node.
  ///
  /// Source: 101 ns for an idle random load (OptaneStudy, FAST 2020, figure 2); bandwidths of two
  /// channels of DDR4-2666 at some three quarters.
  public static let dram = TierTiming(
    loadNanoseconds: 101, storeNanoseconds: 101, readBytesPerSecond: 30e9,
    writeBytesPerSecond: 20e9)

  /// CXL memory, or DRAM of a far node.
  ///
  /// Source: 170 ns against 80 of DRAM in the models of tiered memory since Memtis (SOSP 2023); one
  /// x8 link of CXL 2.0 at some three quarters.
  public static let cxl = TierTiming(
    loadNanoseconds: 215, storeNanoseconds: 215, readBytesPerSecond: 20e9,
    writeBytesPerSecond: 15e9)

  /// Persistent memory: one Optane module.
  ///
  /// Source: OptaneStudy (FAST 2020): 305 ns for an idle random load, 6.6 GB/s read and 2.28 GB/s
  /// written; a store loads its line and takes 112 ns of the medium.
  public static let persistent = TierTiming(
    loadNanoseconds: 305, storeNanoseconds: 417, readBytesPerSecond: 6.6e9,
    writeBytesPerSecond: 2.28e9)

  /// A file on a disk, behind the page cache: DRAM while it is cached, and some 100 us when not.
  ///
  /// One load in a hundred is taken to miss the cache; bandwidths are those of a solid-state disk.
  public static let disk = TierTiming(
    loadNanoseconds: 1_000, storeNanoseconds: 1_000, readBytesPerSecond: 2e9,
    writeBytesPerSecond: 1e9)

  /// What is typical of what holds a file, and a sentence on where that comes from.
  public static func typical(of holder: FileSystemKind) -> (timing: TierTiming, source: String) {
    switch holder {
    case .dax, .deviceDax:
      (.persistent, "slow memory is taken to be as fast as one persistent-memory module (305 ns)")
    case .tmpfs:
      (
        .cxl,
        "slow memory lies in DRAM (tmpfs) and stands for memory that is slower: taken to be as "
          + "fast as CXL memory (215 ns)"
      )
    case .cached:
      (.disk, "slow memory lies on a disk behind the page cache: taken to be 1 us away on average")
    }
  }

  /// What is typical of a node at a distance of the firmware's table, where 10 is the node itself.
  package static func typical(
    ofNodeAtDistance distance: Int?
  ) -> (timing: TierTiming, source: String) {
    guard let distance, distance > 10 else {
      return (.cxl, "slow memory is taken to be as fast as CXL memory (215 ns)")
    }
    var timing = TierTiming.cxl
    let latency = TierTiming.dram.loadNanoseconds * Double(distance) / 10
    (timing.loadNanoseconds, timing.storeNanoseconds) = (latency, latency)
    return (
      timing,
      "slow memory is taken to be \(Int(latency)) ns away, by its distance of \(distance) in the "
        + "firmware's table"
    )
  }
}
