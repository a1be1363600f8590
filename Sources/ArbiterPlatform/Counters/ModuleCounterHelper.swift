// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiterCounters
internal import Glibc

// The helper's side: this code runs in a process of its own, because libipmctl may hang in a call
// to the firmware, crash, or print. Whatever it does there, the parent only misses lines.
//
// The library's own output goes to /dev/null: the lines leave through a descriptor that the
// library does not know.

/// Reads the counters of modules through libipmctl and writes them as lines.
public enum ModuleCounterHelper {
  /// The library whose structures Arbiter knows; another soname means other structures.
  public static let libraryName = "libipmctl.so.5"
  /// The shortest time between two readings: each costs the firmware of every module a command.
  public static let periodNanosecondsMin: Int64 = 1_000_000_000

  /// Reads and writes until the reader goes away or nothing more can be read.
  ///
  /// - Parameters:
  ///   - library: The library's name or path.
  ///   - periodNanoseconds: Time between two readings; raised to a second.
  ///   - parent: The process for which lines are written: when it ends, so does this one; nil for
  ///     use by hand.
  ///   - readingCountMax: How many readings; nil for no end.
  /// - Returns: Whether the readings that were asked for were written.
  /// - Throws: ``PlatformError`` where descriptors cannot be set up.
  public static func run(
    library: String, periodNanoseconds: Int64, parent: Int32?, readingCountMax: UInt64? = nil
  ) throws(PlatformError) -> Bool {
    if let parent {
      let status = arb_process_end_with_parent()
      if status != 0 {
        throw PlatformError(
          errorNumber: Int32(-status), path: nil, action: "be ended with the parent")
      }
      // The parent may have ended before the kernel was asked.
      if getppid() != parent { return false }
    }
    let output = try Self.takeOutput()
    defer { close(output) }
    guard write(.greeting, to: output) else { return false }
    var modules = unsafe ArbModuleLibrary()
    var records: [ArbModuleRecord] = []
    if let reason = unsafe begin(&modules, library: library, records: &records) {
      _ = write(.unavailable(reason), to: output)
      return false
    }
    var reading: UInt64 = 1
    while true {
      for index in records.indices {
        let answer = unsafe read(modules, records[index])
        let line = HelperLine.answer(
          reading: reading, index: index, count: records.count, answer)
        guard write(line, to: output) else { return false }
      }
      if reading == readingCountMax { return true }
      reading += 1
      sleep(nanoseconds: max(periodNanoseconds, periodNanosecondsMin))
    }
  }

  /// Moves standard output to a descriptor of our own and lets the library print into the void.
  private static func takeOutput() throws(PlatformError) -> Int32 {
    let output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
    let void = unsafe open("/dev/null", O_WRONLY | O_CLOEXEC)
    guard output >= 0, void >= 0, dup2(void, STDOUT_FILENO) >= 0 else {
      throw PlatformError(errorNumber: errno, path: nil, action: "set standard output aside")
    }
    close(void)
    return output
  }

  /// Loads the library and lists the modules; the reason where that fails.
  private static func begin(
    _ modules: inout ArbModuleLibrary, library: String, records: inout [ArbModuleRecord]
  ) -> String? {
    switch unsafe Int(arb_modules_load(&modules, library)) {
    case ARB_MODULE_LOADED: break
    case ARB_MODULE_NO_LIBRARY:
      return "\(library) cannot be loaded (on Debian it is in the package libipmctl5)"
    default: return "\(library) lacks a function that libipmctl 3 has"
    }
    let major = unsafe Int(arb_modules_version(&modules))
    guard major == ARB_MODULE_ABI_MAJOR else {
      return "\(library) has version \(major), and Arbiter knows the structures of version 3 only"
    }
    let hint = geteuid() == 0 ? "" : " (it asks for root)"
    let begun = unsafe arb_modules_begin(&modules)
    guard begun == 0 else { return "libipmctl does not start: error \(begun)\(hint)" }
    var count: UInt32 = 0
    let counted = unsafe arb_modules_count(&modules, &count)
    guard counted == 0 else { return "libipmctl does not list modules: error \(counted)\(hint)" }
    guard count > 0 else { return "libipmctl finds no module that it manages" }
    guard count <= UInt32(HelperLine.modulesMax) else {
      return "libipmctl finds \(count) modules, more than the \(HelperLine.modulesMax) possible"
    }
    records = [ArbModuleRecord](repeating: ArbModuleRecord(), count: Int(count))
    let listed = unsafe arb_modules_list(&modules, &records, UInt8(count))
    guard listed == 0 else { return "libipmctl does not list modules: error \(listed)\(hint)" }
    guard Set(records.map(\.handle)).count == records.count else {
      return "libipmctl lists a module twice"
    }
    return nil
  }

  private static func read(_ modules: ArbModuleLibrary, _ record: ArbModuleRecord) -> ModuleAnswer {
    var modules = unsafe modules
    var record = record
    var counts = ArbModuleCounts()
    let before = SystemClock.monotonicRawNanoseconds()
    let status = unsafe arb_modules_read(&modules, &record, &counts)
    let after = SystemClock.monotonicRawNanoseconds()
    return ModuleAnswer(
      timeNanoseconds: before + (after - before) / 2, handle: record.handle,
      outcome: status != 0
        ? .refused(Int(status.magnitude))
        : .counts(
          ModuleCounts(
            mediaReads: counts.media_reads, mediaWrites: counts.media_writes,
            requestedReads: counts.requested_reads, requestedWrites: counts.requested_writes)))
  }

  /// Writes a line whole; false where nobody reads any more.
  private static func write(_ line: HelperLine, to output: Int32) -> Bool {
    let bytes = Array((line.text + "\n").utf8)
    var done = 0
    while done < bytes.count {
      // SAFETY: the kernel reads at most the bytes that are left.
      let count = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.write(output, $0.baseAddress?.advanced(by: done), bytes.count - done)
      }
      if count < 0, errno == EINTR { continue }
      if count <= 0 { return false }
      done += count
    }
    return true
  }

  private static func sleep(nanoseconds: Int64) {
    var time = timespec(
      tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    var left = timespec()
    // SAFETY: the kernel fills what is left of the time before it reports an interruption.
    while unsafe nanosleep(&time, &left) != 0, errno == EINTR { time = left }
  }
}
