/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The manager's side of the tier page. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "CArbiterTier.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
/* Linux 6.1; older headers lack it. */
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

#define LOAD(place) __atomic_load_n(&(place), __ATOMIC_RELAXED)

int64_t arb_tier_page_open(uint32_t slot_count, uint32_t chunk_capacity, void **page) {
  int descriptor = memfd_create("arbiter-tier-page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return -(int64_t)errno;
  uint64_t bytes = arb_tier_page_bytes(slot_count, chunk_capacity);
  void *made = MAP_FAILED;
  if (ftruncate(descriptor, (off_t)bytes) == 0 &&
      fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
    made = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0);
  if (made == MAP_FAILED) {
    int64_t answer = -(int64_t)errno;
    close(descriptor);
    return answer;
  }
  arb_tier_page_make(made, slot_count, chunk_capacity);
  *page = made;
  return descriptor;
}

void arb_tier_page_close(void *page, ArbTierSizes sizes, int descriptor) {
  munmap(page, arb_tier_page_bytes(sizes.slot_count, sizes.chunk_capacity));
  close(descriptor);
}

void arb_tier_beat(void *page, uint64_t now_ns) {
  __atomic_store_n(&((ArbTierHeader *)page)->heartbeat_ns, now_ns, __ATOMIC_RELAXED);
}

void arb_tier_seat_words(const ArbTierSeat *seat, ArbTierSeatWords *words) {
  const ArbTierCounts *counts = &seat->counts;
  /* Acquire, with the release of whoever took the seat: the process is that of the state. */
  words->state = __atomic_load_n(&seat->state, __ATOMIC_ACQUIRE);
  words->process = LOAD(seat->process);
  words->start_ticks = LOAD(seat->start_ticks);
  words->generation = LOAD(seat->generation);
  words->fast_bytes = LOAD(seat->fast_bytes);
  words->chunk_high = LOAD(seat->chunk_high);
  words->is_frozen = LOAD(seat->is_frozen);
  /* Acquire: remarks below the count are written. */
  words->remark_count = __atomic_load_n(&seat->remark_count, __ATOMIC_ACQUIRE);
  words->outcome_count = LOAD(seat->outcome_tail) - LOAD(seat->outcome_head);
  words->counts = (ArbTierCounts){
      .promotions = LOAD(counts->promotions),
      .demotions = LOAD(counts->demotions),
      .bytes_to_fast = LOAD(counts->bytes_to_fast),
      .bytes_to_slow = LOAD(counts->bytes_to_slow),
      .stalls = LOAD(counts->stalls),
      .stall_ns = LOAD(counts->stall_ns),
      .stall_ns_max = LOAD(counts->stall_ns_max),
      .cpu_ns = LOAD(counts->cpu_ns),
      .placing_ns = LOAD(counts->placing_ns),
      .forks = LOAD(counts->forks),
      .homes = LOAD(counts->homes),
      .placed_slow = LOAD(counts->placed_slow),
  };
}

void arb_tier_read_chunks(
    const ArbTierChunk *chunks, uint32_t first, uint32_t count, ArbTierChunk *copies) {
  for (uint32_t index = 0; index < count; index++) {
    const ArbTierChunk *chunk = &chunks[first + index];
    ArbTierChunk *copy = &copies[index];
    copy->generation = __atomic_load_n(&chunk->generation, __ATOMIC_ACQUIRE);
    copy->address = LOAD(chunk->address);
    copy->slow_islands = LOAD(chunk->slow_islands);
    copy->slot = LOAD(chunk->slot);
    copy->protection = LOAD(chunk->protection);
    copy->sharing = LOAD(chunk->sharing);
    copy->held = LOAD(chunk->held);
    copy->busy = LOAD(chunk->busy);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    /* An entry that became another meanwhile is shown as none: the next look sees it whole. */
    if (LOAD(chunk->generation) != copy->generation) copy->address = 0;
  }
}

int arb_tier_read_remark(const ArbTierSeat *seat, uint32_t number, char *text) {
  memcpy(text, seat->remarks[number % ARB_TIER_REMARK_COUNT], ARB_TIER_REMARK_BYTES);
  text[ARB_TIER_REMARK_BYTES - 1] = 0;
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  return LOAD(seat->remark_count) - number <= ARB_TIER_REMARK_COUNT;
}

uint32_t arb_tier_seat_high(const void *page) {
  const ArbTierHeader *header = page;
  /* Acquire, with the release of whoever claimed a seat. */
  return __atomic_load_n(&header->seat_high, __ATOMIC_ACQUIRE);
}

void arb_tier_seat_leave(ArbTierSeat *seat) {
  __atomic_store_n(&seat->state, ARB_TIER_SEAT_LEFT, __ATOMIC_RELEASE);
}

void arb_tier_seat_freeze(ArbTierSeat *seat) {
  __atomic_store_n(&seat->is_frozen, 1, __ATOMIC_RELEASE);
}

/* Shakes hands: 0 and the features, or a negative errno; the descriptor is closed. */
static int64_t shake_hands(int descriptor, uint64_t *features) {
  struct uffdio_api api = {.api = UFFD_API, .features = 0};
  int64_t answer = ioctl(descriptor, UFFDIO_API, &api) == 0 ? 0 : -(int64_t)errno;
  close(descriptor);
  *features = answer == 0 ? api.features : 0;
  return answer;
}

int64_t arb_tier_probe_userfaultfd(uint64_t *features) {
  *features = 0;
  long descriptor = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (device >= 0) {
      descriptor = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
      close(device);
    }
  }
  int64_t kind = 2;
  if (descriptor < 0) {
    kind = 1;
    descriptor = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
  }
  if (descriptor < 0) return -(int64_t)errno;
  int64_t answer = shake_hands((int)descriptor, features);
  return answer < 0 ? answer : kind;
}

uint64_t arb_tier_needed_features(void) {
  return UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_EVENT_REMAP;
}

int64_t arb_tier_set_length(int descriptor, uint64_t length) {
  return ftruncate(descriptor, (off_t)length) == 0 ? 0 : -(int64_t)errno;
}

static int64_t nanoseconds(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t arb_tier_thread_ns(void) { return nanoseconds(CLOCK_THREAD_CPUTIME_ID); }

int64_t arb_tier_now_ns(void) { return nanoseconds(CLOCK_MONOTONIC); }
