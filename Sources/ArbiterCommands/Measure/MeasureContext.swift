// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterMemory
internal import ArbiterMetrics
internal import ArbiterPlatform
internal import ArbiterReport
internal import ArbiterRuntime
internal import Synchronization

/// What surrounds a measurement of real memory, and may spoil it.
enum MeasureContext {
  /// What was measured, in words.
  static func subject(
    _ target: MeasureTarget, _ memory: borrowing MeasuredMemory, _ region: RegionIdentity
  ) -> MeasureFindings.Subject {
    let size = ByteCount(bytes: memory.byteCount)
    var about = "\(size) of \(target.path) on \(memory.fileSystem)"
    if let name = memory.memoryRegionName { about += ", \(name)" }
    if memory.isReadOnly {
      about += ", loads only."
    } else if let flush = memory.flushInstruction {
      about += "; lines are written back by \(flush.rawValue)."
    } else {
      about += "; the caches survive, so that nothing is written back."
    }
    return .init(
      name: target.path, about: about, region: region, byteCount: memory.byteCount, isModel: false,
      members: [
        .init("file_system", .string("\(memory.fileSystem)")),
        .init("is_direct", .bool(memory.fileSystem.isDirect)),
        .init("is_read_only", .bool(memory.isReadOnly)),
        .init("granularity", .text(memory.granularity?.rawValue)),
        .init("flush_instruction", .text(memory.flushInstruction?.rawValue)),
        .init("memory_region", .text(memory.memoryRegionName)),
      ])
  }

  /// What may have spoiled the figures, worst first.
  static func warnings(
    _ findings: MeasureFindings, _ memory: borrowing MeasuredMemory, threads: Int,
    _ machine: MachineTopology
  ) -> [String] {
    var list: [String] = []
    switch memory.fileSystem {
    case .tmpfs:
      list.append("tmpfs is DRAM: these are figures of DRAM, and nothing survives in it.")
    case .cached(let name):
      list.append(
        "\(name) lies behind the page cache: raw access measures DRAM, not the device; only "
          + "durable writes and O_DIRECT reach it.")
    case .dax, .deviceDax: break
    }
    if let running = findings.runningShare, running < 0.9 {
      list.append(
        "Other programs had the processors: the measuring threads ran only "
          + "\(Figures.rounded(running * 100)) % of their time. Repeat on an idle machine.")
    }
    if let stolen = findings.stolenShare, stolen > 0.01 {
      list.append(
        "The host took \(Figures.rounded(stolen * 100)) % of the processors' time (steal): repeat "
          + "the measurement on a quieter host.")
    }
    if threads > machine.logicalProcessorCount {
      list.append(
        "\(threads) threads shared \(machine.logicalProcessorCount) processors: figures of more "
          + "threads than processors tell of the scheduler.")
    }
    if let cache = lastLevelCacheBytes(), memory.byteCount < 2 * cache {
      list.append(
        "\(ByteCount(bytes: memory.byteCount)) are less than twice the last cache of "
          + "\(ByteCount(bytes: cache)): loads and clwb stores are partly the cache's; give a "
          + "larger --size.")
    }
    switch (findings.frequencyBefore, findings.frequencyAfter) {
    case (.known(let before), .known(let after)): list += after.findings(since: before)
    case (_, .known(let after)): list += after.findings()
    case (_, .unavailable(let reason)):
      list.append("Clock rates of the processors are unavailable: \(reason).")
    }
    return list
  }

  /// Bytes of the largest cache of the first processor; nil where the kernel does not say.
  static func lastLevelCacheBytes(in tree: SystemTree = SystemTree()) -> Int? {
    let folder = "/sys/devices/system/cpu/cpu0/cache"
    let sizes = tree.entries(folder).compactMap { name -> Int? in
      guard let text = tree.text("\(folder)/\(name)/size"), let number = Int(text.dropLast()) else {
        return nil
      }
      return number << (text.hasSuffix("M") ? 20 : 10)
    }
    return sizes.max()
  }
}

/// How many of the steps are done.
final class StepPace: Sendable {
  private let count: Int
  private let done = Atomic<Int>(0)
  private let isClosed = Atomic<Bool>(false)

  init(count: Int) {
    self.count = max(1, count)
  }

  // Relaxed throughout: a progress line may be a step behind.
  func advance() { done.wrappingAdd(1, ordering: .relaxed) }

  func close() { isClosed.store(true, ordering: .relaxed) }

  /// The share of the work that is done; nil once nobody works any more.
  var share: Double? {
    if isClosed.load(ordering: .relaxed) { return nil }
    return min(1, Double(done.load(ordering: .relaxed)) / Double(count))
  }
}
