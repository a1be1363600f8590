// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// A picture of measurements, described so that any program can draw it.
public struct Plot: Sendable, Hashable {
  /// One axis.
  public struct Axis: Sendable, Hashable {
    /// What is measured, unit in parentheses.
    public var label: String
    /// Whether the axis is logarithmic; points at or below 0 cannot be shown then.
    public var isLogarithmic: Bool
    /// Where the axis has its marks; nil leaves them to the program.
    public var ticks: [Double]?
    /// Whether the axis begins at 0 as long as nothing lies below.
    public var startsAtZero: Bool

    /// Makes an axis.
    public init(
      _ label: String, isLogarithmic: Bool = false, ticks: [Double]? = nil,
      startsAtZero: Bool = false
    ) {
      self.label = label
      self.isLogarithmic = isLogarithmic
      self.ticks = ticks
      self.startsAtZero = startsAtZero
    }
  }

  /// One measurement.
  public struct Point: Sendable, Hashable {
    /// The place on the horizontal axis.
    public var x: Double
    /// The place on the vertical axis; nil where unavailable.
    public var y: Double?
    /// The range in which the true value may lie.
    public var error: ClosedRange<Double>?

    /// Makes a point.
    public init(x: Double, y: Double?, error: ClosedRange<Double>? = nil) {
      self.x = x
      self.y = y
      self.error = error
    }
  }

  /// Points that belong together.
  public struct Series: Sendable, Hashable {
    /// The name in the legend.
    public var name: String
    /// The points, in the order in which a line joins them.
    public var points: [Point]
    /// How the points are drawn.
    public var style: Style
    /// Series of one color belong together; nil gives the series a color of its own.
    public var color: Int?
    /// Whether the legend names the series.
    public var isListed: Bool

    /// Makes a series.
    public init(
      _ name: String, _ points: [Point], style: Style = .linesAndPoints, color: Int? = nil,
      isListed: Bool = true
    ) {
      self.name = name
      self.points = points
      self.style = style
      self.color = color
      self.isListed = isListed
    }
  }

  /// How the points of a series are drawn.
  public enum Style: Sendable, Hashable {
    /// Points that a line joins.
    case linesAndPoints
    /// Points alone, for what was measured.
    case points
    /// A line alone, for what was computed.
    case line
    /// Rings around points of another series, for what deserves a look.
    case rings
  }

  /// How much room a picture takes.
  public enum Size: Sendable, Hashable {
    /// The width of the page.
    case full
    /// A third of the page, for pictures that are looked at side by side.
    case small
  }

  /// A line at a fixed place, such as what a publication reports.
  public struct ReferenceLine: Sendable, Hashable {
    /// Which way the line runs.
    public enum Direction: Sendable, Hashable {
      /// At one value of the vertical axis.
      case horizontal
      /// At one value of the horizontal axis.
      case vertical
    }

    /// Which way the line runs.
    public var direction: Direction
    /// The value at which it stands.
    public var value: Double
    /// What it says.
    public var label: String

    /// Makes a line.
    public init(_ direction: Direction, at value: Double, label: String) {
      self.direction = direction
      self.value = value
      self.label = label
    }
  }

  /// The name of the files: lower-case letters, digits and hyphens.
  public let name: String
  /// The heading of the picture.
  public var title: String
  /// The horizontal axis.
  public var x: Axis
  /// The vertical axis.
  public var y: Axis
  /// What is drawn.
  public var series: [Series]
  /// Lines at fixed places.
  public var lines: [ReferenceLine]
  /// What the reader should see in the picture.
  public var caption: String
  /// How much room the picture takes.
  public var size: Size

  /// Makes a plot.
  ///
  /// - Precondition: `name` is made of a-z, 0-9 and hyphens.
  public init(
    name: String, title: String, x: Axis, y: Axis, series: [Series], lines: [ReferenceLine] = [],
    caption: String = "", size: Size = .full
  ) {
    let isName =
      !name.isEmpty
      && name.utf8.allSatisfy { byte in
        byte == 0x2D || (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte)
      }
    precondition(isName, "'\(name)' is not the name of a plot")
    self.name = name
    self.title = title
    self.x = x
    self.y = y
    self.series = series
    self.lines = lines
    self.caption = caption
    self.size = size
  }

  /// Whether a point has a place in the picture.
  func isShown(_ point: Point) -> Bool {
    guard let height = point.y, height.isFinite, point.x.isFinite else { return false }
    return (!x.isLogarithmic || point.x > 0) && (!y.isLogarithmic || height > 0)
  }

  /// The caption, with a sentence on points that the picture cannot show.
  public var fullCaption: String {
    let all = series.flatMap(\.points).filter { $0.y != nil }
    let hidden = all.count { !isShown($0) }
    guard hidden > 0 else { return caption }
    let points = hidden == 1 ? "1 point has" : "\(hidden) points have"
    let note = "\(points) no place on a logarithmic axis and only the data file shows them."
    return caption.isEmpty ? note : "\(caption) \(note)"
  }

  /// The data as CSV: one row per point, the series numbered from 1 in the first column.
  public var csv: String {
    var text = CSV.row(["series_number", "series", "x", "y", "y_low", "y_high"])
    for (index, series) in series.enumerated() {
      for point in series.points {
        let numbers = [point.x, point.y, point.error?.lowerBound, point.error?.upperBound]
        text += CSV.row(
          ["\(index + 1)", series.name]
            + numbers.map { CSV.field(.figure($0)) })
      }
    }
    return text
  }

  /// The data as a table, for where there is no picture.
  public var table: Table {
    var table = Table(
      [.init("series"), .init(x.label, .right), .init(y.label, .right)], keyColumnCount: 2)
    for series in series {
      for point in series.points {
        let isWhole = point.x == point.x.rounded() && abs(point.x) < 1e6
        table.add([
          .text(series.name), isWhole ? .count(Int(point.x)) : .number(point.x), .number(point.y),
        ])
      }
    }
    return table
  }
}
