// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import Glibc

/// A program in C that the tests sample, and the pipes that steer it.
@safe
final class SamplingProgram {
  /// What the programs do; each line that comes in begins the next step, `alarm` ends strays.
  ///
  ///     spin N MS   N threads; after each line each of them uses MS ms of CPU time
  ///     touch N     touches N fresh pages after a line and says where
  ///     churn       starts and joins threads until the next line, each of which spins a little
  static let source = """
    #define _GNU_SOURCE
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>
    static pthread_barrier_t begin, end;
    static volatile int over;
    static double share = 100;
    static double used(clockid_t clock) {
      struct timespec now;
      clock_gettime(clock, &now);
      return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
    }
    static void burn(double milliseconds) {
      double from = used(CLOCK_THREAD_CPUTIME_ID);
      do {
        for (volatile int i = 0; i < 100000; i++) {}
      } while (used(CLOCK_THREAD_CPUTIME_ID) - from < milliseconds);
    }
    static void *spinner(void *unused) {
      printf("thread %ld\\n", (long)syscall(SYS_gettid));
      for (;;) {
        pthread_barrier_wait(&begin);
        if (over) return unused;
        burn(share);
        pthread_barrier_wait(&end);
      }
    }
    static void *mayfly(void *unused) {
      burn(4);
      return unused;
    }
    static void *hatchery(void *unused) {
      while (!over) {
        pthread_t thread;
        if (pthread_create(&thread, 0, mayfly, 0) == 0) pthread_join(thread, 0);
      }
      return unused;
    }
    static int line(void) {
      char text[64];
      return fgets(text, sizeof text, stdin) != 0;
    }
    static void spin(int count) {
      pthread_t threads[1024];
      pthread_barrier_init(&begin, 0, count + 1);
      pthread_barrier_init(&end, 0, count + 1);
      for (int i = 0; i < count; i++) pthread_create(&threads[i], 0, spinner, 0);
      printf("ready\\n");
      while (line()) {
        double from = used(CLOCK_PROCESS_CPUTIME_ID);
        pthread_barrier_wait(&begin);
        pthread_barrier_wait(&end);
        printf("used %f\\n", used(CLOCK_PROCESS_CPUTIME_ID) - from);
      }
      over = 1;
      pthread_barrier_wait(&begin);
      for (int i = 0; i < count; i++) pthread_join(threads[i], 0);
    }
    static void touch(int count) {
      printf("ready\\n");
      line();
      char *room = mmap(0, count * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      madvise(room, count * 4096, MADV_NOHUGEPAGE);
      for (int i = 0; i < count; i++) room[i * 4096 + i % 4096] = 1;
      printf("touched %lu\\n", (unsigned long)room);
      line();
    }
    static void churn(void) {
      pthread_t threads[4];
      for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, hatchery, 0);
      printf("ready\\n");
      while (line()) printf("used %f\\n", used(CLOCK_PROCESS_CPUTIME_ID));
      over = 1;
      for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
    }
    int main(int count, char **words) {
      setvbuf(stdout, 0, _IOLBF, 0);
      alarm(120);
      int number = count > 2 ? atoi(words[2]) : 0;
      if (count > 3) share = atoi(words[3]);
      if (!strcmp(words[1], "spin")) spin(number);
      if (!strcmp(words[1], "touch")) touch(number);
      if (!strcmp(words[1], "churn")) churn();
      return 17;
    }
    """

  /// Where the compiled program lies; nil where there is no compiler.
  static let path: String? = {
    let folder = TemporaryFolder()
    folder.write(source, to: "program.c")
    let program = "/tmp/arbiter-sampled-\(getpid())"
    guard
      Shell.succeeds(
        "cc -O1 -pthread -o \(Shell.quoted(program)) \(Shell.quoted(folder.path))/program.c")
    else { return nil }
    atexit { SamplingProgram.path.map { _ = unsafe unlink($0) } }
    return program
  }()

  struct Failure: Error {
    var errorNumber: Int32
  }

  let process: Int32
  private let input: Int32
  private let output: UnsafeMutablePointer<FILE>
  private var isOver = false

  /// Starts the program with a word or two.
  convenience init(_ words: String...) throws {
    guard let path = Self.path else { throw Failure(errorNumber: ENOENT) }
    try self.init(command: [path] + words)
  }

  /// Starts any program.
  init(command: [String]) throws {
    (process, input, unsafe output) = try unsafe Self.start(command)
  }

  deinit {
    if !isOver { kill(process, SIGKILL) }
    _ = end()
    unsafe fclose(output)
  }

  private static func start(
    _ words: [String]
  ) throws -> (Int32, Int32, UnsafeMutablePointer<FILE>) {
    var there: [Int32] = [0, 0]
    var back: [Int32] = [0, 0]
    // Closed on exec from the start: programs of other tests must not keep the ends open.
    let kind = Int32(SOCK_STREAM.rawValue) | O_CLOEXEC
    guard unsafe socketpair(AF_UNIX, kind, 0, &there) == 0,
      unsafe socketpair(AF_UNIX, kind, 0, &back) == 0
    else {
      throw Failure(errorNumber: errno)
    }
    var actions = unsafe posix_spawn_file_actions_t()
    // SAFETY: strings and structs outlive the calls that take them; the arguments end with nil.
    unsafe posix_spawn_file_actions_init(&actions)
    defer { _ = unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_adddup2(&actions, there[0], 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, back[1], 1)
    // This thread may block signals, and a child would inherit that: also of `alarm`.
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { _ = unsafe posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe posix_spawnattr_setsigmask(&attributes, &signals)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe arguments.forEach { unsafe free($0) } }
    var child: pid_t = 0
    let number = unsafe posix_spawn(
      &child, words[0], &actions, &attributes, &arguments, environ)
    close(there[0])
    close(back[1])
    guard number == 0, let output = unsafe fdopen(back[0], "r") else {
      throw Failure(errorNumber: number)
    }
    return unsafe (child, there[1], output)
  }

  /// The next line that the program writes, in words; empty at its end.
  func nextLine() -> [String] {
    var text = [CChar](repeating: 0, count: 256)
    guard unsafe fgets(&text, 256, output) != nil else { return [] }
    let bytes = text.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self).split(separator: " ").map(String.init)
  }

  /// Reads lines up to one that begins with a word; gives all, that one last.
  func lines(until word: String) -> [[String]] {
    var all: [[String]] = []
    while true {
      let line = nextLine()
      all.append(line)
      if line.isEmpty || line[0] == word { return all }
    }
  }

  /// Lets the program do its next step.
  func step() {
    // SAFETY: one byte of a text that lives as long as the call.
    _ = unsafe "\n".withCString { unsafe write(input, $0, 1) }
  }

  /// Lets the program come to its end.
  ///
  /// - Returns: Its exit code, or minus the signal that ended it.
  func end() -> Int32 {
    guard !isOver else { return 0 }
    isOver = true
    close(input)
    var status: Int32 = 0
    while unsafe waitpid(process, &status, 0) < 0 && errno == EINTR {}
    return status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F)
  }
}
