// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A failure of the machine: what was tried, on what, why it failed and what to do next.
public struct PlatformError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The kind of a failure; an open set.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    /// The spelling of the kind in documents and tests.
    public let name: String

    /// Makes a kind from its spelling.
    public init(name: String) {
      self.name = name
    }

    /// The spelling.
    public var description: String { name }

    /// The file system or the quota holds no room for the file.
    public static let noSpace = Code(name: "no-space")
    /// The user may not do this.
    public static let noPermission = Code(name: "no-permission")
    /// There is no such file or directory.
    public static let notFound = Code(name: "not-found")
    /// The file exists and is smaller than asked for.
    public static let tooSmall = Code(name: "too-small")
    /// The value does not make sense.
    public static let invalidArgument = Code(name: "invalid-argument")
    /// This machine or file system cannot do it.
    public static let unsupported = Code(name: "unsupported")
    /// The system refused another thread, descriptor or mapping.
    public static let resourceLimit = Code(name: "resource-limit")
    /// The medium has lost what it held there, or cannot be reached.
    public static let mediaError = Code(name: "media-error")
    /// The file has become shorter than what was mapped of it.
    public static let truncated = Code(name: "truncated")
    /// Anything else that the system reported.
    public static let system = Code(name: "system")
  }

  /// The kind of failure.
  public let code: Code
  /// What the system reported; nil where the refusal is Arbiter's own.
  public let errorNumber: Int32?
  /// The file, directory or device concerned.
  public let path: String?
  /// What failed, as a clause without a final full stop.
  public let reason: String
  /// What to do next, as a clause without a final full stop.
  public let nextStep: String

  /// Makes a refusal of Arbiter's own.
  public init(_ code: Code, path: String? = nil, reason: String, nextStep: String) {
    self.code = code
    errorNumber = nil
    self.path = path
    self.reason = reason
    self.nextStep = nextStep
  }

  /// Makes a failure that the system reported.
  ///
  /// - Parameters:
  ///   - errorNumber: The positive errno.
  ///   - path: The file, directory or device concerned.
  ///   - action: What was tried, as in "extend the file to 16MiB".
  ///   - nextStep: What to do; by default the advice that fits the errno.
  public init(errorNumber: Int32, path: String?, action: String, nextStep: String? = nil) {
    code = Self.code(of: errorNumber)
    self.errorNumber = errorNumber
    self.path = path
    reason = "cannot \(action): \(Self.text(of: errorNumber))"
    self.nextStep = nextStep ?? Self.advice(for: code)
  }

  /// One sentence: the object, the reason and the next step.
  public var description: String {
    let object = path.map { "'\($0)': " } ?? ""
    return "\(object)\(reason); \(nextStep)"
  }

  static func text(of errorNumber: Int32) -> String {
    // SAFETY: strerror's text is copied before any other call can reuse its buffer.
    unsafe strerror(errorNumber).map { unsafe String(cString: $0) } ?? "error \(errorNumber)"
  }

  private static func code(of errorNumber: Int32) -> Code {
    switch errorNumber {
    case ENOSPC, EDQUOT, EFBIG: .noSpace
    case EACCES, EPERM, EROFS: .noPermission
    case ENOENT, ENOTDIR, ENXIO, ENODEV: .notFound
    case EOPNOTSUPP, ENOSYS: .unsupported
    case EINVAL, EISDIR, ENAMETOOLONG: .invalidArgument
    case EMFILE, ENFILE, EAGAIN, ENOMEM: .resourceLimit
    case EIO, EHWPOISON: .mediaError
    default: .system
    }
  }

  private static func advice(for code: Code) -> String {
    switch code {
    case .noSpace: "free space on the file system or ask for a smaller size"
    case .noPermission: "choose a writable path or change its owner or mode"
    case .notFound: "check the path"
    case .unsupported: "use another file system or option"
    case .invalidArgument: "check the value"
    case .mediaError: "restore the data from a copy and look for bad blocks with 'arbiter doctor'"
    case .truncated: "give the file its size again, restore its content and map it anew"
    case .resourceLimit: "raise the limit (ulimit) or use fewer threads"
    default: "see the system log"
    }
  }
}
