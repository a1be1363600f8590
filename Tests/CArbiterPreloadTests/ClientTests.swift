// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import CArbiterGate
import Testing

@Suite("Programs under preload")
struct ClientTests {
  @Test(
    "Bytes are the same under every scheme, at every size and alignment",
    arguments: TestedScheme.allCases, [1, 2])
  func bytes(scheme: TestedScheme, library: Int) throws {
    let page = try scheme.page
    let outcome = try withStorage { folder in
      try shell("$under $programs/bytes \(library) \(folder)/file", page: page)
    }
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.error.isEmpty)
    #expect(outcome.output == (library == 1 ? "3841 calls\n" : "3840 calls\n"))
    // 15 sizes, 64 alignments: one copy, two moves, one set, one flush, one persist, one drain.
    let totals = page.totals
    let isFirst = library == 1
    #expect(totals.calls(ARB_CALL_COPY) == (isFirst ? 2884 : 2880))
    #expect(totals.calls(ARB_CALL_SET) == (isFirst ? 962 : 960))
    #expect(totals.calls(ARB_CALL_FLUSH) == 960)
    #expect(totals.calls(ARB_CALL_PERSIST) == 960)
    #expect(totals.calls(ARB_CALL_DRAIN) == 960)
    #expect(totals.calls(ARB_CALL_MSYNC) == (isFirst ? 1 : 0))
    #expect(totals.calls(ARB_CALL_DEEP) == (isFirst ? 3 : 1))
    let each: UInt64 = 64 * (1 + 3 * 64 + 3 * 256 + 3 * 4096 + 3 * 32768 + (2 << 20))
    #expect(totals.callBytes(ARB_CALL_FLUSH) == each)
    #expect(totals.callBytes(ARB_CALL_COPY) == 3 * each + (isFirst ? 2800 : 0))
    switch scheme {
    case .baseline: #expect(totals.waits == 0 && totals.fences == 0)
    case .fence: #expect(totals.fences > 2_000_000)
    case .arbiter: #expect(totals.waits > 2_000_000)
    case .lock: #expect(page.permits.requested_count > 100_000 && totals.direct == 0)
    // What the kernel writes back is nothing that a worker could do.
    case .delegation: #expect(totals.direct == (isFirst ? 2 : 0))
    }
  }

  @Test("libpmemobj's nine functions are counted, and its transactions hold")
  func objects() throws {
    let page = try ControlPage(ARB_SCHEME_BASELINE)
    let outcome = try withStorage { folder in
      try shell("$under $programs/objects \(folder)/pool", page: page)
    }
    #expect(outcome.code == 0, "\(outcome.error)")
    let totals = page.totals
    // A transaction that adds a range: at least its log entry and its snapshot are copied.
    #expect(totals.calls(ARB_CALL_COPY) >= 220)
    #expect(totals.callBytes(ARB_CALL_COPY) >= 110 * 4096)
    #expect(totals.calls(ARB_CALL_SET) > 0)
    #expect(totals.calls(ARB_CALL_FLUSH) > 0)
    #expect(totals.calls(ARB_CALL_DRAIN) > totals.calls(ARB_CALL_FLUSH))
    #expect(totals.calls(ARB_CALL_PERSIST) > 0)
    #expect(totals.calls(ARB_CALL_MSYNC) > 0)
    #expect(totals.calls(ARB_CALL_DEEP) > 0)
  }

  @Test("What libpmemobj calls for a copy and a transaction is counted once each")
  func nested() throws {
    let totals = try [(0, 0), (100, 0), (0, 100)].map { copies, transactions in
      let page = try ControlPage(ARB_SCHEME_BASELINE)
      let outcome = try withStorage { folder in
        try shell("$under $programs/objects \(folder)/pool \(copies) \(transactions)", page: page)
      }
      #expect(outcome.code == 0, "\(outcome.error)")
      return page.totals
    }
    func grown(_ run: Int, _ kind: ArbCallKind) -> UInt64 {
      totals[run].calls(kind) - totals[0].calls(kind)
    }
    // The drain of the copy and those of the persists are calls of libpmem itself.
    #expect(grown(1, ARB_CALL_COPY) == 100)
    #expect(totals[1].callBytes(ARB_CALL_COPY) - totals[0].callBytes(ARB_CALL_COPY) == 409_600)
    #expect(grown(1, ARB_CALL_PERSIST) == 100)
    #expect(grown(1, ARB_CALL_FLUSH) == 0 && grown(1, ARB_CALL_DRAIN) == 0)
    // 64 bytes added, stored and committed: with the calls inside persist and memcpy it would be
    // two flushes and five drains.
    #expect(grown(2, ARB_CALL_COPY) == 200)
    #expect(grown(2, ARB_CALL_SET) == 100)
    #expect(grown(2, ARB_CALL_PERSIST) == 100)
    #expect(grown(2, ARB_CALL_FLUSH) == 100)
    #expect(grown(2, ARB_CALL_DRAIN) == 300)
  }

  @Test("Transactions hold under every scheme", arguments: TestedScheme.allCases)
  func transactions(scheme: TestedScheme) throws {
    let page = try scheme.page
    let outcome = try withStorage { folder in
      try shell("$under $programs/objects \(folder)/pool", page: page)
    }
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(page.totals.accesses > 500)
  }

  @Test("A block of libpmemblk is four copies and four drains")
  func blocks() throws {
    // What creating and opening a pool costs besides comes off by a difference.
    var totals: [Totals] = []
    for count in [100, 300] {
      let page = try ControlPage(ARB_SCHEME_BASELINE)
      let outcome = try withStorage { folder in
        try shell("$under $programs/blocks \(folder)/pool \(count)", page: page)
      }
      #expect(outcome.code == 0, "\(outcome.error)")
      totals.append(page.totals)
    }
    func grown(_ kind: ArbCallKind) -> UInt64 { totals[1].calls(kind) - totals[0].calls(kind) }
    #expect(grown(ARB_CALL_COPY) == 800)
    #expect(grown(ARB_CALL_DRAIN) == 800)
    #expect(
      totals[1].callBytes(ARB_CALL_COPY) - totals[0].callBytes(ARB_CALL_COPY) == 200 * 4116)
  }

  @Test("pmempool creates, checks and describes pools", .enabled(if: Shell.has("pmempool")))
  func pmempool() throws {
    let page = try ControlPage(ARB_SCHEME_ARBITER, settings: .delay(nanoseconds: 100))
    let outcome = try withStorage { folder in
      try shell(
        """
        set -e; cd \(folder)
        $under pmempool create -s 32M blk 512 blocks
        $under pmempool create -s 32M obj --layout=arbiter objects
        $under pmempool check -v blocks
        $under pmempool info blocks
        $under pmempool info objects
        """, page: page)
    }
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.contains("consistent"))
    #expect(outcome.output.contains("arbiter"))
    #expect(page.totals.calls(ARB_CALL_PERSIST) > 0)
  }

  @Test(
    "fio reads back what it wrote under every scheme, with processes and with threads",
    .enabled(if: Shell.has("fio")), arguments: TestedScheme.allCases, ["", "--thread"])
  func fio(scheme: TestedScheme, threads: String) throws {
    let page = try scheme.page
    let outcome = try withStorage { folder in
      try shell(
        """
        cd \(folder); $under fio --name=job --directory=\(folder) --ioengine=libpmem \
          --rw=randwrite --bs=4k --size=4m --numjobs=3 --direct=1 --sync=1 --verify=crc32c \
          --do_verify=1 --verify_fatal=1 --randseed=7 --group_reporting \(threads)
        """, page: page)
    }
    #expect(outcome.code == 0, "\(outcome.error)\(outcome.output)")
    #expect(!outcome.error.contains("arbiter"), "\(outcome.error)")
    #expect(outcome.output.contains("err= 0"))
    let totals = page.totals
    #expect(totals.callBytes(ARB_CALL_COPY) >= 12 << 20)
    #expect(totals.owners >= 3)
    #expect(scheme != .lock || page.permits.holder_count_max <= 2)
  }

  @Test(
    "Programs without persistent memory run as they are",
    arguments: ["true", "ls /", "python3 -c 'import os; os.fork(); print(1)'", "sh -c 'exit 3'"])
  func others(words: String) throws {
    let page = try ControlPage(ARB_SCHEME_ARBITER)
    let plain = try shell(words)
    let under = try shell("$under \(words)", page: page)
    #expect(under.code == plain.code)
    #expect(under.output == plain.output)
    #expect(under.error == plain.error)
    #expect(page.totals.owners == 0)
  }
}
