// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterWorkloads

/// The events of several threads in the order in which they began.
///
/// Each thread keeps its own order, also where its events begin in another one. Decodes a thread's
/// next chunk when its turn comes, so that memory holds chunks that overlap in time, one of each
/// thread, and of these at most `loadedCountMax` events.
public struct TraceMerge: Sendable {
  /// The most events in memory at one time: 1 GiB of them.
  public static let loadedCountMax = 1 << 25

  private var cursors: [TraceCursor]
  private let threads: [UInt32]
  private var heap = TimeHeap()
  private var loadedCount = 0
  private let loadedCountMax: Int

  /// Makes a merge of all threads, or of those given.
  public init(
    _ file: TraceFile, threads: [UInt32]? = nil,
    loadedCountMax: Int = TraceMerge.loadedCountMax
  ) {
    self.loadedCountMax = loadedCountMax
    self.threads = threads ?? file.threads.map(\.number)
    cursors = self.threads.map { file.events(ofThread: $0) }
    for (lane, cursor) in cursors.enumerated() {
      if let start = cursor.nextStart { heap.push(lane, at: start) }
    }
  }

  /// Returns the next event and the thread that it is of, or nil behind the last one.
  ///
  /// - Throws: ``TraceError`` where a chunk is damaged or cannot be read, or where the events of
  ///   too many threads overlap.
  /// - Complexity: O(log *n*) in threads.
  public mutating func next() throws(TraceError) -> (thread: UInt32, event: TraceEvent)? {
    guard let lane = heap.pop() else { return nil }
    let before = cursors[lane].loadedCount
    guard let event = try cursors[lane].next() else { return nil }
    loadedCount += cursors[lane].loadedCount - before
    try checkLoaded(loadedCount, of: threads.count, atMost: loadedCountMax)
    if let start = cursors[lane].nextStart { heap.push(lane, at: start) }
    return (threads[lane], event)
  }
}

/// Refuses to hold more events in memory than a merge may.
func checkLoaded(
  _ count: Int, of threadCount: Int, atMost most: Int = TraceMerge.loadedCountMax
) throws(TraceError) {
  guard count > most else { return }
  throw TraceError(
    .limit, offset: 0,
    reason: "the chunks of \(threadCount) threads overlap so far that more than \(most) events "
      + "would have to be in memory",
    nextStep: "take one thread at a time")
}
