// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import CommandSpec
import Testing

@Suite("Completion scripts")
struct CompletionTests {
  /// Completes in bash as readline would: the words are already split, the last is being typed.
  private func bashOffers(_ words: [String]) throws -> [String] {
    let script =
      sample.completionScript(for: .bash) + "\n"
      + "COMP_WORDS=(\(words.map(shellQuoted).joined(separator: " ")))\n"
      + "COMP_CWORD=\(words.count - 1)\n_sample\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
    let result = try output(of: script)
    #expect(result.status == 0)
    // A program that lies in two directories of the path is offered twice; readline drops repeats.
    return result.text.split(separator: "\n").map(String.init).reduce(into: []) { offers, word in
      if offers.last != word { offers.append(word) }
    }
  }

  @Test(arguments: [
    (["sample", ""], ["sort", "send", "version", "help", "--help"]),
    (["sample", "s"], ["sort", "send"]),
    (["sample", "help", "so"], ["sort"]),
    (["sample", "sort", "--s"], ["--seed=", "--share=", "--sizes="]),
    (["sample", "sort", "--qui"], ["--quiet"]),
    (["sample", "send", "--speed", "="], ["weight", "distance", "postal-code"]),
    (["sample", "send", "--speed", "=", "di"], ["distance"]),
    (["sample", "send", "--speed", "di"], ["distance"]),
    (["sample", "send", "--speed=di"], ["--speed=distance"]),
    (["sample", "sort", "--order", "=", "weight,po"], ["weight,postal-code"]),
    (["sample", "sort", "--fragile", "=", "t"], ["true"]),
    (["sample", "sort", "--bins", "=", ""], []),
    (["sample", "sort", "--depot", "=", "/us"], ["/usr"]),
    (["sample", "version", "-"], ["--help"]),
    (["sample", "version", ""], []),
    (["sample", "sort", "-o", "/etc/pass"], ["/etc/passwd"]),
    (["sample", "sort", "--output=/etc/pass"], ["--output=/etc/passwd"]),
    (["sample", "sort", "--quiet", "/etc/pass"], ["/etc/passwd"]),
    (["sample", "sort", "--", "--"], []),
    (["sample", "send", "Oslo", "--", "mkfif"], ["mkfifo"]),
    (["sample", "send", "Oslo", "--", "cat", "/etc/passw"], ["/etc/passwd"]),
  ])
  func `bash offers what fits`(_ words: [String], _ expected: [String]) throws {
    let offers = try bashOffers(words)
    // What else lies in the file system is up to the machine; the rest is exact and in order.
    if let path = expected.first, path.contains("/") {
      let typed = try #require(words.last)
      #expect(offers.contains(path))
      #expect(offers.allSatisfy { $0.hasPrefix(typed) })
    } else {
      #expect(offers == expected)
    }
  }

  @Test(.enabled(if: isInstalled("bash"), "bash is not installed"))
  func `the script for bash is sound`() throws {
    let script = sample.completionScript(for: .bash)
    let result = try output(of: "printf %s \(shellQuoted(script)) | bash -n")
    #expect(result.text.isEmpty)
    #expect(result.status == 0)
  }

  @Test(.enabled(if: isInstalled("zsh"), "zsh is not installed"))
  func `the script for zsh is sound`() throws {
    let script = sample.completionScript(for: .zsh)
    let result = try output(of: "printf %s \(shellQuoted(script)) | zsh -n /dev/stdin")
    #expect(result.text.isEmpty)
    #expect(result.status == 0)
    #expect(script.contains("'(-o --output)-o[Write the list to a file]:FILE:_files'"))
    #expect(script.contains("'(--bins)--bins=[Number of bins \\[at least one\\]]:N: '"))
  }

  @Test(
    .enabled(if: isInstalled("fish"), "fish is not installed"),
    arguments: [
      ("sample s", ["send", "sort"]),
      ("sample sort --s", ["--seed", "--share", "--sizes"]),
      ("sample send --speed=di", ["--speed=distance"]),
      ("sample send --speed di", ["distance"]),
      ("sample sort --order=weight,po", ["--order=weight,postal-code"]),
      ("sample sort --dep", ["--depot"]),
      ("sample help se", ["send"]),
      ("sample sort /etc/passw", ["/etc/passwd"]),
    ])
  func `fish offers what fits`(_ line: String, _ expected: [String]) throws {
    let script =
      sample.completionScript(for: .fish) + "\ncomplete -C \(shellQuoted(line))\n"
    let result = try output(of: script, shell: "fish --no-config")
    let offers = result.text.split(separator: "\n").compactMap {
      // Some versions add the equals sign to an option that takes a value, others do not.
      $0.split(separator: "\t").first.map { String($0.last == "=" ? $0.dropLast() : $0) }
    }
    #expect(!offers.isEmpty)
    let typed = try #require(line.split(separator: " ").last)
    #expect(Set(offers).isSuperset(of: expected))
    #expect(offers.allSatisfy { $0.hasPrefix(typed) })
  }
}
