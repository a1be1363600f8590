// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import CArbiter
import CArbiterGate
import Foundation
import Glibc
import Testing

typealias Outcome = Shell.Outcome

/// Why something could not be set up.
struct SetUpError: Error {
  let reason: String
}

/// Everything that gates counted, of all slots.
struct Totals {
  var accesses: UInt64 = 0
  var bytes: UInt64 = 0
  var waits: UInt64 = 0
  var fences: UInt64 = 0
  var stale: UInt64 = 0
  var direct: UInt64 = 0
  /// Attachments, of threads to sets.
  var owners: UInt64 = 0
  var calls: [UInt64] = Array(repeating: 0, count: Int(ARB_CALL_KINDS.rawValue))
  var callBytes: [UInt64] = Array(repeating: 0, count: Int(ARB_CALL_KINDS.rawValue))

  func calls(_ kind: ArbCallKind) -> UInt64 { calls[Int(kind.rawValue)] }
  func callBytes(_ kind: ArbCallKind) -> UInt64 { callBytes[Int(kind.rawValue)] }
}

/// Settings that a controller would publish.
struct Settings {
  var delayPicoseconds: UInt64 = 0
  var flags: UInt64 = 0

  static let none = Settings()
  static let fence = Settings(flags: 1 << 44 | 1 << 42)
  static func delay(nanoseconds: UInt64) -> Settings {
    Settings(delayPicoseconds: nanoseconds * 1000, flags: 1 << 42)
  }

  var word: UInt64 { delayPicoseconds | flags | 1 << 45 }
}

/// A control page of this process, whose set 1 is all memory or what lies on one device.
@safe
final class ControlPage {
  private var mapping = unsafe ArbMapping()
  private let page: UnsafeMutablePointer<ArbPage>

  init(
    _ scheme: ArbSchemeKind, permits: UInt32 = 2, spanBytes: UInt64 = 4096, slots: UInt32 = 128,
    settings: Settings = .none, deviceOf path: String? = nil
  ) throws {
    var parameters = ArbPageParameters(
      slot_count: slots, scheme: scheme.rawValue, permit_count: permits, ring_count: 1,
      ring_slots: 64, span_bytes: spanBytes, ticks_per_nanosecond: 2.5,
      maximum_wait_ticks: 25_000_000)
    guard unsafe arb_page_create(&parameters, &mapping) == 0, let page = unsafe mapping.page else {
      throw SetUpError(reason: "no control page")
    }
    unsafe self.page = unsafe page
    unsafe arb_set_name(page, 1, "all", 1)
    if let path {
      var facts = stat()
      guard unsafe stat(path, &facts) == 0 else { throw SetUpError(reason: "no \(path)") }
      // glibc's encoding; its functions for it are macros that Swift does not see.
      let device = facts.st_dev
      let major = UInt32(device >> 8 & 0xFFF | device >> 32 & 0xFFFF_F000)
      let minor = UInt32(device & 0xFF | device >> 12 & 0xFFFF_FF00)
      unsafe arb_set_add_device(page, 1, major, minor)
    }
    unsafe arb_set_activate(page, 1, path == nil ? 1 : 0)
    unsafe arb_set_publish(arb_page_set(page, 1), settings.word)
  }

  deinit {
    unsafe arb_page_close(&mapping)
  }

  var path: String { unsafe "/proc/\(getpid())/fd/\(mapping.descriptor)" }

  func beat(staleAfterTicks: Int64) {
    unsafe arb_set_beat(arb_page_set(page, 1), arb_read_tsc(), staleAfterTicks)
  }

  /// Asks gates to record their next hundred stores and fences.
  func record() {
    unsafe arb_set_begin_recording(arb_page_set(page, 1), 7, 100)
    unsafe arb_set_publish(arb_page_set(page, 1), 1 << 62 | 1 << 45)
  }

  /// What slot 0 recorded: the lines of each store, 0 for a fence.
  var recordedSteps: [UInt64] {
    var view = ArbRecordingView()
    var records = [ArbRecord](repeating: ArbRecord(), count: Int(ARB_RECORD_COUNT))
    unsafe arb_slot_read_recording(page, 0, &records, &view)
    return records.prefix(Int(view.count)).map { $0.lines & 0xFFFFF }
  }

  var permits: ArbPermitCounts {
    var counts = ArbPermitCounts()
    unsafe arb_permits_read(page, 1, &counts)
    return counts
  }

  /// Tries to take the slots of threads that are gone; what gates hold a slot now.
  func attachedCount() -> UInt32 {
    unsafe _ = arb_page_reap(page)
    return unsafe arb_page_attached_count(page, 1)
  }

  var totals: Totals { totals(ofSets: 0..<8) }

  func totals(ofSets sets: Range<UInt32>) -> Totals {
    var totals = Totals()
    for index in 0..<(unsafe arb_page_slots_used(page)) {
      let slot = unsafe arb_page_slot(page, index)
      guard sets.contains(unsafe slot.pointee.set_index) else { continue }
      let counts = unsafe slot.pointee.counts
      totals.owners += UInt64(unsafe slot.pointee.generation)
      totals.accesses += counts.access_count
      totals.bytes += counts.stored_bytes
      totals.waits += counts.wait_count
      totals.fences += counts.fence_count
      totals.stale += counts.stale_count
      totals.direct += counts.direct_count
      // SAFETY: the tuples are arrays of C, as long as they say.
      unsafe withUnsafeBytes(of: counts.call_count) { calls in
        unsafe withUnsafeBytes(of: counts.call_bytes) { bytes in
          for kind in totals.calls.indices {
            totals.calls[kind] += unsafe calls.load(fromByteOffset: kind * 8, as: UInt64.self)
            totals.callBytes[kind] += unsafe bytes.load(fromByteOffset: kind * 8, as: UInt64.self)
          }
        }
      }
    }
    return totals
  }
}

/// Where things lie.
enum Place {
  static let build = Shell.buildFolder
  static let library = "\(build)/libarbiter-preload.so"

  static let tests = "\(Shell.repositoryFolder)/Tests/CArbiterPreloadTests"
  static let sources = "\(Shell.repositoryFolder)/Sources"
}

/// The C programs of these tests, compiled once for each run of the tests.
enum Programs {
  static let libraries = [
    "bytes": "-lpmem -lpmem2", "objects": "-lpmemobj", "blocks": "-lpmemblk",
    "writers": "-lpmem -lpthread", "life": "-lpmem -lpthread",
  ]

  /// The folder of the programs; below it "gauge" with the libpmem of the tests.
  static let folder = Result<String, any Error> {
    // The system's, so that it goes away with the run of the tests at the latest when it restarts.
    var template = Array("/tmp/arbiter-preload-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else { throw SetUpError(reason: "no folder in /tmp") }
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    unsafe setenv("ARBITER_TEST_PROGRAMS", folder, 1)
    atexit {
      guard let path = ProcessInfo.processInfo.environment["ARBITER_TEST_PROGRAMS"] else { return }
      try? FileManager.default.removeItem(atPath: path)
    }
    let compile = "clang -O2 -Wall -Wextra -Werror"
    var script = "set -e; cd '\(Place.tests)/Programs'\n"
    for (name, words) in libraries {
      script += "\(compile) -o '\(folder)/\(name)' \(name).c \(words)\n"
    }
    // The version that programs linked with the real library ask for.
    script += """
      mkdir '\(folder)/gauge'; echo 'LIBPMEM_1.0 { pmem_*; };' > '\(folder)/gauge/map'
      \(compile) -shared -fPIC -Wl,-soname,libpmem.so.1 \
        -Wl,--version-script='\(folder)/gauge/map' -o '\(folder)/gauge/libpmem.so.1' gauge.c
      """
    let outcome = try shell(script)
    guard outcome.code == 0 else { throw SetUpError(reason: outcome.error) }
    return folder
  }

  static func path(_ name: String) throws -> String { try folder.get() + "/" + name }
}

/// Files of a test in memory that programs may take for persistent.
func withStorage<Answer>(_ body: (String) throws -> Answer) throws -> Answer {
  let folder = TemporaryFolder(in: "/dev/shm")
  return try body(folder.path)
}

/// Runs a script with bash.
///
/// `$under` in it runs a program under the preload library and the page,
/// at most for two minutes; `$programs` is the folder of the C programs.
func shell(_ script: String, page: ControlPage? = nil) throws -> Outcome {
  var whole = "unset LD_PRELOAD ARBITER_CONTROL ARBITER_SESSION ARBITER_PRELOAD\n"
  if let page {
    whole += "programs='\(try Programs.folder.get())'\n"
    whole += "under=\"timeout -s KILL 120 env PMEM_IS_PMEM_FORCE=1 "
    whole += "PMEM2_FORCE_GRANULARITY=CACHE_LINE ARBITER_SESSION=1 ARBITER_CONTROL=\(page.path) "
    whole += "LD_PRELOAD=\(Place.library)\"\n"
  }
  whole += script
  return try Shell.run(whole)
}

/// The schemes, each with settings under which it does something.
enum TestedScheme: String, CaseIterable {
  case baseline, fence, arbiter, lock, delegation

  var page: ControlPage {
    get throws {
      switch self {
      case .baseline: try ControlPage(ARB_SCHEME_BASELINE)
      case .fence: try ControlPage(ARB_SCHEME_FENCE, settings: .fence)
      case .arbiter: try ControlPage(ARB_SCHEME_ARBITER, settings: .delay(nanoseconds: 20))
      case .lock: try ControlPage(ARB_SCHEME_LOCK)
      case .delegation: try ControlPage(ARB_SCHEME_DELEGATION)
      }
    }
  }
}
