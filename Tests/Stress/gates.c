/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What befalls gates and permits: signals without end, jumps out of everything, forks, deaths, and
 * pages that another program wrote nonsense into. Whatever hangs is ended by an alarm.
 *
 *   gates
 */
#define _GNU_SOURCE
#include "CArbiterGate.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_MAX 5 /* of one check */

static void check_at(int holds, const char *what, int line) {
  if (holds) return;
  fprintf(stderr, "gates: FAILED: %s (line %d)\n", what, line);
  _exit(1);
}
#define check(holds, what) check_at(holds, what, __LINE__)

static ArbMapping make_page(uint32_t permits, uint32_t slots) {
  ArbPageParameters parameters = {.slot_count = slots, .scheme = ARB_SCHEME_LOCK,
                                  .permit_count = permits, .ring_count = 1, .ring_slots = 1,
                                  .ticks_per_nanosecond = 2.5, .maximum_wait_ticks = 25000000};
  ArbMapping mapping;
  check(arb_page_create(&parameters, &mapping) == 0, "a page is made");
  arb_set_name(mapping.page, 1, "all", 1);
  arb_set_activate(mapping.page, 1, 1);
  return mapping;
}

static ArbGate attach(const ArbMapping *mapping) {
  ArbGate gate;
  check(arb_gate_attach(&gate, mapping->page, 1, 0) == 0, "a gate is attached");
  return gate;
}

static ArbPermitCounts permits_of(const ArbMapping *mapping) {
  ArbPermitCounts counts;
  arb_permits_read(mapping->page, 1, &counts);
  return counts;
}

/* --- Signals ---------------------------------------------------------------------------------- */

static sigjmp_buf way_out;
static volatile sig_atomic_t turns_left, jumps;

static void tick(int number) {
  (void)number;
  if (--turns_left <= 0) {
    static const char text[] = "gates: FAILED: a waiter that is interrupted all the time hangs\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(2);
    _exit(1);
  }
  if (jumps) siglongjmp(way_out, 1);
}

/* A timer that interrupts sleeps before it is time to look for dead holders. */
static void start_ticking(int milliseconds, int jumps_out) {
  jumps = jumps_out;
  turns_left = SECONDS_MAX * 1000 / milliseconds;
  struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval each = {{0, milliseconds * 1000}, {0, milliseconds * 1000}};
  setitimer(ITIMER_REAL, &each, NULL);
}

static void stop_ticking(void) {
  struct itimerval none = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &none, NULL);
  signal(SIGALRM, SIG_DFL);
}

/* A process that takes a permit and sleeps; returns when it has it. */
static pid_t hold_permit_elsewhere(const ArbMapping *mapping) {
  uint32_t before = permits_of(mapping).holder_count;
  pid_t child = fork();
  if (child == 0) {
    ArbGate gate = attach(mapping);
    check(arb_permit_acquire(&gate) != ARB_NO_TICKET, "a free permit is taken");
    for (;;) pause();
  }
  while (permits_of(mapping).holder_count == before) usleep(1000);
  return child;
}

static void end_process(pid_t child) {
  int status;
  kill(child, SIGKILL);
  check(waitpid(child, &status, 0) == child, "a process ends");
}

static void recover_under_signals(void) {
  ArbMapping mapping = make_page(1, 8);
  ArbGate gate = attach(&mapping);
  end_process(hold_permit_elsewhere(&mapping));
  start_ticking(5, 0);
  check(arb_permit_acquire(&gate) != ARB_NO_TICKET, "a dead holder's permit is taken");
  stop_ticking();
  arb_permit_release(&gate);
  check(permits_of(&mapping).recovered_count == 1, "the recovery is counted");
  arb_gate_detach(&gate);
  arb_page_close(&mapping);
}

/* --- Jumps ------------------------------------------------------------------------------------ */

static void jump_out(void *context, size_t offset, size_t byte_count, int is_last) {
  (void)offset, (void)byte_count, (void)is_last;
  if (*(const int *)context) siglongjmp(way_out, 1);
}

/* A store faults, and the program's handler leaves it. */
static void leave_stores(void) {
  ArbMapping mapping = make_page(2, 8);
  ArbGate gate = attach(&mapping);
  ArbRun run = {.address = 4096, .byte_count = 64};
  int leaves = 1;
  for (volatile int turn = 0; turn < 5; turn++) {
    if (sigsetjmp(way_out, 1) == 0) arb_admit(&gate, &run, jump_out, &leaves);
  }
  leaves = 0;
  arb_admit(&gate, &run, jump_out, &leaves);
  ArbPermitCounts counts = permits_of(&mapping);
  check(counts.holder_count == 0, "no permit is lost by jumps out of stores");
  check(counts.holder_count_max == 1, "one thread never holds two permits");
  if (sigsetjmp(way_out, 1) == 0) {
    leaves = 1;
    arb_admit(&gate, &run, jump_out, &leaves);
  }
  arb_gate_detach(&gate);
  check(permits_of(&mapping).holder_count == 0, "a detached gate holds no permit");
  arb_page_close(&mapping);
}

/* A timer's handler leaves the wait for a permit. */
static void leave_waits(void) {
  ArbMapping mapping = make_page(1, 8);
  ArbGate gate = attach(&mapping);
  pid_t child = hold_permit_elsewhere(&mapping);
  if (sigsetjmp(way_out, 1) == 0) {
    start_ticking(30, 1);
    arb_permit_acquire(&gate);
    check(0, "a held permit is not granted");
  }
  stop_ticking();
  check(permits_of(&mapping).waiting_count == 1, "the abandoned wait is in the queue");
  end_process(child);
  arb_page_reap(mapping.page);
  alarm(SECONDS_MAX);
  check(arb_permit_acquire(&gate) != ARB_NO_TICKET, "the next store gets a permit");
  arb_permit_release(&gate);
  alarm(0);
  ArbPermitCounts counts = permits_of(&mapping);
  check(counts.holder_count == 0 && counts.waiting_count == 0, "nothing is left of the wait");
  arb_gate_detach(&gate);
  arb_page_close(&mapping);
}

/* A handler leaves while the thread holds the lock of the permits. */
static void leave_the_lock(void) {
  ArbMapping mapping = make_page(1, 8);
  ArbGate gate = attach(&mapping);
  check(pthread_mutex_lock(&mapping.page->sets[1].permits.lock) == 0, "the lock is free");
  mapping.page->sets[1].permits.holder_count = 1;
  alarm(SECONDS_MAX);
  check(arb_permit_acquire(&gate) != ARB_NO_TICKET, "the next store gets a permit");
  arb_permit_release(&gate);
  alarm(0);
  check(permits_of(&mapping).holder_count == 0, "the counts are right again");
  check(pthread_mutex_trylock(&mapping.page->sets[1].permits.lock) == 0, "the lock is free again");
  pthread_mutex_unlock(&mapping.page->sets[1].permits.lock);
  arb_gate_detach(&gate);
  arb_page_close(&mapping);
}

/* --- Forks ------------------------------------------------------------------------------------ */

/* A child whose exit handlers give back what its parent attached. */
static void detach_in_child(void) {
  ArbMapping mapping = make_page(1, 8);
  ArbGate gate = attach(&mapping);
  pid_t child = fork();
  if (child == 0) {
    arb_gate_detach(&gate);
    _exit(0);
  }
  int status;
  check(waitpid(child, &status, 0) == child && status == 0, "the child ends well");
  check(arb_page_attached_count(mapping.page, 1) == 1, "the parent's gate stays attached");
  arb_gate_detach(&gate);
  check(arb_page_attached_count(mapping.page, 1) == 0, "the parent detaches");
  arb_page_close(&mapping);
}

/* --- Sessions --------------------------------------------------------------------------------- */

#define COMERS 4

static struct {
  ArbPage *page;
  pthread_barrier_t start;
  int64_t taken[COMERS];
} race;

static void *take_session(void *number) {
  pthread_barrier_wait(&race.start);
  race.taken[(size_t)number] = arb_page_begin_session(race.page);
  return NULL;
}

/* All sessions are those of dead runs, and several runs begin at once. */
static void race_for_sessions(void) {
  ArbMapping mapping = make_page(1, 8);
  race.page = mapping.page;
  pthread_barrier_init(&race.start, NULL, COMERS);
  for (int round = 0; round < 3000; round++) {
    for (uint32_t session = 1; session < ARB_SESSION_COUNT; session++) {
      mapping.page->sessions[session].process = 0x7FFFFFF0; /* above the kernel's greatest */
      mapping.page->sessions[session].is_used = 1;
    }
    pthread_t threads[COMERS];
    for (size_t number = 0; number < COMERS; number++) {
      pthread_create(&threads[number], NULL, take_session, (void *)number);
    }
    for (int number = 0; number < COMERS; number++) pthread_join(threads[number], NULL);
    for (int number = 0; number < COMERS; number++) {
      check(race.taken[number] > 0, "a session of a dead run is taken");
      const ArbSession *taken = &mapping.page->sessions[race.taken[number]];
      check(taken->is_used && taken->process == getpid(), "a taken session stays taken");
      for (int other = 0; other < number; other++) {
        check(race.taken[other] != race.taken[number], "nobody shares a session");
      }
    }
  }
  pthread_barrier_destroy(&race.start);
  arb_page_close(&mapping);
}

/* --- Nonsense --------------------------------------------------------------------------------- */

static ArbPage *nonsense;
static ArbGate gated;

static void queue_beyond(void) {
  nonsense->sets[1].permits.queue_head = nonsense->sets[1].permits.queue_tail = 0x7FFFFFF0;
}

static void queue_in_a_ring(void) {
  nonsense->sets[1].permits.queue_head = nonsense->sets[1].permits.queue_tail = 2;
  arb_page_slot(nonsense, 2)->permit_next = 2;
}

static void slots_beyond(void) { nonsense->slots_used = 0x7FFFFFF0; }

static void set_beyond(void) { arb_page_slot(nonsense, gated.slot_index)->set_index = 0x7FFFFFF0; }

static void session_beyond(void) { arb_page_slot(nonsense, 1)->session = 0x7FFFFFF0; }

static void state_beyond(void) { arb_page_slot(nonsense, gated.slot_index)->permit_state = 77; }

static void last_ticket(void) {
  ArbSlot *slot = arb_page_slot(nonsense, gated.slot_index);
  slot->permit_state = ARB_PERMIT_WAITING;
  slot->permit_ticket = UINT64_MAX;
}

/* Whatever another program of the user writes into the page: the gated program lives on. */
static void survive(void (*spoil)(void), const char *what) {
  ArbMapping mapping = make_page(1, 8);
  nonsense = mapping.page;
  pid_t child = fork();
  if (child == 0) {
    alarm(SECONDS_MAX);
    ArbGate first = attach(&mapping);
    gated = attach(&mapping);
    arb_permit_acquire(&first);
    spoil();
    ArbRun run = {.address = 4096, .byte_count = 64};
    int leaves = 0;
    arb_permit_release(&first);
    arb_admit(&gated, &run, jump_out, &leaves);
    permits_of(&mapping);
    arb_page_reap(nonsense);
    ArbGate third;
    if (arb_gate_attach(&third, nonsense, 1, 0) == 0) arb_gate_detach(&third);
    arb_gate_detach(&gated);
    _exit(0);
  }
  int status;
  check(waitpid(child, &status, 0) == child && status == 0, what);
  arb_page_close(&mapping);
}

/* A file that begins like a page and is none. */
static void refuse(const char *what, int is_sealed, void (*spoil)(void)) {
  ArbMapping mapping = make_page(1, 8), opened;
  char path[64];
  int copy = memfd_create("copy", MFD_ALLOW_SEALING);
  check(copy >= 0 && ftruncate(copy, (off_t)mapping.page->byte_count) == 0, "a copy is made");
  nonsense = mmap(NULL, mapping.page->byte_count, PROT_READ | PROT_WRITE, MAP_SHARED, copy, 0);
  check(nonsense != MAP_FAILED, "a copy is mapped");
  memcpy(nonsense, mapping.page, sizeof *nonsense);
  if (is_sealed) fcntl(copy, F_ADD_SEALS, F_SEAL_SHRINK);
  spoil();
  snprintf(path, sizeof path, "/proc/self/fd/%d", copy);
  check(arb_page_open(path, &opened) == -EPROTO, what);
  munmap(nonsense, mapping.page->byte_count);
  close(copy);
  arb_page_close(&mapping);
}

static void wrap_slots(void) { nonsense->slots_offset = 0 - (uint64_t)sizeof(ArbSlot); }
static void shift_slots(void) { nonsense->slots_offset += 4; }
static void lose_clock(void) { nonsense->ticks_per_nanosecond = __builtin_nan(""); }
static void wait_backwards(void) { nonsense->maximum_wait_ticks = -1; }
static void spoil_nothing(void) {}

static void survive_nonsense(void) {
  survive(queue_beyond, "a queue that leads out of the page is survived");
  survive(queue_in_a_ring, "a queue without an end is survived");
  survive(slots_beyond, "more slots than the page has are survived");
  survive(set_beyond, "a set that does not exist is survived");
  survive(session_beyond, "a session that does not exist is survived");
  survive(state_beyond, "a state that does not exist is survived");
  survive(last_ticket, "the last of all tickets is survived");
}

static void refuse_nonsense(void) {
  refuse("slots before the page are refused", 1, wrap_slots);
  refuse("slots at an odd place are refused", 1, shift_slots);
  refuse("a clock without a rate is refused", 1, lose_clock);
  refuse("waits below zero are refused", 1, wait_backwards);
  refuse("a file that can be cut short is refused", 0, spoil_nothing);
}

/* Each in a process of its own, so that all are run whatever fails. */
int main(void) {
  static void (*const checks[])(void) = {
      recover_under_signals, leave_stores,      leave_waits,      leave_the_lock,
      detach_in_child,       race_for_sessions, survive_nonsense, refuse_nonsense,
  };
  int failures = 0, status;
  for (size_t index = 0; index < sizeof checks / sizeof *checks; index++) {
    pid_t child = fork();
    if (child == 0) {
      checks[index]();
      _exit(0);
    }
    if (waitpid(child, &status, 0) == child && status == 0) continue;
    fprintf(stderr, "gates: check %zu ended with status %#x\n", index, (unsigned)status);
    failures++;
  }
  if (failures == 0) printf("gates: passed\n");
  return failures != 0;
}
