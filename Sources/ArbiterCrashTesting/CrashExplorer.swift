// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// Runs a program once on an observed region, and checks every state that a loss of power could have
// left at any moment of that run.

internal import ArbiterCore
public import ArbiterMemory
public import ArbiterPersistence
internal import ArbiterPlatform

/// What a passed exploration has covered.
public struct CrashExploration: Sendable, Hashable {
  /// Moments at which the power was cut: before the first and after each step of the run.
  public var crashPointCount = 0
  /// Different states that were checked.
  public var stateCount = 0
  /// Whether every state that the model allows was checked; otherwise some were drawn.
  public var isExhaustive = true
  /// Whether the run was followed to its end within the limit of states.
  public var isComplete = true
}

/// What the recorded program tells besides what it does to its region.
public struct CrashRun: Sendable {
  let recorder: CrashRecorder

  /// Promises something to the outside, which a crash from here on must not take back.
  ///
  /// - Parameter number: What the check finds as ``CrashImage/acknowledged``.
  public func acknowledge(_ number: Int) { recorder.acknowledge(number) }

  /// Takes everything stored so far for durable and looks at crashes from here on only.
  ///
  /// For preparations: formatting, filling.
  public func begin() { recorder.start() }
}

/// Explores the states in which a crash can leave a data structure in persistent memory.
///
/// ```swift
/// try CrashExplorer(bytes: 4096).explore { region in
///   var log = Log(region)
///   for number in 1...5 { try log.append(number, to: region) }
/// } check: { image in
///   Log.isWhole(image)
/// }
/// ```
///
/// What is explored, and what is not: Documentation/CrashTesting.md.
public struct CrashExplorer: Sendable {
  /// How states are drawn.
  public struct Options: Sendable, Hashable {
    /// What survives by itself.
    public var domain = PersistenceDomain.adr
    /// The instruction that write-backs stand for.
    public var writeBack = WriteBackKind.clwb
    /// The source of all randomness.
    public var seed: UInt64 = 1
    /// States at most at one crash point; all are visited where they are no more.
    public var statesPerPointMax = 4096
    /// States at most altogether.
    public var statesMax = 1_000_000
    /// Contents of one line at most, where it was stored to more often than once.
    public var contentsPerLineMax = 300
    /// Operations at most whose place in the source is remembered, at some microseconds each.
    public var placesMax = 10_000

    /// Makes options with the defaults.
    public init(
      domain: PersistenceDomain = .adr, writeBack: WriteBackKind = .clwb, seed: UInt64 = 1,
      statesPerPointMax: Int = 4096, statesMax: Int = 1_000_000
    ) {
      self.domain = domain
      self.writeBack = writeBack
      self.seed = seed
      self.statesPerPointMax = statesPerPointMax
      self.statesMax = statesMax
    }
  }

  /// Bytes of the region, rounded up to pages by the region itself.
  public let byteCount: Int
  /// How states are drawn.
  public var options: Options
  /// What the region holds at first; zeros behind it.
  public var initialBytes: [UInt8] = []

  /// Makes an explorer.
  ///
  /// - Precondition: `bytes` is at least 1, and every limit of the options.
  public init(bytes: Int, options: Options = Options()) {
    precondition(bytes > 0, "a region needs bytes")
    precondition(
      options.statesPerPointMax > 0 && options.statesMax > 0 && options.contentsPerLineMax > 0,
      "limits of states must be positive")
    byteCount = bytes
    self.options = options
  }

  /// Runs a program once and checks every state in which a crash could have left its region.
  ///
  /// - Parameters:
  ///   - body: The program. Its last stores count, also without an operation after them.
  ///   - check: Whether a state is one from which the program can go on; returns false or throws
  ///     where it is not.
  /// - Returns: What was covered.
  /// - Throws: ``CrashFailure`` for a state that fails; what `body` throws; `PlatformError` where
  ///   there is no memory.
  /// - Complexity: O(states); each costs the check and the lines in which it differs from the last.
  @discardableResult
  public func explore(
    _ body: (borrowing MappedRegion) throws -> Void,
    check: (borrowing CrashImage) throws -> Bool
  ) throws -> CrashExploration {
    try explore({ region, _ in try body(region) }, check: check)
  }

  /// Runs a program that acknowledges what it has done, or needs preparations.
  ///
  /// - Parameters:
  ///   - body: The program, with the run to which it tells more than its region shows.
  ///   - check: As for a program without.
  /// - Returns: What was covered.
  /// - Throws: ``CrashFailure`` for a state that fails; what `body` throws; `PlatformError` where
  ///   there is no memory.
  @discardableResult
  public func explore(
    _ body: (borrowing MappedRegion, CrashRun) throws -> Void,
    check: (borrowing CrashImage) throws -> Bool
  ) throws -> CrashExploration {
    let (recording, initial) = try record(body)
    var walk = try CrashWalk(recording, initial: initial, options: options)
    if let failure = try walk.run(check) { throw failure }
    return walk.summary
  }

  private func record(
    _ body: (borrowing MappedRegion, CrashRun) throws -> Void
  ) throws -> (CrashRecording, initial: [UInt8]) {
    let pages = ByteCount(bytes: (byteCount + 4095) / 4096 * 4096)
    let recorder = CrashRecorder(byteCount: pages.bytes, placesMax: options.placesMax)
    let region = try MappedRegion(
      anonymousNamed: "crash-run", byteCount: pages,
      options: .init(forcedGranularity: options.domain == .adr ? .cacheLine : .byte),
      observer: recorder)
    precondition(initialBytes.count <= region.byteCount, "more initial bytes than the region has")
    // SAFETY: the region is mapped and holds as many bytes, and nobody else knows it yet.
    unsafe initialBytes.withUnsafeBytes { bytes in
      unsafe UnsafeMutableRawBufferPointer(start: region.base, count: region.byteCount)
        .copyMemory(from: bytes)
    }
    recorder.attach(region)
    let padding = Array(repeating: UInt8(0), count: region.byteCount - initialBytes.count)
    try body(region, CrashRun(recorder: recorder))
    return (recorder.finish(), initialBytes + padding)
  }
}
