// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterMemory
import ArbiterPlatform
import ArbiterTestSupport
import CTestSupport
import Glibc
import Testing

/// Runs a closure and returns the error that it throws.
func failure(_ body: () throws(PlatformError) -> Void) -> PlatformError? {
  do throws(PlatformError) {
    try body()
    return nil
  } catch {
    return error
  }
}

@Suite("Mapped region", .serialized)
struct MappedRegionTests {
  @Test(arguments: ["/dev/shm", "/tmp"])
  func `what is stored and persisted is in the file`(parent: String) throws {
    let folder = TemporaryFolder(in: parent)
    let path = "\(folder.path)/region"
    let size = ByteCount(bytes: 3 * 4096 - 100)
    do {
      let region = try MappedRegion(path: path, byteCount: size)
      let (byteCount, isSynchronous) = (region.byteCount, region.isSynchronous)
      let (granularity, fileSystem) = (region.granularity, region.fileSystem)
      #expect(byteCount == 3 * 4096)
      #expect(!isSynchronous)
      #expect(granularity == (fileSystem == .tmpfs ? .volatile : .page))
      for index in 0..<region.byteCount {
        unsafe (region.base + index).storeBytes(of: UInt8(index % 251), as: UInt8.self)
      }
      try region.persist(1..<region.byteCount - 1)
      try region.persist(5..<5)
      try region.close()
    }
    let descriptor = unsafe open(path, O_RDONLY)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 3 * 4096 + 1)
    let count = unsafe read(descriptor, &bytes, bytes.count)
    #expect(count == 3 * 4096)
    #expect(bytes.prefix(count).enumerated().allSatisfy { $1 == UInt8($0 % 251) })
  }

  @Test func `an existing file keeps its content and grows`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    folder.write("kept", to: "region")
    let path = "\(folder.path)/region"
    let region = try MappedRegion(path: path, byteCount: .kibibytes(64))
    let word = unsafe region.base.load(as: UInt32.self)
    #expect(word == 0x7470_656B)
    #expect(folder.size(of: "region") == 64 << 10)
  }

  @Test func `a file that may not grow is refused and left alone`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    folder.write("small", to: "region")
    let error = failure { () throws(PlatformError) in
      _ = try MappedRegion(
        path: "\(folder.path)/region", byteCount: .kibibytes(8),
        options: .init(growsFile: false))
    }
    #expect(error?.code == .tooSmall)
    #expect(error?.description.contains("5B and 8KiB were asked for") == true)
    #expect(folder.size(of: "region") == 5)
  }

  @Test func `a missing file is an error where none may be made`() {
    let folder = TemporaryFolder(in: "/dev/shm")
    let error = failure { () throws(PlatformError) in
      _ = try MappedRegion(
        path: "\(folder.path)/none", byteCount: .kibibytes(8), options: .init(createsFile: false))
    }
    #expect(error?.code == .notFound)
    #expect(error?.errorNumber == ENOENT)
    #expect(folder.size(of: "none") == nil)
  }

  @Test func `folders and empty sizes are refused`() {
    let folder = TemporaryFolder(in: "/dev/shm")
    let onFolder = failure { () throws(PlatformError) in
      _ = try MappedRegion(path: folder.path, byteCount: .kibibytes(4))
    }
    #expect(onFolder?.code == .invalidArgument)
    let empty = failure { () throws(PlatformError) in
      _ = try MappedRegion(path: "\(folder.path)/x", byteCount: ByteCount(bytes: 0))
    }
    #expect(empty?.code == .invalidArgument)
    #expect(folder.size(of: "x") == nil)
  }

  @Test(.enabled(if: geteuid() == 0, "needs root to act as another user"))
  func `a user without the right is told so`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    folder.write("secret", to: "region")
    unsafe chmod("\(folder.path)/region", 0o600)
    let previous = arb_test_set_file_user(65534)
    defer { _ = arb_test_set_file_user(UInt32(previous)) }
    let error = failure { () throws(PlatformError) in
      _ = try MappedRegion(path: "\(folder.path)/region", byteCount: .kibibytes(4))
    }
    #expect(error?.code == .noPermission)
    #expect(error?.errorNumber == EACCES)
  }

  /// Whether this process may mount: root may, except in many containers.
  private static var canMount: Bool {
    let folder = TemporaryFolder(in: "/tmp")
    folder.makeFolder("probe")
    let mounted = unsafe arb_test_mount_tmpfs("\(folder.path)/probe", "size=64k")
    if mounted == 0 { unsafe _ = arb_test_unmount("\(folder.path)/probe") }
    return mounted == 0
  }

  @Test(.enabled(if: canMount, "this system does not let tests mount a small tmpfs"))
  func `a full disk is an error up front and leaves nothing behind`() throws {
    let folder = TemporaryFolder(in: "/tmp")
    folder.makeFolder("small")
    let place = "\(folder.path)/small"
    try #require(unsafe arb_test_mount_tmpfs(place, "size=256k") == 0)
    defer { unsafe _ = arb_test_unmount(place) }
    let error = failure { () throws(PlatformError) in
      _ = try MappedRegion(path: "\(place)/new", byteCount: .mebibytes(1))
    }
    #expect(error?.code == .noSpace)
    #expect(error?.description.contains("allocate 1MiB") == true)
    #expect(folder.size(of: "small/new") == nil)
    folder.write("old", to: "small/old")
    let onOld = failure { () throws(PlatformError) in
      _ = try MappedRegion(path: "\(place)/old", byteCount: .mebibytes(1))
    }
    #expect(onOld?.code == .noSpace)
    #expect(folder.size(of: "small/old") == 3)
    // What fits still fits afterwards.
    let region = try MappedRegion(path: "\(place)/fits", byteCount: .kibibytes(128))
    let byteCount = region.byteCount
    #expect(byteCount == 128 << 10)
  }

  @Test func `a range outside the region is refused`() async {
    await #expect(processExitsWith: .failure) {
      let folder = TemporaryFolder(in: "/dev/shm")
      let region = try MappedRegion(path: "\(folder.path)/r", byteCount: .kibibytes(4))
      // Who dies does not tidy up.
      guard Shell.succeeds("rm -r \(Shell.quoted(folder.path))") else { return }
      region.flush(4000..<4097)
    }
  }

  @Test func `the granularity follows from mapping and platform`() {
    typealias Domain = PersistentMemory.PersistenceDomain
    let domains: [Domain?] = [nil, .unknown, .memoryController, .processorCache]
    for domain in domains {
      let line: StoreGranularity = domain == .processorCache ? .byte : .cacheLine
      for isSynchronous in [false, true] {
        func granularity(_ kind: FileSystemKind) -> StoreGranularity {
          .of(kind: kind, isSynchronous: isSynchronous, domain: domain)
        }
        #expect(granularity(.tmpfs) == .volatile)
        #expect(granularity(.deviceDax("dax0.0")) == line)
        #expect(granularity(.dax("ext4")) == (isSynchronous ? line : .page))
        #expect(granularity(.cached("xfs")) == (isSynchronous ? line : .page))
      }
    }
  }
}

@Suite("Line writer")
struct LineWriterTests {
  static let size = 5 * 64

  /// Fills memory, lets `body` write the line at `place` and compares every byte.
  private func check(
    place: Int, expected: [UInt8], _ body: (UnsafeMutableRawPointer) -> Void
  ) {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: Self.size, alignment: 64)
    defer { unsafe memory.deallocate() }
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0xEE, count: Self.size)
    unsafe body(memory + place)
    LineWriter.fence()
    for index in 0..<Self.size {
      let isInside = index >= place && index < place + 64
      let byte = unsafe memory.load(fromByteOffset: index, as: UInt8.self)
      #expect(byte == (isInside ? expected[index - place] : 0xEE), "byte \(index)")
    }
  }

  @Test func `every store writes its line and nothing else`() {
    let expected = (0..<64).map { UInt8($0 * 3 + 1) }
    var line = CacheLine(words: SIMD8(repeating: 0))
    for word in 0..<8 {
      line.words[word] = (0..<8).reduce(0) {
        $0 | UInt64(expected[word * 8 + $1]) << (8 * UInt64($1))
      }
    }
    for place in stride(from: 0, to: Self.size, by: 64) {
      unsafe check(place: place, expected: expected) {
        unsafe LineWriter.storeNonTemporal(line, to: $0)
      }
      unsafe check(place: place, expected: expected) {
        unsafe LineWriter.storeCached(line, to: $0)
      }
      for shift in 0..<9 {
        let source = [UInt8](repeating: 0, count: shift) + expected
        unsafe check(place: place, expected: expected) { target in
          unsafe source.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress {
              unsafe LineWriter.copyNonTemporal(from: base + shift, to: target)
            }
          }
        }
        unsafe check(place: place, expected: expected) { target in
          unsafe source.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress {
              unsafe LineWriter.copyCached(from: base + shift, to: target)
            }
          }
        }
      }
      for instruction in ProcessorFeatures.detect().flushInstructions {
        unsafe check(place: place, expected: expected) { target in
          unsafe LineWriter.storeCached(line, to: target)
          unsafe LineWriter.writeBack(target, by: instruction)
        }
      }
    }
  }
}
