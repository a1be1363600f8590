// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import CommandSpec
import Testing

@Suite("Man pages")
struct ManualPageTests {
  private let pages = sample.manualPages(date: "January 31, 2026")

  @Test func `there is one page for the tool and one for each verb`() {
    let names = ["sample.1", "sample-sort.1", "sample-send.1", "sample-version.1"]
    #expect(pages.map(\.fileName) == names)
    #expect(pages == sample.manualPages(date: "January 31, 2026"))
  }

  @Test(.enabled(if: isInstalled("mandoc"), "mandoc is not installed"))
  func `mandoc finds nothing to warn about`() throws {
    for page in pages {
      let lint = "printf %s \(shellQuoted(page.text)) | mandoc -T lint -W warning"
      #expect(try output(of: lint).text == "", "\(page.fileName)")
    }
  }

  @Test(.enabled(if: isInstalled("mandoc"), "mandoc is not installed"))
  func `the page of a verb reads as it should`() throws {
    let page = try #require(pages.first { $0.fileName == "sample-sort.1" })
    let render = "printf %s \(shellQuoted(page.text)) | mandoc -T ascii -O width=78 | col -b"
    let text = try output(of: render).text
      .split(whereSeparator: \.isWhitespace).joined(separator: " ")
    for expected in [
      "sample-sort - sort parcels into bins",
      "sample sort [--bins=N]",
      ".dotted lines, 'quotes' and back\\slashes are text.",
      "-o FILE, --output=FILE",
      "Any of: weight, distance, postal-code. Default: weight",
      "sample sort --bins=7 parcels.txt",
      "128 + n",
      "sample(1), sample-send(1)",
    ] {
      #expect(text.contains(expected))
    }
  }
}
