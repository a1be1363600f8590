// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// Which memory a measurement belongs to, so that it is found again after a reboot.
public struct RegionIdentity: Sendable, Hashable, CustomStringConvertible {
  /// What the memory is.
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    /// An interleave set of persistent memory.
    case interleaveSet = "interleave-set"
    /// A dax device that belongs to no interleave set, such as CXL memory.
    case device
    /// A file system.
    case fileSystem = "file-system"
    /// A modelled device.
    case profile
  }

  /// What the memory is.
  public var kind: Kind
  /// What people call it: region0, dax1.0, `ext4 without DAX on 8:1`, or the name of a profile.
  public var name: String
  /// What stays when names change: the set's cookie in hexadecimal digits, or the file system's
  /// UUID; nil where there is neither.
  public var identifier: String?
  /// Modules; nil where unknown.
  public var moduleCount: Int?

  /// Makes an identity.
  public init(kind: Kind, name: String, identifier: String? = nil, moduleCount: Int? = nil) {
    self.kind = kind
    self.name = name
    self.identifier = identifier
    self.moduleCount = moduleCount
  }

  /// A modelled device.
  public static func profile(_ name: String) -> RegionIdentity {
    RegionIdentity(kind: .profile, name: name)
  }

  /// Whether both are the same memory with the same modules.
  ///
  /// Identifiers decide where both have one, else names do. What either does not know of its
  /// modules does not tell them apart.
  public func matches(_ other: RegionIdentity) -> Bool {
    guard kind == other.kind else { return false }
    if let mine = moduleCount, let theirs = other.moduleCount, mine != theirs { return false }
    if let mine = identifier, let theirs = other.identifier { return mine == theirs }
    return name == other.name
  }

  /// The name.
  public var description: String { name }
}

/// Which machine a measurement was made on, as far as it matters for what was measured.
public struct MachineIdentity: Sendable, Hashable {
  /// A number of the installation that is the same after a reboot, in hexadecimal digits; nil
  /// where there is none.
  public var identifier: String?
  /// The vendor's name of the processor.
  public var processor: String
  /// Logical processors that are online.
  public var processorCount: Int

  /// Makes an identity.
  public init(identifier: String?, processor: String, processorCount: Int) {
    self.identifier = identifier
    self.processor = processor
    self.processorCount = processorCount
  }

  /// Whether both are one machine, with the same processors.
  ///
  /// A virtual machine that was given more processors, or has moved to a host with others, is
  /// another one: its curves are.
  public func matches(_ other: MachineIdentity) -> Bool {
    if let mine = identifier, let theirs = other.identifier, mine != theirs { return false }
    return processor == other.processor && processorCount == other.processorCount
  }
}
