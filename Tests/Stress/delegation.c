/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Stress of delegation*.c, which are compiled into this program with two changes: between any two
 * steps that another thread may get between, threads pause now and then, by a seeded stream; and
 * whoever waits looks for dead workers only once in ten minutes, so that no such look hides a lost
 * wake-up. A lost wake-up therefore hangs, and the alarm ends the program.
 *
 *   delegation ITERATIONS [SEED]
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void pause_now_and_then(void);

#define ARB_DELEGATION_PAUSE pause_now_and_then
#define ARB_DELEGATION_LOOK_NANOSECONDS look_nanoseconds
#define ARB_DELEGATION_WAIT_NANOSECONDS wait_nanoseconds
#define ARB_DELEGATION_FILL_NANOSECONDS fill_nanoseconds

static const int64_t never = 600000000000;
static int64_t look_nanoseconds, wait_nanoseconds, fill_nanoseconds;

#include "../../Sources/CArbiterGate/delegation.c"
#include "../../Sources/CArbiterGate/delegation_lane.c"
#include "../../Sources/CArbiterGate/delegation_worker.c"

#define SECONDS_MAX 240

static uint64_t seed;
static _Thread_local uint64_t random_state;

static uint64_t next_random(void) {
  random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
  return random_state >> 33;
}

static void start_random(uint64_t stream) {
  random_state = (seed * 1000 + stream) * 0x9E3779B97F4A7C15ull | 1;
}

static void pause_now_and_then(void) {
  uint64_t dice = next_random() & 1023;
  if (dice < 2) usleep(1 + (useconds_t)(next_random() & 63));
  if (dice < 8) sched_yield();
  if (dice < 64) {
    /* Around the length of the spinning, so that both sides of the decision to sleep are hit. */
    for (uint64_t turn = next_random() & 511; turn > 0; turn--) arb_pause();
  }
}

static void check(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "delegation: FAILED: %s (seed %llu)\n", what, (unsigned long long)seed);
  exit(1);
}

/* --- Spinning and sleeping -------------------------------------------------------------------- */

typedef struct {
  ArbDelegation *pool;
  uint64_t iterations;
  uint64_t stream;
} Writer;

static void copy(void *target, const void *source, size_t bytes, int32_t value, uint32_t flags) {
  (void)value;
  (void)flags;
  memcpy(target, source, bytes);
}

static void *write_much(void *argument) {
  Writer *writer = argument;
  start_random(writer->stream);
  uint64_t sources[8] = {0}, target = 0;
  ArbLane lane;
  check(arb_lane_open(writer->pool, &lane) == 0, "a lane opens");
  for (uint64_t done = 0; done < writer->iterations;) {
    uint64_t burst = 1 + next_random() % 8;
    for (uint64_t place = 0; place < burst; place++) {
      sources[place] = ++done;
      ArbRequest request = {&target, &sources[place], sizeof target, 0, 0, copy,
                            done % 16 == 0 ? arb_read_tsc() : 0};
      check(arb_lane_submit(&lane, &request) == 0, "a request is accepted");
    }
    pause_now_and_then();
    check(arb_lane_wait(&lane, lane.submitted_count) == 0, "requests complete");
    /* I1 and I2: the last request of the lane has been executed last, and is visible. */
    check(target == done, "the last store wins");
    if (next_random() % 4096 == 0) {
      arb_lane_close(&lane);
      check(arb_lane_open(writer->pool, &lane) == 0, "a lane opens again");
    }
  }
  arb_lane_close(&lane);
  return NULL;
}

static void stress_wake_ups(uint64_t iterations, uint32_t rings, uint32_t slots, uint32_t threads) {
  look_nanoseconds = wait_nanoseconds = fill_nanoseconds = never;
  ArbDelegation *pool;
  pthread_t handles[16];
  Writer writers[16];
  check(arb_delegation_create(rings, slots, threads, &pool) == 0, "a pool starts");
  for (uint32_t index = 0; index < threads; index++) {
    writers[index] = (Writer){pool, iterations / threads, index + 1};
    pthread_create(&handles[index], NULL, write_much, &writers[index]);
  }
  for (uint32_t index = 0; index < threads; index++) pthread_join(handles[index], NULL);
  arb_delegation_shutdown(pool);
  uint64_t cells[ARB_LATENCY_CELLS] = {0}, sum = 0, maximum = 0, count = 0;
  arb_delegation_add_latencies(pool, cells, &sum, &maximum);
  for (uint32_t cell = 0; cell < ARB_LATENCY_CELLS; cell++) count += cells[cell];
  check(count >= iterations / threads / 16 * threads && maximum > 0, "latencies are recorded");
  check(arb_delegation_cpu_nanoseconds(pool) > 0, "CPU time is recorded");
  check(arb_delegation_dead_count(pool) == 0, "no worker died");
  arb_delegation_destroy(pool);
}

/* --- Workers that die and pools that shut down ------------------------------------------------ */

static void die(void *target, const void *source, size_t bytes, int32_t value, uint32_t flags) {
  (void)target;
  (void)source;
  (void)bytes;
  (void)value;
  (void)flags;
  pthread_exit(NULL);
}

typedef struct {
  ArbDelegation *pool;
  uint64_t stream;
  uint64_t completed, failed, refused;
  int64_t worst_nanoseconds; /* of the waits that ended in an error */
} Victim;

/* Submits until refused; every request ends, or this never returns. */
static void *write_until_refused(void *argument) {
  Victim *victim = argument;
  start_random(victim->stream);
  uint64_t source = 7, target = 0;
  ArbLane lane;
  check(arb_lane_open(victim->pool, &lane) == 0, "a lane opens");
  while (victim->refused == 0) {
    for (uint64_t left = 1 + next_random() % 20; left > 0; left--) {
      ArbRequest request = {&target, &source, sizeof target, 0, 0, copy, 0};
      int64_t status = arb_lane_submit(&lane, &request);
      if (status == 0) continue;
      check(status == -ESHUTDOWN || status == -EOWNERDEAD, "a refusal says why");
      victim->refused++;
      break;
    }
    int64_t start = now_nanoseconds(CLOCK_MONOTONIC);
    int64_t status = arb_lane_wait(&lane, lane.submitted_count);
    int64_t waited = now_nanoseconds(CLOCK_MONOTONIC) - start;
    check(status == 0 || status == -EOWNERDEAD, "a request ends in success or in an error");
    if (status != 0) {
      victim->failed++;
      if (waited > victim->worst_nanoseconds) victim->worst_nanoseconds = waited;
    }
  }
  victim->completed = arb_lane_completed_count(&lane);
  check(victim->completed <= lane.submitted_count, "nothing completes that was not submitted");
  check(victim->failed > 0 || victim->completed == lane.submitted_count, "no request is lost");
  arb_lane_close(&lane);
  return NULL;
}

/* Ends pools in the middle of everything, by death of the workers or by shutdown. */
static void stress_ends(uint32_t rounds) {
  look_nanoseconds = 20000000;
  wait_nanoseconds = fill_nanoseconds = never;
  uint64_t failed = 0;
  for (uint32_t round = 0; round < rounds; round++) {
    enum { THREADS = 4 };
    ArbDelegation *pool;
    pthread_t handles[THREADS];
    Victim victims[THREADS];
    memset(victims, 0, sizeof victims);
    check(arb_delegation_create(2, 1 + round % 5, THREADS + 2, &pool) == 0, "a pool starts");
    for (uint32_t index = 0; index < THREADS; index++) {
      victims[index].pool = pool;
      victims[index].stream = round * 100 + index;
      pthread_create(&handles[index], NULL, write_until_refused, &victims[index]);
    }
    usleep((useconds_t)(next_random() % 3000));
    int is_death = round % 2 == 0;
    ArbLane lanes[2];
    for (uint32_t index = 0; is_death && index < 2; index++) {
      ArbRequest request = {&round, NULL, 0, 0, 0, die, 0};
      check(arb_lane_open(pool, &lanes[index]) == 0, "a lane opens");
      check(arb_lane_submit(&lanes[index], &request) == 0, "the fatal request is accepted");
      check(arb_lane_wait(&lanes[index], 1) == -EOWNERDEAD, "the fatal request fails");
    }
    /* With is_death only once each ring is dead does every victim end: no shutdown helps. */
    if (!is_death) arb_delegation_shutdown(pool);
    for (uint32_t index = 0; index < THREADS; index++) {
      pthread_join(handles[index], NULL);
      failed += victims[index].failed;
      check(is_death || victims[index].failed == 0, "shutdown serves what was accepted");
      check(victims[index].worst_nanoseconds < 2000000000, "an error comes soon");
    }
    check(arb_delegation_dead_count(pool) == (is_death ? 2u : 0u), "deaths are counted");
    arb_delegation_destroy(pool);
  }
  check(failed > 0, "some requests were in flight when their worker died");
}

/* --- A worker that does not get on ------------------------------------------------------------ */

static uint32_t is_held;

static void hold(void *target, const void *source, size_t bytes, int32_t value, uint32_t flags) {
  (void)target;
  (void)source;
  (void)bytes;
  (void)value;
  (void)flags;
  while (__atomic_load_n(&is_held, __ATOMIC_ACQUIRE)) usleep(1000);
}

static void nothing(void *target, const void *source, size_t bytes, int32_t value,
                    uint32_t flags) {
  (void)target;
  (void)source;
  (void)bytes;
  (void)value;
  (void)flags;
}

static void check_bounds(void) {
  look_nanoseconds = 5000000;
  wait_nanoseconds = fill_nanoseconds = 50000000;
  ArbDelegation *pool;
  ArbLane lane, other;
  check(arb_delegation_create(1, 1, 2, &pool) == 0, "a pool starts");
  check(arb_lane_open(pool, &lane) == 0 && arb_lane_open(pool, &other) == 0, "lanes open");
  __atomic_store_n(&is_held, 1, __ATOMIC_RELEASE);
  ArbRequest request = {&lane, NULL, 0, 0, 0, hold, 0};
  check(arb_lane_submit(&lane, &request) == 0, "the first is executed");
  check(arb_lane_submit(&lane, &request) == 0, "the second fills the ring");
  int64_t status = arb_lane_submit(&lane, &request);
  check(status == -ETIMEDOUT, "a ring that stays full is given up");
  check(lane.submitted_count == 2, "what was not accepted has no ticket");
  check(arb_lane_wait(&lane, 3) == -EINVAL, "a ticket from nowhere is refused");
  __atomic_store_n(&is_held, 0, __ATOMIC_RELEASE);
  check(arb_lane_wait(&lane, 2) == 0, "what was accepted completes");
  /* A thread that claimed a place and vanished. */
  __atomic_fetch_add(&pool->rings[0].tail, 1, __ATOMIC_SEQ_CST);
  status = arb_lane_submit(&other, &request);
  check(status == 0 || status == -ETIMEDOUT || status == -EOWNERDEAD, "the next does not hang");
  check(arb_lane_wait(&other, other.submitted_count) == (status == 0 ? -EOWNERDEAD : 0),
        "a request behind an empty place ends in an error");
  arb_delegation_shutdown(pool);
  check(arb_delegation_dead_count(pool) == 1, "the worker gave its ring up");
  arb_delegation_destroy(pool);
}

/* --- Jumps ------------------------------------------------------------------------------------ */

static sigjmp_buf way_out;
static volatile sig_atomic_t may_jump;

static void jump_out(int signal) {
  (void)signal;
  if (may_jump) siglongjmp(way_out, 1);
}

/* A timer's handler leaves whatever is going on with a lane. The mutex is never left held. */
static void check_jumps(int turns) {
  look_nanoseconds = 1000000;
  wait_nanoseconds = fill_nanoseconds = never;
  static ArbDelegation *pool;
  static ArbLane lane;
  static ArbRequest request = {&lane, NULL, 0, 0, 0, nothing, 0};
  check(arb_delegation_create(1, 4, 2, &pool) == 0, "a pool starts");
  struct sigaction action = {.sa_handler = jump_out}, before;
  check(sigaction(SIGVTALRM, &action, &before) == 0, "a handler is set");
  struct itimerval period = {{0, 500}, {0, 500}}, none = {{0, 0}, {0, 0}};
  check(setitimer(ITIMER_VIRTUAL, &period, NULL) == 0, "a timer starts");
  for (volatile int turn = 0; turn < turns; turn++) {
    if (sigsetjmp(way_out, 1) == 0) {
      may_jump = 1;
      for (;;) {
        if (lane.pool == NULL) check(arb_lane_open(pool, &lane) == 0, "a lane opens");
        arb_lane_close(&lane);
      }
    }
    may_jump = 0;
  }
  check(setitimer(ITIMER_VIRTUAL, &none, NULL) == 0, "the timer stops");
  if (lane.pool == NULL) check(arb_lane_open(pool, &lane) == 0, "a lane opens after all");
  check(arb_lane_submit(&lane, &request) == 0 && arb_lane_wait(&lane, 1) == 0, "and serves");
  arb_lane_close(&lane);
  arb_delegation_destroy(pool);
}

/* --- Forks ------------------------------------------------------------------------------------ */

static void check_fork(void) {
  look_nanoseconds = 20000000;
  wait_nanoseconds = fill_nanoseconds = never;
  ArbDelegation *pool;
  ArbLane lane, childs;
  uint64_t source = 7, target = 0;
  check(arb_delegation_create(2, 4, 2, &pool) == 0, "a pool starts");
  check(arb_lane_open(pool, &lane) == 0, "a lane opens");
  ArbRequest slow = {&lane, NULL, 0, 0, 0, hold, 0};
  ArbRequest request = {&target, &source, sizeof target, 0, 0, copy, 0};
  __atomic_store_n(&is_held, 1, __ATOMIC_RELEASE);
  check(arb_lane_submit(&lane, &slow) == 0, "a request is accepted");
  pid_t child = fork();
  if (child == 0) {
    check(!arb_delegation_is_alive(pool), "a forked child knows that it has no workers");
    check(arb_lane_submit(&lane, &request) == -EOWNERDEAD, "submitting fails at once");
    check(arb_lane_wait(&lane, 1) == -EOWNERDEAD, "what was under way has ended in an error");
    check(arb_lane_open(pool, &childs) == -EOWNERDEAD, "opening fails at once");
    arb_lane_close(&lane);
    arb_delegation_destroy(pool);
    _exit(0);
  }
  int status = 1;
  check(waitpid(child, &status, 0) == child && status == 0, "the child ends well");
  __atomic_store_n(&is_held, 0, __ATOMIC_RELEASE);
  check(arb_delegation_is_alive(pool), "the parent keeps its workers");
  check(arb_lane_submit(&lane, &request) == 0, "the parent submits");
  check(arb_lane_wait(&lane, 2) == 0 && target == 7, "the parent's requests complete");
  arb_lane_close(&lane);
  arb_delegation_destroy(pool);
}

int main(int count, char **arguments) {
  if (count < 2) {
    fprintf(stderr, "usage: delegation ITERATIONS [SEED]\n");
    return 64;
  }
  uint64_t iterations = strtoull(arguments[1], NULL, 10);
  seed = count > 2 ? strtoull(arguments[2], NULL, 10) : (uint64_t)time(NULL);
  start_random(0);
  alarm(SECONDS_MAX);
  printf("delegation: %llu iterations, seed %llu\n", (unsigned long long)iterations,
         (unsigned long long)seed);
  fflush(stdout);
  stress_wake_ups(iterations / 2, 1, 4, 1);
  stress_wake_ups(iterations / 4, 1, 2, 3);
  stress_wake_ups(iterations / 4, 2, 64, 6);
  stress_ends((uint32_t)(iterations / 20000) + 4);
  check_bounds();
  check_jumps(500);
  check_fork();
  printf("delegation: passed\n");
  return 0;
}
