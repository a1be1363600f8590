// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterDevice
public import ArbiterMetrics

/// What happened between two readings: rates and ratios.
public struct WatchInterval: Sendable {
  /// The later reading.
  public var reading: WatchReading
  /// Time between the readings, in seconds; unavailable for a first one.
  public var seconds: Figure<Double>
  /// CPU time that was spent, as a share of all processors' time.
  public var busyShare: Figure<Double>
  /// Time in which the host ran somebody else, as a share of all processors' time.
  public var stolenShare: Figure<Double>
  /// CPU time of all processors for each GiB that all devices moved.
  public var cpuSecondsPerGiB: Figure<Double>
  /// Its devices, in the reading's order.
  public var devices: [DeviceInterval]
  /// Its tasks, in the reading's order.
  public var tasks: [TaskInterval]
}

/// What one device did between two readings of its counters.
///
/// Counters may be read less often than the screen is drawn: then the last interval stands.
public struct DeviceInterval: Sendable {
  /// The device as it was read last.
  public var device: WatchedDevice
  /// Bytes per second that the memory controller wrote.
  public var imcWriteRate: Figure<Double>
  /// Bytes per second that the memory controller read.
  public var imcReadRate: Figure<Double>
  /// Bytes per second that the medium wrote.
  public var mediaWriteRate: Figure<Double>
  /// Bytes per second that the medium read.
  public var mediaReadRate: Figure<Double>
  /// Media write bytes ÷ iMC write bytes.
  public var writeAmplification: Figure<Double>
  /// Media read bytes ÷ iMC read bytes.
  public var readAmplification: Figure<Double>
  /// Media writes + media reads ÷ 3, in bytes per second.
  public var equivalentWriteRate: Figure<Double>
  /// CPU time of all processors for each GiB that this device moved.
  public var cpuSecondsPerGiB: Figure<Double>
}

/// What one task did between two readings.
public struct TaskInterval: Sendable {
  /// The task as it was read last.
  public var task: WatchedTask
  /// What it stored in a second, in the unit of its back-end's measure.
  public var writeRate: Figure<Estimate>
  /// Its part in what all tasks stored that are measured alike.
  public var share: Figure<Double>
  /// Time that its gates made threads wait, as a share of the interval; 2 is two threads' time.
  public var delayShare: Figure<Double>
  /// CPU time, as a share of the interval; 2 is two processors' time.
  public var cpuShare: Figure<Double>
}

extension DeviceInterval {
  /// Makes an interval in which nothing is known.
  init(_ device: WatchedDevice, unavailable reason: String) {
    self.device = device
    imcWriteRate = .unavailable(reason)
    imcReadRate = .unavailable(reason)
    mediaWriteRate = .unavailable(reason)
    mediaReadRate = .unavailable(reason)
    writeAmplification = .unavailable(reason)
    readAmplification = .unavailable(reason)
    equivalentWriteRate = .unavailable(reason)
    cpuSecondsPerGiB = .unavailable(reason)
  }

  /// Makes an interval of what the counters say.
  ///
  /// - Parameters:
  ///   - device: The device.
  ///   - delta: What its counters did.
  ///   - cpuSeconds: CPU time that was spent meanwhile.
  init(_ device: WatchedDevice, _ delta: CounterDelta, cpuSeconds: Figure<Double>) {
    let source = device.counters.source.rawValue
    let absence = device.reasonForAbsence ?? "the source \(source) does not see it"
    func rate(_ bytes: Double?) -> Figure<Double> {
      Figure(bytes.map { $0 / delta.seconds }, otherwise: absence)
    }
    func ratio(
      _ media: Figure<Double>, _ imc: Figure<Double>, nothing: String
    ) -> Figure<Double> {
      guard let above = media.value else { return media }
      guard let below = imc.value else { return imc }
      return below > 0 ? .known(above / below) : .unavailable(nothing)
    }
    self.device = device
    imcWriteRate = rate(delta.imcWriteBytes)
    imcReadRate = rate(delta.imcReadBytes)
    mediaWriteRate = rate(delta.mediaWriteBytes)
    mediaReadRate = rate(delta.mediaReadBytes)
    writeAmplification = ratio(mediaWriteRate, imcWriteRate, nothing: "nothing was written")
    readAmplification = ratio(mediaReadRate, imcReadRate, nothing: "nothing was read")
    equivalentWriteRate = Figure(delta.equivalentWriteBandwidth, otherwise: absence)
    cpuSecondsPerGiB = .unavailable("")
    cpuSecondsPerGiB = Self.secondsPerGiB(
      cpuSeconds.map { $0 / delta.seconds }, movedRate: movedRate)
  }

  /// Bytes per second that the memory controller moved, both ways.
  var movedRate: Figure<Double> {
    guard let writes = imcWriteRate.value else { return imcWriteRate }
    return imcReadRate.map { $0 + writes }
  }

  /// CPU seconds per GiB from two rates.
  static func secondsPerGiB(
    _ cpuRate: Figure<Double>, movedRate: Figure<Double>
  ) -> Figure<Double> {
    guard let cpu = cpuRate.value else { return cpuRate }
    guard let moved = movedRate.value else { return movedRate }
    return moved > 0 ? .known(cpu / (moved / 1_073_741_824)) : .unavailable("nothing was moved")
  }
}
