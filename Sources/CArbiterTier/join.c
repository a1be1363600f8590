/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * How a process joins a manager's page and takes a seat, and how a forked child leaves it. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Descriptors that stay open in the program's table until the mover has its own lie high, where
 * programs do not expect their next one. */
#define DESCRIPTOR_MIN 900

static int32_t duplicate(int descriptor) {
  int64_t copy = arb_tier_call(SYS_fcntl, descriptor, F_DUPFD_CLOEXEC, DESCRIPTOR_MIN, 0, 0, 0);
  if (copy == -EINVAL || copy == -EMFILE)
    copy = arb_tier_call(SYS_fcntl, descriptor, F_DUPFD_CLOEXEC, 3, 0, 0, 0);
  return (int32_t)copy;
}

static void close_all(void) {
  int32_t *descriptors[] = {
      &arb_tier_state.slow_fd, &arb_tier_state.uffd, &arb_tier_state.pagemap_fd,
      &arb_tier_state.maps_fd};
  for (size_t each = 0; each < 4; each++) {
    if (*descriptors[each] >= 0) arb_tier_call(SYS_close, *descriptors[each], 0, 0, 0, 0, 0);
    *descriptors[each] = -1;
  }
}

/* Field 22 of the process's stat line: when it started, in clock ticks. */
static uint64_t start_ticks(void) {
  char text[1024];
  int64_t file = arb_tier_call(
      SYS_openat, AT_FDCWD, (intptr_t) "/proc/self/stat", O_RDONLY, 0, 0, 0);
  if (file < 0) return 0;
  int64_t count = arb_tier_call(SYS_read, file, (intptr_t)text, sizeof text - 1, 0, 0, 0);
  arb_tier_call(SYS_close, file, 0, 0, 0, 0, 0);
  if (count <= 0) return 0;
  text[count] = 0;
  char *place = strrchr(text, ')');
  for (int field = 2; place != NULL && field < 22; field++) place = strchr(place + 1, ' ');
  return place == NULL ? 0 : strtoull(place + 1, NULL, 10);
}

/* Raises the number of seats that the manager looks at; before the claim, so that it sees it. */
static void raise_high(ArbTierHeader *header, uint32_t high) {
  uint32_t known = __atomic_load_n(&header->seat_high, __ATOMIC_RELAXED);
  /* Release, with the manager's acquire. */
  while (known < high &&
         !__atomic_compare_exchange_n(
             &header->seat_high, &known, high, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
  }
}

static int take_seat(void) {
  ArbTierState *state = &arb_tier_state;
  for (uint32_t number = 0; number < ARB_TIER_SEAT_COUNT; number++) {
    ArbTierSeat *seat = arb_tier_seat(state->page, number);
    raise_high(state->header, number + 1);
    uint32_t expected = ARB_TIER_SEAT_FREE;
    /* Acquire, with the manager's clearing of the seat. */
    if (!__atomic_compare_exchange_n(
            &seat->state, &expected, ARB_TIER_SEAT_JOINING, 0, __ATOMIC_ACQUIRE,
            __ATOMIC_RELAXED))
      continue;
    seat->process = (int32_t)arb_tier_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
    seat->start_ticks = start_ticks();
    state->seat = seat;
    state->seat_number = number;
    ArbTierSizes sizes = {state->slot_count, state->chunk_capacity};
    state->shown = arb_tier_chunks(state->page, sizes, number);
    state->slots = arb_tier_slots(state->page);
    state->request_head = __atomic_load_n(&seat->request_head, __ATOMIC_RELAXED);
    state->outcome_tail = __atomic_load_n(&seat->outcome_tail, __ATOMIC_RELAXED);
    /* Generations of different processes in one seat differ. */
    state->next_generation = (seat->generation + 1) << 40;
    return 0;
  }
  return -EUSERS;
}

/* Bytes of the process's own tables, which lie one behind the other: chunks, locals, notes. */
static uint64_t tables_bytes(void) {
  const ArbTierState *state = &arb_tier_state;
  return state->chunk_capacity * (sizeof(ArbTierChunk) + sizeof(ArbTierLocal)) + state->slot_count;
}

static int map_tables(void) {
  ArbTierState *state = &arb_tier_state;
  int64_t tables = arb_tier_call(
      SYS_mmap, 0, (int64_t)tables_bytes(), PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (tables < 0) return (int)tables;
  state->chunks = (ArbTierChunk *)tables;
  state->locals = (ArbTierLocal *)(state->chunks + state->chunk_capacity);
  state->slot_notes = (uint8_t *)(state->locals + state->chunk_capacity);
  return 0;
}

static int map_page(int page_fd) {
  ArbTierState *state = &arb_tier_state;
  struct stat facts;
  if (arb_tier_call(SYS_fstat, page_fd, (intptr_t)&facts, 0, 0, 0, 0) != 0) return -EBADF;
  /* What could be made shorter would be a signal to whoever looks at it then. */
  int64_t seals = arb_tier_call(SYS_fcntl, page_fd, F_GET_SEALS, 0, 0, 0, 0);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) return -EINVAL;
  int64_t page = arb_tier_call(
      SYS_mmap, 0, facts.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
  if (page < 0) return (int)page;
  ArbTierSizes sizes = {0, 0};
  int answer = arb_tier_page_check((void *)page, (uint64_t)facts.st_size, &sizes);
  state->page = (void *)page;
  state->page_bytes = (uint64_t)facts.st_size;
  state->header = (ArbTierHeader *)page;
  state->slot_count = sizes.slot_count;
  state->chunk_capacity = sizes.chunk_capacity;
  state->slow_kind = state->header->slow_kind;
  if (answer == 0) answer = map_tables();
  if (answer != 0) arb_tier_call(SYS_munmap, page, facts.st_size, 0, 0, 0, 0);
  return answer;
}

static void unmap_page(void) {
  ArbTierState *state = &arb_tier_state;
  arb_tier_call(SYS_munmap, (intptr_t)state->chunks, (int64_t)tables_bytes(), 0, 0, 0, 0);
  arb_tier_call(SYS_munmap, (intptr_t)state->page, (int64_t)state->page_bytes, 0, 0, 0, 0);
}

static void forget_all(void) {
  ArbTierState *state = &arb_tier_state;
  memset(state, 0, sizeof *state);
  state->slow_fd = state->uffd = state->pagemap_fd = state->maps_fd = -1;
}

int arb_tier_join(int page_fd, int slow_fd) {
  ArbTierState *state = &arb_tier_state;
  if (state->is_joined != 0) return -EALREADY;
  int answer = map_page(page_fd);
  if (answer != 0) {
    forget_all();
    return answer;
  }
  state->slow_fd = duplicate(slow_fd);
  answer = state->slow_fd < 0 ? state->slow_fd : take_seat();
  if (answer != 0) {
    close_all();
    unmap_page();
    forget_all();
    return answer;
  }
  struct stat facts;
  if (arb_tier_call(SYS_fstat, state->slow_fd, (intptr_t)&facts, 0, 0, 0, 0) == 0)
    state->slow_bytes = (uint64_t)facts.st_size;
  state->low = UINT64_MAX;
  state->high = 0;
  state->pagemap_fd = (int32_t)arb_tier_call(
      SYS_openat, AT_FDCWD, (intptr_t) "/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0, 0, 0);
  if (state->pagemap_fd < 0) state->pagemap_fd = -1;
  arb_tier_check_open();
  answer = arb_tier_protect_open();
  state->is_movable = answer == 0;
  if (answer != 0) state->seat->is_frozen = state->is_frozen = 1;
  /* Where the manager knows already that nothing moves, it has said so, for all processes. */
  if (answer != 0 && (state->header->options & ARB_TIER_STATIC) == 0) {
    arb_tier_remark(
        ARB_TIER_REMARK_PERMISSION,
        "userfaultfd is refused: memory stays where it was mapped; grant /dev/userfaultfd",
        -answer);
  }
  /* Release, with arb_tier_is_joined. */
  __atomic_store_n(&state->is_joined, 1, __ATOMIC_RELEASE);
  return answer == 0 ? 0 : -EPERM;
}

void arb_tier_leave(void) {
  ArbTierState *state = &arb_tier_state;
  if (state->is_joined == 0) return;
  __atomic_store_n(&state->is_joined, 0, __ATOMIC_RELEASE);
  /* Before the mover ran, the descriptors lie in the table that the child inherited. */
  if (state->is_started == 0) close_all();
  arb_tier_index_clear();
  unmap_page();
  forget_all();
}
