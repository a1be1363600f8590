// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import CArbiterDecode

/// The libraries that decode code, as the dynamic linker knows them.
public struct DecodingLibraries: Sendable, Hashable {
  /// Zydis, which decodes instructions: required.
  public var zydis: String
  /// libdw of elfutils, which knows where functions begin; nil goes without.
  public var libdw: String?

  /// Names the libraries; by default those of Debian's packages.
  public init(zydis: String = "libZydis.so.4.0", libdw: String? = "libdw.so.1") {
    self.zydis = zydis
    self.libdw = libdw
  }

  /// A decoder that uses them; nil without Zydis.
  func load() -> OpaquePointer? {
    // SAFETY: the names are used within the call alone.
    unsafe zydis.withCString { zydis in
      guard let libdw else {
        var names = unsafe ArbDecodeNames(zydis: zydis, libdw: nil)
        return unsafe arb_decoder_make(&names)
      }
      return unsafe libdw.withCString { libdw in
        var names = unsafe ArbDecodeNames(zydis: zydis, libdw: libdw)
        return unsafe arb_decoder_make(&names)
      }
    }
  }
}
