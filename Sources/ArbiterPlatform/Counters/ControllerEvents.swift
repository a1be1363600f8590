// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// The events by which a processor counts the commands that it sends to persistent memory. Every
// command moves 64 B, so bytes are counts x 64. What a module does with its medium cannot be seen
// from here: these events give bandwidth, never write amplification.
//
// Source: Intel's event lists (perfmon) for CLX, ICX, SPR and EMR, uncore_imc and uncore_m2m.
// libpfm4 does not have these events, therefore this table.

/// An event of a unit: what its `event` and `umask` fields hold.
package struct EventCode: Sendable, Hashable {
  package var event: UInt64
  package var umask: UInt64

  package init(event: UInt64, umask: UInt64) {
    self.event = event
    self.umask = umask
  }
}

/// Two events of one kind of unit that count reads and writes of persistent memory.
package struct ControllerEvents: Sendable, Hashable {
  /// The kernel's name of the units without their number.
  package var unit: String
  package var reads: EventCode
  package var writes: EventCode
}

/// The events of one generation of processors.
package struct ControllerEventTable: Sendable, Hashable {
  package var processorName: String
  /// In the order of preference: the memory controller's own queues, then the mesh stops in front
  /// of them, for kernels that show the one kind and not the other.
  package var alternatives: [ControllerEvents]

  /// The table of a processor; nil for one that has no such memory or is not known.
  package static func table(for processor: ProcessorModel) -> ControllerEventTable? {
    guard processor.vendor == "GenuineIntel", processor.family == 6 else { return nil }
    switch (processor.model, processor.stepping) {
    // Steppings below 5 are Skylake, which takes no persistent memory; 10 and 11 are Cooper Lake,
    // whose memory controller is the same.
    case (85, 5...):
      return make(
        "Cascade Lake", mesh: (reads: EventCode(event: 0x37, umask: 0x08), writes: (0x38, 0x20)))
    case (106, _), (108, _):
      return make(
        "Ice Lake", mesh: (reads: EventCode(event: 0x37, umask: 0x20), writes: (0x38, 0x80)))
    case (143, _):
      return make(
        "Sapphire Rapids", mesh: (reads: EventCode(event: 0x24, umask: 0x20), writes: (0x25, 0x80)))
    case (207, _):
      return make(
        "Emerald Rapids", mesh: (reads: EventCode(event: 0x24, umask: 0x20), writes: (0x25, 0x80)))
    default: return nil
    }
  }

  private static func make(
    _ name: String, mesh: (reads: EventCode, writes: (UInt64, UInt64))
  ) -> ControllerEventTable {
    ControllerEventTable(
      processorName: name,
      alternatives: [
        // UNC_M_PMM_RPQ_INSERTS and UNC_M_PMM_WPQ_INSERTS.
        ControllerEvents(
          unit: "uncore_imc", reads: EventCode(event: 0xE3, umask: 0),
          writes: EventCode(event: 0xE7, umask: 0)),
        // UNC_M2M_IMC_READS.TO_PMM and UNC_M2M_IMC_WRITES.TO_PMM.
        ControllerEvents(
          unit: "uncore_m2m", reads: mesh.reads,
          writes: EventCode(event: mesh.writes.0, umask: mesh.writes.1)),
      ])
  }
}
