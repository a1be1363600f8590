// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMemory
internal import CAppendLog

/// Appends records to a log in a region, rightly or with a bug that a power cut has to show.
struct Appender: Sendable {
  /// How a record and the count behind it are made durable; the bench has the same names.
  enum Form: String, CaseIterable, Sendable {
    /// Record, write-back, fence; count, write-back, fence.
    case cached
    /// The record by non-temporal stores.
    case nonTemporal = "non-temporal"
    /// Planted: the record is never written back.
    case missingFlush = "missing-flush"
    /// Planted: nothing orders the record before the count.
    case missingFence = "missing-fence"
    /// Planted: the same with non-temporal stores, which need the fence as much.
    case streamedWithoutFence = "non-temporal-missing-fence"
    /// Planted: the count is published before its record is there.
    case swappedOrder = "swapped-order"
  }

  let form: Form
  /// The number of the log, which its records carry.
  let log: UInt64
  /// Where the log begins in the region.
  let offset: Int
  /// Bytes of the log.
  let byteCount: Int

  /// Appends the records from 1 to `last` and tells the plug-in after each that it is safe.
  func appendRecords(_ last: UInt64, to region: borrowing MappedRegion) {
    for number in 1...last {
      append(number, to: region)
      arb_mark_acknowledged(log, number)
    }
  }

  /// Appends one record; on return it is durable, if the form is a correct one.
  func append(_ number: UInt64, to region: borrowing MappedRegion) {
    var record = arb_record()
    unsafe arb_record_fill(&record, number, log)
    switch form {
    case .cached:
      flush(store(record, number, region), region)
      region.drain()
      publish(number, region)
    case .nonTemporal:
      streamed(record, number, region)
      region.drain()
      publish(number, region)
    case .missingFlush:
      _ = store(record, number, region)
      region.drain()
      publish(number, region)
    case .missingFence:
      flush(store(record, number, region), region)
      publish(number, region)
    case .streamedWithoutFence:
      streamed(record, number, region)
      publish(number, region)
    case .swappedOrder:
      publish(number, region)
      flush(store(record, number, region), region)
      region.drain()
    }
  }

  private func place(_ number: UInt64) -> Int {
    offset + arb_log_offset(number, byteCount)
  }

  private func store(
    _ record: arb_record, _ number: UInt64, _ region: borrowing MappedRegion
  ) -> Range<Int> {
    let start = place(number)
    // SAFETY: a slot lies within the log, and the log within the region.
    unsafe withUnsafeBytes(of: record) { bytes in
      unsafe UnsafeMutableRawBufferPointer(start: region.base + start, count: bytes.count)
        .copyMemory(from: bytes)
    }
    return start..<start + MemoryLayout<arb_record>.size
  }

  private func streamed(
    _ record: arb_record, _ number: UInt64, _ region: borrowing MappedRegion
  ) {
    let start = place(number)
    // SAFETY: a slot is three whole lines within the region.
    unsafe withUnsafeBytes(of: record) { bytes in
      guard let source = bytes.baseAddress else { return }
      for line in stride(from: 0, to: bytes.count, by: 64) {
        unsafe LineWriter.copyNonTemporal(from: source + line, to: region.base + start + line)
      }
    }
  }

  private func flush(_ range: Range<Int>, _ region: borrowing MappedRegion) {
    region.flush(range)
  }

  private func publish(_ count: UInt64, _ region: borrowing MappedRegion) {
    // SAFETY: a log begins with its count, aligned to a page.
    unsafe arb_log_publish(region.base + offset, count)
    region.flush(offset..<offset + MemoryLayout<UInt64>.size)
    region.drain()
  }
}
