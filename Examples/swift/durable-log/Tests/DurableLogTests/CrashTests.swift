// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCrashTesting
import DurableLog
import Testing

@Test func `a crash leaves whole batches, and all that were acknowledged`() throws {
  let batches: [[UInt64]] = [[11, 12, 13], [21], Array(31...49)]
  // What the log may hold after each batch.
  let states = batches.indices.map { Array(batches[...$0].joined()) }
  let covered = try CrashExplorer(bytes: 4096).explore { region, run in
    var log = DurableLog(region)
    for (index, batch) in batches.enumerated() {
      try log.append(batch, to: region)
      run.acknowledge(index + 1)
    }
  } check: { image in
    let numbers = image.withRegion { DurableLog($0).numbers(in: $0) }
    if numbers.isEmpty { return image.acknowledged == 0 }
    guard let batch = states.firstIndex(of: numbers) else { return false }
    return batch + 1 >= image.acknowledged
  }
  print("\(covered.stateCount) states after \(covered.crashPointCount) crashes")
}
