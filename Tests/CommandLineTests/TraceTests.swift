// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Testing

/// `arbiter trace` on files of a temporary folder.
@Suite("arbiter trace")
struct TraceTests {
  static let vans = "# two stores and a read\n0x1000 W\n0x1040 W:100\n20c0 C\n"

  /// A folder with `a.vans` and the recording made of it, `a.trace`.
  private static func folder() throws -> TemporaryFolder {
    let folder = TemporaryFolder()
    folder.write(vans, to: "a.vans")
    let run = try arbiter("trace convert a.vans -o a.trace", in: folder.path)
    try #require(run.code == 0 && run.output.isEmpty)
    #expect(run.error == "4 lines read, 4 events.\n")
    return folder
  }

  private static func object(_ text: String) throws -> [String: Any] {
    let value = try JSONSerialization.jsonObject(with: Data(text.utf8))
    return try #require(value as? [String: Any])
  }

  @Test func `a text for VANS goes through a recording and comes back`() throws {
    let folder = try Self.folder()
    let back = try arbiter("trace convert a.trace -o b.vans", in: folder.path)
    #expect(back.code == 0 && back.error == "3 lines written, 4 events.\n")
    #expect(try text(of: "\(folder.path)/b.vans") == "0x1000 W\n0x1040 W:100\n0x20c0 C\n")
    let piped = try shell(
      "cat a.vans | \"$arbiter\" trace convert /dev/stdin -q -o c.trace && "
        + "\"$arbiter\" trace convert c.trace -o /dev/stdout -q", in: folder.path)
    #expect(piped.code == 0 && piped.error.isEmpty)
    #expect(piped.output == "0x1000 W\n0x1040 W:100\n0x20c0 C\n")
    #expect(try names(in: folder.path) == ["a.trace", "a.vans", "b.vans", "c.trace"])
  }

  @Test func `info tells what a recording holds, within the width of the terminal`() throws {
    let folder = try Self.folder()
    let run = try arbiter("trace info a.trace", in: folder.path)
    #expect(run.code == 0 && run.error.isEmpty)
    let lines = run.output.split(separator: "\n").map(String.init)
    #expect(
      lines[0] == "a.trace: 4 events of 1 thread in 1 region over 75.0 ns, 53.3 million a second.")
    #expect(lines.contains("No event was lost."))
    #expect(lines.contains("Complete: every chunk is whole, and the end is there."))
    #expect(lines.contains("converted-from: vans"))
    #expect(lines.allSatisfy { $0.count <= 80 })
    let json = try Self.object(
      try arbiter("trace info a.trace --format=json", in: folder.path).output)
    #expect(json["schema"] as? String == "arbiter-trace/1")
    let totals = try #require(json["totals"] as? [String: Any])
    #expect(totals["events_count"] as? Int == 4 && totals["store_bytes"] as? Int == 128)
    #expect((json["file"] as? [String: Any])?["is_cut_short"] as? Bool == false)
    let csv = try arbiter("trace info a.trace --format=csv", in: folder.path).output
    #expect(csv.hasSuffix("lost_count\n0,converted,4,4,64,128,0,75,0\n"))
  }

  @Test func `cat prints an event a line in each form`() throws {
    let folder = try Self.folder()
    let words = try arbiter("trace cat a.trace", in: folder.path).output
    #expect(
      words == """
             start ns thread operation  region:offset       bytes span ns more
                    0      0 store-nt   0:0x1000               64       0
                   75      0 store-nt   0:0x1040               64       0
                   75      0 load       0:0x20c0               64       0
                   75      0 fence      -                       -       0

        """)
    let json = try arbiter("trace cat a.trace --format=json --limit=2", in: folder.path).output
    let objects = try json.split(separator: "\n").map { try Self.object(String($0)) }
    #expect(objects.map { $0["offset_bytes"] as? Int } == [0x1000, 0x1040])
    let csv = try arbiter("trace cat a.trace --format=csv --thread=0", in: folder.path).output
    #expect(csv.split(separator: "\n").last == "75,0,fence,0,0,0,1,0,false,0")
    let none = try arbiter("trace cat a.trace --thread=1", in: folder.path)
    #expect(none.code == 65 && none.failure.message == "'a.trace' has no thread 1")
    // A reader that has seen enough is no failure.
    #expect(try shell("\"$arbiter\" trace cat a.trace | head -n 1", in: folder.path).error.isEmpty)
  }

  @Test func `a recording that was cut is read as far as it is whole, and the tool says so`() throws
  {
    let folder = try Self.folder()
    let cut = try shell(
      "head -c -10 a.trace > cut.trace && \"$arbiter\" trace info cut.trace", in: folder.path)
    #expect(cut.code == 0)
    #expect(cut.output.hasPrefix("cut.trace: 4 events of 1 thread"))
    #expect(cut.output.contains("Cut short: the end is missing from byte "))
    let cat = try arbiter("trace cat cut.trace", in: folder.path)
    #expect(cat.code == 0 && cat.error == "The recording is cut short: its end is missing.\n")
  }

  @Test func `damage is one sentence with its place`() throws {
    let folder = try Self.folder()
    let run = try shell(
      "printf x | dd of=a.trace bs=1 seek=100 conv=notrunc status=none; "
        + "\"$arbiter\" trace info a.trace", in: folder.path)
    #expect(run.code == 65 && run.output.isEmpty)
    #expect(
      run.failure.message.hasPrefix("cannot read 'a.trace': byte 32: the chunk that begins here"))
    #expect(run.failure.hint == "copy or record the file again")
  }

  @Test func `what could not come along is counted`() throws {
    let folder = TemporaryFolder()
    folder.write("==1== x\nI  04,3\n S 1000,8\n L 2000,4\n", to: "lackey.log")
    let run = try arbiter(
      "trace convert lackey.log --range=0x1000-0x1008 --instruction-time=2ns -o a", in: folder.path)
    #expect(
      run.error == """
        4 lines read, 1 events.
        Left out: 1 instruction fetches.
        Left out: 1 lines that are messages of valgrind.
        Left out: 1 accesses not wholly inside --range.

        """)
    let out = try arbiter("trace convert a --interleave=random --seed=3 -o b", in: folder.path)
    #expect(out.error.contains("Changed: 1 runs of stores to the cache became writes at once.\n"))
    #expect(try text(of: "\(folder.path)/b") == "0x0 W\n")
  }

  @Test func `a conversion that fails leaves what was there`() throws {
    let folder = try Self.folder()
    folder.write("0x1000 W\nnonsense\n", to: "bad.vans")
    folder.write("mine\n", to: "mine")
    let run = try arbiter("trace convert bad.vans -o mine", in: folder.path)
    #expect(run.code == 65)
    #expect(
      run.failure.message
        == "cannot read 'bad.vans': line 2 'nonsense' does not begin with a hexadecimal address "
        + "below 2^47")
    #expect(try text(of: "\(folder.path)/mine") == "mine\n")
    #expect(try names(in: folder.path) == ["a.trace", "a.vans", "bad.vans", "mine"])
  }

  @Test func `a large text streams through little memory`() throws {
    let folder = TemporaryFolder()
    // 1.5 million lines, 16 MB; the address space of the tool is limited to what it needs idle.
    let run = try shell(
      "seq 0 64 96000000 | awk '{ printf \"%x W:4\\n\", $1 }' > big.vans; "
        + "ulimit -v 300000; \"$arbiter\" trace convert -q big.vans -o big && "
        + "\"$arbiter\" trace convert -q big -o back && cmp <(sed 's/^/0x/' big.vans) back",
      in: folder.path)
    #expect(run.code == 0, "\(run.output)\(run.error)")
    #expect(run.cpuSeconds < 30, "took \(run.cpuSeconds) s of CPU time")
  }
}
