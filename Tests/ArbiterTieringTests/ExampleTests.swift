// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Testing

@Suite struct `the example of tiered memory` {
  @Test func `keeps every update of its table`() throws {
    let outcome = try Shell.run("\(Shell.quoted(Shell.buildFolder))/tiered-table /dev/shm 3")
    // Where moving or sampling is not granted, the program says so and has nothing to keep.
    guard outcome.code != 77 else { return }
    #expect(outcome.code == 0, "\(outcome.output)\(outcome.error)")
    #expect(outcome.output.contains("updates, all whole"))
    #expect(outcome.output.contains("MiB moved there so far"))
  }
}
