// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CommandSpec
internal import Glibc

/// A numeric address and a port at which a server listens: `127.0.0.1:9890`, `[::1]:9890`.
struct ListenAddress: OptionValue, Equatable {
  static var placeholder: String { "<ADDRESS:PORT>" }

  /// The address, without brackets.
  let host: String
  /// The port; 0 for any that is free.
  let port: UInt16

  init(argument: String) throws(UsageError) {
    guard let colon = argument.lastIndex(of: ":"), !argument.hasSuffix("]") else {
      throw UsageError("'\(argument)' has no port", hint: "write 127.0.0.1:9890 or [::1]:9890")
    }
    let portText = argument[argument.index(after: colon)...]
    guard portText.utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(portText) else {
      throw UsageError(
        "'\(portText)' is not a port", hint: "write a whole number from 0 (any) to 65535")
    }
    var host = argument[..<colon]
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    if isBracketed { host = host.dropFirst().dropLast() }
    guard isBracketed || !host.contains(":") else {
      throw UsageError(
        "'\(argument)' does not show where the address ends", hint: "write [\(host)]:\(portText)")
    }
    guard Self.isNumeric(String(host), isSix: isBracketed) else {
      throw UsageError(
        host.isEmpty ? "'\(argument)' names no address" : "'\(host)' is not a numeric address",
        hint: "write 127.0.0.1:\(portText) or [::1]:\(portText) for this machine alone")
    }
    self.host = String(host)
    self.port = port
  }

  private static func isNumeric(_ text: String, isSix: Bool) -> Bool {
    // The part after % names an interface, for addresses that only mean something on one.
    let address = isSix ? String(text.prefix { $0 != "%" }) : text
    var bytes = in6_addr()
    // SAFETY: an address of version 6 has room for either.
    return unsafe inet_pton(isSix ? AF_INET6 : AF_INET, address, &bytes) == 1
  }

  var argumentText: String { text(port: port) }

  /// The address with a port, as in a URL.
  func text(port: UInt16) -> String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// Whether only programs of this machine can reach it.
  var isLoopback: Bool {
    var bytes = in6_addr()
    // SAFETY: an address of version 6 has room for either.
    if unsafe inet_pton(AF_INET, host, &bytes) == 1 { return host.hasPrefix("127.") }
    guard unsafe inet_pton(AF_INET6, host, &bytes) == 1 else { return false }
    return unsafe withUnsafeBytes(of: &bytes) { bytes in
      let isOne = unsafe bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1
      // 127.0.0.0/8 in its form of version 6.
      let isMapped = unsafe bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 255
      return unsafe isOne || isMapped && bytes[11] == 255 && bytes[12] == 127
    }
  }
}
