// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiterCounters
internal import Glibc

// One helper serves every interleave set of the machine: the firmware is asked once a second, not
// once a second and set.
//
//            lines                 readings                  snapshot()
//   helper ────────► pump thread ───────────► state (Mutex) ────────────► monitor
//
// I1  A reader never waits for the helper: it copies the last reading under a lock that nobody
//     holds longer than such a copy takes.
// I2  Only the pump starts and ends helpers. The kernel ends a helper with the thread that started
//     it, so no helper outlives the feed, however the process ends.
// I3  Starts are bounded: after `restartCountMax` restarts the next failure is for good.

/// The readings of every module, brought by a helper process.
public final class ModuleCounterFeed: Sendable {
  /// What the feed puts up with.
  public struct Limits: Sendable, Hashable {
    /// How long a helper may say nothing before it is ended.
    public var silenceNanosecondsMax: Int64 = 5_000_000_000
    /// How often a helper that failed is replaced.
    public var restartCountMax = 3
    /// Time between the end of a helper and the start of the next.
    public var restartPauseNanoseconds: Int64 = 1_000_000_000

    /// Makes the limits that the tool uses.
    public init() {}
  }

  /// What the feed has brought so far.
  package enum State: Sendable {
    case starting
    case reading(ModuleReading)
    case failed(String)
  }

  private let pump: Pump
  private let thread: pthread_t
  /// Closing it tells the pump to end.
  private let stopDescriptor: Int32

  /// Starts a feed; the first reading arrives when the library has been loaded.
  ///
  /// - Parameters:
  ///   - program: The helper.
  ///   - limits: What is put up with.
  /// - Throws: ``PlatformError`` where the system refuses a thread or a pipe.
  public init(_ program: HelperProgram, limits: Limits = Limits()) throws(PlatformError) {
    var stopped: Int32 = -1
    var stop: Int32 = -1
    let opened = unsafe arb_pipe_open(&stopped, &stop)
    guard opened == 0 else {
      throw PlatformError(errorNumber: Int32(-opened), path: nil, action: "open a pipe")
    }
    pump = Pump(program, limits, stopped: stopped)
    stopDescriptor = stop
    var handle = pthread_t()
    let argument = unsafe Unmanaged.passRetained(pump)
    // SAFETY: the new thread takes over the reference that was retained for it.
    let status = unsafe pthread_create(
      &handle, nil,
      { argument in
        if let argument = unsafe argument {
          unsafe Unmanaged<Pump>.fromOpaque(argument).takeRetainedValue().run()
        }
        return nil
      }, argument.toOpaque())
    guard status == 0 else {
      unsafe argument.release()
      close(stop)
      throw PlatformError(errorNumber: status, path: nil, action: "start another thread")
    }
    thread = handle
  }

  deinit {
    close(stopDescriptor)
    pthread_join(thread, nil)
  }

  /// The last reading, or why there is none.
  package var state: State { pump.state.withLock { $0 } }
}

/// The thread that starts helpers and takes their lines in.
private final class Pump: Sendable {
  let state = Lock(ModuleCounterFeed.State.starting)
  private let program: HelperProgram
  private let limits: ModuleCounterFeed.Limits
  private let stopped: Int32

  init(_ program: HelperProgram, _ limits: ModuleCounterFeed.Limits, stopped: Int32) {
    self.program = program
    self.limits = limits
    self.stopped = stopped
  }

  deinit {
    close(stopped)
  }

  /// How one helper came to its end.
  private enum End {
    case stopped
    case unavailable(String)
    case broken(String)
  }

  func run() {
    var signals = sigset_t()
    // SAFETY: the set is filled before it is used. Signals belong to the program's own threads.
    unsafe sigfillset(&signals)
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    var readingCount: UInt64 = 0
    var failureCount = 0
    while true {
      switch serve(&readingCount) {
      case .stopped: return
      case .unavailable(let reason):
        state.withLock { $0 = .failed(reason) }
        return
      case .broken(let reason):
        failureCount += 1
        if failureCount > limits.restartCountMax {
          state.withLock {
            $0 = .failed("\(reason), \(failureCount) helpers one after the other")
          }
          return
        }
        if wait(nil, nanoseconds: limits.restartPauseNanoseconds) == .stopped { return }
      }
    }
  }

  /// Runs one helper to its end.
  private func serve(_ readingCount: inout UInt64) -> End {
    let helper: HelperProcess
    do {
      helper = try HelperProcess(program)
    } catch {
      return .unavailable("\(error)")
    }
    var assembler = ReadingAssembler()
    var lines = LineCutter(bytesMax: HelperLine.bytesMax)
    var silentUntil = SystemClock.monotonicRawNanoseconds() + limits.silenceNanosecondsMax
    while true {
      let left = silentUntil - SystemClock.monotonicRawNanoseconds()
      switch left > 0 ? wait(helper.descriptor, nanoseconds: left) : .timedOut {
      case .stopped:
        _ = helper.end(wasClosed: false)
        return .stopped
      case .timedOut:
        _ = helper.end(wasClosed: false)
        let seconds = Double(limits.silenceNanosecondsMax) / 1e9
        return .broken("the counter helper said nothing for \(seconds) s")
      case .ready: break
      }
      guard let texts = lines.read(from: helper.descriptor) else {
        let how = helper.end(wasClosed: true) ?? "closed its pipe"
        return .broken("the counter helper \(how)")
      }
      for text in texts {
        switch assembler.add(text) {
        case .more: break
        case .reading(let answers):
          readingCount += 1
          let reading = ModuleReading(number: readingCount, answers: answers)
          state.withLock { $0 = .reading(reading) }
        case .unavailable(let reason):
          _ = helper.end(wasClosed: false)
          return .unavailable(reason)
        case .wrong:
          _ = helper.end(wasClosed: false)
          return .broken("the counter helper wrote what is no line of its own")
        }
        silentUntil = SystemClock.monotonicRawNanoseconds() + limits.silenceNanosecondsMax
      }
    }
  }

  private enum Wake {
    case stopped
    case ready
    case timedOut
  }

  /// Waits for input, for the end of the feed or for time to pass.
  private func wait(_ descriptor: Int32?, nanoseconds: Int64) -> Wake {
    let wanted = Int16(POLLIN)
    var places = [pollfd(fd: stopped, events: wanted, revents: 0)]
    if let descriptor { places.append(pollfd(fd: descriptor, events: wanted, revents: 0)) }
    let until = SystemClock.monotonicRawNanoseconds() + nanoseconds
    while true {
      let left = until - SystemClock.monotonicRawNanoseconds()
      let milliseconds = Int32(clamping: (max(0, left) + 999_999) / 1_000_000)
      // SAFETY: the kernel writes to as many places as it is told there are.
      let count = unsafe poll(&places, nfds_t(places.count), milliseconds)
      if count > 0 { return places[0].revents != 0 ? .stopped : .ready }
      if count == 0, left <= 1_000_000 { return .timedOut }
    }
  }
}

/// Cuts what arrives on a pipe into lines.
package struct LineCutter {
  private let bytesMax: Int
  private var bytes: [UInt8] = []

  package init(bytesMax: Int) {
    self.bytesMax = bytesMax
  }

  /// Reads once, without waiting; nil at the end of the pipe.
  ///
  /// A line that is too long comes out as the piece of it that is there, which nobody takes for a
  /// line of the helper.
  package mutating func read(from descriptor: Int32) -> [String]? {
    var chunk = [UInt8](repeating: 0, count: 4096)
    // SAFETY: the kernel writes at most the capacity that it is told.
    let count = unsafe chunk.withUnsafeMutableBytes { room in
      unsafe Glibc.read(descriptor, room.baseAddress, room.count)
    }
    if count < 0 { return errno == EAGAIN || errno == EINTR ? [] : nil }
    if count == 0 { return nil }
    return add(chunk.prefix(count))
  }

  /// Takes bytes in and gives the lines that they complete.
  package mutating func add(_ chunk: some Sequence<UInt8>) -> [String] {
    var lines: [String] = []
    for byte in chunk {
      if byte != 0x0A { bytes.append(byte) }
      if byte == 0x0A || bytes.count > bytesMax {
        lines.append(String(decoding: bytes, as: UTF8.self))
        bytes = []
      }
    }
    return lines
  }
}
