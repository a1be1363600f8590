// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterMetrics
public import ArbiterPlacement
public import ArbiterPlatform
internal import ArbiterRuntime
internal import CArbiter
internal import Glibc

/// Moves pages between memory nodes from outside, by the kernel's own migration (move_pages(2)).
///
/// Nothing is put into the program and none of its calls are seen: fork, copy-on-write, mremap,
/// huge pages and pinned buffers are the kernel's business and stay right. Managed is the anonymous
/// memory of a process and of all that it starts, in chunks that lie wholly inside it; what many
/// processes share is moved where Arbiter has CAP_SYS_NICE, and counts as the first one's. What a
/// program has on the fast nodes beside its chunks (its code, its files, its small mappings) is not
/// charged to the fast tier.
///
/// Works without privilege for one's own programs, unless they have changed their user.
public struct NumaBackEnd: TierBackEnd {
  /// Stops and waits for the thread when the last copy of the back-end goes.
  private final class Owner: Sendable {
    let worker: NumaWorker
    private let thread: Lock<WorkerThread?>

    init(_ worker: NumaWorker, _ thread: consuming WorkerThread) {
      self.worker = worker
      self.thread = Lock(thread)
    }

    func end() {
      worker.stop()
      let taken = thread.withLock { $0.take() }
      taken?.join()
    }

    deinit { end() }
  }

  private let owner: Owner
  /// Chunks where the kernel makes huge pages of all that is aligned: it moves such a page whole.
  public let moveUnit: MoveUnit

  /// Makes a back-end and starts its thread.
  ///
  /// - Parameters:
  ///   - places: The nodes, as ``NumaProbe`` chose them.
  ///   - tree: Where /proc and /sys lie.
  /// - Throws: ``PlatformError`` where the kernel cannot move pages or refuses a thread.
  public init(places: NumaPlaces, tree: SystemTree = SystemTree()) throws(PlatformError) {
    let shared = arb_pages_may_move_shared()
    if shared == -Int64(ENOSYS) {
      throw PlatformError(
        errorNumber: ENOSYS, path: nil, action: "move pages",
        nextStep: "use a kernel with NUMA and migration, or give a file as slow memory")
    }
    moveUnit = Self.moveUnit(tree)
    let worker = NumaWorker()
    owner = Owner(
      worker,
      try WorkerThread { worker.run(tree: tree, places: places, movesShared: shared == 0) })
  }

  /// By the system's setting of huge pages; a program that asks for them itself is not known.
  package static func moveUnit(_ tree: SystemTree) -> MoveUnit {
    let setting = tree.text("/sys/kernel/mm/transparent_hugepage/enabled") ?? ""
    return setting.contains("[always]") ? .chunk : .island
  }

  /// Puts a program under management, and all that it starts.
  public mutating func follow(_ process: Int32) { owner.worker.add(process: process) }

  /// NUMA.
  public var kind: TierBackEndKind { .numa }

  /// Brings the table up to date with what the thread found since the last call.
  public mutating func refresh(_ table: inout ChunkTable, removed: (Int) -> Void) {
    let changes = owner.worker.mail.withLock { mail in
      defer { mail.changes = [:] }
      return mail.changes
    }
    for (key, change) in changes where change == .gone {
      guard let index = table.index(process: key.process, address: key.address) else { continue }
      removed(index)
      table.remove(index)
    }
    for (key, change) in changes {
      guard case .seen(let present, let slow, let isMovable) = change else { continue }
      var chunk = ManagedChunk(process: key.process, address: key.address, slowIslands: slow)
      chunk.presentIslands = present
      chunk.isMovable = isMovable
      table.insert(chunk)
    }
  }

  /// Queues a migration.
  public mutating func submit(_ migration: Migration, of chunk: ManagedChunk) -> Bool {
    owner.worker.submit(
      NumaWorker.Job(
        migration: migration, key: ChunkKey(process: chunk.process, address: chunk.address)))
  }

  /// Hands over what became of migrations; one whose chunk is gone meanwhile, or whose number
  /// stands for another one, is stale.
  public mutating func takeOutcomes(
    _ table: inout ChunkTable, _ body: (MigrationOutcome) -> Void
  ) {
    let endings = owner.worker.mail.withLock { mail in
      defer { mail.endings = [] }
      mail.openCount -= mail.endings.count
      return mail.endings
    }
    for ending in endings {
      var outcome = ending.outcome
      let index = Int(outcome.migration.chunk)
      if var chunk = table[index], chunk.process == ending.key.process,
        chunk.address == ending.key.address
      {
        if let slow = ending.slow {
          chunk.slowIslands = slow
          table[index] = chunk
        }
      } else {
        outcome.status = .stale
      }
      body(outcome)
    }
  }

  /// Processes that are managed now.
  public var processes: [Int32] { owner.worker.mail.withLock { $0.processes } }

  /// CPU time of the thread that surveys and moves.
  public var moverNanoseconds: Figure<UInt64> {
    .known(owner.worker.mail.withLock { $0.cpuNanoseconds })
  }

  /// The kernel's, in the program's own page faults.
  public var placingNanoseconds: Figure<UInt64> {
    .unavailable("the kernel gives out memory where the program touches it")
  }

  /// Nobody counts them: a page under migration holds its readers inside the kernel.
  public var stalls: Figure<TierStalls> {
    .unavailable("the kernel does not tell who waits for a page that it moves")
  }

  /// What went wrong or is given up since the last call.
  public mutating func takeRemarks() -> [String] {
    owner.worker.mail.withLock { $0.remarks.take() }
  }

  /// Stops the thread; pages stay where they are.
  public mutating func stop() {
    owner.end()
  }
}
