/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What lets devices or the kernel write to memory past the page tables: O_DIRECT, io_uring,
 * vmsplice, RDMA, virtual machines. As soon as one is seen, nothing moves any more; the call that
 * opened it returns only then. And what puts other mappings into managed memory: shmat and
 * remap_file_pages, and userfaultfd of the program's own. */
#define _GNU_SOURCE
#include "preload.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/shm.h>
#include <sys/uio.h>

static uint32_t is_frozen;

void arb_freeze(const char *why) {
  if (!arb_is_on()) return;
  ArbVisit visit = arb_enter();
  if (!__atomic_exchange_n(&is_frozen, 1, __ATOMIC_RELAXED)) arb_tier_freeze(why);
  arb_leave(visit);
}

static int begins_with(const char *text, const char *start) {
  return strncmp(text, start, strlen(start)) == 0;
}

/* What an opened file may do; NULL for nothing. */
static const char *danger(const char *path, int flags) {
  if ((flags & O_DIRECT) != 0) return "a file was opened with O_DIRECT";
  if (path == NULL || path[0] != '/' || path[1] != 'd' || !begins_with(path, "/dev/")) return NULL;
  if (begins_with(path, "/dev/infiniband/")) return "an RDMA device was opened";
  if (begins_with(path, "/dev/vfio/")) return "a device of VFIO was opened";
  if (strcmp(path, "/dev/kvm") == 0) return "a virtual machine was made";
  return NULL;
}

void arb_opened(const char *path, int flags, long answer) {
  if (answer < 0 || !arb_is_on()) return;
  const char *why = danger(path, flags);
  if (why != NULL) arb_freeze(why);
}

/* The real functions are points of cancellation, which a call of our own would not be. */
typedef int (*OpenFunction)(const char *, int, ...);
typedef int (*OpenAtFunction)(int, const char *, int, ...);

static unsigned mode_of(int flags, va_list rest) {
  return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, unsigned) : 0;
}

#define OPEN(NAME)                                                            \
  ARB_EXPORT int NAME(const char *path, int flags, ...) {                     \
    static void *cache;                                                       \
    va_list rest;                                                             \
    va_start(rest, flags);                                                    \
    unsigned mode = mode_of(flags, rest);                                     \
    va_end(rest);                                                             \
    int answer = ((OpenFunction)arb_next(&cache, #NAME))(path, flags, mode);  \
    arb_opened(path, flags, answer);                                          \
    return answer;                                                            \
  }

#define OPEN_AT(NAME)                                                                      \
  ARB_EXPORT int NAME(int folder, const char *path, int flags, ...) {                      \
    static void *cache;                                                                    \
    va_list rest;                                                                          \
    va_start(rest, flags);                                                                 \
    unsigned mode = mode_of(flags, rest);                                                  \
    va_end(rest);                                                                          \
    int answer = ((OpenAtFunction)arb_next(&cache, #NAME))(folder, path, flags, mode);     \
    arb_opened(path, flags, answer);                                                       \
    return answer;                                                                         \
  }

OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)

/* What the C library's headers make of calls whose flags are no constants. */
#define OPEN_CHECKED(NAME)                                                                \
  ARB_EXPORT int NAME(const char *path, int flags) {                                      \
    static void *cache;                                                                   \
    int answer = ((int (*)(const char *, int))arb_next(&cache, #NAME))(path, flags);      \
    arb_opened(path, flags, answer);                                                      \
    return answer;                                                                        \
  }
#define OPEN_AT_CHECKED(NAME)                                                             \
  ARB_EXPORT int NAME(int folder, const char *path, int flags) {                          \
    static void *cache;                                                                   \
    int answer =                                                                          \
        ((int (*)(int, const char *, int))arb_next(&cache, #NAME))(folder, path, flags);  \
    arb_opened(path, flags, answer);                                                      \
    return answer;                                                                        \
  }

OPEN_CHECKED(__open_2)
OPEN_CHECKED(__open64_2)
OPEN_AT_CHECKED(__openat_2)
OPEN_AT_CHECKED(__openat64_2)

#define FCNTL(NAME)                                                                         \
  ARB_EXPORT int NAME(int file, int command, ...) {                                         \
    static void *cache;                                                                     \
    va_list rest;                                                                           \
    va_start(rest, command);                                                                \
    void *argument = va_arg(rest, void *);                                                  \
    va_end(rest);                                                                           \
    int answer = ((int (*)(int, int, ...))arb_next(&cache, #NAME))(file, command, argument); \
    if (command == F_SETFL) arb_opened(NULL, (int)(long)argument, answer);                  \
    return answer;                                                                          \
  }

FCNTL(fcntl)
FCNTL(fcntl64)

ARB_EXPORT ssize_t vmsplice(int file, const struct iovec *parts, size_t count, unsigned flags) {
  static void *cache;
  arb_freeze("pages were given to a pipe by vmsplice");
  typedef ssize_t (*SpliceFunction)(int, const struct iovec *, size_t, unsigned);
  return ((SpliceFunction)arb_next(&cache, "vmsplice"))(file, parts, count, flags);
}

/* A userfaultfd of the program's own wants plain memory. */
void arb_controlled(unsigned long request, void *argument) {
  if (request != UFFDIO_REGISTER || argument == NULL || !arb_is_on()) return;
  struct uffdio_register *wanted = argument;
  uint64_t length = wanted->range.len;
  if (arb_is_range(wanted->range.start, &length)) arb_give_up(wanted->range.start, length);
}

ARB_EXPORT int ioctl(int file, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  if (request == UFFDIO_REGISTER) arb_controlled(request, argument);
  return (int)arb_answer(arb_raw(SYS_ioctl, file, (long)request, (long)argument, 0, 0, 0));
}

ARB_EXPORT void *shmat(int segment, const void *address, int flags) {
  if (address != NULL && (flags & SHM_REMAP) != 0 && arb_is_on()) {
    struct shmid_ds facts;
    if (shmctl(segment, IPC_STAT, &facts) == 0) {
      uint64_t start = arb_round_down((uint64_t)address, ARB_PAGE_BYTES);
      int status = arb_give_up(start, arb_round_up(facts.shm_segsz, ARB_PAGE_BYTES));
      if (status != 0) return (void *)arb_answer(status);
    }
  }
  return (void *)arb_answer(arb_raw(SYS_shmat, segment, (long)address, flags, 0, 0, 0));
}

ARB_EXPORT int remap_file_pages(void *start, size_t length, int protection, size_t offset,
                                int flags) {
  uint64_t bytes = length;
  if (arb_is_on() && arb_is_range((uint64_t)start, &bytes)) {
    int status = arb_give_up((uint64_t)start, bytes);
    if (status != 0) return (int)arb_answer(status);
  }
  return (int)arb_answer(arb_raw(SYS_remap_file_pages, (long)start, (long)length, protection,
                                 (long)offset, flags, 0));
}
