// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice

/// One thing that `arbiter measure` measures: a workload, its threads and the figure of interest.
///
/// The same value is executed by real threads on mapped memory and by the model.
public struct MeasurementPoint: Sendable, Hashable {
  /// What is looked at.
  public enum Aspect: String, Sendable, Hashable, CaseIterable {
    /// How long one access takes that nothing else disturbs.
    case latency
    /// How much is moved in a second.
    case bandwidth
  }

  /// Which way the bytes go, and by which instructions.
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    /// Loads.
    case read
    /// Stores past the caches.
    case nt
    /// Stores to the cache, each written back at once.
    case clwb
    /// Loads and stores past the caches.
    case mixed
  }

  /// What is looked at.
  public let aspect: Aspect
  /// What each thread does, in a region of its own.
  public let workload: Workload
  /// Threads at once; 1 where latency is looked at.
  public let threadCount: Int

  /// Which way the bytes go.
  public var kind: Kind {
    if workload.readShare == 1 { return .read }
    if workload.readShare > 0 { return .mixed }
    return workload.store == .storeWriteBack ? .clwb : .nt
  }

  /// Whether the point stores anything.
  public var writes: Bool { workload.readShare < 1 }

  /// What the figure is plotted against where points differ in size: bytes of the working set of
  /// dependent loads, bytes of each access otherwise.
  public var sizeBytes: Int { isChain ? workload.regionBytes : workload.accessBytes }

  /// Whether the point follows pointers.
  public var isChain: Bool { workload.pattern == .chain }

  /// Loads that each wait for the one before, in an order without pattern.
  ///
  /// - Parameter workingSetBytes: Bytes that are visited, line by line.
  /// - Returns: The point.
  public static func dependentRead(workingSetBytes: Int) -> MeasurementPoint {
    MeasurementPoint(
      aspect: .latency,
      workload: Workload(
        pattern: .chain, regionBytes: workingSetBytes, readShare: 1, isDependent: true),
      threadCount: 1)
  }

  /// Stores of some bytes, made durable before the next: stored, written back, fenced.
  ///
  /// - Parameters:
  ///   - bytes: Bytes of each store, whole cache lines.
  ///   - store: Past the caches, or through them and written back.
  ///   - regionBytes: Bytes that are walked, one store after the other.
  /// - Returns: The point.
  public static func persist(
    bytes: Int, by store: Operation, regionBytes: Int
  ) -> MeasurementPoint {
    MeasurementPoint(
      aspect: .latency,
      workload: Workload(
        store: store, accessBytes: bytes, fence: .every(bytes: UInt32(bytes)),
        regionBytes: regionBytes / bytes * bytes), threadCount: 1)
  }

  /// Threads that move bytes as fast as they can, without fences.
  ///
  /// - Parameters:
  ///   - kind: Which way.
  ///   - pattern: Sequential or random.
  ///   - accessBytes: Bytes of each access, whole cache lines.
  ///   - threadCount: Threads.
  ///   - regionBytes: Bytes of the whole region; each thread has an equal part to itself.
  ///   - readShare: Share of loads among the accesses of a mixture.
  /// - Returns: The point.
  public static func bandwidth(
    _ kind: Kind, _ pattern: Pattern, accessBytes: Int, threadCount: Int, regionBytes: Int,
    readShare: Double = 0.5
  ) -> MeasurementPoint {
    let share: Double =
      switch kind {
      case .read: 1
      case .nt, .clwb: 0
      case .mixed: readShare
      }
    return MeasurementPoint(
      aspect: .bandwidth,
      workload: Workload(
        pattern: pattern, store: kind == .clwb ? .storeWriteBack : .storeNonTemporal,
        accessBytes: accessBytes,
        regionBytes: regionBytes / threadCount / accessBytes * accessBytes,
        readShare: share), threadCount: threadCount)
  }
}
