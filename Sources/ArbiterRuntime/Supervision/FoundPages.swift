// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
public import ArbiterScheduler
internal import CArbiter
internal import CArbiterGate
internal import Glibc

// Whoever watches finds the control pages of this user's runs by what the runs say of themselves:
// notes in the runtime folder, and the variable ARBITER_CONTROL of gated programs, which is all
// that a run on its own leaves. Nothing is locked, nothing is written: pages are mapped to be read.

/// One interleave set of a page, as whoever watches sees it.
public struct FoundSet: Sendable, Hashable {
  /// Its place in the page; 1 and up.
  public var index: Int
  /// Its name, such as `region0`.
  public var name: String
  /// What the controller has put in force.
  public var settings: GateSettings
  /// Gates that are attached to it.
  public var gateCount: Int
  /// Whether its gates heed the delay: the controller has looked recently, or need not.
  public var isControlled: Bool
}

/// What one run on a page is and what its departed threads did.
public struct FoundSession: Sendable {
  /// Its number on the page.
  public var session: Int
  /// The process of the `arbiter run`.
  public var process: Int32
  /// Gates whose slots others have by now.
  public var departedCount: Int
  /// What those gates let pass.
  public var departed: GateCounts
}

/// The control page of a run, opened to be read.
///
/// Figures are those of the moment at which they are asked for. The page stays readable after its
/// run has ended; ``sessions`` is empty then.
@safe
public final class FoundPage: Sendable {
  /// The file by which it was opened.
  public let path: String
  /// Tells pages apart that were found by several paths.
  public let inode: UInt64
  /// How writers are admitted.
  public let scheme: SchemeName
  /// The run that is in control, as its note says; nil for runs on their own.
  public let controllerProcess: Int32?
  /// What the runs on it have agreed on, such as `period 10ms`; empty for runs on their own.
  public let terms: [String]

  // SAFETY: the mapping lives as long as this object and is never written.
  nonisolated(unsafe) private let page: UnsafeMutablePointer<ArbPage>
  private let clock: TimeStampClock

  /// Opens a page by the path that its run has told; nil where there is none any more.
  fileprivate init?(path: String, terms: [String], controller: Int32?, tree: SystemTree) {
    // Behind an old path may be another process by now, and what it has open may be anything.
    guard let target = tree.linkTarget(path), target.hasPrefix("/memfd:arbiter-control"),
      let inode = FoundPages.inode(of: tree.root + path)
    else { return nil }
    var mapping = unsafe ArbMapping()
    // SAFETY: the path is copied for the length of the call; the mapping is a value of ours.
    guard unsafe arb_page_open_to_read(tree.root + path, &mapping) == 0,
      let page = unsafe mapping.page
    else { return nil }
    self.path = path
    self.inode = inode
    unsafe scheme = SchemeName(kind: page.pointee.scheme)
    unsafe clock = TimeStampClock(ticksPerNanosecond: page.pointee.ticks_per_nanosecond)
    controllerProcess = controller
    self.terms = terms
    unsafe self.page = page
  }

  deinit {
    var mapping = unsafe ArbMapping(page: page, descriptor: -1)
    // SAFETY: nobody else uses this mapping.
    unsafe arb_page_close_reading(&mapping)
  }

  /// Its interleave sets.
  public var sets: [FoundSet] {
    (1...ControlPage.setCountMax).compactMap { index in
      let set = unsafe arb_page_set(page, UInt32(index))
      // SAFETY: the fields are words of the page, read as its header says.
      guard unsafe withUnsafePointer(to: set.pointee.is_active, { unsafe arb_load_32($0) }) != 0
      else { return nil }
      let name = unsafe withUnsafeBytes(of: set.pointee.name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      let stale = unsafe set.pointee.stale_ticks
      let age = unsafe arb_read_tsc() &- set.pointee.heartbeat_ticks
      return unsafe FoundSet(
        index: index, name: name, settings: SettingsWord(bits: arb_set_settings(set)).settings,
        gateCount: Int(arb_page_attached_count(page, UInt32(index))),
        isControlled: stale == 0 || age <= stale)
    }
  }

  /// The gates that are attached, and those departed ones whose figures are still apart: also of
  /// runs that have ended, whose session is 0.
  public var gates: [GateRecord] {
    (0..<Int(unsafe arb_page_slots_used(page))).compactMap { index in
      unsafe GateRecord(slot: UInt32(index), of: page, clock: clock)
    }
  }

  /// The runs that share the page.
  public var sessions: [FoundSession] {
    (1..<Int(ARB_SESSION_COUNT)).compactMap { session in
      let process = unsafe arb_session_process(page, UInt32(session))
      guard process > 0 else { return nil }
      var departed = ArbCounts()
      // SAFETY: the counts are a value of this function for the length of the call.
      let count = unsafe arb_session_glance(page, UInt32(session), &departed)
      return FoundSession(
        session: session, process: process, departedCount: Int(clamping: count),
        departed: GateCounts(departed, clock: clock))
    }
  }

  /// What each process's gates counted: sums over its threads and sets.
  ///
  /// A departed thread whose slot another has is counted for the process where its run has only
  /// one; where it has several, it is in ``sessions`` alone.
  public func counts(ofProcess process: Int32) -> GateCounts? {
    let gates = gates
    let own = gates.filter { $0.process == process }
    guard !own.isEmpty else { return nil }
    var sum = GateCounts(clock: clock)
    for gate in own { sum.add(gate.counts) }
    for session in sessions where session.departedCount > 0 {
      let processes = Set(gates.filter { $0.session == session.session }.map(\.process))
      if processes == [process] { sum.add(session.departed) }
    }
    return sum
  }
}

/// Finds the control pages of this user's runs.
public enum FoundPages {
  /// The most pages that are opened.
  public static let pageCountMax = 64

  /// The folder in which this user's runs meet.
  ///
  /// - Parameters:
  ///   - chosen: The value of ARBITER_RUNTIME_DIR; nil or empty where it is not set.
  ///   - runtimeFolder: The value of XDG_RUNTIME_DIR.
  /// - Returns: The folder's path; there may be none yet.
  public static func folder(chosen: String?, runtimeFolder: String?) -> String {
    if let chosen, !chosen.isEmpty { return chosen }
    return ControlSeat.folder(ofUser: geteuid(), runtimeFolder: runtimeFolder)
  }

  /// Opens the pages that are in use, each once.
  ///
  /// - Parameters:
  ///   - folder: The runtime folder; there may be none.
  ///   - processes: Programs whose variables are looked at, for runs that share nothing.
  ///   - tree: Where processes are looked for.
  /// - Returns: The pages that could be opened; those of ended runs and other users are left out.
  /// - Complexity: A few system calls for each note and process.
  public static func find(
    in folder: String, ofProcesses processes: [Int32] = [], from tree: SystemTree = SystemTree()
  ) -> [FoundPage] {
    func note(_ name: String) -> ControlNote? {
      SystemTree().text("\(folder)/\(name)").flatMap { ControlNote($0) }
    }
    let control = note("control")
    let members = SystemTree(root: folder).entries("").filter { $0.hasPrefix("member-") }
    var places: [(path: String, note: ControlNote?)] = []
    for found in [control] + members.map(note) {
      if let found { places.append((found.path, found)) }
    }
    for process in processes {
      if let path = pagePath(ofProcess: process, from: tree) { places.append((path, nil)) }
    }
    let controlled = control.flatMap { inode(of: tree.root + $0.path) }
    var pages: [FoundPage] = []
    var seen: Set<UInt64> = []
    for place in places where pages.count < pageCountMax && isProcessFile(place.path) {
      guard let inode = inode(of: tree.root + place.path), !seen.contains(inode),
        let page = FoundPage(
          path: place.path, terms: place.note?.terms ?? [],
          controller: inode == controlled ? control?.process : nil, tree: tree)
      else { continue }
      seen.insert(inode)
      pages.append(page)
    }
    return pages
  }

  /// The page of a gated program, as its variables name it; nil for one that is not gated.
  public static func pagePath(
    ofProcess process: Int32, from tree: SystemTree = SystemTree()
  ) -> String? {
    guard let text = tree.text("/proc/\(process)/environ") else { return nil }
    let name = "ARBITER_CONTROL="
    let variable = text.split(separator: "\0").last { $0.hasPrefix(name) }
    return variable.map { String($0.dropFirst(name.count)) }
  }

  /// Whether a path is a descriptor of a process, as pages' paths are; nothing else is opened.
  private static func isProcessFile(_ path: String) -> Bool {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    return parts.count == 5 && parts[0].isEmpty && parts[1] == "proc" && Int32(parts[2]) != nil
      && parts[3] == "fd" && Int32(parts[4]) != nil
  }

  fileprivate static func inode(of path: String) -> UInt64? {
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    return unsafe stat(path, &facts) == 0 ? UInt64(facts.st_ino) : nil
  }
}
