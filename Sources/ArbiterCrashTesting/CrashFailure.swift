// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPersistence

/// A state that a loss of power can leave and that fails the check.
///
/// Of the first crash point at which any state fails, the one that lacks the fewest stores.
public struct CrashFailure: Error, Sendable {
  /// What the state looks like; a suggestion.
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    /// A store was never written back before a fence.
    case missingFlush = "missing flush"
    /// A store was written back, or went past the cache, and no fence waited for it.
    case missingFence = "missing fence"
    /// The state fails although everything stored so far has survived.
    case wrongOrder = "wrong order"
    /// A store of more than 8 bytes was taken for one that arrives whole.
    case tornStore = "torn store"
  }

  /// Stores of one operation to one line.
  public struct LineLoss: Sendable {
    /// The number of the cache line: its offset by 64.
    public var line: Int
    /// The words concerned, from the first to the last.
    public var bytes: Range<Int>
    /// The operation that stored them.
    public var operation: String
    /// From where it was called.
    public var site: CallSite
  }

  /// What the state looks like.
  public var kind: Kind
  /// What the check said.
  public var reason: String
  /// What survives by itself in the model.
  public var domain: PersistenceDomain
  /// The seed of the exploration.
  public var seed: UInt64
  /// The last operation before the crash.
  public var operation: String
  /// From where it was called.
  public var site: CallSite
  /// Operations before the crash, that one included.
  public var operationCount: Int
  /// Fences among them.
  public var fenceCount: Int
  /// What was stored and is not there.
  public var lost: [LineLoss]
  /// What is there although nothing had promised it.
  public var survived: [LineLoss]
  /// What the run had acknowledged.
  public var acknowledged: Int
  /// States checked until then.
  public var stateCount: Int
  /// The image.
  public var image: [UInt8]
}

extension CrashFailure: CustomStringConvertible {
  /// The report, in several lines.
  public var description: String {
    var text = "a crash can leave a state that fails the check: \(reason)\n"
    text += "  looks like    \(kind.rawValue): \(kind.advice)\n"
    text += "  crash         after operation \(operationCount): \(operation)\(at(site))\n"
    text += "  fences        \(fenceCount) before the crash\n"
    text += list("lost", lost)
    text += list("there early", survived)
    if acknowledged != 0 { text += "  acknowledged  \(acknowledged)\n" }
    text += "  found         in state \(stateCount), domain \(domain.rawValue), seed \(seed)"
    return text
  }

  private func at(_ site: CallSite) -> String { site.location.map { " (\($0))" } ?? "" }

  /// Some of the entries: a state of many lines would bury the rest.
  private func list(_ title: String, _ losses: [LineLoss]) -> String {
    let shown = 8
    let padded = title + String(repeating: " ", count: 14 - title.count)
    if losses.isEmpty { return "  \(padded)nothing\n" }
    var text = ""
    for (index, loss) in losses.prefix(shown).enumerated() {
      text += "  " + (index == 0 ? padded : String(repeating: " ", count: 14))
      text += "line \(loss.line), bytes \(loss.bytes.lowerBound)..<\(loss.bytes.upperBound): "
      text += "\(loss.operation)"
      // Each costs a look into the debug information.
      text += (index == 0 ? at(loss.site) : "") + "\n"
    }
    if losses.count > shown { text += "                and \(losses.count - shown) more\n" }
    return text
  }
}

extension CrashFailure.Kind {
  /// What to do about it.
  var advice: String {
    switch self {
    case .missingFlush: "write the lost line back and fence before what relies on it"
    case .missingFence: "fence between the lost store and what relies on it"
    case .wrongOrder: "make what is referred to durable before the reference"
    case .tornStore: "publish by a single 8-byte store"
    }
  }
}
