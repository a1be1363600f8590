// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
internal import Glibc

// Runs of one user meet in a folder. The file `control` there names the page in use; whoever holds
// its lock controls, and the kernel gives the lock back however that process ends. Every other run
// on the page has a note of its own, `member-PID`, so that a run that comes while nobody controls
// finds the page that is in use and does not begin a second one.
//
// I1  Only the holder of the lock writes `control` and publishes settings on the page.
// I2  Whoever gets the lock takes over a page that a living member of the same terms has open.
// I3  A note is whole or it is none: it ends with a line of its own.

/// A run's place at a control page: in control of it, or a guest.
@safe
public final class ControlSeat {
  /// What a seat gives the right to.
  public enum Role: Sendable, Hashable {
    /// The page is this run's own and nobody else finds it.
    case alone
    /// This run publishes settings; others may join.
    case controller
    /// The run of that process publishes settings.
    case guest(of: Int32)
  }

  /// The page.
  public let page: ControlPage
  /// The file by which programs of this run open the page.
  public let pagePath: String
  /// What this run may do now.
  public private(set) var role: Role

  private let folder: String
  private var note: ControlNote?
  private var lock: Int32 = -1
  private var pageDescriptor: Int32 = -1

  /// Makes a page for one run.
  public init(alone page: ControlPage) {
    self.page = page
    pagePath = page.path ?? ""
    role = .alone
    folder = ""
  }

  /// Joins the run that controls here, or becomes it.
  ///
  /// - Parameters:
  ///   - folder: The runtime folder; made where there is none.
  ///   - terms: What must be the same for all.
  ///   - makePage: Makes the page where there is none to join.
  /// - Throws: ``PlatformError`` with `invalidArgument` where the run in control has other terms,
  ///   `noPermission` where the folder is not safe.
  public init(
    in folder: String, terms: ControlTerms, makePage: () throws(PlatformError) -> ControlPage
  ) throws(PlatformError) {
    try Self.prepare(folder)
    let own = getpid()
    let control = "\(folder)/control"
    let lock = unsafe open(control, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard lock >= 0 else {
      throw PlatformError(
        errorNumber: errno, path: control, action: "open the rendezvous file",
        nextStep: "set ARBITER_RUNTIME_DIR to a folder of yours, or add --private")
    }
    var found: (role: Role, page: ControlPage, path: String, descriptor: Int32)?
    do throws(PlatformError) {
      found = try Self.takePlace(own, lock, folder, terms, makePage)
    } catch {
      close(lock)
      throw error
    }
    guard let found else {
      close(lock)
      throw PlatformError(
        .system, path: control, reason: "the run in control neither answers nor ends",
        nextStep: "end that run, or add --private")
    }
    self.folder = folder
    self.lock = lock
    page = found.page
    pagePath = found.path
    pageDescriptor = found.descriptor
    role = found.role
    let note = ControlNote(process: own, path: found.path, terms: terms)
    self.note = note
    if role == .controller {
      Self.write(note.text, over: lock)
    } else {
      Self.write(note.text, to: "\(folder)/member-\(own)")
    }
  }

  deinit { leave() }

  /// Where runs of a user meet.
  ///
  /// - Parameters:
  ///   - user: The effective user.
  ///   - runtimeFolder: The value of XDG_RUNTIME_DIR; nil or empty where it is not set.
  /// - Returns: The folder's path; there may be none yet.
  public static func folder(ofUser user: UInt32, runtimeFolder: String?) -> String {
    if user == 0 { return "/run/arbiter" }
    if let runtimeFolder, runtimeFolder.hasPrefix("/") { return "\(runtimeFolder)/arbiter" }
    return "/tmp/arbiter-\(user)"
  }

  /// Takes control if the run that had it is gone.
  ///
  /// - Returns: Whether this run has just taken over.
  /// - Complexity: One system call.
  public func takeOver() -> Bool {
    guard case .guest = role, let note, flock(lock, LOCK_EX | LOCK_NB) == 0 else { return false }
    role = .controller
    Self.write(note.text, over: lock)
    _ = unsafe unlink("\(folder)/member-\(note.process)")
    return true
  }

  /// Gives the place back; whoever has joined takes over.
  ///
  /// In control, settings must no longer be published. May be called more than once.
  public func leave() {
    guard let note, lock >= 0 else { return }
    if role == .controller { ftruncate(lock, 0) }
    _ = unsafe unlink("\(folder)/member-\(note.process)")
    close(lock)
    lock = -1
    if pageDescriptor >= 0 { close(pageDescriptor) }
    pageDescriptor = -1
  }

  // MARK: Finding a place

  /// Tries that a run in its last moments gets, each 10 ms.
  private static let tryCount = 50

  private static func takePlace(
    _ own: Int32, _ lock: Int32, _ folder: String, _ terms: ControlTerms,
    _ makePage: () throws(PlatformError) -> ControlPage
  ) throws(PlatformError) -> (role: Role, page: ControlPage, path: String, descriptor: Int32)? {
    let wanted = ControlNote(process: own, path: "", terms: terms)
    for _ in 0..<tryCount {
      if flock(lock, LOCK_EX | LOCK_NB) == 0 {
        for member in members(of: folder) where member.difference(from: wanted) == nil {
          if let (page, path, descriptor) = adopt(member.path, own) {
            return (.controller, page, path, descriptor)
          }
        }
        let page = try makePage()
        return (.controller, page, page.path ?? "", -1)
      }
      if let note = ControlNote(contents(of: lock)) {
        if let (mine, theirs) = wanted.difference(from: note) {
          throw PlatformError(
            .invalidArgument,
            reason: "another run (process \(note.process), \(note.terms.first ?? "")) is in control"
              + " with \(theirs), not \(mine)",
            nextStep: "use its settings, or add --private for a controller of its own")
        }
        if let (page, path, descriptor) = adopt(note.path, own) {
          return (.guest(of: note.process), page, path, descriptor)
        }
      }
      usleep(10_000)
    }
    return nil
  }

  /// Opens a page with a descriptor of this process, so that it can be opened by others when the
  /// process that has made it is gone.
  private static func adopt(
    _ path: String, _ own: Int32
  ) -> (page: ControlPage, path: String, descriptor: Int32)? {
    // Behind an old note may be another process by now, and what it has open there may be anything.
    let descriptor = unsafe open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { return nil }
    let ownPath = "/proc/\(own)/fd/\(descriptor)"
    guard let page = try? ControlPage(opening: ownPath) else {
      close(descriptor)
      return nil
    }
    return (page, ownPath, descriptor)
  }

  /// The notes of runs that live; those of others are removed.
  private static func members(of folder: String) -> [ControlNote] {
    let names = SystemTree(root: folder).entries("").filter { $0.hasPrefix("member-") }
    return names.compactMap { name in
      let path = "\(folder)/\(name)"
      let note = SystemTree().text(path).flatMap { ControlNote($0) }
      guard let note, unsafe access(note.path, F_OK) == 0 else {
        _ = unsafe unlink(path)
        return nil
      }
      return note
    }
  }

  // MARK: Files

  /// Makes the runtime folder, or checks that it is this user's alone.
  ///
  /// - Throws: ``PlatformError`` where it is not, or cannot be made.
  public static func prepare(_ folder: String) throws(PlatformError) {
    if unsafe mkdir(folder, 0o700) != 0 && errno != EEXIST {
      throw PlatformError(
        errorNumber: errno, path: folder, action: "make the runtime folder",
        nextStep: "set ARBITER_RUNTIME_DIR to a folder of yours, or add --private")
    }
    var facts = stat()
    // SAFETY: `facts` outlives the call.
    guard unsafe lstat(folder, &facts) == 0 else {
      throw PlatformError(errorNumber: errno, path: folder, action: "look at the runtime folder")
    }
    guard facts.st_mode & S_IFMT == S_IFDIR, facts.st_uid == geteuid(), facts.st_mode & 0o077 == 0
    else {
      throw PlatformError(
        .noPermission, path: folder,
        reason: "the runtime folder must be a folder of this user's that nobody else may enter",
        nextStep: "remove it or run chmod 700 on it")
    }
  }

  private static func contents(of descriptor: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: 4096)
    // SAFETY: the kernel writes at most the capacity that it is told.
    let count = unsafe bytes.withUnsafeMutableBytes { room in
      unsafe pread(descriptor, room.baseAddress, room.count, 0)
    }
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }

  /// Replaces the contents of an open file; a reader in between finds a note that is not whole.
  private static func write(_ text: String, over descriptor: Int32) {
    ftruncate(descriptor, 0)
    let bytes = Array(text.utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, $0.count, 0) }
  }

  private static func write(_ text: String, to path: String) {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { return }
    write(text, over: descriptor)
    close(descriptor)
  }
}
