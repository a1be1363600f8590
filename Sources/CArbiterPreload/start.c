/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "CArbiterPreload.h"
#include "preload.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* A hint to SwiftPM's link, which always names libswiftCore; see decision 0008. The section is what
 * a Swift object says about the libraries it needs, and is left out of the result. */
__asm__(".section .swift1_autolink_entries,\"e\",@progbits\n"
        ".asciz \"-Wl,--as-needed\"\n"
        ".previous\n");

uint32_t arb_preload_is_active;
ArbPage *arb_preload_page;
uint32_t arb_preload_session;
ArbTraceSession *arb_preload_trace;

/* What stderr was at load; no device has the number 0 and an inode 0. */
static struct {
  dev_t device;
  ino_t inode;
} first_stderr;

void arb_say(const char *const *parts) {
  struct iovec pieces[12];
  int count = 0;
  pieces[count++] = (struct iovec){"arbiter: warning: ", 18};
  for (; *parts != NULL && count < 11; parts++) {
    pieces[count++] = (struct iovec){(void *)(uintptr_t)*parts, strlen(*parts)};
  }
  pieces[count++] = (struct iovec){"\n", 1};
  int saved_errno = errno;
  /* In one call, so that the line stays whole. There is nobody to tell that it failed. */
  if (writev(STDERR_FILENO, pieces, count) < 0) errno = 0;
  errno = saved_errno;
}

void arb_say_later(const char *const *parts) {
  int saved_errno = errno;
  struct stat facts;
  if (fstat(STDERR_FILENO, &facts) == 0 && facts.st_dev == first_stderr.device &&
      facts.st_ino == first_stderr.inode) {
    arb_say(parts);
  }
  errno = saved_errno;
}

/* The child has one thread, which owns no slot: the kernel knows the parent's thread by them. Where
 * a handler forked that had interrupted a call, the child goes on with that call: so the gates and
 * the lane stay until the next one, as copies that touch no permit. */
static void begin_child(void) {
  if (arb_thread.guard == ARB_GUARD_DOWN) {
    memset(&arb_thread, 0, sizeof arb_thread);
  } else {
    arb_thread.attached = arb_thread.refused = arb_thread.calls_left = 0;
    arb_thread.last.byte_count = 0;
    memset(&arb_thread.recorder, 0, sizeof arb_thread.recorder);
    for (uint32_t set = 0; set < ARB_SET_COUNT; set++) arb_thread.gates[set].is_copy = 1;
  }
  arb_ranges_reset();
  arb_delegation_forget();
}

/* A number from 0 to ARB_SESSION_COUNT - 1, or -1. */
static int session_number(const char *text) {
  if (text == NULL) return 0;
  int number = 0;
  if (*text == 0) return -1;
  for (; *text != 0; text++) {
    if (*text < '0' || *text > '9') return -1;
    number = number * 10 + (*text - '0');
    if (number >= (int)ARB_SESSION_COUNT) return -1;
  }
  return number;
}

static void decline(const char *what, const char *value, const char *reason) {
  arb_say((const char *[]){"the program runs without Arbiter: ", what, " '", value, "': ", reason,
                           NULL});
}

/* Opens the control page that the environment names. */
static ArbPage *find_page(void) {
  const char *path = getenv(ARB_ENVIRONMENT_CONTROL);
  if (path == NULL || *path == 0) return NULL;
  const char *session_text = getenv(ARB_ENVIRONMENT_SESSION);
  int session = session_number(session_text);
  if (session < 0) {
    decline("session", session_text, "not a number from 0 to 15");
    return NULL;
  }
  ArbMapping mapping = {NULL, -1};
  int64_t status = arb_page_open(path, &mapping);
  if (status != 0) {
    const char *reason = status == -EPROTO   ? "not a control page of this version"
                         : status == -ENOENT ? "the arbiter run that made it has ended"
                                             : strerrordesc_np((int)-status);
    decline("control page", path, reason != NULL ? reason : "cannot be opened");
    return NULL;
  }
  arb_preload_session = (uint32_t)session;
  return mapping.page;
}

/* Opens the recording that the environment names. */
static ArbTraceSession *find_recording(void) {
  ArbTraceMapping mapping;
  int64_t status = arb_trace_session_from_environment(&mapping);
  if (status == 0) return mapping.session;
  const char *reason = status == -EPROTO   ? "not a recording of this version"
                       : status == -ENOENT ? "the arbiter record that made it has ended"
                                           : strerrordesc_np((int)-status);
  arb_say((const char *[]){"the program runs unrecorded: recording '",
                           getenv(ARB_ENVIRONMENT_TRACE), "': ",
                           reason != NULL ? reason : "cannot be opened", NULL});
  return NULL;
}

__attribute__((constructor)) static void start(void) {
  const char *preference = getenv(ARB_ENVIRONMENT_SWITCH);
  if (preference != NULL && strcmp(preference, "off") == 0) return;
  int saved_errno = errno;
  ArbPage *page = find_page();
  ArbTraceSession *trace = find_recording();
  if (page != NULL || trace != NULL) {
    if (pthread_atfork(NULL, NULL, begin_child) != 0) {
      /* A child that used its parent's slots would spoil their counts. */
      decline("environment", "", "no memory for a fork handler");
    } else {
      struct stat facts;
      if (fstat(STDERR_FILENO, &facts) == 0) {
        first_stderr.device = facts.st_dev;
        first_stderr.inode = facts.st_ino;
      }
      arb_record_read_threshold();
      arb_preload_page = page;
      arb_preload_trace = trace;
      __atomic_store_n(&arb_preload_is_active, 1, __ATOMIC_RELEASE);
    }
  }
  errno = saved_errno;
}
