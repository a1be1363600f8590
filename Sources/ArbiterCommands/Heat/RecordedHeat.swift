// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterProfiler
internal import ArbiterTrace
internal import ArbiterWorkloads

/// The heat map of a recording, read thread by thread, a chunk at a time.
struct RecordedHeat {
  let path: String
  let options: HeatOptions

  /// Reads the recording.
  ///
  /// - Returns: The map, and whether an interrupt ended the reading.
  func read() throws -> (result: HeatResult, wasInterrupted: Bool) {
    let recording = try TraceInput(path).recording()
    var progress = TraceProgress("reading", isQuiet: options.output.isQuiet)
    defer { progress.finish() }
    let infos = Self.infos(of: recording)
    var map = HeatMap()
    var done: UInt64 = 0
    // In any order: what the map becomes does not depend on it, and one chunk is in memory.
    threads: for thread in recording.threads {
      var cursor = recording.events(ofThread: thread.number)
      while let event = try next(&cursor) {
        done += 1
        if done % (1 << 16) == 0 {
          progress.show(done, of: recording.eventCount)
          if Interrupt.isRaised { break threads }
        }
        guard let run = HeatRun(event), options.shows(isStore: run.isStore, isLoad: run.isLoad)
        else { continue }
        map.add(run, to: UInt64(event.region)) { infos[Int(event.region)] }
      }
    }
    return (result(map, of: recording), done < recording.eventCount && Interrupt.isRaised)
  }

  private func next(_ cursor: inout TraceCursor) throws(Failure) -> TraceEvent? {
    do throws(TraceError) { return try cursor.next() } catch { throw Failure(error, of: path) }
  }

  private static func infos(of recording: TraceFile) -> [HeatBandInfo] {
    var infos = (0...255).map { HeatBandInfo(name: "region \($0)", base: 0, byteCount: nil) }
    for region in recording.regions {
      let name = region.name.isEmpty ? "region \(region.number)" : region.name
      infos[Int(region.number)] = HeatBandInfo(
        name: name, base: 0, byteCount: region.byteCount)
    }
    return infos
  }

  private func result(_ map: HeatMap, of recording: TraceFile) -> HeatResult {
    var result = HeatResult(
      map: map, subject: "--trace=\(path)", source: "recording", sourceReason: nil,
      measure: AccountMeasure.accessedBytes.rawValue, unit: "bytes",
      meaning: "Colours are bytes \(options.shownKind), as they were recorded.", losses: nil,
      lostEventCount: recording.lostCount, mappingCount: options.mappingCount)
    if let command = recording.note("command") {
      result.subject += " (\(command))"
    }
    if recording.isCutShort {
      result.remarks.append("The recording is cut short: its end is missing.")
    }
    return result
  }
}

extension HeatRun {
  /// Makes a run of a recorded one; nil of what neither loads nor stores.
  init?(_ event: TraceEvent) {
    let isStore: Bool
    switch event.operation {
    case .load: isStore = false
    case .store, .storeNonTemporal, .storeWrittenBack: isStore = true
    case .flush, .fence: return nil
    }
    self.init(
      position: event.offset, length: UInt64(event.length), count: UInt64(event.count),
      stride: Int64(event.stride), timeNanoseconds: event.startNanoseconds,
      spanNanoseconds: UInt64(event.spanNanoseconds), isStore: isStore, isLoad: !isStore)
  }
}
