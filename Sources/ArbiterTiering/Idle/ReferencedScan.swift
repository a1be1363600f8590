// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlacement
public import ArbiterPlatform
internal import ArbiterRuntime

/// Proves whole mappings idle: clears accessed bits (/proc/PID/clear_refs) and asks smaps later.
///
/// Coarse: what smaps tells is a sum over a mapping, so that one touched page keeps all of a heap
/// from being named; a program with one large mapping is told nothing. It costs no faults and
/// leaves huge pages whole. A window is told idle only after two in a row were: the kernel does not
/// flush translations when it clears, so that a processor which holds one, and is never switched,
/// may touch memory unseen for a while. Clearing also takes from the kernel's own reclaim what it
/// knew of the process.
///
/// A thread of its own does it, about once a second and less where memory is large: its share of a
/// processor stays below one part in a hundred.
public final class ReferencedScan: IdleEvidence {
  private let worker: ReferencedWorker
  private let thread: Lock<WorkerThread?>
  private var lastProcesses: [Int32] = []

  /// Starts the thread.
  ///
  /// - Throws: ``PlatformError`` where the system refuses another thread.
  public init(tree: SystemTree = SystemTree()) throws(PlatformError) {
    let worker = ReferencedWorker(tree: tree)
    self.worker = worker
    thread = Lock(try WorkerThread { worker.run() })
  }

  deinit {
    worker.stop()
    let taken = thread.withLock { $0.take() }
    taken?.join()
  }

  /// Its name in reports.
  public var name: String { "referenced" }

  /// CPU time that it took so far, in nanoseconds.
  public var cpuNanoseconds: UInt64 { worker.mail.withLock { $0.cpuNanoseconds } }

  /// Tells chunks that lie wholly in mappings that nobody touched, once per scan.
  public func look(
    at table: borrowing ChunkTable, now: Int64, _ body: (Int, IslandSet, Int64) -> Void
  ) {
    let found = worker.mail.withLock { mail in
      defer { mail.found = [] }
      return mail.found
    }
    var processes: Set<Int32> = []
    table.forEach { index, chunk in
      processes.insert(chunk.process)
      // Few mappings are idle and large enough to hold a chunk.
      let end = chunk.address + UInt64(TierUnit.chunkBytes)
      for span in found
      where span.process == chunk.process && span.addresses.lowerBound <= chunk.address
        && span.addresses.upperBound >= end
      {
        body(index, .all, span.idleNanoseconds)
      }
    }
    let list = processes.sorted()
    if list != lastProcesses {
      lastProcesses = list
      worker.mail.withLock { $0.processes = list }
      worker.bell.ring()
    }
  }

  /// Nothing is kept of chunks.
  public func forget(chunk: Int) {}

  /// What went wrong since the last call.
  public func takeRemarks() -> [String] {
    worker.mail.withLock { $0.remarks.take() }
  }
}

/// A mapping that nobody touched.
package struct IdleSpan: Sendable, Equatable {
  package var process: Int32
  package var addresses: Range<UInt64>
  package var idleNanoseconds: Int64
}

/// The windows of one process's mappings.
package struct ReferencedWindows {
  private struct Span {
    var sinceNanoseconds: Int64
    var idleCount = 0
  }

  private var spans: [Range<UInt64>: Span] = [:]

  package init() {}

  /// Takes in what smaps says at the end of a window; tells what has been idle for two or more.
  ///
  /// - Parameters:
  ///   - referenced: Kibibytes that were touched, by mapping.
  ///   - now: When smaps was read; the next window begins there.
  ///   - body: Receives a mapping and for how many nanoseconds nobody touched it.
  package mutating func close(
    _ referenced: [(addresses: Range<UInt64>, kibibytes: Int)], now: Int64,
    _ body: (Range<UInt64>, Int64) -> Void
  ) {
    var next: [Range<UInt64>: Span] = [:]
    for mapping in referenced {
      var span = Span(sinceNanoseconds: now)
      if mapping.kibibytes == 0, let old = spans[mapping.addresses] {
        span = Span(sinceNanoseconds: old.sinceNanoseconds, idleCount: old.idleCount + 1)
      }
      next[mapping.addresses] = span
      if span.idleCount >= 2 { body(mapping.addresses, now - span.sinceNanoseconds) }
    }
    spans = next
  }

  /// Reads smaps: mappings that could hold a chunk, with what was touched of them.
  package static func referenced(
    inMap text: String
  ) -> [(addresses: Range<UInt64>, kibibytes: Int)] {
    var list: [(addresses: Range<UInt64>, kibibytes: Int)] = []
    var addresses: Range<UInt64>?
    for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
      guard let first = line.first else { continue }
      // Lines of figures begin with a capital letter, those of mappings with a digit.
      if first >= UInt8(ascii: "A"), first <= UInt8(ascii: "Z") {
        guard let span = addresses, line.starts(with: "Referenced:".utf8) else { continue }
        let digits = line.filter { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        list.append((span, Int(String(decoding: digits, as: UTF8.self)) ?? 0))
        addresses = nil
      } else {
        let mapping = ProcessMapping(line: Substring(line))
        addresses = mapping.flatMap {
          $0.addresses.count >= TierUnit.chunkBytes ? $0.addresses : nil
        }
      }
    }
    return list
  }
}

/// The thread that scans.
final class ReferencedWorker: Sendable {
  struct Mail {
    var processes: [Int32] = []
    var found: [IdleSpan] = []
    var remarks = RemarkList()
    var cpuNanoseconds: UInt64 = 0
    var isStopping = false
  }

  let mail = Lock(Mail())
  let bell = Doorbell()
  private let tree: SystemTree

  init(tree: SystemTree) {
    self.tree = tree
  }

  func stop() {
    mail.withLock { $0.isStopping = true }
    bell.ring()
  }

  /// Between two scans, at least and at most.
  private static let restNanoseconds: ClosedRange<Int64> = 1_000_000_000...60_000_000_000
  /// For each nanosecond of work, so many of rest.
  private static let restShare: Int64 = 100

  func run() {
    var windows: [Int32: ReferencedWindows] = [:]
    var refused: Set<Int32> = []
    var due: Int64 = 0
    while true {
      let heard = bell.ringCount
      let (processes, isStopping) = mail.withLock { ($0.processes, $0.isStopping) }
      if isStopping { return }
      let start = SystemClock.monotonicRawNanoseconds()
      if start >= due, !processes.isEmpty {
        windows = windows.filter { processes.contains($0.key) }
        for process in processes where !refused.contains(process) {
          scan(process, &windows, &refused)
        }
        let cost = SystemClock.monotonicRawNanoseconds() - start
        let rest = max(Self.restNanoseconds.lowerBound, cost * Self.restShare)
        due = start + min(Self.restNanoseconds.upperBound, rest)
        mail.withLock { $0.cpuNanoseconds = UInt64(max(0, SystemClock.threadCPUNanoseconds())) }
      }
      let now = SystemClock.monotonicRawNanoseconds()
      bell.wait(
        after: heard,
        nanoseconds: processes.isEmpty ? Self.restNanoseconds.upperBound : max(1, due - now))
    }
  }

  private func scan(
    _ process: Int32, _ windows: inout [Int32: ReferencedWindows], _ refused: inout Set<Int32>
  ) {
    var found: [IdleSpan] = []
    guard let text = tree.wholeText("/proc/\(process)/smaps") else { return }
    let now = SystemClock.monotonicRawNanoseconds()
    windows[process, default: ReferencedWindows()].close(
      ReferencedWindows.referenced(inMap: text), now: now
    ) { addresses, idle in
      found.append(IdleSpan(process: process, addresses: addresses, idleNanoseconds: idle))
    }
    do throws(PlatformError) {
      try tree.write("1", to: "/proc/\(process)/clear_refs")
    } catch {
      windows[process] = nil
      guard ProcessStatus.read(ofProcess: process, from: tree)?.hasEnded == false else { return }
      refused.insert(process)
      mail.withLock { $0.remarks.add("idle memory of \(process) cannot be proven: \(error)") }
      return
    }
    mail.withLock { mail in
      mail.found.removeAll { $0.process == process }
      mail.found += found
    }
  }
}
