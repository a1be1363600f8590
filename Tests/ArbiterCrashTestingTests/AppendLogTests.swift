// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCrashTesting
import ArbiterMemory
import ArbiterPersistence
import CAppendLog
import Glibc
import Testing

/// The log whose crashes the virtual machine replays, in C, here without a virtual machine.
@Suite("Append log in C")
struct AppendLogTests {
  static let byteCount = 8192

  private func append(_ number: UInt64, form: Form, to region: borrowing MappedRegion) {
    var record = arb_record()
    unsafe arb_record_fill(&record, number, 0)
    let start = arb_log_offset(number, Self.byteCount)
    let range = start..<start + Int(ARB_RECORD_BYTES)
    func publish() {
      // A store by pointer, in C.
      unsafe arb_log_publish(region.base, number)
      region.flush(0..<8)
      region.drain()
    }
    if form == .wrongOrder { publish() }
    unsafe withUnsafeBytes(of: &record) { bytes in
      switch form {
      case .streamed, .streamedWithoutFence:
        unsafe region.copy(bytes, to: start, by: .nonTemporal)
      case .byPointer:
        unsafe UnsafeMutableRawBufferPointer(start: region.base + start, count: bytes.count)
          .copyMemory(from: bytes)
      default: unsafe region.store(bytes, at: start)
      }
    }
    if [.cached, .byPointer, .missingFence, .wrongOrder].contains(form) { region.flush(range) }
    if [.cached, .byPointer, .streamed, .missingFlush, .wrongOrder].contains(form) {
      region.drain()
    }
    if form != .wrongOrder { publish() }
  }

  private func explore(_ form: Form, _ domain: PersistenceDomain = .adr) throws {
    try CrashExplorer(bytes: Self.byteCount, options: .init(domain: domain)).explore {
      region, run in
      for number in UInt64(1)...3 {
        append(number, form: form, to: region)
        run.acknowledge(Int(number))
      }
    } check: { image in
      unsafe image.withUnsafeBytes { bytes in
        guard let start = bytes.baseAddress else { return false }
        return unsafe arb_log_count(start) >= image.acknowledged
          && arb_log_first_broken(start, Self.byteCount, 0) == 0
      }
    }
  }

  @Test(arguments: Form.right, PersistenceDomain.allCases)
  func `the right forms pass`(form: Form, domain: PersistenceDomain) throws {
    try explore(form, domain)
  }

  @Test(arguments: Form.planted)
  func `the planted bugs are found`(planted: (form: Form, kind: CrashFailure.Kind)) throws {
    let failure = try #require(throws: CrashFailure.self) { try explore(planted.form) }
    #expect(failure.kind == planted.kind, "\(failure)")
  }
}

@Suite("Threads")
struct ThreadTests {
  /// Stores a word and writes it back on a thread of its own, which fences or does not.
  private func storeOnAnotherThread(_ region: borrowing MappedRegion, fences: Bool) {
    typealias Routine = @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?
    let unfenced: Routine = { argument in
      guard let region = unsafe argument?.assumingMemoryBound(to: MappedRegion.self) else {
        return nil
      }
      unsafe region.pointee.storeAtomically(1, at: 64)
      unsafe region.pointee.flush(64..<72)
      return nil
    }
    let fenced: Routine = { argument in
      guard let region = unsafe argument?.assumingMemoryBound(to: MappedRegion.self) else {
        return nil
      }
      unsafe region.pointee.storeAtomically(1, at: 64)
      unsafe region.pointee.flush(64..<72)
      unsafe region.pointee.drain()
      return nil
    }
    unsafe withUnsafePointer(to: region) { pointer in
      var thread = pthread_t()
      // SAFETY: the thread has ended before the borrow does.
      let status = unsafe pthread_create(
        &thread, nil, fences ? fenced : unfenced, UnsafeMutableRawPointer(mutating: pointer))
      #expect(status == 0)
      if status == 0 { pthread_join(thread, nil) }
    }
  }

  @Test func `a fence orders the stores of its own thread only`() throws {
    func explore(fences: Bool) throws {
      try CrashExplorer(bytes: 4096).explore { region in
        storeOnAnotherThread(region, fences: fences)
        region.drain()
        region.storeAtomically(1, at: 0)
        try region.persist(0..<8)
      } check: {
        $0.word(at: 0) == 0 || $0.word(at: 64) == 1
      }
    }
    try explore(fences: true)
    let failure = try #require(throws: CrashFailure.self) { try explore(fences: false) }
    #expect(failure.kind == .missingFence, "\(failure)")
    #expect(failure.lost.map(\.line) == [1])
  }
}
