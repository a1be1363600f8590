// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

func logarithm(_ number: Double) -> Double { log(number) }

func power(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }

/// Places on an axis that have a label.
struct HeatTicks {
  /// One of them: the share of the axis before it, and its label.
  struct Tick: Hashable {
    var share: Double
    var label: String
  }

  /// Offsets at multiples of a power of two.
  static func addresses(_ panel: HeatPicture.Panel, countMax: Int) -> [Tick] {
    let start = panel.startBytes - panel.origin
    let extent = panel.extentBytes
    var step: UInt64 = 1
    while extent / step >= UInt64(max(1, countMax)) { step <<= 1 }
    var ticks: [Tick] = []
    var next = (start + step - 1) / step * step
    while next < start + extent, ticks.count <= countMax {
      ticks.append(
        Tick(share: Double(next - start) / Double(extent), label: bytes(next)))
      next += step
    }
    return ticks
  }

  /// Times at 1, 2 or 5 times a power of ten.
  static func times(_ picture: HeatPicture, countMax: Int) -> [Tick] {
    let start = Double(picture.startNanoseconds)
    let extent = Double(picture.columnNanoseconds) * Double(picture.columnCount)
    var step = 1.0
    var factors = [2, 2.5, 2][...]
    while extent / step >= Double(max(1, countMax)) {
      step *= factors.first ?? 2
      factors = factors.dropFirst() + factors.prefix(1)
    }
    let (unit, scale) = unit(of: max(step, start + extent))
    var ticks: [Tick] = []
    var number = (start / step).rounded(.up)
    while number * step < start + extent, ticks.count <= countMax {
      let label = trimmed(number * step / scale)
      ticks.append(Tick(share: (number * step - start) / extent, label: "\(label) \(unit)"))
      number += 1
    }
    return ticks
  }

  private static func unit(of nanoseconds: Double) -> (String, Double) {
    switch nanoseconds {
    case 1e9...: ("s", 1e9)
    case 1e6...: ("ms", 1e6)
    case 1e3...: ("us", 1e3)
    default: ("ns", 1)
    }
  }

  /// A number of bytes in the largest binary unit that it reaches.
  static func bytes(_ count: UInt64) -> String {
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
    where count >> UInt64(shift) > 0 {
      return "\(trimmed(Double(count) / Double(UInt64(1) << UInt64(shift)))) \(unit)"
    }
    return "\(count) B"
  }

  /// Bytes with three significant figures at most.
  static func amount(_ bytes: Double) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] as [(String, UInt64)]
    let unit = units.first { bytes >= Double(UInt64(1) << $0.1) }
    var number = Figures.rounded(bytes / Double(UInt64(1) << (unit?.1 ?? 0)))
    if number.contains("."), !number.contains("e") {
      while number.last == "0" { number.removeLast() }
      if number.last == "." { number.removeLast() }
    }
    return "\(number) \(unit?.0 ?? "B")"
  }

  /// A number with as many decimals as it needs, at most three.
  static func trimmed(_ number: Double) -> String {
    let thousandths = (number * 1000).rounded()
    guard abs(thousandths) < 1e15 else { return "\(number)" }
    let whole = Int(thousandths) / 1000
    var digits = String(abs(Int(thousandths)) % 1000)
    digits = String(repeating: "0", count: 3 - digits.count) + digits
    while digits.last == "0" { digits.removeLast() }
    return digits.isEmpty ? "\(whole)" : "\(whole).\(digits)"
  }

  /// A weight as it stands in a legend.
  static func weight(_ weight: Double, unit: String) -> String {
    switch unit {
    case "bytes": amount(weight)
    case _ where unit.hasPrefix("ns"): Figures.duration(nanoseconds: weight)
    default: Figures.rounded(weight)
    }
  }
}

/// Text of at most so many characters; what is cut is the front, of paths the least telling part.
func shortenedAtFront(_ text: String, to count: Int) -> String {
  text.count <= count ? text : "…" + text.suffix(max(0, count - 1))
}

/// Text of at most so many characters; what is cut is the end.
func shortenedAtEnd(_ text: String, to count: Int) -> String {
  text.count <= count ? text : text.prefix(max(0, count - 1)) + "…"
}
