// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterRuntime
internal import CommandSpec

extension RunSummary {
  /// The summary for people.
  ///
  /// - Parameters:
  ///   - width: Columns of the terminal.
  ///   - rowsMax: Gates that get a row of their own; nil for all.
  /// - Returns: Lines of at most the width, as far as words allow.
  func text(width: Int, rowsMax: Int?) -> String {
    var paragraphs = [heading(width: width)]
    if isGated && total.callTotal > 0 {
      paragraphs.append(callTable.text(width: width))
      paragraphs.append(gateTable(rowsMax: rowsMax).text(width: width))
    }
    if isGated && !sets.isEmpty { paragraphs.append(setTable.text(width: width)) }
    for sentence in remarks {
      paragraphs.append(Console.wrapped(sentence, width: width).map { $0 + "\n" }.joined())
    }
    return paragraphs.joined(separator: "\n")
  }

  private func heading(width: Int) -> String {
    let name = Failure.harmless(command.first ?? "")
    let end: String
    if let ending {
      end =
        ending.signal.map { "was ended by \(SignalInbox.name(of: $0))" }
        ?? "ended with code \(ending.code)"
    } else {
      end = "is running (process \(process))"
    }
    var sentences = [
      "arbiter run: \(name) \(end) after \(Self.seconds(wallSeconds)), with "
        + "\(Self.seconds(cpuSeconds)) of CPU time"
        + (cpuSecondsPerGiB.map { ", \(Figures.rounded($0)) CPU s/GiB" } ?? "") + "."
    ]
    sentences.append("Scheme \(scheme): \(schemeReason)")
    sentences += limitSentences
    guard isGated else { return lines(sentences, width) }
    let total = total
    if total.accessCount > 0 {
      let rate = wallSeconds > 0 ? Double(total.storedBytes) / wallSeconds : nil
      sentences.append(
        "Stored \(Self.bytes(total.storedBytes)) in \(total.accessCount) stores, "
          + "\(Figures.gigabytesPerSecond(rate)) GB/s of program bytes; mean delay "
          + "\(Figures.duration(nanoseconds: total.delayMeanNanoseconds)), p99 "
          + "\(Figures.duration(nanoseconds: total.delayNanoseconds(atShare: 0.99))).")
    }
    if !sets.isEmpty {
      sentences.append("The monitor used \(Self.seconds(monitorCPUSeconds)) of CPU time.")
    }
    return lines(sentences, width)
  }

  private func lines(_ sentences: [String], _ width: Int) -> String {
    sentences.flatMap { Console.wrapped($0, width: width) }.map { $0 + "\n" }.joined()
  }

  private var callTable: Table {
    var table = Table([.init("call"), .init("calls", .right), .init("bytes", .right), .init("")])
    let total = total
    for call in GateCall.allCases where total.callCount(call) > 0 {
      table.add([
        .text(call.rawValue), .text(String(total.callCount(call))),
        .text(call == .drain ? Figures.unavailable : Self.bytes(total.callBytes(call))),
        .text(call.meaning),
      ])
    }
    return table
  }

  private func gateTable(rowsMax: Int?) -> Table {
    let total = total
    // Columns that would hold nothing but zeros tell nothing.
    let showsStale = total.waits.staleCount > 0
    let showsDirect = total.directCount > 0
    var table = Table(
      [
        .init("process"), .init("thread"), .init("name"), .init("set"), .init("bytes", .right),
        .init("calls", .right), .init("delay", .right), .init("p99", .right),
      ] + (showsStale ? [.init("stale", .right)] : [])
        + (showsDirect ? [.init("direct", .right)] : []), keyColumnCount: 3)
    func add(_ row: GateRow) {
      table.add(
        [
          .text(row.process.map(String.init) ?? ""), .text(row.thread.map(String.init) ?? ""),
          .text(row.name), .text(row.set ?? ""), .text(Self.bytes(row.counts.storedBytes)),
          .text(Self.count(row.counts.callTotal)),
          .text(Figures.duration(nanoseconds: row.counts.delayMeanNanoseconds)),
          .text(Figures.duration(nanoseconds: row.counts.delayNanoseconds(atShare: 0.99))),
        ] + (showsStale ? [.text(Self.count(row.counts.waits.staleCount))] : [])
          + (showsDirect ? [.text(Self.count(row.counts.directCount))] : []))
    }
    let shown = rows.prefix(rowsMax ?? rows.count)
    for row in shown { add(row) }
    let rest = rows.dropFirst(shown.count)
    if var sum = rest.first?.counts {
      for row in rest.dropFirst() { sum.add(row.counts) }
      add(GateRow(name: "\(rest.count) more", counts: sum))
    }
    if departedCount > 0 { add(GateRow(name: "\(departedCount) departed", counts: departed)) }
    return table
  }

  private var setTable: Table {
    var table = Table([
      .init("set"), .init("source"), .init("WA", .right), .init("GB/s", .right),
      .init("delay now", .right), .init("controller"),
    ])
    for set in sets {
      table.add([
        .text(set.name), .text(set.source.rawValue), .number(set.writeAmplification),
        .text(Figures.gigabytesPerSecond(set.delta?.effectiveBandwidth)),
        .text(Figures.duration(nanoseconds: set.delayNanoseconds)),
        .text(set.phase.isEmpty ? controller.map { "process \($0)" } ?? "none" : set.phase),
      ])
    }
    return table
  }

  private var remarks: [String] {
    guard isGated else { return [] }
    var list: [String] = []
    for set in sets {
      switch set.source {
      case .estimate:
        list.append(
          set.writeAmplification == nil
            ? "WA of \(set.name) is unavailable: the gates saw too few writes for an estimate."
            : "WA of \(set.name) is an estimate from the writes that the gates saw.")
      case .module, .model, .memoryController, .unavailable:
        if set.writeAmplification != nil {
          if let reason = set.reasonForAbsence {
            list.append("The counters of \(set.name) failed on the way: \(reason).")
          }
        } else if let reason = set.reasonForAbsence {
          list.append("WA of \(set.name) is unavailable: \(reason).")
        } else {
          list.append(
            "WA of \(set.name) is unavailable: modules are read once a second, and the run was "
              + "too short for two readings with writes between them.")
        }
      }
    }
    if scheme.hasPrefix("arbiter"), sets.contains(where: { $0.source == .module }) {
      list.append("Modules are read once a second, so their delay changes once a second.")
    }
    if outlivingCount > 0 {
      let threads = outlivingCount == 1 ? "1 thread runs" : "\(outlivingCount) threads run"
      list.append(
        "\(threads) on in processes that the program left behind; what they write from now on is "
          + "neither delayed nor counted.")
    }
    if sets.contains(where: { $0.delta != nil && $0.source != .estimate }) {
      list.append("WA and GB/s are those of the whole set, whoever wrote to it meanwhile.")
    }
    if let reasonForSilence {
      list.append(reasonForSilence)
    } else {
      list.append(
        "Not seen: \(Self.notReached.joined(separator: "; ")).")
    }
    return list
  }

  // MARK: Figures

  static func bytes(_ count: UInt64) -> String {
    for (unit, power) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] where count >> power > 0 {
      return "\(Figures.rounded(Double(count) / Double(1 << power))) \(unit)"
    }
    return "\(count) B"
  }

  /// A count that fits seven columns.
  private static func count(_ number: UInt64) -> String {
    if number < 1_000_000 { return String(number) }
    return number < 1_000_000_000
      ? "\(Figures.rounded(Double(number) / 1e6)) M" : "\(Figures.rounded(Double(number) / 1e9)) G"
  }

  private static func seconds(_ seconds: Double?) -> String {
    Figures.duration(nanoseconds: seconds.map { $0 * 1e9 })
  }
}
