// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import CArbiterLibrary

extension PlatformError {
  /// The kind of failure in the words of arbiter.h.
  var libraryCode: Int32 {
    let codes: [(Code, Int)] = [
      (.noSpace, ARBITER_NO_SPACE), (.noPermission, ARBITER_NO_PERMISSION),
      (.notFound, ARBITER_NOT_FOUND), (.tooSmall, ARBITER_TOO_SMALL),
      (.invalidArgument, ARBITER_INVALID_ARGUMENT), (.unsupported, ARBITER_UNSUPPORTED),
      (.resourceLimit, ARBITER_RESOURCE_LIMIT), (.mediaError, ARBITER_MEDIA_ERROR),
      (.truncated, ARBITER_TRUNCATED),
    ]
    return Int32(codes.first { $0.0 == code }?.1 ?? ARBITER_SYSTEM)
  }

  /// Tells the caller, where the caller wants to know; answers with the code.
  @discardableResult
  func report(to error: UnsafeMutablePointer<arbiter_error>?) -> Int32 {
    guard let error = unsafe error else { return libraryCode }
    unsafe error.pointee.code = libraryCode
    unsafe error.pointee.error_number = errorNumber ?? 0
    unsafe withUnsafeMutableBytes(of: &error.pointee.message) { room in
      let text = description.utf8.prefix(room.count - 1)
      unsafe room.initializeMemory(as: UInt8.self, repeating: 0)
      unsafe room.copyBytes(from: text)
    }
    return libraryCode
  }
}

/// Says that there was no failure, where the caller wants to know.
func reportSuccess(to error: UnsafeMutablePointer<arbiter_error>?) {
  guard let error = unsafe error else { return }
  unsafe error.pointee.code = Int32(ARBITER_OK)
  unsafe error.pointee.error_number = 0
  unsafe error.pointee.message.0 = 0
}

/// Runs the body; reports what it throws and answers with nil then.
func reporting<Value>(
  to error: UnsafeMutablePointer<arbiter_error>?,
  _ body: () throws(PlatformError) -> Value
) -> Value? {
  do throws(PlatformError) {
    let value = try body()
    unsafe reportSuccess(to: error)
    return value
  } catch let failure {
    unsafe failure.report(to: error)
    return nil
  }
}
