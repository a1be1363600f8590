// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiter

/// Which processor it is, by the numbers that decide on its events.
public struct ProcessorModel: Sendable, Hashable {
  /// The vendor's own word, as GenuineIntel; empty where there is none.
  public var vendor: String
  /// The family, the extended part added.
  public var family: Int
  /// The model, the extended part in front.
  public var model: Int
  /// The stepping.
  public var stepping: Int

  /// Makes a model, for machines that are not this one.
  public init(vendor: String, family: Int, model: Int, stepping: Int) {
    self.vendor = vendor
    self.family = family
    self.model = model
    self.stepping = stepping
  }

  /// Reads the numbers from what CPUID leaf 1 answers in EAX.
  ///
  /// Source: Intel SDM volume 2A, CPUID: family 15 adds the extended family; families 6 and 15 put
  /// the extended model in front of the model.
  public init(vendor: String, signature: UInt32) {
    let base = Int(signature >> 8 & 0xF)
    let low = Int(signature >> 4 & 0xF)
    self.vendor = vendor
    family = base == 15 ? base + Int(signature >> 20 & 0xFF) : base
    model = base == 6 || base == 15 ? Int(signature >> 16 & 0xF) << 4 | low : low
    stepping = Int(signature & 0xF)
  }

  /// The processor that this program runs on.
  public static func detect() -> ProcessorModel {
    let first = arb_cpuid(0, 0)
    let bytes = [first.ebx, first.edx, first.ecx].flatMap { word in
      (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) }
    }
    return ProcessorModel(
      vendor: String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self),
      signature: arb_cpuid(1, 0).eax)
  }
}
