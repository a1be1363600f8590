// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterCore
import ArbiterMemory
import ArbiterPlatform
import ArbiterTestSupport
import CTestSupport
import Glibc
import Testing

/// Where the tests map memory: folders and devices that the environment names.
enum Places {
  private static func list(_ name: String) -> [String] {
    guard let text = unsafe getenv(name) else { return [] }
    return unsafe String(cString: text).split(separator: ":").map(String.init)
  }

  /// `ARBITER_TEST_FOLDERS`, or a folder on disk and one in DRAM.
  static let folders = {
    let named = list("ARBITER_TEST_FOLDERS")
    return named.isEmpty ? ["/tmp", "/dev/shm"] : named
  }()
  /// `ARBITER_TEST_DAX_DEVICES`; their content is lost.
  static let devices = list("ARBITER_TEST_DAX_DEVICES")
  /// Whether tests may take a page of memory out of use until the next boot.
  static let mayLosePages = unsafe getenv("ARBITER_TEST_LOSE_PAGES") != nil
}

/// What every region has to do wherever it lies.
private func exercise(_ region: borrowing MappedRegion) throws {
  let bytes = (0..<9000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 7) }
  for method in CopyMethod.allCases {
    unsafe try bytes.withUnsafeBytes { buffer in
      region.fill(0..<20_000, with: 0, by: method)
      unsafe region.copy(buffer, to: 61, by: method)
      region.drain()
      try region.persist(61..<9061)
      unsafe try region.copyAndPersist(buffer, to: 10_001, by: method)
    }
    region.move(61..<9061, to: 64, by: method)
    region.drain()
    let matches = (0..<9000).allSatisfy { index in
      unsafe region.base.load(fromByteOffset: 64 + index, as: UInt8.self) == bytes[index]
        && region.base.load(fromByteOffset: 10_001 + index, as: UInt8.self) == bytes[index]
    }
    #expect(matches, "\(method)")
  }
  unsafe bytes.withUnsafeBytes { unsafe region.store($0, at: 5) }
  try region.persist(5..<9005)
  region.storeAtomically(0xFEED_FACE_CAFE_BEEF, at: 12_288)
  try region.persist(12_288..<12_296)
  #expect(region.loadAtomically(at: 12_288) == 0xFEED_FACE_CAFE_BEEF)
  var back = [UInt8](repeating: 0, count: 9000)
  unsafe try back.withUnsafeMutableBytes { unsafe try region.readChecked(5..<9005, into: $0) }
  #expect(back == bytes)
  unsafe try bytes.withUnsafeBytes { unsafe try region.writeChecked($0, at: 4097) }
  try region.persist(4097..<13_097)
  unsafe try back.withUnsafeMutableBytes {
    unsafe try region.readChecked(4097..<13_097, into: $0)
  }
  #expect(back == bytes)
}

@Suite("Regions in every place", .serialized)
struct PlaceTests {
  @Test(arguments: Places.folders)
  func `a file does all that a region can do`(parent: String) throws {
    let folder = TemporaryFolder(in: parent)
    let path = "\(folder.path)/region"
    let region = try MappedRegion(path: path, byteCount: .mebibytes(4))
    try exercise(region)
    try region.deepFlush(3..<70_000)
    let kind = region.fileSystem
    let (isSynchronous, granularity) = (region.isSynchronous, region.granularity)
    let isForced = region.isGranularityForced
    let address = unsafe UInt(bitPattern: region.base)
    #expect(!isForced)
    #expect(address % UInt(2 << 20) == 0)
    switch kind {
    case .tmpfs: #expect(granularity == .volatile && !isSynchronous)
    case .cached: #expect(granularity == .page && !isSynchronous)
    case .dax:
      let domain = region.persistenceDomain
      #expect(isSynchronous)
      #expect(domain != nil)
      #expect(granularity == (domain == .processorCache ? .byte : .cacheLine))
    case .deviceDax: Issue.record("a folder cannot be a device")
    }
    // The file holds what the region shows.
    let again = try MappedRegion(
      path: path, byteCount: .kibibytes(8), options: .init(createsFile: false, fileOffset: 4096))
    let isSame = unsafe memcmp(again.base, region.base + 4096, 8192) == 0
    #expect(isSame)
  }

  @Test(arguments: Places.folders)
  func `a new file has its pages before anybody can open it`(parent: String) throws {
    let folder = TemporaryFolder(in: parent)
    let region = try MappedRegion(path: "\(folder.path)/region", byteCount: .mebibytes(16))
    var before = rusage()
    var after = rusage()
    unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &before)
    for offset in stride(from: 0, to: region.byteCount, by: 4096) {
      unsafe (region.base + offset).storeBytes(of: 1, as: UInt8.self)
    }
    unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &after)
    let faults = after.ru_minflt - before.ru_minflt
    // A file system that tracks what is dirty faults once per page again; others do not.
    if case .cached = region.fileSystem { return }
    #expect(faults < 512, "\(faults) faults for 4096 pages")
  }

  @Test func `memory without a path does all that a region can do`() throws {
    let region = try MappedRegion(anonymousNamed: "arbiter-test", byteCount: .mebibytes(4))
    try exercise(region)
    try region.deepFlush(0..<4096)
    let (path, granularity) = (region.path, region.granularity)
    #expect(path == "memfd:arbiter-test")
    #expect(granularity == .volatile)
    let links = SystemTree().entries("/proc/self/fd").compactMap {
      SystemTree().linkTarget("/proc/self/fd/\($0)")
    }
    #expect(links.contains("/memfd:arbiter-test (deleted)"))
  }

  @Test(
    .enabled(if: !Places.devices.isEmpty, "ARBITER_TEST_DAX_DEVICES names no device"),
    arguments: Places.devices)
  func `a dax device does all that a region can do`(path: String) throws {
    let region = try MappedRegion(path: path, byteCount: .mebibytes(4))
    try exercise(region)
    let (kind, granularity) = (region.fileSystem, region.granularity)
    let (domain, name) = (region.persistenceDomain, region.memoryRegionName)
    #expect(kind.isDirect)
    #expect(granularity == (domain == .processorCache ? .byte : .cacheLine))
    if name != nil {
      try region.deepFlush(0..<4096)
    } else {
      #expect(
        failure { () throws(PlatformError) in try region.deepFlush(0..<4096) }?.code
          == .unsupported)
    }
    let misplaced = failure { () throws(PlatformError) in
      _ = try MappedRegion(
        path: path, byteCount: .mebibytes(2), options: .init(fileOffset: 4096))
    }
    #expect(misplaced?.code == .invalidArgument)
    let tooLarge = failure { () throws(PlatformError) in
      _ = try MappedRegion(path: path, byteCount: ByteCount(bytes: 1 << 50))
    }
    #expect(tooLarge?.code == .tooSmall)
  }

  @Test func `a forced granularity is believed and said`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    for granularity in StoreGranularity.allCases {
      let region = try MappedRegion(
        path: "\(folder.path)/\(granularity.rawValue)", byteCount: .kibibytes(64),
        options: .init(forcedGranularity: granularity))
      let (believed, isForced) = (region.granularity, region.isGranularityForced)
      #expect(believed == granularity)
      #expect(isForced)
      try exercise(region)
    }
  }

  @Test func `a mapping starts where the options say`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let path = "\(folder.path)/region"
    let whole = try MappedRegion(path: path, byteCount: .kibibytes(64))
    let part = try MappedRegion(
      path: path, byteCount: .kibibytes(4), options: .init(fileOffset: 8192))
    part.storeAtomically(17, at: 8)
    #expect(whole.loadAtomically(at: 8200) == 17)
    let error = failure { () throws(PlatformError) in
      _ = try MappedRegion(path: path, byteCount: .kibibytes(4), options: .init(fileOffset: 100))
    }
    #expect(error?.code == .invalidArgument)
  }

  private static var canWatch: Bool {
    defer { _ = arb_test_unwatch_system_calls() }
    return arb_test_watch_system_calls() == 0
  }

  @Test(.enabled(if: canWatch, "system calls cannot be watched here"))
  func `the data path asks neither for memory nor for the kernel`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let region = try MappedRegion(path: "\(folder.path)/region", byteCount: .mebibytes(1))
    let bytes = [UInt8](repeating: 9, count: 8192)
    func run(_ buffer: UnsafeRawBufferPointer, _ method: CopyMethod) {
      unsafe region.store(buffer, at: 1)
      unsafe region.copy(buffer, to: 100, by: method)
      region.move(0..<9000, to: 77, by: method)
      region.fill(5..<9000, with: 3, by: method)
      region.flush(0..<9000)
      region.drain()
      unsafe try? region.copyAndPersist(buffer, to: 3, by: method)
      try? region.persist(0..<9000)
      region.storeAtomically(1, at: 8)
    }
    let (calls, allocations) = unsafe try bytes.withUnsafeBytes { buffer in
      // The first round lets the Swift runtime make what it makes once.
      unsafe run(buffer, .automatic)
      try #require(arb_test_watch_system_calls() == 0)
      let before = arb_test_allocation_count()
      unsafe run(buffer, .automatic)
      unsafe run(buffer, .cached)
      unsafe run(buffer, .nonTemporal)
      let after = arb_test_allocation_count()
      return (arb_test_unwatch_system_calls(), after - before)
    }
    #expect(calls == -1, "system call \(calls)")
    #expect(allocations == 0)
  }

  @Test func `a word that is not aligned is refused`() async {
    await #expect(processExitsWith: .failure) {
      let region = try MappedRegion(anonymousNamed: "word", byteCount: .kibibytes(4))
      region.storeAtomically(1, at: 4)
    }
  }

  @Test func `a copy beyond the end is refused`() async {
    await #expect(processExitsWith: .failure) {
      let region = try MappedRegion(anonymousNamed: "end", byteCount: .kibibytes(4))
      unsafe [UInt8](repeating: 0, count: 64).withUnsafeBytes { unsafe region.copy($0, to: 4033) }
    }
  }
}

@Suite("Checked calls", .serialized)
struct CheckedCallTests {
  private func read(
    _ region: borrowing MappedRegion, _ range: Range<Int>
  ) -> PlatformError? {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 16)
    defer { unsafe buffer.deallocate() }
    do throws(PlatformError) {
      unsafe try region.readChecked(range, into: buffer)
      return nil
    } catch {
      return error
    }
  }

  private func write(
    _ region: borrowing MappedRegion, _ range: Range<Int>
  ) -> PlatformError? {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 16)
    defer { unsafe buffer.deallocate() }
    do throws(PlatformError) {
      unsafe try region.writeChecked(UnsafeRawBufferPointer(buffer), at: range.lowerBound)
      return nil
    } catch {
      return error
    }
  }

  @Test(arguments: Places.folders)
  func `a truncated file is an error and no signal`(parent: String) throws {
    let folder = TemporaryFolder(in: parent)
    let path = "\(folder.path)/region"
    let region = try MappedRegion(path: path, byteCount: .kibibytes(64))
    let handler = arb_test_signal_handler(SIGBUS)
    #expect(read(region, 0..<65_536) == nil)
    try #require(unsafe truncate(path, 20_000) == 0)
    #expect(read(region, 0..<20_000) == nil)
    #expect(write(region, 0..<20_000) == nil)
    for range in [0..<65_536, 19_999..<20_001, 40_960..<40_961] {
      #expect(read(region, range)?.code == .truncated, "\(range)")
      #expect(write(region, range)?.code == .truncated, "\(range)")
    }
    let text = read(region, 40_960..<40_961)?.description ?? ""
    #expect(text.contains("'\(path)'"))
    #expect(text.contains("offset 40960 lies behind its end"))
    #expect(arb_test_signal_handler(SIGBUS) == handler)
  }

  /// What a page that cannot be read any more has to look like.
  private func expectLoss(of region: borrowing MappedRegion) {
    let handler = arb_test_signal_handler(SIGBUS)
    #expect(read(region, 0..<8192) == nil)
    #expect(read(region, 8000..<8200)?.code == .mediaError)
    #expect(read(region, 8192..<8193)?.code == .mediaError)
    #expect(read(region, 12_288..<65_536) == nil)
    #expect(read(region, 0..<65_536)?.description.contains("at offset 8192") == true)
    #expect(arb_test_signal_handler(SIGBUS) == handler)
  }

  @Test(
    .enabled(if: Places.mayLosePages, "ARBITER_TEST_LOSE_PAGES is not set: it costs a page"))
  func `a lost page of DRAM is an error and no signal`() throws {
    let folder = TemporaryFolder(in: "/dev/shm")
    let path = "\(folder.path)/region"
    let region = try MappedRegion(path: path, byteCount: .kibibytes(64))
    let descriptor = unsafe open(path, O_RDWR)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    let status = arb_test_lose_page(descriptor, 8192)
    try #require(status == 0, "MADV_HWPOISON: \(status)")
    expectLoss(of: region)
    #expect(write(region, 8192..<8256)?.code == .mediaError)
  }

  @Test(
    .enabled(if: Places.mayLosePages, "ARBITER_TEST_LOSE_PAGES is not set: it costs a block"),
    arguments: Places.folders)
  func `a bad block of persistent memory is an error and no signal`(parent: String) throws {
    let folder = TemporaryFolder(in: parent)
    let path = "\(folder.path)/region"
    do {
      let region = try MappedRegion(path: path, byteCount: .kibibytes(64))
      // Only the driver of persistent memory keeps a list that it looks at.
      guard case .dax = region.fileSystem else { return }
      region.fill(0..<65_536, with: 1)
      try region.persist(0..<65_536)
    }
    let descriptor = unsafe open(path, O_RDWR)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    let status = arb_test_lose_block(descriptor, 8192)
    try #require(status == 0, "badblocks: \(status)")
    // The block is met by who maps the file after it was lost.
    let region = try MappedRegion(
      path: path, byteCount: .kibibytes(64), options: .init(growsFile: false, populates: false))
    expectLoss(of: region)
  }
}
