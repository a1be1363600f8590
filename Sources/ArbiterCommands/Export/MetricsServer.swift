// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterReport
internal import CArbiterHTTP
internal import Glibc

/// Serves the last page over HTTP, on a thread of its own.
@safe
final class MetricsServer {
  /// The library that speaks HTTP, as the dynamic linker knows it (server.c loads it).
  static let library = "libmicrohttpd.so.12"

  /// What clients may use at most.
  private static let connectionMax: UInt32 = 32
  private static let deadlineMilliseconds: UInt32 = 10_000
  private static let requestBytesMax: UInt32 = 16_384

  // SAFETY: a server that runs from init to deinit and is stopped there.
  private let server: OpaquePointer
  private let board: MetricsBoard

  /// The port on which it listens.
  let port: UInt16

  /// Starts serving what stands on a board.
  init(at address: ListenAddress, _ board: MetricsBoard) throws(PlatformError) {
    self.board = board
    var limits = ArbHTTPLimits(
      connection_count: Self.connectionMax, deadline_milliseconds: Self.deadlineMilliseconds,
      request_bytes: Self.requestBytesMax)
    var started: OpaquePointer?
    let context = unsafe Unmanaged.passUnretained(board).toOpaque()
    // SAFETY: the board outlives the server, as this object holds both and its end stops the
    // server first; what the handler is given is valid while it runs.
    let result = unsafe arb_http_start(
      address.host, address.port, &limits,
      { context, request, reply in
        guard let context = unsafe context else { return }
        let board = unsafe Unmanaged<MetricsBoard>.fromOpaque(context).takeUnretainedValue()
        let answer = unsafe HTTPAnswer(
          path: String(cString: request.pointee.path),
          accept: request.pointee.accept.map { unsafe String(cString: $0) }, from: board)
        var body = answer.body
        body.withUTF8 { bytes in
          // An empty text may have no address.
          guard let base = bytes.baseAddress else { return }
          unsafe arb_http_answer(reply, answer.status, answer.contentType, base, bytes.count)
        }
      }, context, &started)
    guard result == 0, let server = unsafe started else {
      throw Self.error(result, at: address)
    }
    unsafe self.server = server
    port = unsafe arb_http_port(server)
  }

  deinit {
    unsafe arb_http_stop(server)
  }

  private static func nextStep(_ number: Int32, _ address: ListenAddress) -> String {
    switch number {
    case EACCES, EPERM: "choose a port from 1024 on; lower ones are for root"
    case EADDRINUSE: "choose another port, or port 0 for any that is free"
    default: "choose an address of this machine, such as 127.0.0.1 or [::1]"
    }
  }

  private static func error(_ result: Int64, at address: ListenAddress) -> PlatformError {
    let place = address.text(port: address.port)
    if result < 0 {
      let number = Int32(truncatingIfNeeded: -result)
      return PlatformError(
        errorNumber: number, path: nil, action: "listen on \(place)",
        nextStep: nextStep(number, address))
    }
    switch Int(result) {
    case ARB_HTTP_NO_LIBRARY:
      return PlatformError(
        .unsupported, reason: "cannot serve metrics: \(library) is not there",
        nextStep: "install it: apt-get install libmicrohttpd12, or write a file with --textfile")
    case ARB_HTTP_NO_FUNCTION:
      return PlatformError(
        .unsupported, reason: "cannot serve metrics: \(library) lacks a function that is needed",
        nextStep: "install Debian's libmicrohttpd12, or write a file with --textfile")
    case ARB_HTTP_BAD_ADDRESS:
      return PlatformError(
        .invalidArgument, reason: "'\(address.host)' is not an address of this machine's networks",
        nextStep: "choose another address")
    default:
      return PlatformError(
        .resourceLimit, reason: "cannot serve metrics on \(place): \(library) does not start",
        nextStep: "raise the limits on threads and open files (ulimit)")
    }
  }
}

/// What is answered to one request.
package struct HTTPAnswer: Sendable, Hashable {
  /// The status.
  package var status: UInt32
  /// The media type of the body.
  package var contentType: String
  /// The body; never empty.
  package var body: String

  /// Answers a GET or a HEAD.
  package init(path: String, accept: String?, from board: MetricsBoard) {
    switch path {
    case "/metrics":
      let form = MetricForm.negotiated(accept)
      self.init(
        status: 200, contentType: form.contentType,
        body: board.last.text(form, nowNanoseconds: SystemClock.monotonicRawNanoseconds()))
    case "/": self.init(status: 200, contentType: "text/html; charset=utf-8", body: Self.home)
    default:
      self.init(
        status: 404, contentType: "text/plain; charset=utf-8",
        body: "There is nothing here. Metrics are at /metrics.\n")
    }
  }

  private init(status: UInt32, contentType: String, body: String) {
    self.status = status
    self.contentType = contentType
    self.body = body
  }

  private static let home = """
    <!DOCTYPE html>
    <html lang="en">
    <head><title>Arbiter</title></head>
    <body>
    <h1>Arbiter \(Version.text)</h1>
    <p>Who uses the slow memory of this machine, and at what cost:
    <a href="/metrics">metrics</a> for Prometheus.</p>
    </body>
    </html>

    """
}
