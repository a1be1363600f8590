// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Foundation
import Glibc

/// What tests of `arbiter run` need: a folder, programs compiled in it, and runs in it.
final class RunPlace {
  let folder: TemporaryFolder

  /// A folder on shared memory, where `write FILE THREADS MILLISECONDS BYTES` writes with libpmem.
  init() {
    folder = TemporaryFolder(in: "/dev/shm")
    folder.makeFolder("meet")
    _ = unsafe chmod("\(folder.path)/meet", 0o700)
  }

  /// Whether programs that use libpmem or libpmemobj can be compiled here.
  static let canCompile = works(
    "echo 'int main(void){return 0;}' | clang -x c - -lpmem -lpmemobj -o /dev/null")

  /// Runs a script: `$arbiter` is the tool, `$write` and `$objects` are programs in C that are
  /// compiled where they are used; runs meet here alone.
  func script(_ text: String) throws -> Outcome {
    for (word, name, library) in [
      ("$write ", "writers", "pmem"), ("$objects ", "objects", "pmemobj"),
    ] where text.contains(word) && folder.size(of: name) == nil {
      let source = "\(Tool.root)/Tests/CArbiterPreloadTests/Programs/\(name).c"
      _ = try shell("clang -O2 -pthread '\(source)' -l\(library) -o \(name)", in: folder.path)
    }
    return try shell(
      "export ARBITER_RUNTIME_DIR=$PWD/meet write=$PWD/writers objects=$PWD/objects\n\(text)",
      in: folder.path)
  }

  /// The summary in a file of the folder.
  func summary(_ name: String) throws -> RunJSON {
    try RunJSON(text(of: "\(folder.path)/\(name)"))
  }
}

/// A summary as JSON.
struct RunJSON {
  let top: [String: Any]

  init(_ text: String) throws {
    let any = try JSONSerialization.jsonObject(with: Data(text.utf8))
    top = any as? [String: Any] ?? [:]
  }

  var run: [String: Any] { top["run"] as? [String: Any] ?? [:] }
  var threads: [[String: Any]] { top["threads"] as? [[String: Any]] ?? [] }
  var sets: [[String: Any]] { top["sets"] as? [[String: Any]] ?? [] }

  func count(_ key: String) -> Int? { run[key] as? Int }
}
