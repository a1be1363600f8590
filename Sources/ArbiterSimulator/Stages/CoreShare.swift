// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// Hyperthreads. Threads beyond the physical cores run beside others: thread i shares core
// i mod `physical_cores`. Threads of one core compete for its line fill buffers; threads that do
// the same work get equal parts of them, which is all that is modelled. Sharing the execution units
// costs a thread that waits for memory next to nothing.

internal import ArbiterDevice

/// What a thread has of the line fill buffers of its core.
struct CoreShare {
  /// Non-temporal stores, and stores to cached lines, that the thread holds in flight.
  let storeLines: Int
  /// The same for stores that begin with a read.
  let writeBackLines: Int
  /// The same for loads.
  let loadLines: Int

  /// The part of one thread among so many.
  init(of index: Int, among threadCount: Int, on profile: DeviceProfile) {
    let cores = profile.physicalCores
    var neighbours = 1
    if cores > 0 { neighbours = (threadCount - 1 - index % cores) / cores + 1 }
    storeLines = max(1, profile.storeWindowLines / neighbours)
    writeBackLines = max(1, profile.writeBackWindowLines / neighbours)
    loadLines = max(1, profile.loadWindowLines / neighbours)
  }
}
