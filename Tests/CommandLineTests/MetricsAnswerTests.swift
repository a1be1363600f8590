// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCommands
import ArbiterReport
import Testing

@Suite("Export: answers")
struct MetricsAnswerTests {
  @Test(arguments: [
    (nil, MetricForm.text),
    ("", .text),
    ("*/*", .text),
    ("text/html,application/xhtml+xml,*/*;q=0.8", .text),
    ("application/openmetrics-text", .openMetrics),
    ("application/openmetrics-text; version=1.0.0; charset=utf-8", .openMetrics),
    ("APPLICATION/OPENMETRICS-TEXT;VERSION=\"1.0.0\"", .openMetrics),
    ("application/openmetrics-text;version=9.0.0", .text),
    ("application/openmetrics-text;q=0", .text),
    ("application/openmetrics-text;q=0.1,text/plain;q=0.9", .text),
    // Prometheus 2.42 asks so.
    (
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
        + "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .openMetrics
    ),
    (";;;,,=;q=x,é,", .text),
  ])
  func `a client gets the form that it prefers`(accept: String?, form: MetricForm) {
    #expect(MetricForm.negotiated(accept) == form)
  }

  @Test func `a page is what stands on the board when it is asked for`() throws {
    func page(_ second: Int64) -> MetricsPage {
      var metrics = WatchMetrics(tasksMax: 1)
      let facts = WatchMetrics.ReadingFacts(
        count: UInt64(second), unixSeconds: 1, durationSeconds: 1)
      return MetricsPage(
        metrics.families(of: WatchFixture.reading(second: second), facts), readNanoseconds: 0)
    }
    let board = MetricsBoard(page(1))
    for second in 1...3 {
      board.last = page(Int64(second))
      let answer = HTTPAnswer(path: "/metrics", accept: nil, from: board)
      #expect(answer.status == 200)
      #expect(answer.contentType.hasPrefix("text/plain; version=0.0.4"))
      let text = try MetricsText(answer.body, .text)
      #expect(text.value("arbiter_readings_total") == Double(second))
    }
    #expect(HTTPAnswer(path: "/", accept: nil, from: board).body.contains("href=\"/metrics\""))
    for path in ["/metrics/", "/metrics/..", "", "//", "/METRICS"] {
      #expect(HTTPAnswer(path: path, accept: nil, from: board).status == 404)
    }
  }
}
