/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * userfaultfd: how the program is made to wait where an island is being moved.
 *
 * A range is registered for stores to pages that are there and for any access to pages that are
 * not: a page that was never touched has no entry which could be write-protected, and would come
 * into being, unprotected, by the first store. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
/* Of /dev/userfaultfd, which headers of Linux before 6.1 do not know. */
#define DEVICE_NEW _IO(0xAA, 0x00)

/* Linux 6.8 moves pages; headers before do not know it. */
#define FEATURE_MOVE (1ull << 16)
#define MOVE_ALLOW_HOLES 2u

typedef struct {
  uint64_t to, from, length, mode;
  int64_t moved;
} MoveRequest;

#define MOVE_PAGES _IOWR(UFFDIO, 0x05, MoveRequest)
#define MOVE_TURNS 1000

static int64_t control(uint64_t command, void *argument) {
  return arb_tier_call(
      SYS_ioctl, arb_tier_state.uffd, (int64_t)command, (intptr_t)argument, 0, 0, 0);
}

static int64_t open_plain(void) {
  int64_t file = arb_tier_call(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK, 0, 0, 0, 0, 0);
  if (file >= 0) return file;
  int64_t device = arb_tier_call(
      SYS_openat, AT_FDCWD, (intptr_t) "/dev/userfaultfd", O_RDWR | O_CLOEXEC, 0, 0, 0);
  if (device < 0) return file;
  file = arb_tier_call(SYS_ioctl, device, DEVICE_NEW, O_CLOEXEC | O_NONBLOCK, 0, 0, 0);
  arb_tier_call(SYS_close, device, 0, 0, 0, 0, 0);
  return file;
}

int arb_tier_protect_open(void) {
  const uint64_t needed =
      UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_THREAD_ID;
  const uint64_t shared = needed | UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
  const uint64_t wishes[] = {shared | FEATURE_MOVE, shared, needed};
  int64_t answer = -ENOSYS;
  for (int wish = 0; wish < 3; wish++) {
    answer = open_plain();
    if (answer < 0) return (int)answer;
    arb_tier_state.uffd = (int32_t)answer;
    struct uffdio_api api = {.api = UFFD_API, .features = wishes[wish]};
    answer = control(UFFDIO_API, &api);
    if (answer == 0) {
      arb_tier_state.features = wishes[wish];
      return 0;
    }
    arb_tier_call(SYS_close, arb_tier_state.uffd, 0, 0, 0, 0, 0);
    arb_tier_state.uffd = -1;
  }
  return (int)answer;
}

static int enroll(uint64_t start, uint64_t length, uint64_t mode) {
  struct uffdio_register request = {.range = {start, length}, .mode = mode};
  int64_t answer = -EAGAIN;
  for (int turn = 0; turn < 100 && answer == -EAGAIN; turn++)
    answer = control(UFFDIO_REGISTER, &request);
  return (int)answer;
}

/* Before the watcher runs, nobody would take the report of a remap, which waits for that. Only
 * whoever starts the threads adopts memory before, and keeps others out itself. */
int arb_tier_register_missing(uint64_t start, uint64_t length) {
  if (!__atomic_load_n(&arb_tier_state.is_started, __ATOMIC_ACQUIRE)) return 0;
  return enroll(start, length, UFFDIO_REGISTER_MODE_MISSING);
}

int arb_tier_unregister(uint64_t start, uint64_t length) {
  struct uffdio_range range = {start, length};
  return (int)control(UFFDIO_UNREGISTER, &range);
}

int arb_tier_can_move_pages(void) { return (arb_tier_state.features & FEATURE_MOVE) != 0; }

uint64_t arb_tier_move_pages(uint64_t to, uint64_t from, uint64_t length) {
  uint64_t done = 0;
  for (int turn = 0; turn < MOVE_TURNS && done < length; turn++) {
    MoveRequest request = {
        .to = to + done, .from = from + done, .length = length - done, .mode = MOVE_ALLOW_HOLES};
    int64_t answer = control(MOVE_PAGES, &request);
    if (answer == 0) return length;
    if (request.moved > 0) done += (uint64_t)request.moved;
    /* It stops where a page is busy, and while a remap waits for the watcher. */
    if (answer != -EAGAIN) break;
  }
  return done;
}

static int write_protect_once(uint64_t start, uint64_t length, uint64_t mode) {
  struct uffdio_writeprotect request = {.range = {start, length}, .mode = mode};
  int64_t answer = -EAGAIN;
  for (int turn = 0; turn < 100 && answer == -EAGAIN; turn++)
    answer = control(UFFDIO_WRITEPROTECT, &request);
  return (int)answer;
}

/* Linux before 6.3 does one mapping in one call; ours begin and end with islands. */
static int write_protect(uint64_t start, uint64_t length, uint64_t mode) {
  int answer = write_protect_once(start, length, mode);
  if (answer != -ENOENT || length <= ARB_TIER_ISLAND_BYTES) return answer;
  int failed = 0;
  for (uint64_t at = start; at < start + length; at += ARB_TIER_ISLAND_BYTES) {
    answer = write_protect_once(at, ARB_TIER_ISLAND_BYTES, mode);
    if (answer != 0) failed = answer;
  }
  return failed;
}

int arb_tier_protect_begin(uint64_t start, uint64_t length) {
  int answer =
      enroll(start, length, UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MISSING);
  if (answer == 0) answer = write_protect(start, length, UFFDIO_WRITEPROTECT_MODE_WP);
  if (answer != 0) arb_tier_protect_undo(start, length);
  return answer;
}

void arb_tier_protect_undo(uint64_t start, uint64_t length) {
  write_protect(start, length, 0);
  arb_tier_unregister(start, length);
  arb_tier_wake(start, length);
}

void arb_tier_wake(uint64_t start, uint64_t length) {
  struct uffdio_range range = {start, length};
  control(UFFDIO_WAKE, &range);
}

/* A page that was gone when the mover read it, as the kernel took back what the program had
 * given up: it reads as zero, and stores to it wait like all others. */
static void give_zero_page(uint64_t address) {
  static const char zeros[4096] __attribute__((aligned(4096)));
  struct uffdio_copy copy = {
      .dst = address, .src = (uintptr_t)zeros, .len = 4096, .mode = UFFDIO_COPY_MODE_WP};
  if (control(UFFDIO_COPY, &copy) != 0) arb_tier_wake(address, 4096);
}

/* A page where somebody waits over and over though nothing is moved there: whatever the reason, he
 * goes on, with what the table says is there. First the chunk is held, and only faults later, when
 * no mover can have begun with it unseen, the page is settled. */
static void settle_fault(uint64_t page) {
  static uint64_t last;
  static uint32_t count;
  static char bytes[4096] __attribute__((aligned(4096)));
  count = page == last ? count + 1 : 0;
  last = page;
  uint64_t start = page & ~(ARB_TIER_CHUNK_BYTES - 1), island = (page - start) >> 15;
  uint32_t index = count < 8 ? ARB_TIER_NONE : arb_tier_find(start);
  if (index != ARB_TIER_NONE) {
    ArbTierChunk *chunk = &arb_tier_state.chunks[index];
    __atomic_fetch_or(&chunk->held, ARB_TIER_HELD_MIXED, __ATOMIC_RELAXED);
    arb_tier_show(index);
    if (count < 16) return;
    uint32_t slot = chunk->slot;
    int is_slow = (chunk->slow_islands >> island & 1) != 0 &&
                  slot < arb_tier_state.slot_count;
    int answer = is_slow ? arb_tier_copy_in(slot, page - start, (uintptr_t)bytes, 4096) : 0;
    if (answer != 0) return;
    if (is_slow) {
      struct uffdio_copy copy = {.dst = page, .src = (uintptr_t)bytes, .len = 4096};
      if (control(UFFDIO_COPY, &copy) == -EEXIST) write_protect(page, 4096, 0);
      return;
    }
  } else if (count < 16) {
    return;
  }
  struct uffdio_zeropage zero = {.range = {page, 4096}};
  if (control(UFFDIO_ZEROPAGE, &zero) != 0) write_protect(page, 4096, 0);
}

static void take_fault(const struct uffd_msg *message) {
  uint64_t page = message->arg.pagefault.address & ~4095ull;
  if (arb_tier_fork_fault(page)) return;
  if ((int32_t)message->arg.pagefault.feat.ptid == arb_tier_state.mover_thread) {
    give_zero_page(page);
    return;
  }
  __atomic_fetch_add(&arb_tier_state.fault_count, 1, __ATOMIC_RELAXED);
  /* Whoever waits where nothing is moved has missed the wake-up. */
  uint64_t busy = __atomic_load_n(&arb_tier_state.busy_address, __ATOMIC_ACQUIRE);
  if (page - busy < ARB_TIER_CHUNK_BYTES) return;
  settle_fault(page);
  arb_tier_wake(page, 4096);
}

void arb_tier_drain_events(void) {
  struct uffd_msg messages[16];
  for (int turn = 0; turn < 64; turn++) {
    int64_t bytes = arb_tier_call(
        SYS_read, arb_tier_state.uffd, (intptr_t)messages, sizeof messages, 0, 0, 0);
    if (bytes <= 0) return;
    for (uint64_t each = 0; each < (uint64_t)bytes / sizeof messages[0]; each++)
      if (messages[each].event == UFFD_EVENT_PAGEFAULT) take_fault(&messages[each]);
  }
}
