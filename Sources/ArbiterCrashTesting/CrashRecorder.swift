// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMemory
internal import ArbiterPersistence
internal import Glibc

// Stores by pointers tell nobody. A shadow holds the region as it was after the last operation;
// what differs before the next one was stored in between, in an order that nobody knows any more.
//
// One operation at a time: the lock is taken before an operation and released after it, by the
// same thread, so that no operation is taken for a store by pointer of another.

/// Writes down what is done to one region.
///
/// `attach` and `finish` come before and after everything else.
// SAFETY: all state is read and written under the lock only.
@safe
final class CrashRecorder: RegionObserver, @unchecked Sendable {
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let shadow: UnsafeMutableRawBufferPointer
  private var base: UnsafeRawPointer?
  private var recording = CrashRecording()
  private var threads: [pthread_t: Int] = [:]
  /// Operations whose place in the source is still kept.
  private var placesLeft: Int

  init(byteCount: Int, placesMax: Int) {
    unsafe lock = .allocate(capacity: 1)
    unsafe lock.initialize(to: unsafe pthread_mutex_t())
    unsafe pthread_mutex_init(lock, nil)
    unsafe shadow = .allocate(byteCount: byteCount, alignment: 64)
    placesLeft = placesMax
  }

  deinit {
    unsafe pthread_mutex_destroy(lock)
    unsafe lock.deallocate()
    unsafe shadow.deallocate()
  }

  /// Begins to watch a region as it is now.
  func attach(_ region: borrowing MappedRegion) {
    precondition(unsafe region.byteCount == shadow.count, "a recorder for another size")
    // SAFETY: the explorer keeps the region mapped until the recording is finished.
    unsafe base = UnsafeRawPointer(region.base)
    unsafe shadow.copyMemory(
      from: UnsafeRawBufferPointer(start: region.base, count: region.byteCount))
  }

  /// Ends the recording, with what was stored by pointers since the last operation.
  func finish() -> CrashRecording {
    locked { findStores(before: "the end of the run") }
    unsafe base = nil
    return recording
  }

  func regionWill(_ operation: RegionOperation) {
    unsafe pthread_mutex_lock(lock)
    findStores(before: operation.name)
  }

  func regionDid(_ operation: RegionOperation) {
    switch operation {
    case .store(let range): didStore(operation.name, range)
    case .storeAtomically(let offset): didStore(operation.name, offset..<offset + 8)
    case .copy(let range, let isStreamed): didCopy(operation.name, range, isStreamed: isStreamed)
    case .flush(let range), .deepFlush(let range):
      if !range.isEmpty { writeBack(range, in: addCall(operation.name, range)) }
    case .fence: add(.fence, in: addCall(operation.name, nil))
    }
    unsafe pthread_mutex_unlock(lock)
  }

  /// The run promises something.
  func acknowledge(_ number: Int) {
    locked {
      findStores(before: "acknowledge")
      add(.acknowledge(number), in: addCall("acknowledge(\(number))", nil))
    }
  }

  /// Everything until now has survived.
  func start() {
    locked {
      findStores(before: "begin")
      add(.start, in: addCall("begin", nil))
    }
  }

  private func locked(_ body: () -> Void) {
    unsafe pthread_mutex_lock(lock)
    body()
    unsafe pthread_mutex_unlock(lock)
  }

  // All that follows runs under the lock.

  private func didStore(_ name: String, _ range: Range<Int>) {
    if range.isEmpty { return }
    store(range, isNonTemporal: false, in: addCall(name, range))
  }

  private func didCopy(_ name: String, _ range: Range<Int>, isStreamed: Bool) {
    if range.isEmpty { return }
    let call = addCall(name, range)
    let first = (range.lowerBound + 63) / 64 * 64
    let last = range.upperBound / 64 * 64
    guard isStreamed, first < last else {
      store(range, isNonTemporal: false, in: call)
      writeBack(range, in: call)
      return
    }
    for part in [range.lowerBound..<first, last..<range.upperBound] where !part.isEmpty {
      store(part, isNonTemporal: false, in: call)
      writeBack(part, in: call)
    }
    store(first..<last, isNonTemporal: true, in: call)
  }

  private func store(_ range: Range<Int>, isNonTemporal: Bool, in call: Int) {
    guard let base = unsafe base, let copy = unsafe shadow.baseAddress else { return }
    // SAFETY: the region has checked the range of its operation.
    unsafe (copy + range.lowerBound).copyMemory(
      from: base + range.lowerBound, byteCount: range.count)
    let bytes = unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(shadow)[range])
    let words = unsafe WordStore.pieces(of: bytes, at: range.lowerBound)
    add(.store(words, isNonTemporal: isNonTemporal), in: call)
  }

  private func writeBack(_ range: Range<Int>, in call: Int) {
    add(.writeBack(range.lowerBound >> 6...(range.upperBound - 1) >> 6), in: call)
  }

  /// Finds what was stored by pointers since the last operation.
  private func findStores(before name: String) {
    guard let base = unsafe base, let copy = unsafe shadow.baseAddress else { return }
    let byteCount = unsafe shadow.count
    var words: [WordStore] = []
    // SAFETY: region and shadow have the same number of bytes, a multiple of a page.
    for start in stride(from: 0, to: byteCount, by: 256)
    where unsafe memcmp(base + start, copy + start, 256) != 0 {
      for offset in stride(from: start, to: start + 256, by: 8) {
        let now = unsafe base.load(fromByteOffset: offset, as: UInt64.self)
        let before = unsafe copy.load(fromByteOffset: offset, as: UInt64.self)
        guard now != before else { continue }
        let mask = Self.changedBytes(now ^ before)
        words.append(WordStore(word: offset >> 3, mask: mask, value: now))
        unsafe copy.storeBytes(of: now, toByteOffset: offset, as: UInt64.self)
      }
    }
    guard let first = words.first, let last = words.last else { return }
    let call = addCall(
      "stores by pointer before \(name)", first.word << 3..<(last.word + 1) << 3)
    add(.store(words, isNonTemporal: false), in: call)
  }

  /// All bits of every byte that has a bit.
  private static func changedBytes(_ difference: UInt64) -> UInt64 {
    var mask: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 8) where difference >> shift & 0xFF != 0 {
      mask |= 0xFF << shift
    }
    return mask
  }

  private func add(_ step: RecordedStep, in call: Int) {
    recording.entries.append(
      RecordedEntry(step: step, call: call, thread: recording.calls[call].thread))
  }

  private func addCall(_ name: String, _ bytes: Range<Int>?) -> Int {
    let thread = currentThread
    recording.calls.append(
      RecordedCall(name: name, bytes: bytes, thread: thread, site: here()))
    return recording.calls.count - 1
  }

  private var currentThread: Int {
    let identity = pthread_self()
    if let known = threads[identity] { return known }
    let number = threads.count
    threads[identity] = number
    return number
  }

  private func here() -> CallSite {
    guard placesLeft > 0 else { return CallSite() }
    placesLeft -= 1
    return CallSite(here: 16)
  }
}

extension RegionOperation {
  /// The operation as reports call it.
  fileprivate var name: String {
    switch self {
    case .store: "store"
    case .storeAtomically: "storeAtomically"
    case .copy(_, isStreamed: true): "non-temporal copy"
    case .copy(_, isStreamed: false): "copy"
    case .flush: "flush"
    case .deepFlush: "deepFlush"
    case .fence: "drain"
    }
  }
}
