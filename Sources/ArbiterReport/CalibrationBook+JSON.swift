// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterDevice

extension ThreadCalibration {
  /// The calibration as an element of a document.
  public var json: JSONValue {
    .object([
      .init(
        "region",
        .object([
          .init("kind", .string(region.kind.rawValue)), .init("name", .string(region.name)),
          .init("identifier", .text(region.identifier)),
          .init("module_count", region.moduleCount.map { .integer(Int64($0)) } ?? .null),
        ])),
      .init("store", .string(store.rawValue)),
      .init("access_bytes", .integer(Int64(accessBytes))),
      .init("thread_count", .integer(Int64(threadCount))),
      .init(
        "curve",
        .array(
          curve.map { point in
            .object([
              .init("threads", .integer(Int64(point.threads))),
              .init("bytes_per_second", .number(point.bytesPerSecond)),
            ])
          })),
      .init("measured_at", .string("\(date)")), .init("tool_version", .string(toolVersion)),
      .init(
        "machine",
        .object([
          .init("identifier", .text(machine.identifier)),
          .init("processor", .string(machine.processor)),
          .init("processor_count", .integer(Int64(machine.processorCount))),
        ])),
    ])
  }
}

extension CalibrationBook {
  /// The book as a document of the given schema.
  public func json(schema: String) -> JSONValue {
    .object([
      .init("schema", .string(schema)), .init("calibrations", .array(calibrations.map(\.json))),
    ])
  }
}
