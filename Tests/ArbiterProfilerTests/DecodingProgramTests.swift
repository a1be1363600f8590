// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterProfiler
import ArbiterTestSupport
import CArbiterDecode
import CArbiterSampling
import Glibc
import Testing

/// A C program that was executed one instruction at a time, and still lies in memory.
private struct SteppedProgram: ~Copyable {
  /// Before one instruction.
  struct Step {
    var kernel: UInt64
    var width: UInt64
    var ip: UInt64
    var flags: UInt64
    var registers: ArraySlice<UInt64>
    /// What the instruction before has changed; empty for nothing.
    var changed: Range<UInt64>
  }

  private static let wordsOfStep = 22
  let process: Int32
  let folder: TemporaryFolder
  private let words: [UInt64]

  init(optimization: String) throws {
    let place = TemporaryFolder()
    let source = "\(Shell.repositoryFolder)/Tests/ArbiterProfilerTests/Programs/stepping.c"
    let script = """
      cc \(optimization) -o stepping \(Shell.quoted(source)) || exit 1
      ./stepping steps >number &
      for ((turn = 0; turn < 200; turn++)); do
        [[ -s number ]] && exec cat number
        sleep 0.1
      done
      exit 2
      """
    let outcome = try Shell.run(script, in: place.path)
    process = try #require(
      Int32(outcome.output.prefix { $0.isNumber }), "\(outcome.code) \(outcome.error)")
    words = Self.words(of: "\(place.path)/steps")
    folder = place
  }

  deinit {
    kill(process, SIGKILL)
  }

  private static func words(of path: String) -> [UInt64] {
    let file = unsafe open(path, O_RDONLY)
    var facts = stat()
    guard file >= 0, unsafe fstat(file, &facts) == 0 else { return [] }
    defer { close(file) }
    var words = [UInt64](repeating: 0, count: Int(facts.st_size) / 8)
    // SAFETY: the array has as many bytes as are read.
    let count = unsafe words.withUnsafeMutableBytes {
      unsafe read(file, $0.baseAddress, $0.count)
    }
    return count == words.count * 8 ? words : []
  }

  var count: Int { words.count / Self.wordsOfStep }

  func step(_ index: Int) -> Step {
    let step = words[(index * Self.wordsOfStep)...].prefix(Self.wordsOfStep)
    let first = step.startIndex
    let changed = step[first + 20]
    return Step(
      kernel: step[first], width: step[first + 1], ip: step[first + 2], flags: step[first + 3],
      registers: step[(first + 4)..<(first + 20)],
      changed: changed..<(changed + step[first + 21]))
  }

  /// A sample at a step.
  func sample(_ step: Step, has: Int) -> ArbSample {
    var sample = ArbSample()
    sample.process = process
    sample.time_nanoseconds = 1
    sample.ip = step.ip
    sample.flags = step.flags
    sample.has = UInt32(has)
    // SAFETY: the sample has sixteen registers, and a step as many.
    unsafe withUnsafeMutableBytes(of: &sample.registers) { registers in
      unsafe step.registers.withUnsafeBytes { unsafe registers.copyMemory(from: $0) }
    }
    return sample
  }
}

@Suite("Decoding of a real program")
struct DecodingProgramTests {
  private static let kernelCount = 9

  private static func resolve(
    _ resolver: AccessResolver, _ sample: ArbSample
  ) -> ArbAccess? {
    var first: ArbAccess?
    resolver.resolve(sample) { if first == nil { first = $0 } }
    return first
  }

  private static func range(_ access: ArbAccess) -> Range<UInt64> {
    access.address..<(access.address + access.byte_count)
  }

  @Test(.enabled(if: Shell.has("cc")), arguments: ["-O0", "-O2"])
  func `every store of a program is found in the instruction that makes it`(
    _ optimization: String
  ) throws {
    let program = try SteppedProgram(optimization: optimization)
    let resolver = try AccessResolver()
    var stores = [Int](repeating: 0, count: Self.kernelCount + 1)
    for index in 0..<max(0, program.count - 1) {
      let (step, next) = (program.step(index), program.step(index + 1))
      guard !next.changed.isEmpty, step.kernel == next.kernel else { continue }
      stores[Int(step.kernel)] += 1
      let sample = program.sample(step, has: Int(ARB_SAMPLE_REGISTERS | ARB_SAMPLE_EXACT_IP))
      let access = try #require(Self.resolve(resolver, sample), "kernel \(step.kernel)")
      #expect(access.is_store != 0)
      #expect(Self.range(access).contains(next.changed), "kernel \(step.kernel)")
      let isString = access.found == UInt32(ARB_FOUND_STRING)
      #expect(isString == (step.kernel >= 8))
      #expect(isString || access.byte_count == step.width)
      #expect((access.is_non_temporal != 0) == (step.kernel == 6))
    }
    // Stores of the values that were there already do not count.
    for (kernel, count) in zip(1..., [97, 95, 97, 97, 195, 97, 75, 495, 95]) {
      #expect(stores[kernel] >= count, "kernel \(kernel)")
    }
  }

  @Test(.enabled(if: Shell.has("cc")), arguments: ["libdw.so.1", nil])
  func `what a clock's sample is said to stand for was stored just before or is stored next`(
    _ libdw: String?
  ) throws {
    let program = try SteppedProgram(optimization: "-O2")
    let resolver = try AccessResolver(libraries: DecodingLibraries(libdw: libdw))
    var found: [UInt32: Int] = [:]
    for index in 4..<max(4, program.count - 20) {
      let step = program.step(index)
      guard step.kernel == program.step(index - 4).kernel,
        step.kernel == program.step(index + 18).kernel,
        let access = Self.resolve(resolver, program.sample(step, has: Int(ARB_SAMPLE_REGISTERS))),
        access.is_store != 0, access.byte_count > 0,
        // Stores to the stack are not seen by comparing the buffer.
        Self.distance(access.address, step.registers[step.registers.startIndex + 4]) > 4096
      else { continue }
      found[access.found, default: 0] += 1
      let when =
        access.found == UInt32(ARB_FOUND_BEFORE)
        ? (index - 3)...index
        : (index + 1)...(index + 18)
      let changes = when.map { program.step($0).changed }.filter { !$0.isEmpty }
      #expect(
        changes.contains { Self.range(access).contains($0) },
        "kernel \(step.kernel), found \(access.found), at \(step.ip)")
    }
    let (at, before, after) = (
      found[UInt32(ARB_FOUND_AT_IP)] ?? 0, found[UInt32(ARB_FOUND_BEFORE)] ?? 0,
      found[UInt32(ARB_FOUND_AFTER)] ?? 0
    )
    #expect(at > 500 && before > 1000 && after > 300, "\(at), \(before), \(after)")
  }

  @Test(.enabled(if: Shell.has("cc")))
  func `starts come from the program's unwind tables, and forgetting it closes its files`() throws {
    let program = try SteppedProgram(optimization: "-O2")
    for libdw in ["libdw.so.1", nil] {
      let resolver = try AccessResolver(libraries: DecodingLibraries(libdw: libdw))
      for index in stride(from: 0, to: program.count, by: 10) {
        let sample = program.sample(program.step(index), has: Int(ARB_SAMPLE_REGISTERS))
        _ = Self.resolve(resolver, sample)
      }
      let counts = resolver.counts
      #expect(counts.decodedPlaceCount > 20)
      #expect(libdw == nil ? counts.knownStartCount == 0 : counts.knownStartCount > 20)
      #expect(try Self.hasOpenFiles(below: program.folder.path) == (libdw != nil))
      resolver.forget(process: program.process)
      #expect(try !Self.hasOpenFiles(below: program.folder.path))
    }
  }

  /// Whether this process has files below a folder open or mapped.
  private static func hasOpenFiles(below folder: String) throws -> Bool {
    let own = "/proc/\(getpid())"
    return try Shell.run("ls -l \(own)/fd; cat \(own)/maps").output.contains(folder)
  }

  private static func distance(_ one: UInt64, _ other: UInt64) -> UInt64 {
    one > other ? one - other : other - one
  }
}

extension Range where Bound == UInt64 {
  fileprivate func contains(_ other: Range) -> Bool {
    lowerBound <= other.lowerBound && other.upperBound <= upperBound
  }
}
