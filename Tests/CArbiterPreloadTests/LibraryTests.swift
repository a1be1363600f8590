// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import CArbiterGate
import Foundation
import Testing

@Suite("The preload library")
struct LibraryTests {
  static let functions = [
    "pmem2_deep_flush", "pmem2_get_drain_fn", "pmem2_get_flush_fn", "pmem2_get_memcpy_fn",
    "pmem2_get_memmove_fn", "pmem2_get_memset_fn", "pmem2_get_persist_fn", "pmem2_map_delete",
    "pmem2_map_from_existing", "pmem2_map_new", "pmem_deep_drain", "pmem_deep_flush",
    "pmem_deep_persist", "pmem_drain", "pmem_flush", "pmem_map_file", "pmem_memcpy",
    "pmem_memcpy_nodrain", "pmem_memcpy_persist", "pmem_memmove", "pmem_memmove_nodrain",
    "pmem_memmove_persist", "pmem_memset", "pmem_memset_nodrain", "pmem_memset_persist",
    "pmem_msync", "pmem_persist", "pmem_unmap",
  ]

  @Test("It shows programs the functions it stands in front of, and nothing else")
  func symbols() throws {
    let outcome = try shell("nm -D --defined-only --extern-only -P '\(Place.library)'")
    #expect(outcome.code == 0, "\(outcome.error)")
    let names = outcome.output.split(separator: "\n").compactMap { $0.split(separator: " ").first }
    #expect(names.map(String.init).sorted() == Self.functions)
  }

  @Test("It needs libc and nothing of Swift, and is small")
  func size() throws {
    let outcome = try shell("readelf -d '\(Place.library)' | grep NEEDED")
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.count == 1)
    #expect(lines.first?.contains("[libc.so.6]") == true)
    let facts = try FileManager.default.attributesOfItem(atPath: Place.library)
    #expect((facts[.size] as? Int ?? .max) <= 200_000)
  }

  @Test("Its threads' memory is there from the start: no allocation, no lazy symbol")
  func threadMemory() throws {
    let outcome = try shell("readelf -r -W '\(Place.library)'")
    #expect(outcome.code == 0)
    #expect(!outcome.output.contains("DTPMOD64"))
    #expect(!outcome.output.contains("__tls_get_addr"))
  }

  /// A page that cannot be used, and what the library says about it.
  static let unusable = [
    ("/proc/1/fd/9999", "the arbiter run that made it has ended"),
    ("/dev/null", "not a control page"),
    ("/etc/passwd", "ermission denied|not a control page"), ("$corrupt", "not a control page"),
  ]

  @Test(
    "Of an unusable page one line says so, and the program ends as it would",
    arguments: [0, 1, 2, 3])
  func unusablePage(index: Int) throws {
    let scratch = TemporaryFolder()
    scratch.write(String(repeating: "ARBGATE", count: 4000), to: "page")
    let (path, reason) = Self.unusable[index]
    let outcome = try shell(
      """
      corrupt='\(scratch.path)/page'
      LD_PRELOAD='\(Place.library)' ARBITER_CONTROL=\(path) bash -c 'echo fine; exit 7'
      """)
    #expect(outcome.code == 7)
    #expect(outcome.output == "fine\n")
    let lines = outcome.error.split(separator: "\n")
    #expect(lines.count == 1, "\(outcome.error)")
    #expect(lines.first?.hasPrefix("arbiter: warning: the program runs without Arbiter: ") == true)
    #expect(
      reason.split(separator: "|").contains { outcome.error.contains($0) }, "\(outcome.error)")
  }

  @Test("It is silent without a page and where it is switched off")
  func switchedOff() throws {
    let page = try ControlPage(ARB_SCHEME_LOCK)
    let outcome = try withStorage { folder in
      try shell(
        """
        set -e
        $under env ARBITER_PRELOAD=off $programs/writers \(folder)/a 2 20 64
        $under env -u ARBITER_CONTROL $programs/writers \(folder)/a 2 20 64
        """, page: page)
    }
    #expect(outcome.code == 0)
    #expect(outcome.error.isEmpty)
    #expect(page.totals.owners == 0)
  }

  @Test("A session that is no number is said, and the program runs on")
  func badSession() throws {
    let page = try ControlPage(ARB_SCHEME_LOCK)
    let outcome = try shell("$under env ARBITER_SESSION=16 true", page: page)
    #expect(outcome.code == 0)
    #expect(outcome.error.contains("session '16': not a number from 0 to 15"))
  }

  /// Compiles with a sanitizer of clang.
  ///
  /// Swift's clang has a thread sanitizer that wants libdispatch.
  static func compile(_ sanitizer: String, _ words: String) -> String {
    """
    set -e; cd '\(Place.sources)'
    swift="$(dirname "$(readlink -f "$(command -v clang)")")/../lib/swift/linux"
    libraries=; if [ -e "$swift/libdispatch.so" ]; then
      libraries="-L$swift -Wl,-rpath,$swift -ldispatch -lBlocksRuntime"; fi
    clang -O1 -g -fsanitize=\(sanitizer) -fno-omit-frame-pointer \(words) $libraries
    """
  }

  static let sources = """
    -ICArbiter/include -ICArbiterGate/include -ICArbiterRecord/include \
    -ICArbiterPreload/include -ICArbiterPreload CArbiterPreload/*.c CArbiterGate/*.c \
    CArbiterRecord/*.c ../Tests/CArbiterPreloadTests/Programs/stress.c -lpmem -lpmem2 -lpthread
    """

  static func hasRuntime(of sanitizer: String) -> Bool {
    let scratch = TemporaryFolder()
    scratch.write("int main(void) { return 0; }\n", to: "main.c")
    return Shell.succeeds(
      compile(sanitizer, "'\(scratch.path)/main.c' -o '\(scratch.path)/main'")
        + "\n'\(scratch.path)/main'")
  }

  @Test(
    "Its sources are clean of races and of bad memory", arguments: ["thread", "address,undefined"])
  func sanitizers(sanitizer: String) throws {
    guard Self.hasRuntime(of: sanitizer) else {
      try Test.cancel("clang has no runtime of -fsanitize=\(sanitizer)")
    }
    let scratch = TemporaryFolder()
    let built = try shell(
      Self.compile(sanitizer, "\(Self.sources) -o '\(scratch.path)/stress'"))
    try #require(built.code == 0, "\(built.error)")
    for scheme in TestedScheme.allCases {
      let page = try scheme.page
      let outcome = try withStorage { folder in
        try shell(
          """
          export TSAN_OPTIONS=die_after_fork=0 PMEM_IS_PMEM_FORCE=1
          # The thread sanitizer wants addresses that are not spread; not every container allows.
          fixed=; if setarch -R true; then fixed="setarch -R"; fi 2>/dev/null
          ARBITER_SESSION=1 ARBITER_CONTROL=\(page.path) timeout -s KILL 120 $fixed \
            '\(scratch.path)/stress' \(folder)/file
          """, page: page)
      }
      #expect(outcome.code == 0, "\(scheme): \(outcome.error)")
      #expect(outcome.error.isEmpty, "\(scheme): \(outcome.error)")
      #expect(page.totals.calls(ARB_CALL_DRAIN) == 4800)
      #expect(page.totals.direct == 0)
    }
  }
}
