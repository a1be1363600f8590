/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A small HTTP server for answers that are ready in memory: GET and HEAD, one request for each
 * connection. The protocol is libmicrohttpd's, which is loaded when a server starts. One thread of
 * that library serves all clients; no client, however slow, broken or hostile, reaches any other
 * thread, and none that is past its deadline or its turn keeps another one out.
 */
#ifndef CARBITERHTTP_H
#define CARBITERHTTP_H

#include <stddef.h>
#include <stdint.h>

/* Why no server was started; a negative number is an errno. */
enum {
  ARB_HTTP_STARTED = 0,
  ARB_HTTP_NO_LIBRARY,  /* libmicrohttpd.so.12 is not there */
  ARB_HTTP_NO_FUNCTION, /* it lacks a function that is needed */
  ARB_HTTP_BAD_ADDRESS, /* no numeric address */
  ARB_HTTP_REFUSED,     /* the library did not start, and does not say why */
};

/* What clients may use at most. */
typedef struct {
  /* Connections kept open. When one more comes, the oldest is closed: whoever holds connections
   * open without asking anything loses them first. At least 1. */
  uint32_t connection_count;
  /* Milliseconds after which an idle connection ends, and after which one that does something is
   * shut when the next one comes. */
  uint32_t deadline_milliseconds;
  /* Bytes kept for the request of each connection. */
  uint32_t request_bytes;
} ArbHTTPLimits;

/* What a client asks for: zero-terminated texts that are valid during the handler's call. */
typedef struct {
  const char *_Nonnull path;
  /* Which forms it accepts, as it says; null where it does not say. */
  const char *_Nullable accept;
} ArbHTTPRequest;

/* Where the handler puts its answer. */
typedef struct ArbHTTPReply ArbHTTPReply;

/* Answers one GET or HEAD; called on the server's thread alone. Without an answer the client is
 * told of an internal error. */
typedef void (*ArbHTTPHandler)(
    void *_Nullable context, const ArbHTTPRequest *_Nonnull request,
    ArbHTTPReply *_Nonnull reply);

/* A running server. */
typedef struct ArbHTTPServer ArbHTTPServer;

/* Starts a server at a numeric address; port 0 takes any that is free. Signals that the calling
 * thread blocks stay blocked in the server's thread. */
int64_t arb_http_start(
    const char *_Nonnull address, uint16_t port, const ArbHTTPLimits *_Nonnull limits,
    ArbHTTPHandler _Nonnull handler, void *_Nullable context,
    ArbHTTPServer *_Nullable *_Nonnull server);

/* The port on which it listens. */
uint16_t arb_http_port(const ArbHTTPServer *_Nonnull server);

/* Ends the server's thread and all connections; the handler is not called afterwards. */
void arb_http_stop(ArbHTTPServer *_Nonnull server);

/* Gives an answer; the body is copied. A later answer replaces an earlier one. */
void arb_http_answer(
    ArbHTTPReply *_Nonnull reply, unsigned status, const char *_Nonnull content_type,
    const void *_Nonnull body, size_t byte_count);

#endif
