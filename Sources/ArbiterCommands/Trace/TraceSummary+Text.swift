// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterReport
internal import ArbiterTrace
internal import ArbiterWorkloads

// The forms of `arbiter trace info`.

extension TraceSummary {
  /// Rows of a table beyond which text says only how many there are.
  private static var rowsMax: Int { 32 }

  /// Sentences and tables.
  func text(name: String, on terminal: Terminal) -> String {
    var lines: [String] = []
    for sentence in sentences(name: name) {
      lines += Console.wrapped(sentence, width: terminal.columns)
    }
    if !file.notes.isEmpty { lines.append("") }
    for note in file.notes {
      lines += Console.wrapped(note.value, mark: "\(note.key): ", width: terminal.columns)
    }
    var text = lines.map { Failure.harmless($0) + "\n" }.joined()
    for table in [threadTable, regionTable, operationTable] {
      if let table { text += "\n" + table.text(width: terminal.columns) }
    }
    return text
  }

  private func sentences(name: String) -> [String] {
    func plural(_ count: Int, _ noun: String) -> String {
      count == 1 ? "1 \(noun)" : "\(count) \(noun)s"
    }
    var list = [
      "\(name): \(plural(Int(clamping: all.events), "event")) of "
        + "\(plural(file.threads.count, "thread")) in "
        + "\(plural(file.regions.count, "region")) over "
        + "\(Figures.duration(nanoseconds: Double(all.spanNanoseconds)))"
        + (all.eventsPerSecond.map { ", \(Self.rate($0)) a second" } ?? "") + "."
    ]
    var size = "\(byteCount) bytes in \(plural(file.eventChunkCount, "chunk")) of events"
    if let bytesPerEvent { size += ", \(Figures.rounded(bytesPerEvent)) an event" }
    // The headers of a small file outweigh what compression gains.
    if let compressionRatio, compressionRatio >= 1 {
      size += "; compressed \(Figures.rounded(compressionRatio)) times"
    }
    list.append(size + ".")
    if file.lostCount == 0 {
      list.append("No event was lost.")
    } else {
      list.append(
        "\(plural(Int(clamping: file.lostCount), "event")) lost: "
          + "\(Figures.rounded((lostShare ?? 0) * 100)) % of all.")
    }
    list.append(
      file.isCutShort
        ? "Cut short: the end is missing from byte \(file.soundByteCount) on; all before is whole."
        : "Complete: every chunk is whole, and the end is there.")
    return list
  }

  private static func rate(_ number: Double) -> String {
    number < 1e6 ? Figures.rounded(number) : "\(Figures.rounded(number / 1e6)) million"
  }

  private var threadTable: Table? {
    guard !file.threads.isEmpty else { return nil }
    var table = Table([
      .init("thread", .right), .init("source"), .init("events", .right), .init("accesses", .right),
      .init("load bytes", .right), .init("store bytes", .right), .init("span", .right),
      .init("lost", .right),
    ])
    for thread in file.threads.prefix(Self.rowsMax) {
      let sums = threads[thread.number] ?? EventSums()
      table.add([
        .count(Int(thread.number)), .text(thread.source.word), .text("\(sums.events)"),
        .text("\(sums.accesses)"), .text("\(sums.loadBytes)"), .text("\(sums.storeBytes)"),
        .text(Figures.duration(nanoseconds: Double(sums.spanNanoseconds))),
        .text("\(thread.lostCount)"),
      ])
    }
    table.caption = rest(file.threads.count, "threads")
    return table
  }

  private var regionTable: Table? {
    guard !file.regions.isEmpty else { return nil }
    var table = Table([
      .init("region", .right), .init("bytes", .right), .init("events", .right),
      .init("load bytes", .right), .init("store bytes", .right), .init("name"),
    ])
    for region in file.regions.prefix(Self.rowsMax) {
      let sums = regions[region.number] ?? EventSums()
      table.add([
        .count(Int(region.number)), .text("\(region.byteCount)"), .text("\(sums.events)"),
        .text("\(sums.loadBytes)"), .text("\(sums.storeBytes)"), .text(region.name),
      ])
    }
    table.caption = rest(file.regions.count, "regions")
    return table
  }

  private var operationTable: Table? {
    guard !operations.isEmpty else { return nil }
    var table = Table([
      .init("operation"), .init("events", .right), .init("accesses", .right),
      .init("bytes", .right),
    ])
    for operation in TraceOperation.allCases {
      guard let sums = operations[operation] else { continue }
      table.add([
        .text(operation.word), .text("\(sums.events)"), .text("\(sums.accesses)"),
        .text("\(sums.loadBytes + sums.storeBytes)"),
      ])
    }
    return table
  }

  private func rest(_ count: Int, _ noun: String) -> String? {
    count > Self.rowsMax
      ? "And \(count - Self.rowsMax) more \(noun); --format=json shows all." : nil
  }

  /// The document `arbiter-trace/1`.
  var document: JSONValue {
    .object(
      JSONValue.Member.heading(schema: "arbiter-trace/1") + [
        .init(
          "file",
          .object([
            .init("size_bytes", .unsigned(byteCount)),
            .init("whole_bytes", .unsigned(file.soundByteCount)),
            .init("is_cut_short", .bool(file.isCutShort)),
            .init("event_chunks_count", .integer(Int64(file.eventChunkCount))),
            .init("event_bytes_mean", .figure(bytesPerEvent)),
            .init("compression_ratio", .figure(compressionRatio)),
          ])),
        .init("lost_count", .unsigned(file.lostCount)),
        .init("totals", Self.object(all)),
        .init(
          "notes",
          .array(
            file.notes.map {
              .object([.init("key", .string($0.key)), .init("value", .string($0.value))])
            })),
        .init(
          "threads",
          .array(
            file.threads.map {
              Self.object(
                threads[$0.number] ?? EventSums(),
                [
                  .init("thread", .integer(Int64($0.number))),
                  .init("source", .string($0.source.word)),
                  .init("lost_count", .unsigned($0.lostCount)),
                ])
            })),
        .init(
          "regions",
          .array(
            file.regions.map {
              Self.object(
                regions[$0.number] ?? EventSums(),
                [
                  .init("region", .integer(Int64($0.number))), .init("name", .string($0.name)),
                  .init("size_bytes", .unsigned($0.byteCount)),
                ])
            })),
        .init(
          "operations",
          .array(
            TraceOperation.allCases.compactMap { operation in
              operations[operation].map {
                Self.object($0, [.init("operation", .string(operation.word))])
              }
            })),
      ])
  }

  private static func object(_ sums: EventSums, _ before: [JSONValue.Member] = []) -> JSONValue {
    .object(
      before + [
        .init("events_count", .unsigned(sums.events)),
        .init("accesses_count", .unsigned(sums.accesses)),
        .init("load_bytes", .unsigned(sums.loadBytes)),
        .init("store_bytes", .unsigned(sums.storeBytes)),
        .init("first_ns", sums.first.map { .unsigned($0) } ?? .null),
        .init("last_ns", sums.first == nil ? .null : .unsigned(sums.last)),
        .init("events_per_second", .figure(sums.eventsPerSecond)),
      ])
  }

  /// One row for each thread.
  var table: String {
    var text =
      "thread,source,events_count,accesses_count,load_bytes,store_bytes,first_ns,last_ns,"
      + "lost_count\n"
    for thread in file.threads {
      let sums = threads[thread.number] ?? EventSums()
      let (first, last) = sums.first.map { ("\($0)", "\(sums.last)") } ?? ("", "")
      text +=
        "\(thread.number),\(thread.source.word),\(sums.events),\(sums.accesses),\(sums.loadBytes),"
        + "\(sums.storeBytes),\(first),\(last),\(thread.lostCount)\n"
    }
    return text
  }
}
