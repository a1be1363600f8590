// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore

extension PersistentMemory {
  /// Bytes that the media are known to have lost; nil where nobody keeps a list.
  ///
  /// A region lists all of its bad blocks, a namespace those that lie in it: only where a region
  /// keeps no list do those of its namespaces count.
  public var badByteCount: Int? {
    var total: Int?
    for region in regions {
      if let list = region.badBlocks {
        total = list.reduce(total ?? 0) { $0 + $1.lengthBytes }
        continue
      }
      for space in namespaces where space.region == region.name {
        if let list = space.badBlocks {
          total = list.reduce(total ?? 0) { $0 + $1.lengthBytes }
        }
      }
    }
    return total
  }
}

extension MachineReport {
  var domainFinding: Finding {
    switch persistentMemory.persistenceDomain {
    case nil:
      Finding(
        topic: "persistence_domain", status: .absent,
        sentence: "Nothing written to memory survives a loss of power.")
    case .memoryController:
      Finding(
        topic: "persistence_domain", status: .available,
        sentence: "What the memory controller has accepted survives (ADR); caches do not.")
    case .processorCache:
      Finding(
        topic: "persistence_domain", status: .available,
        sentence: "The processor's caches survive a loss of power (eADR).")
    case .unknown:
      Finding(
        topic: "persistence_domain", status: .unknown,
        sentence: "A region does not say what survives, so every line must be written back.")
    }
  }

  var regionFinding: Finding {
    let list = persistentMemory.regions.map { region in
      let modules = region.moduleCount.map { " on \($0) modules" } ?? ""
      return "\(region.name) \(Self.bytes(region.sizeBytes))\(modules)"
    }
    return Self.listing("regions", list, none: "There is no persistent-memory region.")
  }

  var namespaceFinding: Finding {
    let list = persistentMemory.namespaces.map { space in
      let device = space.blockDevice.map { " as \($0)" } ?? ""
      return "\(space.name) \(space.mode.rawValue) \(Self.bytes(space.sizeBytes))\(device)"
    }
    return Self.listing("namespaces", list, none: "There is no persistent-memory namespace.")
  }

  var daxDeviceFinding: Finding {
    let list = persistentMemory.daxDevices.map { device in
      let use = device.isSystemMemory ? " (system memory)" : ""
      return "\(device.name) \(Self.bytes(device.sizeBytes))\(use)"
    }
    return Self.listing("dax_devices", list, none: "There is no dax device.")
  }

  var interleaveFinding: Finding {
    let list = persistentMemory.interleaveSets.map { set in
      let cookie = set.cookie.map { "set 0x\(String($0, radix: 16))" } ?? "unnamed set"
      let modules =
        set.modules.isEmpty ? "unknown modules" : set.modules.map(\.name).joined(separator: " and ")
      let node = set.node.map { " on node \($0)" } ?? ""
      return "\(cookie) of \(modules)\(node) (\(set.regions.joined(separator: " and ")))"
    }
    return Self.listing("interleave_sets", list, none: "There is no interleave set.")
  }

  var badBlockFinding: Finding {
    let topic = "bad_blocks"
    guard let total = persistentMemory.badByteCount else {
      return Finding(
        topic: topic, status: persistentMemory.regions.isEmpty ? .absent : .unknown,
        sentence: persistentMemory.regions.isEmpty
          ? "There is no persistent memory that could have bad blocks."
          : "The kernel keeps no list of bad blocks.")
    }
    guard total > 0 else {
      return Finding(topic: topic, status: .absent, sentence: "No bad block is known.")
    }
    let runs =
      persistentMemory.regions.map { ($0.name, $0.badBlocks ?? []) }
      + persistentMemory.namespaces.map { ($0.blockDevice ?? $0.name, $0.badBlocks ?? []) }
    let list = runs.flatMap { name, blocks in
      blocks.map { "\(name) from \($0.offsetBytes) on \(Self.bytes($0.lengthBytes))" }
    }
    let shown = list.prefix(8).joined(separator: ", ")
    let more = list.count > 8 ? " and \(list.count - 8) more runs" : ""
    return Finding(
      topic: topic, status: .available,
      sentence: "Bad blocks make up \(Self.bytes(total)): \(shown)\(more).")
  }

  var shutdownFinding: Finding {
    let topic = "unsafe_shutdowns"
    let counted = persistentMemory.modules.compactMap { module in
      module.unsafeShutdownCount.map { "\(module.name) \($0)" }
    }
    if persistentMemory.modules.isEmpty {
      return Finding(
        topic: topic, status: .absent, sentence: "There is no module that counts unsafe shutdowns.")
    }
    guard !counted.isEmpty else {
      return Finding(
        topic: topic, status: .unknown,
        sentence: "The platform does not support counting unsafe shutdowns, so nothing shows "
          + "whether one has happened.")
    }
    let silent = persistentMemory.modules.count - counted.count
    let rest = silent > 0 ? "; \(silent) more modules do not count" : ""
    return Finding(
      topic: topic, status: .available,
      sentence: "Unsafe shutdowns so far: \(counted.joined(separator: ", "))\(rest).")
  }

  var deepFlushFinding: Finding {
    let topic = "deep_flush"
    let able = persistentMemory.regions.filter { $0.hasFlushHints == true }.map(\.name)
    guard able.isEmpty else {
      return Finding(
        topic: topic, status: .available,
        sentence: "A deep flush empties the memory controller's queues for "
          + "\(able.joined(separator: ", ")).")
    }
    return Finding(
      topic: topic, status: .absent,
      sentence: persistentMemory.regions.isEmpty
        ? "There is no region to flush deeply."
        : "The platform gives no flush hints, so a deep flush only empties the caches.")
  }
}
