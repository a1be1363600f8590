// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterWorkloads
internal import CArbiterRecord

extension TraceEvent {
  /// Makes an event of one that C has found sound; nil where its operation is none.
  init?(_ event: ArbTraceEvent) {
    guard let operation = TraceOperation(rawValue: UInt8(event.operation)) else { return nil }
    self.init(
      operation, region: UInt8(event.region), offset: event.offset, length: event.length,
      count: event.count, stride: event.stride, isFenced: event.flags != 0,
      startNanoseconds: event.start, spanNanoseconds: event.span)
  }
}

extension ArbTraceEvent {
  /// Makes an event for C; nil where the offset does not fit.
  init?(_ event: TraceEvent) {
    guard event.offset < 1 << 48 else { return nil }
    self.init()
    start = event.startNanoseconds
    offset = event.offset
    region = UInt64(event.region)
    operation = UInt64(event.operation.rawValue)
    flags = event.isFenced ? 1 : 0
    length = event.length
    count = event.count
    stride = event.stride
    span = event.spanNanoseconds
  }
}
