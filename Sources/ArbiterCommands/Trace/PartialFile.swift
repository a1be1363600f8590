// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import Glibc
internal import Synchronization

/// Address of the name of the unfinished file, as a C string that is never freed; 0 for none.
private let partialName = Atomic<UInt>(0)

/// The unfinished file that a signal which ends the process takes with it.
enum PartialFile {
  private static let signals = [SIGINT, SIGTERM, SIGHUP]

  /// Removes the file should a signal end the process from now on.
  static func clean(_ path: String) {
    // The copy stays for ever, because a handler may be reading it at any time.
    guard let copy = unsafe strdup(path) else { return }
    // Releases the text to the handler.
    partialName.store(UInt(bitPattern: copy), ordering: .releasing)
    // Whoever had a signal ignored (nohup) wants to go on.
    for number in signals where !SignalInbox.isIgnored(number) {
      _ = signal(number) { number in
        // Acquires the text. The handler calls only what signals allow.
        let address = partialName.load(ordering: .acquiring)
        // SAFETY: the address is 0 or that of a text which is never freed.
        if let name = unsafe UnsafePointer<CChar>(bitPattern: address) { _ = unsafe unlink(name) }
        _ = signal(number, SIG_DFL)
        _ = raise(number)
      }
    }
  }

  /// The file is whole, or gone.
  static func keep() { partialName.store(0, ordering: .relaxed) }
}
