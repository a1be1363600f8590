// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

public import ArbiterPlatform
public import CArbiterDecode
public import CArbiterSampling

/// Finds the accesses to memory for which samples of threads stand.
///
/// Reads the code of the sampled processes, decodes what lies at and around a sample and remembers
/// it in tables of fixed size: a sample at a place that was seen before costs some tens of
/// nanoseconds and allocates nothing. For one thread at a time.
///
/// A sample with an address from the processor or the kernel keeps it; the instruction gives width
/// and kind. For other samples the order is: the sampled instruction where it stores; an
/// instruction shortly before whose address registers still hold, because a clock's sample lands
/// behind the store that stalls; the next store in a straight line; a load.
@safe
public final class AccessResolver {
  /// What works with a reduced view on this machine, as a sentence that names the remedy; nil where
  /// nothing is missing.
  public let note: String?

  private let decoder: OpaquePointer
  private let resolver: OpaquePointer

  /// Loads the libraries that decode.
  ///
  /// - Parameter libraries: Their names; by default those of Debian's packages.
  /// - Throws: ``PlatformError`` of code `unsupported` without Zydis.
  public init(libraries: DecodingLibraries = DecodingLibraries()) throws(PlatformError) {
    guard let made = unsafe libraries.load() else {
      throw PlatformError(
        .unsupported, path: libraries.zydis,
        reason: "the library that decodes instructions cannot be loaded",
        nextStep: "install Debian's package libzydis4.0")
    }
    guard let tables = unsafe arb_resolver_make(made) else {
      unsafe arb_decoder_free(made)
      throw PlatformError(
        .resourceLimit, reason: "there is no memory for the tables of decoded code",
        nextStep: "raise the limit of memory (ulimit -v)")
    }
    unsafe decoder = made
    unsafe resolver = tables
    note =
      unsafe arb_decoder_knows_starts(made) != 0
      ? nil
      : "starts of functions are not known without libdw.so.1, so that fewer samples resolve;"
        + " install Debian's package libdw1"
  }

  deinit {
    // SAFETY: both were made by the initializer and are given back once, the user of the other
    // first.
    unsafe arb_resolver_free(resolver)
    unsafe arb_decoder_free(decoder)
  }

  /// Hands over the accesses for which a sample stands: one, or for a copy the store and the load.
  ///
  /// - Parameters:
  ///   - sample: The sample, with an address or with registers.
  ///   - threadBase: The FS base of the thread, where it is known: without it, operands relative to
  ///     it do not resolve.
  ///   - body: Receives each access.
  /// - Returns: Whether there was one; else ``counts`` says why not.
  @discardableResult
  public func resolve(
    _ sample: ArbSample, threadBase: UInt64 = 0, into body: (ArbAccess) -> Void
  ) -> Bool {
    var sample = sample
    var accesses = (ArbAccess(), ArbAccess())
    var reason: UInt32 = 0
    // SAFETY: the pair lies in memory like an array of ARB_ACCESS_MAX accesses.
    let count = unsafe withUnsafeMutableBytes(of: &accesses) { bytes in
      unsafe arb_resolve(
        resolver, &sample, threadBase, bytes.assumingMemoryBound(to: ArbAccess.self).baseAddress,
        &reason)
    }
    if count > 0 { body(accesses.0) }
    if count > 1 { body(accesses.1) }
    return count > 0
  }

  /// Forgets the code of a process: it ended, or mapped, unmapped or executed something.
  public func forget(process: Int32) {
    unsafe arb_resolver_forget(resolver, process)
  }

  /// What became of the samples so far.
  public var counts: DecodingCounts {
    var counts = ArbResolverCounts()
    unsafe arb_resolver_counts(resolver, &counts)
    return DecodingCounts(counts)
  }
}
