// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterReport
import Testing

@Suite("OpenMetrics")
struct OpenMetricsTests {
  private var bytes: MetricFamily {
    var family = MetricFamily(
      "house_sent_bytes", .counter, unit: "bytes", help: "Bytes \"sent\" to C:\\.\nAll of them.")
    family.add(MetricValue(UInt64.max), [MetricLabel("room", "a\"b\\c\nd\u{7}e"), .init("x", "")])
    family.add(MetricValue(UInt64(7)))
    return family
  }

  private var fact: MetricFamily {
    var family = MetricFamily("house_built", .info, help: "When.")
    family.add(MetricValue(UInt64(1)), [MetricLabel("year", "1900")])
    return family
  }

  private var empty: MetricFamily {
    MetricFamily("house_empty_seconds", .gauge, unit: "seconds", help: "Nothing.")
  }

  @Test func `OpenMetrics declares families, their units and an end`() {
    let form = MetricForm.openMetrics
    #expect(
      form.lines(of: [bytes, empty, fact]) + form.end == """
        # HELP house_sent_bytes Bytes \\"sent\\" to C:\\\\.\\nAll of them.
        # TYPE house_sent_bytes counter
        # UNIT house_sent_bytes bytes
        house_sent_bytes_total{room="a\\"b\\\\c\\nd?e",x=""} 18446744073709551615
        house_sent_bytes_total 7
        # HELP house_built When.
        # TYPE house_built info
        house_built_info{year="1900"} 1
        # EOF

        """)
  }

  @Test func `the older form declares samples, knows no units and has no end`() {
    let form = MetricForm.text
    #expect(
      form.lines(of: [bytes, empty, fact]) + form.end == """
        # HELP house_sent_bytes_total Bytes "sent" to C:\\\\.\\nAll of them.
        # TYPE house_sent_bytes_total counter
        house_sent_bytes_total{room="a\\"b\\\\c\\nd?e",x=""} 18446744073709551615
        house_sent_bytes_total 7
        # HELP house_built_info When.
        # TYPE house_built_info gauge
        house_built_info{year="1900"} 1

        """)
  }

  @Test(arguments: [
    (0.0, "0"), (-0.0, "0"), (3.0, "3"), (-2.5, "-2.5"), (1e15, "1000000000000000"),
    (1e300, "1e+300"), (0.1, "0.1"), (.leastNonzeroMagnitude, "5e-324"),
  ])
  func `numbers are the shortest text that reads back`(number: Double, text: String) throws {
    var family = MetricFamily("house_level", .gauge, help: "Any.")
    family.add(try #require(MetricValue(number)))
    #expect(MetricForm.text.lines(of: [family]).hasSuffix("\nhouse_level \(text)\n"))
    #expect(Double(text) == number)
  }

  @Test(arguments: [Double.nan, .infinity, -.infinity])
  func `what is no number is no value`(number: Double) {
    #expect(MetricValue(number) == nil)
  }

  @Test func `a name that misleads is refused`() async {
    await #expect(processExitsWith: .failure) {
      _ = MetricFamily("house_sent_total", .counter, help: "Twice a total.")
    }
    await #expect(processExitsWith: .failure) {
      _ = MetricFamily("house_sent", .counter, unit: "bytes", help: "Without its unit.")
    }
    await #expect(processExitsWith: .failure) {
      _ = MetricFamily("house-sent", .gauge, help: "Not a name.")
    }
  }
}
