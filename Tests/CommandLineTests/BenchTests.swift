// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Testing

@Suite("Bench", .serialized)
struct BenchTests {
  private static let schemes = "baseline,lock,delegation,fence,arbiter,arbiter-paper"
  private let unavailable = [
    "media_write_bytes_per_second", "media_read_bytes_per_second",
    "equivalent_write_bytes_per_second", "write_amplification_ratio", "read_amplification_ratio",
  ]

  @Test(arguments: ["/dev/shm", "/tmp"])
  func `every scheme runs and verifies, and device figures are unavailable`(
    place: String
  ) throws {
    let folder = TemporaryFolder(in: place)
    let run = try arbiter(
      "bench --file=new --size=8MiB --threads=1,2 --duration=40ms --verify --format=json -q "
        + "--scheme=\(Self.schemes)", in: folder.path)
    #expect(run.code == 0, "\(run.error)")
    let document = try ResultsJSON(run.output)
    #expect(document.topKeys == ["schema", "tool", "command", "seed", "host", "results"])
    #expect(document.resultKeys == ResultsJSON.keys)
    #expect(document.results.count == 12)
    for result in document.results {
      #expect(result["profile"] is NSNull && result["simulated_seconds"] is NSNull)
      #expect(number(result["program_write_bytes"]) ?? 0 > 0)
      let parameters = try #require(result["parameters"] as? [String: Any])
      #expect(parameters["verify"] as? Bool == true && parameters["keep"] as? Bool == false)
      guard result["counter_source"] as? String == "unavailable" else { continue }
      for key in unavailable { #expect(result[key] is NSNull, "\(key)") }
      // Without counters no controller may insert a delay.
      if (result["scheme"] as? String)?.hasPrefix("arbiter") == true {
        #expect(number(result["delay_ns_mean"]) == 0)
      }
    }
    #expect(try names(in: folder.path).isEmpty)
  }

  @Test func `the text says what a run on DRAM shows and what it does not`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let run = try arbiter(
      "bench --file=new --size=1MiB --threads=1 --duration=10ms --verify", in: folder.path)
    #expect(run.code == 0)
    let words = run.output.split { $0 == "\n" || $0 == " " }.joined(separator: " ")
    #expect(words.contains("All figures are this machine's (real time) on tmpfs"))
    #expect(words.contains("on DRAM this shows a scheme's cost, never its benefit."))
    #expect(words.contains("Verified: everything that was written reads back."))
    #expect(run.output.split(separator: "\n").allSatisfy { $0.count <= 80 })
  }

  @Test func `a file that holds something is written over only when asked, and stays`() throws {
    let folder = TemporaryFolder()
    folder.write("dear data", to: "file")
    let line = "bench --file=file --size=64KiB --threads=1 --scheme=baseline --duration=5ms -q"
    let refused = try arbiter(line, in: folder.path)
    #expect(refused.code == 64)
    #expect(refused.failure.message == "--file=file holds 9B that bench would write over")
    #expect(try text(of: "\(folder.path)/file") == "dear data")
    #expect(try arbiter("\(line) --overwrite", in: folder.path).code == 0)
    #expect(folder.size(of: "file") == 65536)
  }

  @Test func `a file that a run has made goes, unless it is to be kept`() throws {
    let folder = TemporaryFolder()
    let line = "bench --file=new --size=64KiB --threads=1 --scheme=baseline --duration=5ms -q"
    #expect(try arbiter(line, in: folder.path).code == 0)
    #expect(folder.size(of: "new") == nil)
    #expect(try arbiter("\(line) --keep", in: folder.path).code == 0)
    #expect(folder.size(of: "new") == 65536)
  }

  @Test(.enabled(if: Tool.isRoot && Machine.canMount, "needs root that may mount"))
  func `a file system without room is an error before the first store`() throws {
    let folder = TemporaryFolder()
    let run = try shell(
      """
      mkdir small; mount -t tmpfs -o size=1m tmpfs small || exit 99
      "$arbiter" bench --file=small/new --size=64MiB; code=$?
      ls small; umount small; exit $code
      """, in: folder.path)
    #expect(run.code == 74 && run.output.isEmpty)
    #expect(
      run.failure.message
        == "cannot allocate 64MiB for the file: No space left on device (small/new)")
  }

  @Test func `an interrupt ends a long run at once, and the file goes`() throws {
    let folder = TemporaryFolder()
    let run = try shell(
      """
      "$arbiter" bench --file=new --size=1MiB --threads=1 --scheme=baseline,lock \
        --duration=600s --format=json & sleep 1.6; kill -INT $!; wait $!
      """, in: folder.path)
    #expect(run.code == 130 && run.seconds < 10)
    let document = try ResultsJSON(run.output)
    #expect(document.host["is_complete"] as? Bool == false)
    #expect(document.results.isEmpty)
    #expect(try names(in: folder.path).isEmpty)
  }

  @Test func `a run that takes a while shows how far it is`() throws {
    let folder = TemporaryFolder()
    let run = try arbiter(
      "bench --file=new --size=1MiB --threads=1 --scheme=baseline --duration=2s", in: folder.path)
    #expect(run.error.split(separator: "\n").contains { $0.hasPrefix("bench 60 %") })
  }
}
