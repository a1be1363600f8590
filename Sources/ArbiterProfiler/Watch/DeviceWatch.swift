// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterMetrics
internal import ArbiterPlatform

/// The slow memory of the machine and its counters.
struct DeviceWatch: Sendable {
  private struct Device: Sendable {
    var name: String
    var reader: any CounterReader
  }

  private var devices: [Device]
  /// Serves every set; nil where modules cannot be asked.
  private let feed: ModuleCounterFeed?
  private let isMachineBare: Bool
  private let systemMemory: [String]

  /// Opens the counters of what the machine has.
  init(memory: PersistentMemory, tree: SystemTree) {
    isMachineBare = memory.isAbsent
    systemMemory = memory.daxDevices.filter(\.isSystemMemory).map(\.name)
    let sets = memory.interleaveSets
    let probe = sets.isEmpty ? nil : CounterProbe.read(from: tree)
    // Why there is none, the readers say.
    let feed = try? probe?.makeModuleFeed()
    self.feed = feed
    devices = sets.map { set in
      let choice = probe?.choose(for: set, feed: feed)
      return Device(
        name: set.name,
        reader: choice?.reader ?? UnavailableCounters(reason: "the machine was not probed"))
    }
    for dax in memory.daxDevices where dax.region == nil {
      devices.append(
        Device(
          name: dax.name,
          reader: UnavailableCounters(reason: "no counter for memory outside of a region is known"))
      )
    }
  }

  /// Reads every device once, and adds what only control pages know of.
  mutating func look(gates: GateWatch) -> [WatchedDevice] {
    var told: [WatchedDevice] = []
    for index in devices.indices {
      let snapshot = devices[index].reader.snapshot()
      let name = devices[index].name
      let set = gates.set(named: name)
      told.append(
        WatchedDevice(
          name: name, counters: snapshot, reasonForAbsence: devices[index].reader.reasonForAbsence,
          delayNanoseconds: Figure(set?.delayNanoseconds, otherwise: Self.noGates),
          gateCount: Figure(set?.gateCount, otherwise: Self.noGates)))
    }
    let time = SystemClock.monotonicRawNanoseconds()
    for set in gates.sets where !devices.contains(where: { $0.name == set.name }) {
      told.append(
        WatchedDevice(
          name: set.name, counters: .unavailable(atNanoseconds: time),
          reasonForAbsence: "nothing counts here; an estimate is in the summary of its arbiter run",
          delayNanoseconds: .known(set.delayNanoseconds), gateCount: .known(set.gateCount)))
    }
    return told
  }

  private static let noGates = "no arbiter run of this user gates it"

  /// What cannot be seen of devices, whatever happens.
  var blindSpots: [String] {
    var spots: [String] = []
    if isMachineBare {
      spots.append(
        "This machine shows no slow memory: no nvdimm region and no DAX device (arbiter doctor).")
    }
    if !systemMemory.isEmpty {
      spots.append(
        "\(systemMemory.joined(separator: ", ")) is ordinary system memory by now; which programs "
          + "use it is not told (numastat -p shows pages by node).")
    }
    return spots
  }
}
