// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterPlatform
import ArbiterTestSupport
import Glibc
import Testing

/// What the tests of counters need of the machine and of this build.
enum CounterBench {
  /// The built tool, which lies beside this test binary.
  static let tool: String = {
    var buffer = [CChar](repeating: 0, count: 4096)
    // SAFETY: the kernel writes at most the capacity that it is told.
    let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count)
    let own = String(
      decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return own.split(separator: "/").dropLast().map { "/\($0)" }.joined() + "/arbiter"
  }()

  /// The headers of the C target, found from this file's own place.
  static let headers: String = {
    let folders = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()
    return "\(folders)/Sources/CArbiterCounters/include"
  }()

  static let hasLibraryHeader = exists("/usr/include/nvm_management.h")
  static let hasLibrary = exists("/usr/lib/x86_64-linux-gnu/libipmctl.so.5")
  static let hasModules = !CounterProbe.read().moduleNames.isEmpty

  static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

  /// Runs a script with the shell; its exit code.
  @discardableResult
  static func shell(_ script: String) -> Int32 {
    (try? Shell.run(script).code) ?? -1
  }

  /// Builds a library that answers as libipmctl does, from a source and its switches.
  static func buildLibrary(in folder: borrowing TemporaryFolder, _ switches: String = "") -> String
  {
    folder.write(fakeLibrary, to: "fake.c")
    let path = "\(folder.path)/libfake.so"
    let status = shell(
      "clang -shared -fPIC -I '\(headers)' -DSTARTS='\"\(folder.path)/starts\"' \(switches) "
        + "'\(folder.path)/fake.c' -o '\(path)' 2> '\(folder.path)/errors'")
    #expect(status == 0, "\(text(of: "\(folder.path)/errors"))")
    return path
  }

  static func text(of path: String) -> String { SystemTree().text(path) ?? "" }

  /// Asks until something is so, at most half a minute.
  static func waits(seconds: Double = 30, _ isSo: () -> Bool) -> Bool {
    for _ in 0..<Int(seconds * 100) {
      if isSo() { return true }
      usleep(10_000)
    }
    return isSo()
  }

  /// Two modules, 0x1 and 0x101, that count on with every reading; each switch is one misdeed.
  private static let fakeLibrary = """
    #include <CArbiterCounters.h>
    #include <stdio.h>
    #include <string.h>
    #include <unistd.h>

    static int calls;

    int nvm_get_major_version(void) {
    #ifdef OLD
      return 2;
    #else
      return 3;
    #endif
    }

    int nvm_init(void) {
      FILE *starts = fopen(STARTS, "a");
      fprintf(starts, "%d\\n", (int)getpid());
      fclose(starts);
    #ifdef GARBAGE
      printf("module 1 0 1 7 9 1 1 1 1\\n");
      fflush(stdout);
      write(1, "garbage\\n", 8);
    #endif
    #ifdef HANG_AT_START
      for (;;) pause();
    #endif
    #ifdef REFUSE_START
      return 268;
    #endif
      return 0;
    }

    int nvm_get_number_of_devices(unsigned int *count) {
    #ifdef MANY
      *count = 1000;
    #else
      *count = 2;
    #endif
      return 0;
    }

    int nvm_get_devices(ArbModuleRecord *records, uint8_t count) {
      memset(records, 0xA5, count * sizeof *records);
      for (int i = 0; i < count; i++) {
        records[i].handle = i == 0 ? 0x1 : 0x101;
        /* As long as can be, without a zero at the end. */
        memset(records[i].identifier, 'a' + i, sizeof records[i].identifier);
      }
      return 0;
    }

    #ifndef NO_FUNCTION
    int nvm_get_device_performance(const char *identifier, ArbModuleCounts *counts) {
      int module = identifier[0] - 'a';
      int reading = calls++ / 2;
      if (strlen(identifier) != 22) return 5;
    #ifdef REFUSE
      if (module == 1) return 5;
    #endif
    #ifdef HANG
      if (reading == 1) for (;;) pause();
    #endif
    #ifdef CRASH
      if (reading == 1) *(volatile int *)8 = 1;
    #endif
    #ifdef GARBAGE
      printf("module 9 9 9 9\\n%c%c", 0, 255);
      fflush(stdout);
    #endif
    #ifdef BACKWARDS
      if (reading == 1 && module == 1) reading = -2;
    #endif
      counts->media_writes = 4000 + 400 * reading + module;
      counts->media_reads = 8000 + 800 * reading;
      counts->requested_writes = 1000 + 100 * reading;
      counts->requested_reads = 2000 + 200 * reading;
      return 0;
    }
    #endif
    """
}
