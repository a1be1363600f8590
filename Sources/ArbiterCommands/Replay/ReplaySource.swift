// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterReport
internal import ArbiterSimulator
internal import ArbiterTrace
internal import ArbiterWorkloads

/// A recording that simulated threads repeat, and what is to be said of it.
struct ReplaySource: Sendable {
  /// The file as the user named it.
  let path: String
  let program: RecordedProgram
  /// Events of the recorded threads, by their number.
  let eventCounts: [UInt64]
  let lostCount: UInt64
  let isCutShort: Bool

  /// Opens a recording.
  ///
  /// - Throws: ``Failure`` where the file cannot be read or holds nothing to repeat.
  init(_ path: String) throws(Failure) {
    self.path = path
    let trace = try TraceInput(path).recording()
    var threads: [RecordedThread] = []
    var counts: [UInt64] = []
    do throws(TraceError) {
      for thread in trace.threads where thread.eventCount > 0 {
        var first = trace.events(ofThread: thread.number)
        guard let event = try first.next() else { continue }
        let number = thread.number
        threads.append(
          RecordedThread(
            number: number, source: thread.source,
            firstStartNanoseconds: event.startNanoseconds,
            open: {
              var cursor = trace.events(ofThread: number)
              return { try cursor.next() }
            }))
        counts.append(thread.eventCount)
      }
    } catch {
      throw Failure(error, of: path)
    }
    guard !threads.isEmpty else {
      throw Failure(
        ExitCode.badInput, "--trace=\(path) holds no events", hint: "record a program that stores")
    }
    program = RecordedProgram(regions: trace.regions, threads: threads)
    eventCounts = counts
    lostCount = trace.lostCount
    isCutShort = trace.isCutShort
  }

  /// Threads of a replay that names no number: those of the recording, as far as the model goes.
  var threadCount: Int { min(program.threads.count, SimulationConfiguration.threadCountMax) }

  /// Events that so many threads repeat.
  func eventCount(ofThreads count: Int) -> UInt64 {
    var sum: UInt64 = 0
    for index in 0..<count { sum &+= eventCounts[index % eventCounts.count] }
    return sum
  }

  /// What a reader of the results must know of the replay, sentence by sentence.
  func remarks(_ results: [ReportedResult], thinkScale: Double) -> [String] {
    var sentences: [String] = []
    let recorded = program.threads.count
    sentences.append(
      "Replay of \(path): \(Self.count(recorded, "recorded thread")), "
        + "\(Self.count(Int(clamping: eventCounts.reduce(0, &+)), "event")). The order of each "
        + "thread's accesses and its own times are the recording's"
        + (thinkScale == 1 ? "" : ", multiplied by \(thinkScale)")
        + "; how threads interleave is the model's.")
    var said: Set<Int> = []
    for result in results where said.insert(result.result.threadCount).inserted {
      guard let replay = result.replay, result.result.threadCount != recorded else { continue }
      let left = recorded - replay.recordedThreadCount
      sentences.append(
        "\(Self.count(result.result.threadCount, "thread")): \(replay.recordedThreadCount) recorded"
          + (replay.cloneCount > 0
            ? ", \(Self.count(replay.cloneCount, "clone")) in ranges of their own." : ".")
          + (left > 0 ? " The last \(Self.count(left, "recorded thread")) are left out." : ""))
    }
    if lostCount > 0 {
      sentences.append(
        "The recording lost \(Self.count(Int(clamping: lostCount), "event")) while it was made.")
    }
    if isCutShort {
      sentences.append("The recording's end is missing: it is replayed as far as it goes.")
    }
    for result in results {
      guard let replay = result.replay else { continue }
      let name = "\(Self.count(result.result.threadCount, "thread")), \(result.scheme)"
      if !replay.isComplete {
        let whole = eventCount(ofThreads: result.result.threadCount)
        let share = Double(replay.eventCount) / Double(max(1, whole)) * 100
        sentences.append(
          "\(name): --duration ended the replay after \(Int(share)) % of the events.")
      }
      if replay.outsideCount > 0 {
        sentences.append(
          "\(name): \(Self.count(Int(clamping: replay.outsideCount), "access", "accesses")) "
            + "outside of the recorded regions were left out.")
      }
    }
    return sentences
  }

  private static func count(_ number: Int, _ noun: String, _ plural: String? = nil) -> String {
    "\(number) \(number == 1 ? noun : plural ?? noun + "s")"
  }
}
