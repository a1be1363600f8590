// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterTestSupport
import ArbiterTrace
import ArbiterWorkloads
import Foundation
import Glibc
import Testing

/// How programs get hooks, and what is needed for it here.
enum HookFlags: String, CaseIterable {
  case gcc = "gcc -fsanitize=thread --param tsan-instrument-func-entry-exit=0"
  case clang =
    """
    clang -fsanitize=thread -mllvm -tsan-instrument-func-entry-exit=0 \
    -mllvm -tsan-instrument-read-before-write=1
    """
  case coverage = "clang -fsanitize-coverage=func,trace-loads,trace-stores"

  var compiler: String { String(rawValue.prefix { $0 != " " }) }

  static let wrapped =
    "-Wl,--wrap=memcpy,--wrap=memmove,--wrap=memset,--wrap=mmap,--wrap=mmap64,--wrap=munmap,"
    + "--wrap=mremap"
}

/// A folder in memory with programs in it, and recordings.
final class RecordPlace {
  let folder = TemporaryFolder(in: "/dev/shm")
  static let hooks = "\(Tool.root)/Sources/CArbiterHooks/include"
  static let programs = "\(Tool.root)/Tests/CommandLineTests/Programs"
  static let hasLibrary = works(
    "echo 'int main(void){return 0;}' | clang -x c - -lpmem -o /dev/null")

  /// Compiles a program with hooks.
  func build(_ program: String, _ flags: HookFlags = .clang) throws {
    let outcome = try shell(
      """
      \(flags.rawValue) -O2 -pthread -I '\(Self.hooks)' -c '\(Self.programs)/\(program).c' \
        -o \(program).o && \(flags.compiler) -pthread \(program).o \
        -L '\(Shell.buildFolder)' -larbiter-hooks \(HookFlags.wrapped) -o \(program)
      """, in: folder.path)
    try #require(outcome.code == 0, "\(outcome.error)")
  }

  func script(_ text: String) throws -> Outcome { try shell(text, in: folder.path) }

  func trace(_ name: String = "trace") throws -> TraceFile {
    let data = try Data(contentsOf: URL(filePath: "\(folder.path)/\(name)"))
    return try TraceFile(TraceBytes([UInt8](data)))
  }
}

extension TraceFile {
  /// The events of a thread.
  func all(ofThread number: UInt32) throws -> [TraceEvent] {
    var cursor = events(ofThread: number)
    var list: [TraceEvent] = []
    while let event = try cursor.next() { list.append(event) }
    return list
  }

  /// Accesses of a thread, with runs that were split by a pause put together.
  func lines(ofThread number: UInt32) throws -> [String] {
    var lines: [(event: TraceEvent, count: UInt64)] = []
    for event in try all(ofThread: number) {
      if let last = lines.last, last.event.isContinued(by: event, after: last.count) {
        lines[lines.count - 1].count += UInt64(event.count)
      } else {
        lines.append((event, UInt64(event.count)))
      }
    }
    return lines.map { line in
      let (event, count) = line
      let name = regions.first { $0.number == event.region }?.name ?? "?"
      let place =
        event.operation == .fence
        ? "" : " \(name.split(separator: "/").last ?? "") \(event.offset) \(event.length)"
      return "\(event.operation)\(event.isFenced ? "+fence" : "")\(place)"
        + (count > 1 ? " x\(count)" : "")
    }
  }

  var accessCount: UInt64 {
    get throws {
      try threads.reduce(0) { sum, thread in
        try all(ofThread: thread.number).reduce(sum) { $0 + UInt64($1.count) }
      }
    }
  }
}

extension TraceEvent {
  /// Whether another event goes on where this one, with so many accesses, ended.
  func isContinued(by next: TraceEvent, after count: UInt64) -> Bool {
    let step = count > 1 ? Int64(stride) : Int64(next.offset) - Int64(offset)
    let isEven = next.count == 1 || Int64(next.stride) == step
    return operation == next.operation && operation != .fence && length == next.length
      && region == next.region && isEven && step == Int64(length)
      && Int64(next.offset) == Int64(offset) + Int64(count) * step
  }
}

@Suite("Record: what a program does to memory")
struct RecordTests {
  @Test(arguments: HookFlags.allCases)
  func `hooks see every access of a known pattern`(flags: HookFlags) throws {
    guard Shell.has(flags.compiler) else { return }
    let place = RecordPlace()
    try place.build("pattern", flags)
    let run = try place.script("\"$arbiter\" record -q --no-preload -o trace ./pattern data")
    #expect(run.code == 0 && run.error.isEmpty, "\(run.error)")
    let trace = try place.trace()
    #expect(!trace.isCutShort && trace.lostCount == 0)
    #expect(trace.threads.map(\.source) == [.hooks])
    let loads = try trace.all(ofThread: 0).filter { $0.operation == .load && $0.length == 8 }
    #expect(loads.filter { $0.offset < 4096 }.reduce(0) { $0 + $1.count } == 50)
    #expect(loads.contains { $0.stride == 64 })
    let lines = try trace.lines(ofThread: 0).filter { !$0.hasPrefix("load data 0 8") }
    #expect(
      lines.filter { !$0.hasPrefix("load") || $0 == "load data 40000 8" } == [
        "store data 0 8 x100", "store data 65536 8", "store data 65544 4", "store data 65548 2",
        "store data 65550 1", "load data 40000 8", "store data 40000 8", "store data 131072 300",
        "store data 262144 301", "flush data 0 64", "fence", "store heap 77 1",
      ])
  }

  @Test func `threads, forked and executed children each have a thread of their own`() throws {
    let place = RecordPlace()
    try place.build("crowd")
    #expect(try place.script("\"$arbiter\" record -q -o trace ./crowd threads data").code == 0)
    let threads = try place.trace()
    #expect(threads.threads.count == 8 && threads.lostCount == 0)
    for number in UInt32(0)..<8 {
      let events = try threads.all(ofThread: number)
      #expect(events.reduce(0) { $0 + $1.count } == 1000)
    }
    #expect(try place.script("\"$arbiter\" record -q -o fork ./crowd fork data").code == 0)
    let processes = try place.trace("fork")
    // The program, its child, and the one that was executed and killed itself.
    #expect(processes.threads.count == 3)
    #expect(try processes.accessCount == 4000)
  }

  @Test func `threads that share processors keep times of their own`() throws {
    let place = RecordPlace()
    try place.build("crowd")
    let run = try place.script("\"$arbiter\" record -q -o trace ./crowd busy data")
    let used = try #require(Double(run.output.trimmingCharacters(in: .whitespacesAndNewlines)))
    let trace = try place.trace()
    #expect(trace.threads.count == 8 && trace.lostCount == 0)
    #expect(try trace.accessCount == 8 * 20_000_000)
    var own = 0.0
    for thread in trace.threads {
      let events = try trace.all(ofThread: thread.number)
      let first = try #require(events.first)
      let last = try #require(events.last)
      own += Double(
        last.startNanoseconds + UInt64(last.spanNanoseconds) - first.startNanoseconds)
    }
    // Waiting for a processor would make it several times as long.
    #expect((0.7 * used...1.3 * used).contains(own), "\(own) ns of own time, \(used) ns used")
  }

  @Test func `what a killed program did is in the file, to the last access`() throws {
    let place = RecordPlace()
    try place.build("crowd")
    let run = try place.script("\"$arbiter\" record -o trace ./crowd die data")
    #expect(run.code == 137)
    #expect(run.error.contains("was ended by SIGKILL"))
    let trace = try place.trace()
    #expect(!trace.isCutShort)
    #expect(try trace.lines(ofThread: 0) == ["store data 12288 4 x1000"])
  }

  @Test func `a program outlives arbiter, and the file reads up to its last chunk`() throws {
    let place = RecordPlace()
    try place.build("crowd")
    let run = try place.script(
      """
      mkfifo line
      "$arbiter" record -q -o trace -- ./crowd wait data <line >out &
      exec 3>line
      for turn in {1..200}; do grep -q written out && break; sleep 0.05; done
      sleep 2.5
      program=$(pgrep -P $!)
      kill -KILL $!
      wait $! 2>/dev/null
      echo go >&3
      for turn in {1..200}; do kill -0 "$program" 2>/dev/null || exit 0; sleep 0.05; done
      exit 1
      """)
    #expect(run.code == 0, "\(run.error)")
    let trace = try place.trace()
    #expect(trace.isCutShort)
    // All but the last runs, which a thread hands over with the next.
    #expect((80_000...100_000).contains(try trace.accessCount))
  }

  @Test func `a recording ends where the disk is full, and the program does not`() throws {
    let place = RecordPlace()
    try place.build("crowd")
    let can = try place.script("unshare -m mount -t tmpfs -o size=8k none /mnt")
    guard can.code == 0 else { return }
    let run = try place.script(
      """
      cp crowd busy
      unshare -m sh -c 'mount -t tmpfs -o size=8k none /mnt
        for turn in 1 2 3 4 5 6 7 8; do echo; done |
        "$0" record --format=json -o /mnt/trace -- sh -c "
          for turn in \\$(seq 200); do ./crowd threads data || exit 3; done; exit 5"
        cp /mnt/trace trace' "$arbiter"
      """)
    #expect(run.error.contains("the recording ends here and the program goes on"))
    #expect(run.error.contains("\"exit_code\": 5"))
    let trace = try place.trace()
    #expect(trace.isCutShort)
  }

  @Test func `the file must be named, and is none that holds something else`() throws {
    let folder = TemporaryFolder()
    folder.write("text", to: "text")
    let unnamed = try arbiter("record true", in: folder.path)
    #expect(unnamed.code == 64)
    #expect(unnamed.failure.message == "no file is named for the recording")
    let other = try arbiter("record -o text touch ran", in: folder.path)
    #expect(other.code == 64 && folder.size(of: "ran") == nil)
    #expect(other.failure.message == "--output=text names a file that is no recording")
    #expect(try text(of: "\(folder.path)/text") == "text")
    #expect(try arbiter("record -q -o trace true", in: folder.path).code == 0)
    #expect(try arbiter("record -q -o trace sh -c 'exit 9'", in: folder.path).code == 9)
    let silent = try arbiter("record -o trace true", in: folder.path)
    #expect(silent.error.contains("Nothing was recorded: the program calls neither libpmem"))
  }

  @Test func `workloads of arbiter bench are recorded as they were`() throws {
    let place = RecordPlace()
    let run = try place.script(
      """
      "$arbiter" record -q -o trace -- "$arbiter" bench --quiet --file=$PWD/data --size=16MiB \
        --threads=5 --scheme=baseline --access=256B --duration=50ms
      """)
    #expect(run.code == 0, "\(run.error)")
    let trace = try place.trace()
    #expect(trace.threads.count == 5 && trace.threads.allSatisfy { $0.source == .workload })
    for thread in trace.threads {
      let events = try trace.all(ofThread: thread.number)
      #expect(events.count > 100)
      #expect(events.allSatisfy { $0.operation == .storeNonTemporal && $0.length == 256 })
      #expect(
        zip(events, events.dropFirst()).allSatisfy {
          $0.offset + 256 == $1.offset
            || $1.offset < $0.offset
        })
      // A thread's own time cannot be longer than the run was.
      let end = events.last.map { $0.startNanoseconds + UInt64($0.spanNanoseconds) } ?? 0
      #expect(end - (events.first?.startNanoseconds ?? 0) < 1_000_000_000)
    }
  }
}

@Suite("Record: calls of libpmem", .enabled(if: RecordPlace.hasLibrary))
struct RecordCallTests {
  @Test func `each call is what it does to memory`() throws {
    let place = RecordPlace()
    let build = try place.script("clang -O2 '\(RecordPlace.programs)/calls.c' -lpmem -o calls")
    try #require(build.code == 0, "\(build.error)")
    let run = try place.script(
      "export PMEM_IS_PMEM_FORCE=1; \"$arbiter\" record -q -o trace ./calls data")
    #expect(run.code == 0 && run.error.isEmpty, "\(run.error)")
    let trace = try place.trace()
    #expect(trace.threads.map(\.source) == [.preload] && trace.lostCount == 0)
    #expect(trace.regions.map(\.byteCount) == [1 << 20])
    #expect(
      try trace.lines(ofThread: 0) == [
        "storeWrittenBack+fence data 0 64", "storeNonTemporal+fence data 64 256",
        "storeNonTemporal data 4096 4096", "fence", "flush+fence data 8192 100",
        "flush data 0 64", "store data 0 64", "storeWrittenBack data 640 512",
        "flush+fence data 0 128", "flush+fence data 0 64",
      ])
  }

  @Test func `a control page and a recording go together`() throws {
    let place = RecordPlace()
    let build = try place.script("clang -O2 '\(RecordPlace.programs)/calls.c' -lpmem -o calls")
    try #require(build.code == 0, "\(build.error)")
    let run = try place.script(
      """
      export PMEM_IS_PMEM_FORCE=1 ARBITER_RUNTIME_DIR=$PWD
      "$arbiter" record -q -o trace -- "$arbiter" run --format=json ./calls data
      """)
    #expect(run.code == 0 && run.error.contains("\"copy_calls_count\": 3"), "\(run.error)")
    #expect(try place.trace().threads.map(\.eventCount) == [10])
  }

  @Test(.enabled(if: works("pkg-config --exists libpmemobj")))
  func `transactions of libpmemobj are recorded`() throws {
    let place = RecordPlace()
    let objects = "\(Tool.root)/Tests/CArbiterPreloadTests/Programs/objects.c"
    let build = try place.script("clang -O2 '\(objects)' -lpmemobj -o objects")
    try #require(build.code == 0, "\(build.error)")
    let run = try place.script(
      "export PMEM_IS_PMEM_FORCE=1; \"$arbiter\" record -q -o trace ./objects pool 20 20")
    let trace = try place.trace()
    #expect(trace.regions.contains { $0.name.hasSuffix("/pool") }, "\(run.error)")
    let events = try trace.threads.flatMap { try trace.all(ofThread: $0.number) }
    #expect(events.contains { $0.operation == .fence || $0.isFenced })
    #expect(events.contains { $0.operation.rawValue >= 1 && $0.operation != .fence })
    #expect(trace.lostCount == 0)
  }

  @Test(.enabled(if: Shell.has("fio")))
  func `fio with libpmem is recorded, every byte that it wrote`() throws {
    let place = RecordPlace()
    let run = try place.script(
      """
      export PMEM_IS_PMEM_FORCE=1
      "$arbiter" record -q -o trace -- fio --name=job --ioengine=libpmem --filename=$PWD/data \
        --size=4m --bs=4k --rw=randwrite --direct=1 --sync=1 --thread >fio.out 2>&1 ||
        { cat fio.out >&2; grep -q 'not loadable' fio.out && exit 77; exit 1; }
      """)
    if run.code == 77 { return }
    #expect(run.code == 0, "\(run.error)")
    let trace = try place.trace()
    var bytes: UInt64 = 0
    for thread in trace.threads {
      for event in try trace.all(ofThread: thread.number) where event.operation == .storeNonTemporal
      {
        bytes += UInt64(event.length) * UInt64(event.count)
      }
    }
    #expect(bytes == 4 << 20)
  }
}
