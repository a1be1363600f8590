// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterReport
internal import ArbiterSimulator
internal import ArbiterTrace
internal import ArbiterWorkloads
internal import Glibc

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
    let trace: TraceFile
    var threads: [RecordedThread] = []
    var counts: [UInt64] = []
    do throws(TraceError) {
      trace = try TraceFile(try ReplayFile.bytes(of: path))
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
      throw Failure(ofTrace: path, error)
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
          "\(name): \(Self.count(Int(clamping: replay.outsideCount), "access", "accesses")) outside "
            + "of the recorded regions were left out.")
      }
    }
    return sentences
  }

  private static func count(_ number: Int, _ noun: String, _ plural: String? = nil) -> String {
    "\(number) \(number == 1 ? noun : plural ?? noun + "s")"
  }
}

extension Failure {
  /// What is wrong with the file that `--trace` names.
  init(ofTrace path: String, _ error: TraceError) {
    let isTrouble = error.code == .inputOutput
    let place = isTrouble ? "" : "byte \(error.offset): "
    self.init(
      isTrouble ? ExitCode.inputOutput : ExitCode.badInput,
      "--trace=\(path): \(place)\(error.reason)", hint: error.nextStep)
  }
}

/// The bytes of a recording in a file.
enum ReplayFile {
  /// A file that is closed when nobody reads it any more.
  private final class Descriptor: Sendable {
    let number: Int32

    init(_ number: Int32) {
      self.number = number
    }

    deinit { close(number) }
  }

  static func bytes(of path: String) throws(TraceError) -> TraceBytes {
    let number = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
    guard number >= 0 else { throw trouble(path, errno) }
    let file = Descriptor(number)
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    guard unsafe fstat(number, &facts) == 0 else { throw trouble(path, errno) }
    guard facts.st_mode & S_IFMT == S_IFREG else {
      throw TraceError(
        .notATrace, offset: 0, reason: "this is no plain file", nextStep: "name a recording")
    }
    return TraceBytes(byteCount: UInt64(facts.st_size)) { (offset, count) throws(TraceError) in
      var bytes = [UInt8](repeating: 0, count: count)
      var done = 0
      while done < count {
        // SAFETY: the kernel writes at most the count that it is told, behind what is there.
        let got = unsafe bytes.withUnsafeMutableBytes { place in
          unsafe pread(
            file.number, place.baseAddress?.advanced(by: done), count - done,
            off_t(offset) + off_t(done))
        }
        if got < 0 && errno == EINTR { continue }
        guard got >= 0 else { throw trouble(path, errno, at: offset) }
        if got == 0 { break }
        done += got
      }
      return Array(bytes.prefix(done))
    }
  }

  private static func trouble(_ path: String, _ number: Int32, at offset: UInt64 = 0) -> TraceError {
    TraceError(
      .inputOutput, offset: offset, reason: "the file cannot be read: \(Console.reason(number))",
      nextStep: "check the path")
  }
}
