// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterMetrics
package import ArbiterProfiler
internal import ArbiterReport
package import ArbiterTiering

// The live screen as lines of text. Pure: the same interval, state and size give the same lines,
// never more than the window has rows, never wider than it is.
//
//   title, processors        always
//   devices                  at most a third of the rows
//   sessions of two tiers    where there are any: at most a quarter
//   tasks                    what is left
//   remarks                  why figures are missing: where there is room
//   keys                     the last row

/// What stands in the title.
package struct TopPlace: Equatable, Sendable {
  package var host: String
  package var processorCount: Int

  package init(host: String, processorCount: Int) {
    self.host = host
    self.processorCount = processorCount
  }
}

/// A moment of the live screen.
package struct TopView: Sendable {
  package var place: TopPlace
  /// The time of day, as 14:05:59.
  package var clock: String
  package var interval: WatchInterval
  /// The sessions of `arbiter tier` that live.
  package var tiers: [TierNote]

  package init(
    place: TopPlace, clock: String, interval: WatchInterval, tiers: [TierNote] = []
  ) {
    self.place = place
    self.clock = clock
    self.interval = interval
    self.tiers = tiers
  }
}

/// A line and how it is told from others; meaning is in the words alone.
struct TopLine: Equatable {
  var text: String
  var style: Terminal.Style?

  init(_ text: String, _ style: Terminal.Style? = nil) {
    self.text = text
    self.style = style
  }
}

/// Draws the live screen.
package enum TopScreen {
  /// The smallest window that shows everything that matters.
  package static let columnsMin = 40
  package static let rowsMin = 10

  /// The screen: at most `rows` lines of at most `columns` characters.
  package static func render(
    _ view: TopView, _ state: TopState, columns: Int, rows: Int
  ) -> [String] {
    lines(view, state, columns: columns, rows: rows).map(\.text)
  }

  static func lines(
    _ view: TopView, _ state: TopState, columns: Int, rows: Int
  ) -> [TopLine] {
    let width = max(1, columns)
    guard rows > 0 else { return [] }
    let body =
      state.showsHelp
      ? help(width: width, rows: rows - 1) : main(view, state, width: width, rows: rows - 1)
    var lines = Array(body.prefix(rows - 1))
    lines += Array(repeating: TopLine(""), count: rows - 1 - lines.count)
    lines.append(TopLine(keys(state, width: width), .dim))
    return lines.map { TopLine(TopFigures.cut($0.text, to: width), $0.style) }
  }

  /// All of a view, however long, for a file or a script.
  package static func page(_ view: TopView, _ state: TopState, columns: Int) -> [String] {
    var lines = heading(view, state, width: columns).map(\.text)
    let devices = deviceLines(view, width: columns)
    let tasks = taskLines(view, state, width: columns)
    lines += [""] + devices.map(\.text)
    let tiers = tierLines(view, width: columns)
    if !tiers.isEmpty { lines += [""] + tiers.map(\.text) }
    lines += [""] + tasks.map(\.text)
    let remarks = remarks(view, width: columns)
    if !remarks.isEmpty { lines += [""] + remarks }
    return lines
  }

  // MARK: Parts

  private static func main(
    _ view: TopView, _ state: TopState, width: Int, rows: Int
  ) -> [TopLine] {
    let isRoomy = rows >= 16
    let space = isRoomy ? [TopLine("")] : []
    var lines = heading(view, state, width: width) + space
    let devices = deviceLines(view, width: width)
    lines += shortened(devices, to: max(2, rows / 3), what: "devices") + space
    let tiers = tierLines(view, width: width)
    if !tiers.isEmpty { lines += shortened(tiers, to: max(2, rows / 4), what: "sessions") + space }
    var notes = remarks(view, width: width).map { TopLine($0, .dim) }
    // Tasks keep at least four lines, header included.
    let left = rows - lines.count
    let tasks = taskLines(view, state, width: width)
    let noteRoom = max(0, min(max(rows / 3, left - tasks.count - space.count), left - 4))
    notes = noteRoom == 0 ? [] : shortened(notes, to: noteRoom, what: "remarks")
    let gap = notes.isEmpty ? [] : space
    let taskRoom = max(0, left - notes.count - gap.count)
    var shown = tasks
    if tasks.count > 1 {
      let skipped = min(state.skippedCount, tasks.count - 2)
      shown = [tasks[0]] + tasks.dropFirst(1 + skipped)
    }
    shown = shortened(shown, to: taskRoom, what: "tasks")
    let filler = max(0, taskRoom - shown.count)
    return lines + shown + Array(repeating: TopLine(""), count: notes.isEmpty ? 0 : filler) + gap
      + notes
  }

  /// Lines that fit, the last of which says how many do not.
  private static func shortened(_ lines: [TopLine], to count: Int, what: String) -> [TopLine] {
    guard lines.count > count else { return lines }
    guard count > 1 else { return Array(lines.prefix(max(0, count))) }
    let more = lines.count - count + 1
    return lines.prefix(count - 1) + [TopLine("... \(more) more \(what)", .dim)]
  }

  private static func heading(_ view: TopView, _ state: TopState, width: Int) -> [TopLine] {
    let every = TopFigures.time(nanoseconds: state.intervalSeconds * 1e9)
    let host = TopFigures.cut(TopFigures.plain(view.place.host), to: 20)
    var title = "arbiter top  \(host)  \(view.clock)  every \(every)"
    if state.isPaused { title = "PAUSED  " + title }
    let interval = view.interval
    let busy = TopFigures.percent(interval.busyShare.value)
    let stolen = TopFigures.percent(interval.stolenShare.value)
    let cost = TopFigures.scaled(interval.cpuSecondsPerGiB.value)
    let long =
      "\(view.place.processorCount) CPUs  busy \(busy)  steal \(stolen)  CPU seconds per GiB "
      + cost
    let short = "busy \(busy)  steal \(stolen)  CPU s/GiB \(cost)"
    return [TopLine(title, .bold), TopLine(long.count <= width ? long : short)]
  }

  private static func keys(_ state: TopState, width: Int) -> String {
    let all =
      state.showsHelp
      ? ["any key leaves the help", "q quit"]
      : [
        "q quit", "h help", "space \(state.isPaused ? "go on" : "pause")",
        "+ - interval", "e every process",
        "\(TopState.Order.allCases.map { String($0.key) }.joined()) sort",
        "sorted \(state.order.meaning)\(state.isReversed ? ", reversed" : "")",
      ]
    var line = all[0]
    for part in all.dropFirst() where line.count + 2 + part.count <= width { line += "  " + part }
    return line
  }

  private static func help(width: Int, rows room: Int) -> [TopLine] {
    let orders = TopState.Order.allCases.map { ("\($0.key)", "sort \($0.meaning)") }
    let rows =
      [
        ("q", "quit; so does Ctrl-C"), ("h ?", "this help"), ("space", "pause and go on"),
        ("+ -", "longer, shorter interval"), ("r", "reverse the order"),
        ("e", "show every process, or only those that use slow memory"),
        ("arrows", "scroll tasks; also Page Up, Page Down, Home, End"),
      ] + orders
    let words = [
      "iMC: what the processor's memory controller moved. MED: what the medium moved. "
        + "EQ-W: media writes + media reads / 3. WA, RA: media bytes / iMC bytes. "
        + "s/GiB: CPU seconds of all processors per GiB moved.",
      "Bytes per second; k, M, G are powers of 1000. DELAY and CPU of tasks: 100% is one thread.",
      "Under arbiter tier: FAST and SLOW are bytes that lie there, HITS the share of accesses of "
        + "the last seconds that met FAST, UP and DOWN bytes moved so far.",
      "- is unavailable, never 0; the remarks say why.",
    ]
    let long =
      [TopLine("Keys", .bold)]
      + rows.map { key, meaning in
        TopLine(key + String(repeating: " ", count: max(1, 8 - key.count)) + meaning)
      }
      + [TopLine("")] + words.flatMap { wrapped($0, width: width) }.map { TopLine($0) }
    if long.count <= room, long.allSatisfy({ $0.text.count <= width }) { return long }
    // Where that does not fit, the keys alone, one behind the other.
    let keys =
      ["q quit", "h help", "space pause", "+ - interval", "arrows scroll", "e every process"]
      + TopState.Order.allCases.map { "\($0.key) by \($0.name)" } + ["r reverse"]
    return [TopLine("Keys", .bold)]
      + wrapped(keys.joined(separator: ", "), width: width).map { TopLine($0) }
  }

  // MARK: Devices and tasks

  private static func deviceLines(_ view: TopView, width: Int) -> [TopLine] {
    let devices = view.interval.devices
    guard !devices.isEmpty else {
      return [TopLine("DEVICE", .bold), TopLine("(none: no slow memory, no gated run)")]
    }
    let table = TopTable(deviceColumns, devices, width: width, growing: "DEVICE")
    return [TopLine(table.header, .bold)] + table.lines.map { TopLine($0) }
  }

  static let deviceColumns: [TopColumn<DeviceInterval>] = [
    .init("DEVICE", 9, isRight: false) { TopFigures.plain($0.device.name) },
    .init("iMC-W", 5) { TopFigures.scaled($0.imcWriteRate.value) },
    .init("iMC-R", 5, expendability: 5) { TopFigures.scaled($0.imcReadRate.value) },
    .init("MED-W", 5, expendability: 2) { TopFigures.scaled($0.mediaWriteRate.value) },
    .init("MED-R", 5, expendability: 7) { TopFigures.scaled($0.mediaReadRate.value) },
    .init("WA", 4) { TopFigures.scaled($0.writeAmplification.value) },
    .init("RA", 4, expendability: 8) { TopFigures.scaled($0.readAmplification.value) },
    .init("EQ-W", 5, expendability: 6) { TopFigures.scaled($0.equivalentWriteRate.value) },
    .init("s/GiB", 5) { TopFigures.scaled($0.cpuSecondsPerGiB.value) },
    .init("DELAY", 6, expendability: 1) {
      TopFigures.time(nanoseconds: $0.device.delayNanoseconds.value)
    },
    .init("SOURCE", 17, isRight: false, expendability: 4) { $0.device.counters.source.rawValue },
  ]

  private static func taskLines(_ view: TopView, _ state: TopState, width: Int) -> [TopLine] {
    let tasks = state.ordered(view.interval.tasks)
    let table = TopTable(taskColumns, tasks, width: width, growing: "COMMAND")
    let header = [TopLine(table.header, .bold)]
    if tasks.isEmpty {
      return header + [TopLine("(no program is seen to use slow memory)")]
        + wrapped(lookAnyway, width: width).map { TopLine($0, .dim) }
    }
    return header + table.lines.map { TopLine($0) }
  }

  /// What there is to see where nothing is slow.
  private static let lookAnyway =
    "Look anyway: --every-process (key e) shows all, -p PID samples one; 'arbiter account -p PID' "
    + "tells what it stores where, 'arbiter measure PATH' what memory can do."

  static let taskColumns: [TopColumn<TaskInterval>] = [
    .init("PID", 7) { String($0.task.process) },
    .init("COMMAND", 9, isRight: false) { TopFigures.plain($0.task.command) },
    .init("WRITE/s", 7) { stored($0.writeRate, $0.task.backEnd) },
    .init("SHARE", 6, expendability: 2) { TopFigures.percent($0.share.value) },
    .init("WRITTEN", 7, expendability: 5) { stored($0.task.written, $0.task.backEnd) },
    .init("SOURCE", 6, isRight: false, expendability: 4) {
      $0.task.backEnd?.rawValue ?? Figures.unavailable
    },
    .init("DELAY", 6, expendability: 3) { TopFigures.percent($0.delayShare.value) },
    .init("CPU", 6) { TopFigures.percent($0.cpuShare.value) },
    .init("MAPPED", 6, expendability: 6) {
      TopFigures.scaled($0.task.mappedBytes.value.map { Double($0) })
    },
  ]

  /// What a task stored: bytes, or time where only time was measured.
  private static func stored(_ figure: Figure<Estimate>, _ backEnd: BackEnd?) -> String {
    let value = figure.value?.value
    return backEnd?.measure == .timeWeightedStoreCost
      ? TopFigures.time(nanoseconds: value) : TopFigures.scaled(value)
  }

  // MARK: Remarks

  /// Why figures are missing, each reason once, and what cannot be seen at all.
  static func remarks(_ view: TopView, width: Int) -> [String] {
    let interval = view.interval
    var reasons: [(subjects: [String], reason: String)] = []
    func add(_ subject: String, _ reason: String?) {
      guard let reason, !reason.isEmpty else { return }
      if let place = reasons.firstIndex(where: { $0.reason == reason }) {
        reasons[place].subjects.append(subject)
      } else {
        reasons.append(([subject], reason))
      }
    }
    add("CPU", interval.busyShare.reason)
    add("CPU seconds per GiB", interval.cpuSecondsPerGiB.reason)
    for device in interval.devices { addReasons(of: device, add) }
    for task in interval.tasks {
      add("WRITE/s of \(task.task.process)", task.writeRate.reason)
      add("MAPPED of \(task.task.process)", task.task.mappedBytes.reason)
    }
    for (subject, reason) in tierReasons(view) { add(subject, reason) }
    let lines = reasons.map { entry in
      let named = entry.subjects.prefix(3).joined(separator: ", ")
      let more = entry.subjects.count > 3 ? " and \(entry.subjects.count - 3) more" : ""
      return "\(named)\(more): \(TopFigures.plain(entry.reason))."
    }
    return (lines + interval.reading.blindSpots.map(TopFigures.plain)).flatMap {
      wrapped($0, width: width)
    }
  }

  /// A reason that holds for most of a device's figures is told of the device.
  private static func addReasons(
    of device: DeviceInterval, _ add: (_ subject: String, _ reason: String?) -> Void
  ) {
    let name = TopFigures.plain(device.device.name)
    var reasons: [(figures: [String], reason: String)] = []
    for figure in DeviceInterval.figures {
      guard let reason = figure.read(device) else { continue }
      if let place = reasons.firstIndex(where: { $0.reason == reason }) {
        reasons[place].figures.append(figure.name)
      } else {
        reasons.append(([figure.name], reason))
      }
    }
    for entry in reasons {
      let figures = entry.figures.joined(separator: ", ")
      add(entry.figures.count > 4 ? name : "\(figures) of \(name)", entry.reason)
    }
  }

  /// Lines that are never wider, even where a word is.
  private static func wrapped(_ text: String, width: Int) -> [String] {
    Console.wrapped(text, width: width).map { TopFigures.cut($0, to: width) }
  }
}

extension DeviceInterval {
  /// Its figures by the names of their columns, in that order, with the reason for absence.
  fileprivate static var figures: [(name: String, read: (DeviceInterval) -> String?)] {
    [
      ("iMC-W", { $0.imcWriteRate.reason }), ("iMC-R", { $0.imcReadRate.reason }),
      ("MED-W", { $0.mediaWriteRate.reason }), ("MED-R", { $0.mediaReadRate.reason }),
      ("WA", { $0.writeAmplification.reason }), ("RA", { $0.readAmplification.reason }),
      ("s/GiB", { $0.cpuSecondsPerGiB.reason }), ("DELAY", { $0.device.delayNanoseconds.reason }),
    ]
  }
}
