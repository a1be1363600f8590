// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTiering
import Testing

@Suite struct `tier back-ends` {
  @Test func `are spelled as on the command line`() {
    #expect(TierBackEndKind.allCases.map(\.rawValue) == ["numa", "file"])
    #expect(TierStalls().count == 0)
  }
}
