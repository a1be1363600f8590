// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// A report is written into `NAME.partial-PID` beside its place and takes its name only when it is
// whole. The marker file lists what belongs to the report; a folder without it, or with a file that
// it does not list, is somebody's own and is left alone.

/// Everything that a report shows.
public struct Report: Sendable {
  /// A figure of a publication beside the same figure here.
  public struct Comparison: Sendable, Hashable {
    /// What is compared.
    public var claim: String
    /// The publication's figure.
    public var published: Double
    /// The figure here; nil where it could not be had.
    public var measured: Double?
    /// The unit of both; empty for ratios.
    public var unit: String
    /// The publication and the place in it.
    public var source: String

    /// Makes a comparison.
    public init(
      claim: String, published: Double, measured: Double?, unit: String = "", source: String
    ) {
      self.claim = claim
      self.published = published
      self.measured = measured
      self.unit = unit
      self.source = source
    }
  }

  /// A part of the page with a heading of its own.
  public struct Section: Sendable, Hashable {
    /// What stands in a section, in its order.
    public enum Part: Sendable, Hashable {
      /// A paragraph.
      case text(String)
      /// A heading inside of the section.
      case heading(String)
      /// A table.
      case table(Table)
      /// Pictures; small ones stand side by side.
      case plots([Plot])
    }

    /// The heading.
    public var title: String
    /// What stands below it.
    public var parts: [Part]

    /// Makes a section.
    public init(_ title: String, _ parts: [Part]) {
      self.title = title
      self.parts = parts
    }

    var plots: [Plot] {
      parts.flatMap { part in if case .plots(let plots) = part { plots } else { [Plot]() } }
    }
  }

  /// A file of the folder that no picture needs.
  public struct File: Sendable, Hashable {
    /// The name, without a folder.
    public var name: String
    /// The contents.
    public var text: String

    /// Makes a file.
    public init(_ name: String, _ text: String) {
      self.name = name
      self.text = text
    }
  }

  /// The heading of the page.
  public var title: String
  /// A paragraph under the heading.
  public var summary: String
  /// The results, the command and the seed.
  public var document: ResultDocument
  /// The pictures, in the order of the page; no two of one name.
  public var plots: [Plot]
  /// Figures of publications beside the same figures here.
  public var comparisons: [Comparison]
  /// Further parts of the page, with their own pictures.
  public var sections: [Section]
  /// Further files.
  public var files: [File]

  /// Makes a report.
  ///
  /// - Precondition: No two plots have the same name, those of the sections included.
  public init(
    title: String, summary: String = "", document: ResultDocument, plots: [Plot] = [],
    comparisons: [Comparison] = [], sections: [Section] = [], files: [File] = []
  ) {
    let names = (plots + sections.flatMap(\.plots)).map(\.name)
    precondition(Set(names).count == names.count, "two plots of one name")
    self.sections = sections
    self.files = files
    self.title = title
    self.summary = summary
    self.document = document
    self.plots = plots
    self.comparisons = comparisons
  }

  /// Whether the document has a file of its own; a report of other things than runs has none.
  var hasResults: Bool { !document.results.isEmpty || files.isEmpty }

  /// Every picture of the page.
  package var allPlots: [Plot] { plots + sections.flatMap(\.plots) }
}

/// A folder with a page, the results as JSON and CSV, and each plot as data, script and picture.
public enum ReportFolder {
  /// The file that marks a folder as a report and lists its files.
  public static let markerName = ".arbiter-report"

  /// What writing a report achieved.
  public struct Outcome: Sendable, Hashable {
    /// The page.
    public let page: String
    /// Whether every plot has its picture; without gnuplot none has.
    public let hasPictures: Bool
  }

  /// Writes a report at a path, in place of an older report there.
  ///
  /// Until the report is whole, the older one stays. Where anything fails, the path is as it was
  /// and nothing is left beside it.
  ///
  /// - Parameters:
  ///   - report: What to write.
  ///   - path: The folder, which must not exist, be empty, or be an untouched report.
  ///   - process: A number that no other writer uses at the same time; nil is the process id.
  ///   - draw: Draws a script; gnuplot unless a test says otherwise.
  /// - Returns: Where the page is and whether it has pictures.
  /// - Throws: ``ReportError`` naming the path, and what `draw` throws.
  @discardableResult
  public static func write(
    _ report: Report, to path: String, process: Int32? = nil,
    draw: Draw = { script, folder in try Gnuplot.draw(script: script, folder: folder) }
  ) throws -> Outcome {
    let path = trimmed(path)
    try checkReplaceable(path)
    let partial = "\(path).partial-\(process ?? FileSystem.processNumber)"
    if try FileSystem.kind(partial) != .nothing {
      // Left by a process that had this number and was ended.
      try checkReplaceable(partial, isPartial: true)
      try FileSystem.removeFolder(partial)
    }
    try FileSystem.makeFolder(partial)
    do {
      let hasPictures = try fill(partial, with: report, draw: draw)
      try checkReplaceable(path)
      try putInPlace(partial, path)
      return Outcome(page: "\(path)/index.html", hasPictures: hasPictures)
    } catch {
      try? FileSystem.removeFolder(partial)
      throw error
    }
  }

  /// Checks before a long computation that a report could be written at a path.
  ///
  /// - Throws: ``ReportError`` where something else stands there or the folder around it is missing
  ///   or closed to this user.
  public static func checkWritable(_ path: String) throws(ReportError) {
    let path = trimmed(path)
    try checkReplaceable(path)
    let probe = "\(path).partial-\(FileSystem.processNumber)"
    try FileSystem.makeFolder(probe)
    try FileSystem.removeFolder(probe)
  }

  private static func trimmed(_ path: String) -> String {
    var path = path
    while path.count > 1, path.last == "/" { path.removeLast() }
    return path
  }

  private static func fill(_ folder: String, with report: Report, draw: Draw) throws -> Bool {
    let names = fileNames(of: report)
    let marker = "arbiter-report/1\n" + names.map { $0 + "\n" }.joined()
    try FileSystem.write(marker, to: "\(folder)/\(markerName)")
    if report.hasResults {
      try FileSystem.write(report.document.json.document(), to: "\(folder)/results.json")
      try FileSystem.write(report.document.csv, to: "\(folder)/results.csv")
    }
    for file in report.files { try FileSystem.write(file.text, to: "\(folder)/\(file.name)") }
    var pictures: [String: String] = [:]
    for plot in report.allPlots {
      let script = "\(plot.name).gnuplot"
      try FileSystem.write(plot.csv, to: "\(folder)/\(plot.name).csv")
      try FileSystem.write(plot.gnuplotScript, to: "\(folder)/\(script)")
      if try draw(script, folder) == .drawn {
        pictures[plot.name] = try FileSystem.read("\(folder)/\(plot.name).svg")
      }
    }
    let page = ReportPage(report: report, pictures: pictures)
    try FileSystem.write(page.html, to: "\(folder)/index.html")
    return pictures.count == report.allPlots.count
  }

  /// Every name that a report may have, pictures included.
  private static func fileNames(of report: Report) -> [String] {
    ["index.html"] + (report.hasResults ? ["results.csv", "results.json"] : [])
      + report.files.map(\.name)
      + report.allPlots.flatMap { ["\($0.name).csv", "\($0.name).gnuplot", "\($0.name).svg"] }
  }

  /// Refuses a path at which anything but an untouched report stands.
  private static func checkReplaceable(
    _ path: String, isPartial: Bool = false
  ) throws(ReportError) {
    switch try FileSystem.kind(path) {
    case .nothing: return
    case .other:
      throw ReportError(
        code: .notAReport, path: path,
        reason: "a file stands where the report should go; choose another folder")
    case .folder: break
    }
    let names = try FileSystem.names(in: path)
    if names.isEmpty { return }
    guard names.contains(markerName) else {
      throw ReportError(
        code: .notAReport, path: path,
        reason: "the folder exists and is not a report of Arbiter; choose another folder")
    }
    let marker = try FileSystem.read("\(path)/\(markerName)", bytesMax: 1 << 20)
    let listed = Set(marker.split(separator: "\n").dropFirst().map(String.init) + [markerName])
    for name in names where !listed.contains(name) && !(isPartial && name.hasSuffix(".log")) {
      throw ReportError(
        code: .notAReport, path: "\(path)/\(name)",
        reason: "the report's folder holds a file that is not part of it; move it away first")
    }
  }

  /// Gives the whole folder its name; an older report stays until then and comes back on failure.
  ///
  /// Two renames, because the one call that swaps two folders is not in Swift's view of the C
  /// library. A crash between them leaves the older report whole under the name ending in `-old`.
  private static func putInPlace(_ partial: String, _ path: String) throws(ReportError) {
    guard try FileSystem.kind(path) == .folder else {
      return try FileSystem.rename(partial, to: path)
    }
    let old = "\(partial)-old"
    try FileSystem.rename(path, to: old)
    do {
      try FileSystem.rename(partial, to: path)
    } catch {
      try? FileSystem.rename(old, to: path)
      throw error
    }
    try FileSystem.removeFolder(old)
  }
}
