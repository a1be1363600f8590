/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Mover and watcher. Neither spins: the mover sleeps on the seat's bell, the watcher in poll. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#define STACK_BYTES (256u << 10)
#define SLEEP_NS 1000000000ll
#define FULL_SLEEP_NS 5000000ll       /* while the manager has not taken the outcomes */
#define HEARTBEAT_NS_MAX 10000000000ll /* a manager that is silent for longer has gone */

static void count_cpu(int which) {
  uint64_t now = arb_tier_thread_cpu();
  __atomic_fetch_add(
      &arb_tier_state.seat->counts.cpu_ns, now - arb_tier_state.cpu_counted[which],
      __ATOMIC_RELAXED);
  arb_tier_state.cpu_counted[which] = now;
}

/* --- Migrations --- */

static int refusal(const ArbTierRequest *request, uint64_t *islands) {
  const ArbTierState *state = &arb_tier_state;
  if (request->chunk >= arb_tier_high()) return ARB_TIER_STALE;
  const ArbTierChunk *chunk = &state->chunks[request->chunk];
  if (chunk->address == 0 || chunk->generation != request->generation) return ARB_TIER_STALE;
  if (__atomic_load_n(&state->seat->is_frozen, __ATOMIC_ACQUIRE) != 0) return ARB_TIER_BUSY;
  if (!state->is_movable || chunk->held != 0 || state->forking != 0) return ARB_TIER_BUSY;
  int is_to_slow = request->destination == ARB_TIER_TO_SLOW;
  uint64_t wanted = request->islands;
  /* A device is mapped in units of a chunk. */
  if (state->header->slow_kind == ARB_TIER_SLOW_DEVICE_DAX && wanted != 0) wanted = UINT64_MAX;
  *islands = wanted & (is_to_slow ? ~chunk->slow_islands : chunk->slow_islands);
  if (is_to_slow || *islands == 0) return ARB_TIER_MOVED;
  int64_t bytes = (int64_t)__builtin_popcountll(*islands) * (int64_t)ARB_TIER_ISLAND_BYTES;
  int64_t room = __atomic_load_n(&state->header->fast_free_bytes, __ATOMIC_RELAXED);
  return room < bytes ? ARB_TIER_FULL : ARB_TIER_MOVED;
}

static void count_migration(const ArbTierRequest *request, const ArbTierOutcome *outcome) {
  ArbTierCounts *counts = &arb_tier_state.seat->counts;
  int is_to_slow = request->destination == ARB_TIER_TO_SLOW;
  __atomic_fetch_add(
      is_to_slow ? &counts->demotions : &counts->promotions, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(
      is_to_slow ? &counts->bytes_to_slow : &counts->bytes_to_fast, outcome->bytes_copied,
      __ATOMIC_RELAXED);
}

void arb_tier_migrate(const ArbTierRequest *request, ArbTierOutcome *outcome) {
  ArbTierState *state = &arb_tier_state;
  memset(outcome, 0, sizeof *outcome);
  outcome->ticket = request->ticket;
  uint64_t cpu_before = arb_tier_thread_cpu() - state->placing_ns;
  uint64_t islands = 0;
  arb_tier_mover_lock();
  outcome->status = (uint32_t)refusal(request, &islands);
  if (outcome->status == ARB_TIER_MOVED && islands != 0) {
    ArbTierChunk *chunk = &state->chunks[request->chunk];
    uint64_t slow_before = chunk->slow_islands;
    chunk->busy = 1;
    /* Release, with the watcher's acquire. */
    __atomic_store_n(&state->busy_address, chunk->address, __ATOMIC_RELEASE);
    outcome->status = (uint32_t)arb_tier_run(
        request->chunk, islands, request->destination == ARB_TIER_TO_SLOW, outcome);
    chunk->busy = 0;
    __atomic_store_n(&state->busy_address, 0, __ATOMIC_RELEASE);
    if (chunk->slow_islands != slow_before) count_migration(request, outcome);
    __atomic_fetch_add(&state->quiet, 1, __ATOMIC_RELEASE);
  }
  if (outcome->status != ARB_TIER_STALE && request->chunk < arb_tier_high())
    outcome->slow_islands = state->chunks[request->chunk].slow_islands;
  arb_tier_mover_unlock();
  arb_tier_wake_all(&state->quiet);
  outcome->cpu_ns = arb_tier_thread_cpu() - state->placing_ns - cpu_before;
}

void arb_tier_move(const ArbTierRequest *request, ArbTierOutcome *outcome) {
  ArbTierState *state = &arb_tier_state;
  memset(outcome, 0, sizeof *outcome);
  outcome->ticket = request->ticket;
  outcome->status = ARB_TIER_FAILED;
  if (__atomic_load_n(&state->is_started, __ATOMIC_ACQUIRE) == 0) return;
  if (arb_tier_thread_number() == state->mover_thread) {
    arb_tier_migrate(request, outcome);
    return;
  }
  uint32_t expected = 0;
  while (!__atomic_compare_exchange_n(
      &state->move_state, &expected, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
    arb_tier_sleep(&state->move_state, expected, 1000000);
    expected = 0;
  }
  state->move_request = request;
  state->move_outcome = outcome;
  /* Release, with the mover's acquire; its answer is acquired below. */
  __atomic_store_n(&state->move_state, 2, __ATOMIC_RELEASE);
  arb_tier_ring();
  while (__atomic_load_n(&state->move_state, __ATOMIC_ACQUIRE) != 3)
    arb_tier_sleep(&state->move_state, 2, 10000000);
  __atomic_store_n(&state->move_state, 0, __ATOMIC_RELEASE);
  arb_tier_wake_all(&state->move_state);
}

static void serve_move(void) {
  ArbTierState *state = &arb_tier_state;
  if (__atomic_load_n(&state->move_state, __ATOMIC_ACQUIRE) != 2) return;
  arb_tier_migrate(state->move_request, state->move_outcome);
  __atomic_store_n(&state->move_state, 3, __ATOMIC_RELEASE);
  arb_tier_wake_all(&state->move_state);
}

/* 1 if there may be more to do at once. */
static int take_request(void) {
  ArbTierSeat *seat = arb_tier_state.seat;
  uint32_t head = seat->request_head, tail = seat->outcome_tail;
  /* Acquire, with the manager's release of either. */
  if (head == __atomic_load_n(&seat->request_tail, __ATOMIC_ACQUIRE)) return 0;
  uint32_t taken = __atomic_load_n(&seat->outcome_head, __ATOMIC_ACQUIRE);
  if (tail - taken >= ARB_TIER_RING_COUNT) return 0;
  ArbTierRequest request = seat->requests[head % ARB_TIER_RING_COUNT];
  __atomic_store_n(&seat->request_head, head + 1, __ATOMIC_RELEASE);
  arb_tier_migrate(&request, &seat->outcomes[tail % ARB_TIER_RING_COUNT]);
  /* Release: the outcome is whole before it counts. */
  __atomic_store_n(&seat->outcome_tail, tail + 1, __ATOMIC_RELEASE);
  return 1;
}

/* --- The threads --- */

/* Leaves the program's table of descriptors, for one with ours alone. */
static void take_descriptors(void) {
  ArbTierState *state = &arb_tier_state;
  int64_t ours[4] = {state->slow_fd, state->uffd, state->pagemap_fd, state->maps_fd};
  arb_tier_call(SYS_unshare, CLONE_FILES, 0, 0, 0, 0, 0);
  for (int each = 1; each < 4; each++)
    for (int place = each; place > 0 && ours[place] < ours[place - 1]; place--) {
      int64_t swapped = ours[place];
      ours[place] = ours[place - 1];
      ours[place - 1] = swapped;
    }
  int64_t from = 0;
  for (int each = 0; each <= 4; each++) {
    int64_t end = each < 4 ? ours[each] : UINT32_MAX;
    if (end < 0) continue;
    if (end > from && arb_tier_call(SYS_close_range, from, end - 1, 0, 0, 0, 0) == -ENOSYS)
      for (int64_t file = from; file < end && file < 65536; file++)
        arb_tier_call(SYS_close, file, 0, 0, 0, 0, 0);
    from = end + 1;
  }
}

/* While these two are kept from a processor, threads of the program may be waiting for them. Where
 * the process may not ask for it, they take their turn. */
static void hurry(void) {
  arb_tier_call(SYS_setpriority, PRIO_PROCESS, arb_tier_thread_number(), -15, 0, 0, 0);
}

static void *watch(void *unused) {
  (void)unused;
  ArbTierState *state = &arb_tier_state;
  arb_tier_call(SYS_prctl, PR_SET_NAME, (intptr_t) "arb-watcher", 0, 0, 0, 0);
  hurry();
  state->watcher_thread = arb_tier_thread_number();
  for (;;) {
    struct pollfd event = {.fd = state->uffd, .events = POLLIN};
    int64_t answer = arb_tier_call(SYS_poll, (intptr_t)&event, 1, -1, 0, 0, 0);
    if (answer < 0 && answer != -EINTR) return NULL;
    if (answer > 0) arb_tier_drain_events();
    count_cpu(1);
  }
}

static int start_thread(void *(*body)(void *)) {
  if (arb_tier_state.is_bare) return arb_tier_start_bare(body);
  pthread_attr_t attributes;
  pthread_t thread;
  sigset_t all, before;
  sigfillset(&all);
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int answer = pthread_create(&thread, &attributes, body, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return -answer;
}

static int begin_mover(void) {
  ArbTierState *state = &arb_tier_state;
  state->mover_thread = arb_tier_thread_number();
  arb_tier_pool_begin();
  /* Before the watcher is there: it gets the table of descriptors that the mover has then. */
  take_descriptors();
  if (state->is_movable) {
    int answer = start_thread(watch);
    if (answer != 0) {
      state->is_movable = 0;
      state->seat->is_frozen = 1;
      arb_tier_remark(ARB_TIER_REMARK_THREAD, "no thread can be started", -answer);
    }
  }
  int answer = state->is_bare ? -arb_tier_own_bare(&state->seat->owner)
                              : pthread_mutex_lock(&state->seat->owner);
  if (answer == EOWNERDEAD) answer = pthread_mutex_consistent(&state->seat->owner);
  /* Release, with arb_tier_seat_is_left: the mutex is held before the seat is taken. */
  __atomic_store_n(&state->seat->state, ARB_TIER_SEAT_TAKEN, __ATOMIC_RELEASE);
  return answer;
}

static int is_manager_alive(void) {
  uint64_t heartbeat =
      __atomic_load_n(&arb_tier_state.header->heartbeat_ns, __ATOMIC_RELAXED);
  return heartbeat == 0 || arb_tier_now() - (int64_t)heartbeat < HEARTBEAT_NS_MAX;
}

static void *run_mover(void *unused) {
  (void)unused;
  ArbTierState *state = &arb_tier_state;
  arb_tier_call(SYS_prctl, PR_SET_NAME, (intptr_t) "arb-mover", 0, 0, 0, 0);
  hurry();
  begin_mover();
  /* Release, with arb_tier_start and arb_tier_on_mover. */
  __atomic_store_n(&state->is_started, 1, __ATOMIC_RELEASE);
  arb_tier_wake_all(&state->is_started);
  for (;;) {
    uint32_t bell = __atomic_load_n(&state->seat->request_bell, __ATOMIC_ACQUIRE);
    int is_alive = is_manager_alive();
    do {
      arb_tier_serve();
      serve_move();
    } while (is_alive && take_request());
    arb_tier_fork_tend();
    arb_tier_pool_tend();
    count_cpu(0);
    int is_waiting = is_alive && state->seat->request_head != state->seat->request_tail;
    arb_tier_sleep(&state->seat->request_bell, bell, is_waiting ? FULL_SLEEP_NS : SLEEP_NS);
  }
}

static int start_threads(int is_bare) {
  ArbTierState *state = &arb_tier_state;
  if (!arb_tier_is_joined()) return -ENOTCONN;
  uint32_t expected = 0;
  if (__atomic_load_n(&state->is_started, __ATOMIC_ACQUIRE) != 0) return 0;
  /* One starter at a time. */
  if (!__atomic_compare_exchange_n(
          &state->is_starting, &expected, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
    return 0;
  int64_t ours[4] = {state->slow_fd, state->uffd, state->pagemap_fd, state->maps_fd};
  state->is_bare = is_bare != 0;
  int answer = start_thread(run_mover);
  if (answer == 0) {
    while (__atomic_load_n(&state->is_started, __ATOMIC_ACQUIRE) == 0)
      arb_tier_sleep(&state->is_started, 0, 100000000);
    for (int each = 0; each < 4; each++)
      if (ours[each] >= 0) arb_tier_call(SYS_close, ours[each], 0, 0, 0, 0, 0);
    __atomic_store_n(&state->is_starting, 0, __ATOMIC_RELEASE);
  } else {
    arb_tier_remark(ARB_TIER_REMARK_THREAD, "the mover cannot be started", -answer);
    arb_tier_leave();
  }
  return answer;
}

int arb_tier_start(void) { return start_threads(0); }

int arb_tier_start_inside(void) { return start_threads(1); }
