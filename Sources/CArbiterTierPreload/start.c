/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What happens when the library is loaded into a program, and what its other files share. */
#define _GNU_SOURCE
#include "preload.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "CArbiterTierPreload.h"

/* A hint to SwiftPM's link, which always names libswiftCore; see decision 0008. */
__asm__(".section .swift1_autolink_entries,\"e\",@progbits\n"
        ".asciz \"-Wl,--as-needed\"\n"
        ".previous\n");

uint32_t arb_mode;

/* From the environment, which the program may change. */
static char page_path[64], slow_path[64];

void arb_say(const char *const *parts) {
  struct iovec pieces[12];
  int count = 0;
  pieces[count++] = (struct iovec){"arbiter: warning: ", 18};
  for (; *parts != NULL && count < 11; parts++)
    pieces[count++] = (struct iovec){(void *)(uintptr_t)*parts, strlen(*parts)};
  pieces[count++] = (struct iovec){"\n", 1};
  /* In one call, so that the line stays whole. There is nobody to tell that it failed. */
  arb_raw(SYS_writev, 2, (long)pieces, count, 0, 0, 0);
}

void *arb_next(void **cache, const char *name) {
  /* Relaxed: the address is the whole message, and whoever looks it up finds the same. */
  void *function = __atomic_load_n(cache, __ATOMIC_RELAXED);
  if (function != NULL) return function;
  function = dlsym(RTLD_NEXT, name);
  __atomic_store_n(cache, function, __ATOMIC_RELAXED);
  return function;
}

/* Splits "A:B". */
static int read_paths(const char *value) {
  const char *colon = strchr(value, ':');
  if (colon == NULL) return 0;
  size_t first = (size_t)(colon - value), second = strlen(colon + 1);
  if (first == 0 || first >= sizeof page_path || second == 0 || second >= sizeof slow_path)
    return 0;
  memcpy(page_path, value, first);
  memcpy(slow_path, colon + 1, second);
  return 1;
}

/* 0, or a negative errno; -EPERM: joined, and nothing will move. */
static int join(void) {
  long page = arb_raw(SYS_openat, AT_FDCWD, (long)page_path, O_RDWR | O_CLOEXEC, 0, 0, 0);
  if (page < 0) return (int)page;
  long slow = arb_raw(SYS_openat, AT_FDCWD, (long)slow_path, O_RDWR | O_CLOEXEC, 0, 0, 0);
  int status = slow < 0 ? (int)slow : arb_tier_join((int)page, (int)slow);
  arb_raw(SYS_close, page, 0, 0, 0, 0, 0);
  if (slow >= 0) arb_raw(SYS_close, slow, 0, 0, 0, 0, 0);
  return status;
}

int arb_join_again(void) {
  if (__atomic_load_n(&arb_mode, __ATOMIC_RELAXED) != ARB_TIER_FORKED) return 0;
  ArbVisit visit = arb_enter();
  uint32_t expected = ARB_TIER_FORKED;
  /* One thread tries, once: whoever made the page may be gone. */
  if (__atomic_compare_exchange_n(&arb_mode, &expected, ARB_TIER_OFF, 0, __ATOMIC_ACQ_REL,
                                  __ATOMIC_RELAXED)) {
    int status = join();
    /* Perhaps inside an allocator. Without its threads nothing is to be managed. */
    if ((status == 0 || status == -EPERM) && arb_tier_start_inside() == 0)
      __atomic_store_n(&arb_mode, ARB_TIER_ON, __ATOMIC_RELEASE);
  }
  arb_leave(visit);
  return arb_is_on();
}

__attribute__((constructor)) static void start(void) {
  const char *value = getenv(ARB_ENVIRONMENT_TIER);
  if (value == NULL || *value == 0) return;
  int error = errno;
  int status = read_paths(value) ? join() : -EINVAL;
  if (status == 0 || status == -EPERM) {
    status = arb_tier_start();
    if (status == 0) __atomic_store_n(&arb_mode, ARB_TIER_ON, __ATOMIC_RELEASE);
  }
  /* A session that has ended is no failure: what outlives it, and each program that it starts,
   * would say so again and again. */
  if (!arb_is_on() && status != -ENOENT) {
    const char *reason = status == -EPROTO   ? "not a tier page of this version"
                         : status == -EUSERS ? "the session has no seat left"
                         : status == -EINVAL ? "not two paths of a session"
                                             : strerrordesc_np(-status);
    arb_say((const char *[]){"the program runs with its own memory: tier '", value, "': ",
                             reason != NULL ? reason : "cannot be opened", NULL});
  }
  errno = error;
}
