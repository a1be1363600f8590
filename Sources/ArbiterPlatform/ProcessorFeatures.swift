// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiter

/// The instruction by which a cache line is written back to memory.
public enum FlushInstruction: String, Sendable, Hashable, CaseIterable {
  /// Writes back and may keep the line; best where lines are written again.
  case clwb
  /// Writes back and evicts, in any order.
  case clflushopt
  /// Writes back and evicts, in order; every x86-64 has it.
  case clflush
}

/// What the processor can do, as CPUID tells it.
public struct ProcessorFeatures: Sendable, Hashable {
  /// The vendor's name of the model.
  public var modelName: String
  /// Whether lines can be written back without being evicted.
  public var hasClwb: Bool
  /// Whether lines can be flushed without order.
  public var hasClflushopt: Bool
  /// Whether lines can be flushed at all.
  public var hasClflush: Bool
  /// Whether the time-stamp counter runs at one rate, whatever the clock of the core does.
  public var hasInvariantTSC: Bool
  /// The hypervisor's own name; nil on bare metal, empty where it gives none.
  public var hypervisorName: String?

  /// Makes a description, for machines that are not this one.
  public init(
    modelName: String, hasClwb: Bool, hasClflushopt: Bool, hasClflush: Bool,
    hasInvariantTSC: Bool, hypervisorName: String?
  ) {
    self.modelName = modelName
    self.hasClwb = hasClwb
    self.hasClflushopt = hasClflushopt
    self.hasClflush = hasClflush
    self.hasInvariantTSC = hasInvariantTSC
    self.hypervisorName = hypervisorName
  }

  /// The flush instructions, the cheapest first.
  public var flushInstructions: [FlushInstruction] {
    var instructions: [FlushInstruction] = []
    if hasClwb { instructions.append(.clwb) }
    if hasClflushopt { instructions.append(.clflushopt) }
    if hasClflush { instructions.append(.clflush) }
    return instructions
  }

  /// The cheapest way to write a line back.
  public var bestFlush: FlushInstruction { flushInstructions.first ?? .clflush }

  /// The processor that this program runs on.
  ///
  /// Source: Intel SDM volume 2A, CPUID: leaf 7 EBX bits 23 and 24 (clflushopt, clwb), leaf 1 EDX
  /// bit 19 (clflush), leaf 80000007h EDX bit 8 (invariant TSC), leaf 1 ECX bit 31 (hypervisor).
  public static func detect() -> ProcessorFeatures {
    let highest = arb_cpuid(0, 0).eax
    let highestExtended = arb_cpuid(0x8000_0000, 0).eax
    let basic = arb_cpuid(1, 0)
    let extended = highest >= 7 ? arb_cpuid(7, 0) : ArbCpuid()
    let power = highestExtended >= 0x8000_0007 ? arb_cpuid(0x8000_0007, 0) : ArbCpuid()
    var model: [UInt32] = []
    if highestExtended >= 0x8000_0004 {
      for leaf in UInt32(0x8000_0002)...0x8000_0004 {
        let part = arb_cpuid(leaf, 0)
        model += [part.eax, part.ebx, part.ecx, part.edx]
      }
    }
    var hypervisorName: String?
    if basic.ecx & 1 << 31 != 0 {
      let host = arb_cpuid(0x4000_0000, 0)
      hypervisorName = text(of: [host.ebx, host.ecx, host.edx])
    }
    return ProcessorFeatures(
      modelName: text(of: model), hasClwb: extended.ebx & 1 << 24 != 0,
      hasClflushopt: extended.ebx & 1 << 23 != 0, hasClflush: basic.edx & 1 << 19 != 0,
      hasInvariantTSC: power.edx & 1 << 8 != 0, hypervisorName: hypervisorName)
  }

  private static func text(of registers: [UInt32]) -> String {
    let bytes = registers.flatMap { word in
      (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) }
    }
    return SystemTree.trimmed(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
  }
}
