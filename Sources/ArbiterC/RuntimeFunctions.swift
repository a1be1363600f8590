// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterRuntime
internal import ArbiterScheduler
public import CArbiterLibrary

extension SchemeName {
  /// The scheme in the words of arbiter.h.
  var libraryScheme: arbiter_scheme {
    switch self {
    case .baseline: ARBITER_SCHEME_BASELINE
    case .lock: ARBITER_SCHEME_LOCK
    case .delegation: ARBITER_SCHEME_DELEGATION
    case .fence: ARBITER_SCHEME_FENCE
    case .arbiter, .arbiterPaper: ARBITER_SCHEME_ARBITER
    }
  }
}

/// The options of arbiter.h, read as far as the caller's version of them goes.
struct LibraryOptions {
  var scheme = SchemeName.arbiter
  /// nil where the caller leaves it to what is calibrated.
  var permitCount: Int?
  /// nil where the caller leaves it to what is calibrated.
  var workerCount: Int?
  var periodNanoseconds = 1e6
  var slotCount = 256
  var profile: String?

  /// The most that may be asked for.
  static let permitCountMax = 4096
  /// The most that may be asked for.
  static let workerCountMax = 64

  /// Reads what the caller gave; nil is the default.
  init(_ options: UnsafePointer<arbiter_options>?) throws(PlatformError) {
    guard let given = unsafe options else { return }
    let known = unsafe MemoryLayout<arbiter_options>.size
    let size = unsafe given.pointee.struct_bytes
    guard (MemoryLayout<Int>.size...4096).contains(size) else {
      throw PlatformError(
        .invalidArgument, reason: "options of \(size) bytes make no sense",
        nextStep: "start from ARBITER_OPTIONS")
    }
    // What an older caller does not know keeps its default of 0.
    var copy = unsafe arbiter_options()
    unsafe withUnsafeMutableBytes(of: &copy) { room in
      unsafe room.copyMemory(from: UnsafeRawBufferPointer(start: given, count: min(size, known)))
    }
    let schemes = SchemeName.allCases.filter { $0 != .arbiterPaper }
    let wanted = unsafe copy.scheme
    guard let scheme = schemes.first(where: { $0.libraryScheme == wanted }) else {
      throw PlatformError(
        .invalidArgument, reason: "there is no scheme \(wanted.rawValue)",
        nextStep: "use one of arbiter_scheme")
    }
    self.scheme = scheme
    permitCount = unsafe copy.permit_count == 0 ? nil : Int(copy.permit_count)
    workerCount = unsafe copy.worker_count == 0 ? nil : Int(copy.worker_count)
    unsafe take(copy.thread_count_max, into: &slotCount)
    var period = 1000
    unsafe take(copy.period_microseconds, into: &period)
    periodNanoseconds = Double(max(100, min(period, 1_000_000))) * 1000
    if let name = unsafe copy.profile { profile = unsafe String(cString: name) }
    let permits = permitCount ?? 0
    let workers = workerCount ?? 0
    guard permits <= Self.permitCountMax, workers <= Self.workerCountMax else {
      throw PlatformError(
        .invalidArgument, reason: "\(permits) permits or \(workers) workers are too many",
        nextStep: "use at most \(Self.permitCountMax) permits and \(Self.workerCountMax) workers")
    }
  }

  /// 0 keeps the default.
  private func take(_ value: UInt32, into field: inout Int) {
    if value != 0 { field = Int(value) }
  }
}

/// arbiter.h: opens a runtime.
@c @implementation
public func arbiter_open(
  _ options: UnsafePointer<arbiter_options>?, _ error: UnsafeMutablePointer<arbiter_error>?
) -> UnsafeMutablePointer<arbiter_runtime>? {
  unsafe reporting(to: error) { () throws(PlatformError) in
    let runtime = try LibraryRuntime(unsafe try LibraryOptions(options))
    let handle = UnsafeMutablePointer<arbiter_runtime>.allocate(capacity: 1)
    unsafe handle.initialize(
      to: arbiter_runtime(object: Unmanaged.passRetained(runtime).toOpaque()))
    return unsafe handle
  } ?? nil
}

/// arbiter.h: ends a runtime.
@c @implementation
public func arbiter_close(_ runtime: UnsafeMutablePointer<arbiter_runtime>?) {
  guard let handle = unsafe runtime else { return }
  // SAFETY: the handle is ended here, and by its documentation nobody uses it any more.
  let object = unsafe Unmanaged<LibraryRuntime>.fromOpaque(handle.pointee.object)
    .takeRetainedValue()
  object.end()
  unsafe handle.deallocate()
}

/// arbiter.h: the scheme in force.
@c @implementation
public func arbiter_scheme_in_force(
  _ runtime: UnsafePointer<arbiter_runtime>
) -> arbiter_scheme {
  unsafe LibraryRuntime.of(runtime).page.scheme.libraryScheme
}

/// arbiter.h: what the threads did so far.
@c @implementation
public func arbiter_read_statistics(
  _ runtime: UnsafePointer<arbiter_runtime>, _ statistics: UnsafeMutablePointer<arbiter_statistics>
) -> Int32 {
  let size = unsafe statistics.pointee.struct_bytes
  guard size >= MemoryLayout<Int>.size, size <= 4096 else {
    return Int32(ARBITER_INVALID_ARGUMENT)
  }
  var answer = unsafe LibraryRuntime.of(runtime).statistics()
  let known = min(size, MemoryLayout<arbiter_statistics>.size)
  answer.struct_bytes = known
  unsafe withUnsafeBytes(of: answer) { bytes in
    // SAFETY: the caller says that so many bytes are there.
    unsafe UnsafeMutableRawBufferPointer(start: statistics, count: known)
      .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes.prefix(known)))
  }
  return Int32(ARBITER_OK)
}
