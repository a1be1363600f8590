// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterMetrics
public import ArbiterPlatform
public import ArbiterScheduler
public import CArbiterGate
internal import Glibc

// The Swift face of CArbiterGate/control_page.h, which says what lies in the page and who may write
// it. Everything here is for the controller's side and for programs that set up a page; the data
// path is in Gate.

/// Memory that a controller and the gates of any number of programs share.
@safe
public final class ControlPage: Sendable {
  /// What a page is made for.
  public struct Parameters: Sendable, Hashable {
    /// The most gates that may be registered at once; 1 to 4096.
    public var slotCount = 256
    /// How writers are admitted in programs that the preload library gates.
    public var scheme = SchemeName.baseline
    /// Permits and span of the lock scheme.
    public var lock = LockParameters()
    /// Rings and places of the delegation scheme, in each program.
    public var delegation = DelegationParameters()
    /// The longest wait of any store, whatever is published, in nanoseconds.
    public var maximumWaitNanoseconds = 10_000_000.0

    /// Makes the parameters of a page for 256 gates without a scheme.
    public init() {}
  }

  /// The most interleave sets of a page.
  public static let setCountMax = Int(ARB_SET_COUNT) - 1

  /// The clock by which gates wait.
  public let clock: TimeStampClock
  /// Gates that may be registered at once.
  public let slotCount: Int
  /// The file by which other processes of this user open the page, while this process lives.
  ///
  /// Nil where the page itself was opened by such a path.
  public let path: String?

  // SAFETY: the mapping lives as long as this object; what lies in it is atomics and data under
  // robust mutexes, which CArbiterGate alone touches.
  @usableFromInline nonisolated(unsafe) let page: UnsafeMutablePointer<ArbPage>
  private let descriptor: Int32

  /// Makes a page.
  ///
  /// - Throws: ``PlatformError`` with `invalidArgument` for a slot count out of range, or what the
  ///   system answered where it refuses the memory.
  public init(_ parameters: Parameters, clock: TimeStampClock) throws(PlatformError) {
    guard (1...Int(ARB_SLOT_COUNT_MAX)).contains(parameters.slotCount) else {
      throw PlatformError(
        .invalidArgument, reason: "a control page cannot hold \(parameters.slotCount) gates",
        nextStep: "use between 1 and \(ARB_SLOT_COUNT_MAX)")
    }
    precondition(parameters.maximumWaitNanoseconds >= 0, "negative maximum wait")
    let ticks = parameters.maximumWaitNanoseconds * clock.ticksPerNanosecond
    var request = ArbPageParameters()
    request.slot_count = UInt32(parameters.slotCount)
    request.scheme = parameters.scheme.kind.rawValue
    request.permit_count = UInt32(parameters.lock.permitCount)
    request.span_bytes = UInt64(parameters.lock.spanBytes)
    request.ring_count = UInt32(parameters.delegation.ringCount)
    request.ring_slots = UInt32(parameters.delegation.slotCount)
    request.ticks_per_nanosecond = clock.ticksPerNanosecond
    request.maximum_wait_ticks = Int64(min(ticks, 4e18))
    var mapping = unsafe ArbMapping()
    // SAFETY: both are values of ours for the length of the call.
    let status = unsafe arb_page_create(&request, &mapping)
    guard status == 0, let page = unsafe mapping.page else {
      throw PlatformError(
        errorNumber: Int32(truncatingIfNeeded: -status), path: nil, action: "make a control page")
    }
    self.clock = clock
    slotCount = parameters.slotCount
    unsafe descriptor = mapping.descriptor
    path = "/proc/\(getpid())/fd/\(descriptor)"
    unsafe self.page = page
  }

  /// Opens the page of another process.
  ///
  /// - Parameter path: Its ``path``.
  /// - Throws: ``PlatformError``: `notFound` where the process is gone, `noPermission` where it
  ///   belongs to another user, `unsupported` where the file is no page of this version.
  public init(opening path: String) throws(PlatformError) {
    var mapping = unsafe ArbMapping()
    // SAFETY: the path is copied for the length of the call; the mapping is a value of ours.
    let status = unsafe arb_page_open(path, &mapping)
    if status == -Int64(EPROTO) {
      throw PlatformError(
        .unsupported, path: path,
        reason: "is no control page of version \(ARB_PAGE_VERSION)",
        nextStep: "use the same version of Arbiter for all programs")
    }
    guard status == 0, let page = unsafe mapping.page else {
      throw PlatformError(
        errorNumber: Int32(truncatingIfNeeded: -status), path: path, action: "open a control page")
    }
    unsafe clock = TimeStampClock(ticksPerNanosecond: page.pointee.ticks_per_nanosecond)
    unsafe slotCount = Int(page.pointee.slot_count)
    self.path = nil
    descriptor = -1
    unsafe self.page = page
  }

  deinit {
    var mapping = unsafe ArbMapping(page: page, descriptor: descriptor)
    // SAFETY: nobody else uses this mapping any more; the callee keeps what threads still own.
    unsafe arb_page_close(&mapping)
  }

  /// How writers are admitted in programs that the preload library gates.
  public var scheme: SchemeName { unsafe SchemeName(kind: page.pointee.scheme) }

  /// Rings and places of the delegation scheme in each program.
  public var delegation: DelegationParameters {
    unsafe DelegationParameters(
      ringCount: Int(page.pointee.ring_count), slotCount: Int(page.pointee.ring_slots))
  }

  /// Adds an interleave set, so that gates to its devices find it.
  ///
  /// - Parameters:
  ///   - index: Its place, 1 to ``setCountMax``; each place is used once.
  ///   - name: Its name, as region0; cut after 31 bytes.
  ///   - moduleCount: Modules of the set; 0 where unknown.
  ///   - devices: Major and minor numbers of the devices whose files and memory belong to the set;
  ///     at most 14 are kept.
  ///   - matchesAll: Whether memory that belongs to no other set belongs to this one.
  ///   - permitCount: Permits of the set under the lock scheme, at least 1; nil for the page's.
  public func addSet(
    at index: Int, name: String, moduleCount: Int = 0,
    devices: [(major: UInt32, minor: UInt32)] = [], matchesAll: Bool, permitCount: Int? = nil
  ) {
    precondition((1...Self.setCountMax).contains(index), "no such place for a set")
    unsafe arb_set_name(page, UInt32(index), name, UInt32(moduleCount))
    for device in devices {
      unsafe _ = arb_set_add_device(page, UInt32(index), device.major, device.minor)
    }
    if let permitCount {
      precondition(permitCount >= 1, "a lock needs a permit")
      // SAFETY: the set is not active yet, so that no gate looks at its permits.
      unsafe arb_page_set(page, UInt32(index)).pointee.permits.permit_count = UInt32(permitCount)
    }
    unsafe arb_set_activate(page, UInt32(index), matchesAll ? 1 : 0)
  }

  /// The places of the sets that gates can find.
  public var activeSets: [Int] {
    (1...Self.setCountMax).filter { index in
      unsafe withUnsafePointer(to: arb_page_set(page, UInt32(index)).pointee.is_active) {
        unsafe arb_load_32($0) != 0
      }
    }
  }

  /// Takes back what threads left that died; returns how many they were.
  ///
  /// - Complexity: Some 20 ns per gate.
  @discardableResult
  public func reap() -> Int { unsafe Int(arb_page_reap(page)) }

  /// Counts registrations and departures.
  var ringCount: UInt32 { unsafe arb_page_ring_count(page) }

  /// Wakes whoever sleeps in ``listen(after:nanoseconds:)``.
  func ring() { unsafe arb_page_ring(page) }

  /// Sleeps until the doorbell rings again, at most for the given time.
  func listen(after heard: UInt32, nanoseconds: Int64) {
    unsafe arb_page_listen(page, heard, nanoseconds)
  }
}

extension SchemeName {
  /// The scheme in the page's numbers.
  var kind: ArbSchemeKind {
    switch self {
    case .baseline: ARB_SCHEME_BASELINE
    case .lock: ARB_SCHEME_LOCK
    case .delegation: ARB_SCHEME_DELEGATION
    case .fence: ARB_SCHEME_FENCE
    case .arbiter: ARB_SCHEME_ARBITER
    case .arbiterPaper: ARB_SCHEME_ARBITER_PAPER
    }
  }

  init(kind: UInt32) {
    self = Self.allCases.first { $0.kind.rawValue == kind } ?? .baseline
  }
}

extension ControlPage {
  /// Whether memory that belongs to no other set belongs to this one.
  public func setMatchesAll(at index: Int) -> Bool {
    precondition((0...Self.setCountMax).contains(index), "no such set")
    return unsafe arb_page_set(page, UInt32(index)).pointee.matches_all != 0
  }

  /// Makes a gate of the calling thread in memory of the caller; for the C library.
  ///
  /// - Parameters:
  ///   - gate: Where to; belongs to this thread until it is detached.
  ///   - setIndex: The set; 0 for memory of which nothing is known.
  ///   - session: The `arbiter run` that counts it; 0 is none.
  /// - Throws: ``PlatformError`` with `resourceLimit` where the page is full.
  public func attach(
    _ gate: UnsafeMutablePointer<ArbGate>, toSet setIndex: Int, session: Int
  ) throws(PlatformError) {
    // SAFETY: the page outlives the gate, as the caller promises.
    let status = unsafe arb_gate_attach(gate, page, UInt32(setIndex), UInt32(session))
    guard status == 0 else {
      throw PlatformError(
        .resourceLimit, reason: "all \(slotCount) gates of the page are in use",
        nextStep: "make the page with more slots")
    }
  }
}
