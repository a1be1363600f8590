// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
internal import ArbiterMetrics
internal import ArbiterPlatform

/// Makes intervals of readings; pure, without a clock of its own.
public struct WatchTracker: Sendable {
  /// A device's counters when they changed last, and what the change was.
  private struct DeviceMemory: Sendable {
    var snapshot: CounterSnapshot
    var processorTime: ProcessorTime?
    var interval: DeviceInterval?
    var changedNanoseconds: Int64
  }

  private var last: WatchReading?
  private var devices: [String: DeviceMemory] = [:]

  /// Why a first reading has no rates.
  public static let measuring = "measuring: rates need two readings"

  /// How long the rates of counters that have not changed since stand.
  private static let staleNanoseconds: Int64 = 3_000_000_000

  /// Makes a tracker that has seen nothing.
  public init() {}

  /// Takes in a reading and tells what happened since the one before.
  public mutating func add(_ reading: WatchReading) -> WatchInterval {
    let elapsed = last.map { Double(reading.timeNanoseconds - $0.timeNanoseconds) / 1e9 }
    let seconds = Figure(elapsed.flatMap { $0 > 0 ? $0 : nil }, otherwise: Self.measuring)
    let spent = spentTime(until: reading)
    let names = Set(reading.devices.map(\.name))
    devices = devices.filter { names.contains($0.key) }
    let deviceIntervals = reading.devices.map { interval(of: $0, in: reading) }
    defer { last = reading }
    return WatchInterval(
      reading: reading, seconds: seconds,
      busyShare: Self.share(of: spent) { $0.busy },
      stolenShare: Self.share(of: spent) { $0.stolen },
      cpuSecondsPerGiB: Self.total(deviceIntervals, spent: spent, seconds: seconds),
      devices: deviceIntervals, tasks: taskIntervals(reading, seconds: seconds))
  }

  // MARK: Processors

  private func spentTime(until reading: WatchReading) -> Figure<ProcessorTime> {
    guard let last else { return .unavailable(Self.measuring) }
    guard let before = last.processorTime.value else { return last.processorTime }
    return reading.processorTime.map { $0.since(before) }
  }

  private static func share(
    of spent: Figure<ProcessorTime>, _ part: (ProcessorTime) -> UInt64
  ) -> Figure<Double> {
    guard let spent = spent.value else { return spent.map { _ in 0 } }
    let whole = spent.busy &+ spent.idle &+ spent.waitingForDisk &+ spent.stolen
    return whole > 0
      ? .known(Double(part(spent)) / Double(whole))
      : .unavailable("the interval is shorter than the kernel's clock tick")
  }

  private static func total(
    _ devices: [DeviceInterval], spent: Figure<ProcessorTime>, seconds: Figure<Double>
  ) -> Figure<Double> {
    guard let seconds = seconds.value else { return seconds }
    let moved = devices.compactMap(\.movedRate.value)
    guard !moved.isEmpty else {
      let reason = devices.first?.movedRate.reason
      return .unavailable(reason ?? "no device is known whose bytes could be counted")
    }
    return DeviceInterval.secondsPerGiB(
      spent.map { $0.busySeconds / seconds }, movedRate: .known(moved.reduce(0, +)))
  }

  // MARK: Devices

  private mutating func interval(
    of device: WatchedDevice, in reading: WatchReading
  ) -> DeviceInterval {
    let now = device.counters
    let fresh = DeviceMemory(
      snapshot: now, processorTime: reading.processorTime.value, interval: nil,
      changedNanoseconds: reading.timeNanoseconds)
    if now.source == .unavailable {
      devices[device.name] = nil
      return DeviceInterval(device, unavailable: device.reasonForAbsence ?? "nothing counts it")
    }
    guard var memory = devices[device.name], memory.snapshot.source == now.source else {
      devices[device.name] = fresh
      return DeviceInterval(device, unavailable: Self.measuring)
    }
    if now.timeNanoseconds == memory.snapshot.timeNanoseconds {
      let age = reading.timeNanoseconds - memory.changedNanoseconds
      guard var interval = memory.interval, age <= Self.staleNanoseconds else {
        return DeviceInterval(
          device,
          unavailable: memory.interval == nil && age <= Self.staleNanoseconds
            ? Self.measuring : "its counters have not been read for \(age / 1_000_000_000) s")
      }
      interval.device = device
      return interval
    }
    guard let delta = CounterDelta(from: memory.snapshot, to: now) else {
      devices[device.name] = fresh
      return DeviceInterval(device, unavailable: "its counters began anew")
    }
    var cpu = Figure<Double>.unavailable("the kernel does not tell the processors' time")
    if let before = memory.processorTime, let after = fresh.processorTime {
      cpu = .known(after.since(before).busySeconds)
    }
    let interval = DeviceInterval(device, delta, cpuSeconds: cpu)
    memory = fresh
    memory.interval = interval
    devices[device.name] = memory
    return interval
  }

  // MARK: Tasks

  private func taskIntervals(
    _ reading: WatchReading, seconds: Figure<Double>
  ) -> [TaskInterval] {
    var before: [Int32: WatchedTask] = [:]
    for task in last?.tasks ?? [] { before[task.process] = task }
    var intervals = reading.tasks.map { task in
      let earlier = before[task.process].flatMap { $0.startTicks == task.startTicks ? $0 : nil }
      return Self.interval(of: task, since: earlier, seconds: seconds)
    }
    var sums: [BackEnd: Double] = [:]
    for interval in intervals {
      guard let backEnd = interval.task.backEnd, let rate = interval.writeRate.value else {
        continue
      }
      sums[backEnd, default: 0] += rate.value
    }
    for index in intervals.indices {
      let sum = intervals[index].task.backEnd.flatMap { sums[$0] } ?? 0
      intervals[index].share =
        switch intervals[index].writeRate {
        case .unavailable(let reason): .unavailable(reason)
        case .known(let rate):
          sum > 0 ? .known(rate.value / sum) : .unavailable("no task stored anything")
        }
    }
    return intervals
  }

  private static func interval(
    of task: WatchedTask, since earlier: WatchedTask?, seconds: Figure<Double>
  ) -> TaskInterval {
    func rate(_ now: Figure<Double>, _ before: Figure<Double>?) -> Figure<Double> {
      guard let after = now.value else { return now }
      guard let seconds = seconds.value, let before else { return .unavailable(measuring) }
      return before.map { max(0, after - $0) / seconds }
    }
    let comparable = earlier?.backEnd == task.backEnd ? earlier : nil
    let written = rate(task.written.map(\.value), comparable?.written.map(\.value))
    // Errors of a cumulative sum add up as squares: what came since has the rest of them.
    let variance = max(
      0,
      square(task.written.value?.standardError) - square(comparable?.written.value?.standardError))
    return TaskInterval(
      task: task,
      writeRate: written.map {
        Estimate($0, standardError: variance.squareRoot() / (seconds.value ?? 1))
      },
      share: .unavailable(measuring),
      delayShare: rate(task.delayedNanoseconds, earlier?.delayedNanoseconds).map { $0 / 1e9 },
      cpuShare: rate(
        task.cpuNanoseconds.map { Double($0) }, earlier?.cpuNanoseconds.map { Double($0) }
      )
      .map { $0 / 1e9 })
  }

  private static func square(_ number: Double?) -> Double { (number ?? 0) * (number ?? 0) }
}
