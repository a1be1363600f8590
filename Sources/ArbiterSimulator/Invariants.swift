// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore

extension SimulatedModule {
  /// A sentence for every violated invariant (M1 to M3).
  func violations(_ index: Int) -> [String] {
    var found: [String] = []
    let onLink: UInt64 = isLinkBusy ? 1 : 0
    if counts.acceptedStores != UInt64(writeQueue.count) + onLink + counts.mergedStores {
      found.append("module \(index): lines were lost between acceptance and buffer (M1)")
    }
    var evicted: UInt64 = 0
    for place in 0..<evictions.count { evicted += UInt64(evictions[place].mask.nonzeroBitCount) }
    let accounted =
      buffer.overwrittenLines + UInt64(buffer.dirtyLines) + evicted + counts.writtenLines
      + pages.cache.overwrittenLines + UInt64(pages.cache.dirtyLines + pages.queuedLines)
    if counts.mergedStores != accounted {
      found.append("module \(index): lines were lost between buffer and medium (M2)")
    }
    if counts.acceptedLoads != counts.completedLoads + UInt64(loadsInService) {
      found.append("module \(index): loads were lost (M3)")
    }
    return found
  }
}

extension SimulatedThread {
  /// A sentence for every violated invariant of the thread's windows (W1).
  func violations(_ index: Int) -> [String] {
    var found: [String] = []
    if waitingStores.count + stores.returningCount > stores.inFlight {
      found.append("thread \(index): more stores are on their way than were issued (W1)")
    }
    if openRequests < 0 { found.append("thread \(index): a request completed twice") }
    return found
  }
}
