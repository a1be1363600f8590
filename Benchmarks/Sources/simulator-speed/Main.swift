// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0
//
// How many 64 B requests the simulator executes per second of wall time on one core.
//
//   swift run -c release --package-path Benchmarks simulator-speed [--smoke] [WORD]
//
// WORD picks the cases whose name contains it. Requests count lines that the simulated program
// stored or loaded; the hash is that of the simulated results and does not depend on the machine.

import ArbiterCore
import Glibc

@main
enum SimulatorSpeed {
  static func main() throws {
    let words = CommandLine.arguments.dropFirst()
    let isSmoke = words.contains("--smoke")
    let wanted = words.first { !$0.hasPrefix("--") } ?? ""
    let warmUp = TimeSpan.microseconds(isSmoke ? 100 : 1000)
    let span = TimeSpan.milliseconds(isSmoke ? 1 : 60)
    let runCount = isSmoke ? 2 : 7

    print(
      column("case", 32, isText: true), column("median", 8), column("min", 8), column("max", 8),
      column("events", 8), " hash", separator: "")
    for speedCase in SpeedCase.all where wanted.isEmpty || speedCase.name.contains(wanted) {
      let samples = try (0..<runCount).map { _ in
        try speedCase.run(warmUp: warmUp, span: span)
      }
      guard samples.allSatisfy({ $0.hash == samples[0].hash }) else {
        fatalError("\(speedCase.name): equal runs gave different results")
      }
      let rates = samples.map(\.requestsPerSecond).sorted()
      let eventsPerRequest = Double(samples[0].events) / Double(samples[0].requests)
      print(
        column(speedCase.name, 32, isText: true), column(millions(rates[rates.count / 2]), 8),
        column(millions(rates[0]), 8), column(millions(rates[rates.count - 1]), 8),
        column(fixed(eventsPerRequest), 8), " ", String(samples[0].hash, radix: 16), separator: "")
    }
    print("\(runCount) runs each; 10^6 requests per wall second; events per request")
    print("peak resident memory: \(fixed(Double(peakResidentBytes) / 1e6)) MB")
  }

  /// The most memory that this program has held.
  ///
  /// From the kernel's own record of the address space: `getrusage` would also count whatever
  /// started the program in the same process, as `swift run` does.
  static var peakResidentBytes: Int {
    guard let file = unsafe fopen("/proc/self/status", "r") else {
      preconditionFailure("/proc/self/status is unreadable")
    }
    defer { unsafe _ = fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    // SAFETY: the buffer outlives the call, which writes at most its count with a closing null.
    while unsafe fgets(&line, Int32(line.count), file) != nil {
      let text = String(
        decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      guard text.hasPrefix("VmHWM:") else { continue }
      return (Int(text.filter(\.isNumber)) ?? 0) * 1024
    }
    preconditionFailure("the kernel keeps no record of resident memory")
  }

  static func millions(_ rate: Double) -> String { fixed(rate / 1e6) }

  /// A number with two digits behind the point.
  static func fixed(_ number: Double) -> String {
    let hundredths = Int((number * 100).rounded())
    let fraction = String(hundredths % 100)
    return "\(hundredths / 100).\(fraction.count < 2 ? "0" : "")\(fraction)"
  }

  static func column(_ text: String, _ width: Int, isText: Bool = false) -> String {
    let space = String(repeating: " ", count: max(0, width - text.count))
    return isText ? text + space : space + text
  }
}
