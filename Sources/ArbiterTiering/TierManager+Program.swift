// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
internal import CArbiter
internal import Glibc

extension TierManager {
  /// Whether the C library's allocator is replaced by one whose memory is seen.
  var managesHeaps: Bool { preload?.allocator != nil }

  /// The variables that the program is to start with.
  ///
  /// - Parameter environment: The variables of whoever starts it, as NAME=value.
  /// - Returns: The same with what the back-end needs.
  public func environment(adding environment: [String]) -> [String] {
    guard let preload, let file else { return environment }
    return preload.environment(
      adding: environment, page: file.page.descriptor, slow: file.slow.descriptor)
  }

  /// Starts the program and manages it, and what it starts, from its first instruction on.
  ///
  /// - Parameter start: Starts it with the variables of ``environment(adding:)``; runs on a thread
  ///   of its own, while the caller waits.
  /// - Returns: The program.
  /// - Throws: ``PlatformError`` of `start`.
  public func launch(
    _ start: () throws(PlatformError) -> ChildProgram
  ) throws(PlatformError) -> ChildProgram {
    let child =
      if let tracker {
        try tracker.launch { () throws(PlatformError) in try begin(start) }
      } else {
        try begin(start)
      }
    backEnd.follow(child.process)
    return child
  }

  private func begin(
    _ start: () throws(PlatformError) -> ChildProgram
  ) throws(PlatformError) -> ChildProgram {
    probe.backEnd == .numa ? try NumaPlaces.startingLocally(start) : try start()
  }

  /// Manages the process that this runs in, but for the calling thread.
  func manageOwnProcess(_ tree: SystemTree) throws(PlatformError) {
    openTracker(tree)
    tracker?.ownThreads.insert(Int32(arb_thread_number()))
    try tracker?.add(process: getpid())
    isInOwnProcess = true
    backEnd.follow(getpid())
  }

  /// Says what of a program cannot be managed, as remarks.
  public func examine(_ program: ProgramFile) {
    guard probe.backEnd == .file else { return }
    if program.changesRights {
      obstacle = "\(program.path) runs with the rights of its owner (setuid)"
    } else if program.linkage == .static {
      obstacle = "\(program.path) is statically linked"
    }
    guard let obstacle else { return }
    remarks.add(
      "\(obstacle): no library can be put into it, and only what it starts may be managed; use "
        + "--slow=node:N where there is a second node")
  }
}
