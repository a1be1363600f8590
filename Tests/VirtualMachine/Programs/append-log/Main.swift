// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterMemory
internal import ArbiterPlatform
internal import CAppendLog
internal import Glibc

// The program that the virtual machine cuts the power of.
//
//   append-log forms PATH RECORDS      each form of append in an area of its own, by one thread
//   append-log threads PATH RECORDS    the correct forms by two threads at once
//   append-log expect PATH GRANULARITY checks what the kernel grants and that stores are there
//   append-log soak PATH COUNT         checks that COUNT records survived, appends until killed
//
// Exit codes: 0 done, 1 the data is wrong, 64 usage, 69 the file cannot be mapped.

/// Bytes of an area; the job and the replay have the same numbers.
let areaBytes = 2 << 20

@main
struct AppendLogProgram {
  static func main() {
    let words = CommandLine.arguments
    guard words.count == 4 else { end(64, "not three arguments") }
    do throws(PlatformError) {
      if words[1] == "expect" { return try expect(path: words[2], granularity: words[3]) }
      guard let number = UInt64(words[3]) else { end(64, "not a number: '\(words[3])'") }
      switch words[1] {
      case "forms": try writeForms(path: words[2], records: number)
      case "threads": try writeByThreads(path: words[2], records: number)
      case "soak": try soak(path: words[2], acknowledged: number)
      default: end(64, "unknown command '\(words[1])'")
      }
    } catch {
      end(69, "\(error)")
    }
  }

  /// Maps a place, and checks that it is persistent memory and needs what it should need.
  private static func expect(path: String, granularity: String) throws(PlatformError) {
    let region = try MappedRegion(path: path, byteCount: ByteCount(bytes: areaBytes))
    say("\(path): \(region.fileSystem), granularity \(region.granularity.rawValue)")
    guard region.fileSystem.isDirect, region.isSynchronous else {
      end(1, "\(path) is not mapped synchronously")
    }
    guard region.granularity.rawValue == granularity else {
      end(1, "the granularity of \(path) should be \(granularity)")
    }
    let appender = Appender(form: .cached, log: 0, offset: 0, byteCount: areaBytes)
    appender.appendRecords(1000, to: region)
    let broken = unsafe arb_log_first_broken(region.base, areaBytes, 0)
    guard broken == 0 else { end(1, "record \(broken) is not whole") }
  }

  /// Every form, the correct ones and those with a bug planted, one after the other.
  private static func writeForms(path: String, records: UInt64) throws(PlatformError) {
    let forms = Appender.Form.allCases
    let region = try MappedRegion(
      path: path, byteCount: ByteCount(bytes: areaBytes * forms.count))
    say("granularity \(region.granularity.rawValue), flush \(region.flushInstruction.rawValue)")
    for (index, form) in forms.enumerated() {
      let appender = Appender(
        form: form, log: 0, offset: index * areaBytes, byteCount: areaBytes)
      unsafe watch(region.base + index * areaBytes)
      appender.appendRecords(records, to: region)
      arb_mark_stop()
      say("\(form.rawValue): \(records) records")
    }
  }

  /// Both correct forms at once, each with half an area and a thread.
  private static func writeByThreads(path: String, records: UInt64) throws(PlatformError) {
    let half = areaBytes / 2
    let region = try MappedRegion(path: path, byteCount: ByteCount(bytes: areaBytes))
    unsafe watch(region.base)
    let bytes = ByteCount(bytes: region.byteCount)
    let threads = [Appender.Form.cached, .nonTemporal].enumerated().map { index, form in
      let appender = Appender(form: form, log: UInt64(index), offset: index * half, byteCount: half)
      return JoinableThread {
        // A region cannot be shared by reference; a second mapping of the device is as good.
        guard let region = try? MappedRegion(path: path, byteCount: bytes) else {
          end(69, "cannot map \(path) a second time")
        }
        appender.appendRecords(records, to: region)
      }
    }
    for thread in threads { thread.join() }
    arb_mark_stop()
    say("threads: \(records) records each")
  }

  /// Checks what the last machine left, then appends until this one is killed.
  private static func soak(path: String, acknowledged: UInt64) throws(PlatformError) {
    let region = try MappedRegion(path: path, byteCount: ByteCount(bytes: areaBytes))
    let appender = Appender(form: .cached, log: 0, offset: 0, byteCount: areaBytes)
    var count = unsafe arb_log_count(region.base)
    let broken = unsafe arb_log_first_broken(region.base, areaBytes, 0)
    say("found \(count) broken \(broken)")
    guard broken == 0 else { end(1, "record \(broken) of \(count) is not whole") }
    guard count >= acknowledged else { end(1, "\(acknowledged) were safe, \(count) are there") }
    while true {
      count += 1
      appender.append(count, to: region)
      if count % 256 == 0 { say("acknowledged \(count)") }
    }
  }

  /// Has the plug-in, if there is one, watch an area, which is empty then.
  private static func watch(_ area: UnsafeMutableRawPointer) {
    arb_mark_start()
    // The plug-in takes effect at the next blocks; a rest lets every processor get there.
    usleep(20_000)
    unsafe arb_mark_area(area)
    unsafe arb_log_publish(area, 0)
  }

  /// Prints a line at once: whoever reads it may find the machine gone a moment later.
  private static func say(_ line: String) {
    print(line)
    fflush(nil)
  }

  static func end(_ code: Int32, _ reason: String) -> Never {
    say("append-log: error: \(reason)")
    exit(code)
  }
}
