/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * H1  All callbacks of libmicrohttpd run on its one polling thread, so that the table of
 *     connections needs no lock.
 * H2  The library's own limit of connections, at which it stops listening, is never reached: the
 *     table's is lower, and beyond that the oldest connection is shut for each new one.
 * H3  A connection answers one request and ends. Its deadline therefore counts from its start, and
 *     sending a byte now and then does not move it, as it moves the library's time of idleness. It
 *     is looked at when a connection comes: one that is alone keeps nobody out.
 */
#define _GNU_SOURCE
#include "CArbiterHTTP.h"

#include <dlfcn.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ARB_LIBRARY "libmicrohttpd.so.12"

/* The functions of the library, typed by its header. */
typedef struct {
  void *library;
  __typeof__(&MHD_start_daemon) start;
  __typeof__(&MHD_stop_daemon) stop;
  __typeof__(&MHD_get_connection_info) connection_info;
  __typeof__(&MHD_lookup_connection_value) header;
  __typeof__(&MHD_create_response_from_buffer) make_response;
  __typeof__(&MHD_add_response_header) add_header;
  __typeof__(&MHD_queue_response) queue;
  __typeof__(&MHD_destroy_response) destroy;
} Library;

/* One open connection. */
typedef struct {
  int descriptor; /* -1 where the place is free */
  int is_shut;
  int64_t began_milliseconds;
} Connection;

struct ArbHTTPServer {
  Library mhd;
  struct MHD_Daemon *daemon;
  ArbHTTPHandler handler;
  void *context;
  ArbHTTPLimits limits;
  uint16_t port;
  uint32_t place_count;
  Connection places[];
};

struct ArbHTTPReply {
  const Library *mhd;
  struct MHD_Response *response;
  unsigned status;
};

/* Connections above our own limit that may exist until the library has noticed that they are shut:
 * it accepts ten at a time before it looks at any. */
enum { SLACK = 64 };

/* dlsym's object pointer as a function pointer, the way POSIX describes. */
#define ARB_FIND(mhd, field, name) (*(void **)(&(mhd)->field) = dlsym((mhd)->library, name))

static int load(Library *mhd) {
  mhd->library = dlopen(ARB_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (mhd->library == NULL) return ARB_HTTP_NO_LIBRARY;
  ARB_FIND(mhd, start, "MHD_start_daemon");
  ARB_FIND(mhd, stop, "MHD_stop_daemon");
  ARB_FIND(mhd, connection_info, "MHD_get_connection_info");
  ARB_FIND(mhd, header, "MHD_lookup_connection_value");
  ARB_FIND(mhd, make_response, "MHD_create_response_from_buffer");
  ARB_FIND(mhd, add_header, "MHD_add_response_header");
  ARB_FIND(mhd, queue, "MHD_queue_response");
  ARB_FIND(mhd, destroy, "MHD_destroy_response");
  if (!mhd->start || !mhd->stop || !mhd->connection_info || !mhd->header || !mhd->make_response ||
      !mhd->add_header || !mhd->queue || !mhd->destroy) {
    return ARB_HTTP_NO_FUNCTION;
  }
  return ARB_HTTP_STARTED;
}

static int64_t milliseconds_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* --- Connections ------------------------------------------------------------------------------ */

/* The library notices at its next look, and closes. */
static void shut(Connection *connection) {
  shutdown(connection->descriptor, SHUT_RDWR);
  connection->is_shut = 1;
}

/* Shuts what is past its deadline, and the oldest beyond the limit. */
static void make_room(ArbHTTPServer *server, int64_t now) {
  uint32_t open_count = 0;
  Connection *oldest = NULL;
  for (uint32_t index = 0; index < server->place_count; index++) {
    Connection *connection = &server->places[index];
    if (connection->descriptor < 0 || connection->is_shut) continue;
    if (now - connection->began_milliseconds > server->limits.deadline_milliseconds) {
      shut(connection);
      continue;
    }
    open_count++;
    if (!oldest || connection->began_milliseconds < oldest->began_milliseconds) {
      oldest = connection;
    }
  }
  if (oldest && open_count >= server->limits.connection_count) shut(oldest);
}

static void connection_changed(
    void *closure, struct MHD_Connection *connection, void **place,
    enum MHD_ConnectionNotificationCode change) {
  ArbHTTPServer *server = closure;
  if (change == MHD_CONNECTION_NOTIFY_CLOSED) {
    /* The descriptor is still open here and may be another's after this call. */
    if (*place) ((Connection *)*place)->descriptor = -1;
    *place = NULL;
    return;
  }
  int64_t now = milliseconds_now();
  make_room(server, now);
  const union MHD_ConnectionInfo *facts =
      server->mhd.connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  *place = NULL;
  if (!facts) return;
  for (uint32_t index = 0; index < server->place_count; index++) {
    Connection *free_place = &server->places[index];
    if (free_place->descriptor >= 0) continue;
    *free_place = (Connection){.descriptor = facts->connect_fd, .began_milliseconds = now};
    *place = free_place;
    return;
  }
}

/* --- Requests --------------------------------------------------------------------------------- */

void arb_http_answer(
    ArbHTTPReply *reply, unsigned status, const char *content_type, const void *body,
    size_t byte_count) {
  if (reply->response) reply->mhd->destroy(reply->response);
  reply->status = status;
  /* The library takes a plain pointer and, told to copy, leaves what it points to alone. */
  reply->response =
      reply->mhd->make_response(byte_count, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
  if (!reply->response) return;
  reply->mhd->add_header(reply->response, "Content-Type", content_type);
  /* One request for each connection (H3). */
  reply->mhd->add_header(reply->response, "Connection", "close");
  reply->mhd->add_header(reply->response, "Cache-Control", "no-store");
  reply->mhd->add_header(reply->response, "X-Content-Type-Options", "nosniff");
}

static void answer_text(ArbHTTPReply *reply, unsigned status, const char *text) {
  arb_http_answer(reply, status, "text/plain; charset=utf-8", text, strlen(text));
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, ArbHTTPReply *reply) {
  if (!reply->response) return MHD_NO; /* no memory: the connection is closed */
  enum MHD_Result queued = reply->mhd->queue(connection, reply->status, reply->response);
  reply->mhd->destroy(reply->response);
  return queued;
}

static enum MHD_Result request_arrived(
    void *closure, struct MHD_Connection *connection, const char *path, const char *method,
    const char *version, const char *upload, size_t *upload_byte_count, void **progress) {
  ArbHTTPServer *server = closure;
  ArbHTTPReply reply = {.mhd = &server->mhd};
  (void)version;
  (void)upload;
  if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
    /* An answer before the body has come ends the connection without reading it. */
    answer_text(&reply, MHD_HTTP_METHOD_NOT_ALLOWED, "Only GET and HEAD are answered.\n");
    if (reply.response) server->mhd.add_header(reply.response, "Allow", "GET, HEAD");
    return send_reply(connection, &reply);
  }
  if (!*progress) {
    *progress = server; /* the request's head is there; any mark but NULL says so */
    return MHD_YES;
  }
  if (*upload_byte_count > 0) {
    *upload_byte_count = 0; /* what a GET carries is read and dropped */
    return MHD_YES;
  }
  ArbHTTPRequest request = {
      .path = path, .accept = server->mhd.header(connection, MHD_HEADER_KIND, "Accept")};
  server->handler(server->context, &request, &reply);
  if (!reply.response) {
    answer_text(&reply, MHD_HTTP_INTERNAL_SERVER_ERROR, "There is no answer.\n");
  }
  return send_reply(connection, &reply);
}

/* --- Start and end ---------------------------------------------------------------------------- */

/* A socket that listens at a numeric address, or what hinders. */
static int64_t listen_at(const char *address, uint16_t port, int *descriptor) {
  struct addrinfo hints = {
      .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
      .ai_family = AF_UNSPEC,
      .ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;
  char service[8];
  snprintf(service, sizeof service, "%u", (unsigned)port);
  if (getaddrinfo(address, service, &hints, &found) != 0 || !found) return ARB_HTTP_BAD_ADDRESS;
  int64_t error = 0;
  int yes = 1;
  int made = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  /* A server that starts again does not wait for the connections of the one before. */
  if (made < 0 || setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      bind(made, found->ai_addr, found->ai_addrlen) != 0 || listen(made, SOMAXCONN) != 0) {
    error = -(int64_t)errno;
    if (made >= 0) close(made);
  }
  freeaddrinfo(found);
  *descriptor = made;
  return error;
}

static uint16_t port_of(int descriptor) {
  union {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
  } address;
  memset(&address, 0, sizeof address);
  socklen_t size = sizeof address;
  if (getsockname(descriptor, &address.any, &size) != 0) return 0;
  return ntohs(address.any.sa_family == AF_INET6 ? address.six.sin6_port : address.four.sin_port);
}

static struct MHD_Daemon *start_library(ArbHTTPServer *server, int listening) {
  unsigned idle_seconds = (server->limits.deadline_milliseconds + 999) / 1000;
  return server->mhd.start(
      MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, &request_arrived, server,
      MHD_OPTION_LISTEN_SOCKET, listening,
      MHD_OPTION_CONNECTION_LIMIT, (unsigned)server->place_count,
      MHD_OPTION_CONNECTION_TIMEOUT, idle_seconds,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)server->limits.request_bytes,
      MHD_OPTION_NOTIFY_CONNECTION, &connection_changed, server,
      MHD_OPTION_END);
}

int64_t arb_http_start(
    const char *address, uint16_t port, const ArbHTTPLimits *limits, ArbHTTPHandler handler,
    void *context, ArbHTTPServer **started) {
  uint32_t place_count = limits->connection_count + SLACK;
  ArbHTTPServer *server = calloc(1, sizeof *server + place_count * sizeof(Connection));
  if (!server) return -ENOMEM;
  server->handler = handler;
  server->context = context;
  server->limits = *limits;
  server->place_count = place_count;
  for (uint32_t index = 0; index < place_count; index++) server->places[index].descriptor = -1;
  int listening = -1;
  int64_t result = load(&server->mhd);
  if (result == ARB_HTTP_STARTED) result = listen_at(address, port, &listening);
  if (result == ARB_HTTP_STARTED) {
    server->port = port_of(listening);
    server->daemon = start_library(server, listening);
    if (!server->daemon) {
      close(listening);
      result = ARB_HTTP_REFUSED;
    }
  }
  if (result != ARB_HTTP_STARTED) {
    free(server);
    return result;
  }
  *started = server;
  return ARB_HTTP_STARTED;
}

uint16_t arb_http_port(const ArbHTTPServer *server) { return server->port; }

void arb_http_stop(ArbHTTPServer *server) {
  /* Closes the socket that listens too. The library stays loaded, as it may have run handlers of
   * thread exits. */
  server->mhd.stop(server->daemon);
  free(server);
}
