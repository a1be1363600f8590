// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
package import ArbiterReport

/// The metrics of one reading, made into text when somebody asks for it, once for each form.
package final class MetricsPage: Sendable {
  private let families: [MetricFamily]
  private let readNanoseconds: Int64
  // Held while text is made, by the threads that serve and never by the one that reads counters.
  private let made = Lock<[MetricForm: String]>([:])

  /// Makes a page.
  ///
  /// - Parameters:
  ///   - families: The metrics.
  ///   - readNanoseconds: When they were read, by CLOCK_MONOTONIC_RAW.
  package init(_ families: [MetricFamily], readNanoseconds: Int64) {
    self.families = families
    self.readNanoseconds = readNanoseconds
  }

  /// The whole text.
  ///
  /// - Parameters:
  ///   - form: The form of the text.
  ///   - now: The time by CLOCK_MONOTONIC_RAW, to tell the reading's age; nil where the text is
  ///     read later than it is written, so that an age in it would be wrong.
  /// - Returns: The text, which is never empty.
  package func text(_ form: MetricForm, nowNanoseconds now: Int64?) -> String {
    let families = families
    let lines = made.withLock { made in
      if let text = made[form] { return text }
      let text = form.lines(of: families)
      made[form] = text
      return text
    }
    let age = now.map { WatchMetrics.age(seconds: Double($0 - readNanoseconds) / 1e9) }
    return lines + form.lines(of: age.map { [$0] } ?? []) + form.end
  }
}

/// Where the thread that reads counters leaves the last page for those that serve it.
package final class MetricsBoard: Sendable {
  private let page: Lock<MetricsPage>

  /// Makes a board with its first page.
  package init(_ page: MetricsPage) {
    self.page = Lock(page)
  }

  /// The last page, or a newer one to take its place.
  ///
  /// Neither side holds the lock for longer than it takes to copy a reference.
  package var last: MetricsPage {
    get { page.withLock { $0 } }
    set { page.withLock { $0 = newValue } }
  }
}
