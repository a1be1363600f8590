/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A libpmem.so.1 of the tests: copies, and keeps a gauge of its own of how many copy at once, in
 * the file that GAUGE names. GAUGE_NAP is how many microseconds a copy takes longer.
 */
#include "check.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
  uint32_t inside, inside_max, calls;
} Gauge;

static Gauge *gauge;
static unsigned nap;

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("GAUGE");
  const char *text = getenv("GAUGE_NAP");
  if (path == NULL) return;
  if (text != NULL) nap = (unsigned)atoi(text);
  int descriptor = open(path, O_RDWR | O_CREAT, 0600);
  CHECK(descriptor >= 0 && ftruncate(descriptor, 4096) == 0);
  gauge = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  CHECK(gauge != MAP_FAILED);
  close(descriptor);
}

static void enter(void) {
  if (gauge == NULL) return;
  uint32_t inside = __atomic_add_fetch(&gauge->inside, 1, __ATOMIC_SEQ_CST);
  uint32_t most = __atomic_load_n(&gauge->inside_max, __ATOMIC_SEQ_CST);
  while (inside > most && !__atomic_compare_exchange_n(&gauge->inside_max, &most, inside, 0,
                                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
  }
  __atomic_add_fetch(&gauge->calls, 1, __ATOMIC_SEQ_CST);
  if (nap != 0) usleep(nap);
}

static void leave(void) {
  if (gauge != NULL) __atomic_sub_fetch(&gauge->inside, 1, __ATOMIC_SEQ_CST);
}

void *pmem_memmove(void *target, const void *source, size_t bytes, unsigned flags) {
  (void)flags;
  enter();
  memmove(target, source, bytes);
  leave();
  return target;
}

void *pmem_memcpy(void *target, const void *source, size_t bytes, unsigned flags) {
  return pmem_memmove(target, source, bytes, flags);
}
