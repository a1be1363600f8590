// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
internal import ArbiterRuntime
internal import Glibc

// Sessions of a user leave their notes in the folder where runs meet (`ControlSeat`), one file
// `tier-PID` each, replaced by a rename. Whoever watches reads and writes nothing; a note whose
// process is gone counts for nothing, and the next session takes it away.

/// The note of one session, kept up to date.
public final class TierNoteFile {
  private let path: String
  private let partial: String

  private static let prefix = "tier-"

  /// Chooses the place of this process's note and takes away those of sessions that are gone.
  ///
  /// - Parameter folder: The runtime folder; made where there is none.
  /// - Throws: ``PlatformError`` where the folder is not this user's alone.
  public init(in folder: String) throws(PlatformError) {
    try ControlSeat.prepare(folder)
    path = "\(folder)/\(Self.prefix)\(getpid())"
    partial = "\(folder)/.\(Self.prefix)\(getpid())"
    for name in Self.names(in: folder) {
      let process = Int32(name.dropFirst(Self.prefix.count)) ?? 0
      if ProcessStatus.read(ofProcess: process)?.hasEnded ?? true {
        _ = unsafe unlink("\(folder)/\(name)")
      }
    }
  }

  deinit { remove() }

  /// Replaces the note; where that fails, what was there before stays.
  public func write(_ note: TierNote) {
    let descriptor = unsafe open(
      partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { return }
    let bytes = Array(note.text.utf8)
    // SAFETY: the buffer is valid for the call and its length is its own count.
    let written = unsafe bytes.withUnsafeBytes {
      unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
    }
    close(descriptor)
    if written == bytes.count, unsafe rename(partial, path) == 0 { return }
    _ = unsafe unlink(partial)
  }

  /// Takes the note away.
  public func remove() {
    _ = unsafe unlink(path)
  }

  fileprivate static func names(in folder: String) -> [String] {
    SystemTree(root: folder).entries("").filter { name in
      name.hasPrefix(prefix) && Int32(name.dropFirst(prefix.count)) != nil
    }
  }
}

extension TierNote {
  /// The notes of a folder whose sessions live, by process.
  ///
  /// - Parameters:
  ///   - folder: The runtime folder; there may be none.
  ///   - tree: Where processes are looked up.
  /// - Returns: The notes; none where there is no such folder.
  public static func read(in folder: String, from tree: SystemTree = SystemTree()) -> [TierNote] {
    let files = SystemTree(root: folder)
    return TierNoteFile.names(in: folder).compactMap { name in
      guard let note = files.text("/\(name)").flatMap({ TierNote(text: $0) }),
        let status = ProcessStatus.read(ofProcess: note.process, from: tree), !status.hasEnded,
        status.startTicks == note.startTicks
      else { return nil }
      return note
    }.sorted { $0.process < $1.process }
  }
}
