/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "CArbiterRecord.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* How long a wait for room sleeps before it looks whether anybody still reads. */
#define NAP_NANOSECONDS 5000000

/* --- Time that the thread did not choose to spend --------------------------------------------- */

/* Nanoseconds that the thread was ready to run and did not, so far; -1 where the kernel does not
 * say. Source: sched-stats of the kernel's documentation, second number of the file. */
static int64_t read_run_delay(void) {
  /* By number, because the functions of these names are places at which a thread is cancelled. */
  long descriptor =
      syscall(SYS_openat, AT_FDCWD, "/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return -1;
  char text[96];
  long count = syscall(SYS_read, descriptor, text, sizeof text);
  syscall(SYS_close, descriptor);
  long at = 0;
  while (at < count && text[at] != ' ') at++;
  int64_t number = 0;
  long first = ++at;
  for (; at < count && text[at] >= '0' && text[at] <= '9'; at++) {
    number = number * 10 + (text[at] - '0');
  }
  return at > first ? number : -1;
}

static int64_t read_cpu_nanoseconds(void) {
  struct timespec time;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) != 0) return 0;
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* What a look at the kernel's figures brings, compared with the look before. */
static int64_t forced_nanoseconds(ArbRecorder *recorder, int64_t now) {
  struct rusage usage;
  if (getrusage(RUSAGE_THREAD, &usage) != 0) return 0;
  int64_t forced = usage.ru_nivcsw - recorder->forced_switches;
  int64_t own = usage.ru_nvcsw - recorder->own_switches;
  recorder->forced_switches = usage.ru_nivcsw;
  recorder->own_switches = usage.ru_nvcsw;
  int64_t cpu = read_cpu_nanoseconds();
  double passed = (double)(now - recorder->cpu_ticks) / recorder->ticks_per_nanosecond;
  double off = passed - (double)(cpu - recorder->cpu_nanoseconds);
  recorder->cpu_nanoseconds = cpu;
  recorder->cpu_ticks = now;
  if (off < 0) off = 0;
  int64_t delay = 0;
  if (recorder->has_run_delay && (forced != 0 || own != 0)) {
    int64_t sum = read_run_delay();
    delay = sum > recorder->run_delay ? sum - recorder->run_delay : 0;
    if (sum >= 0) recorder->run_delay = sum;
  }
  /* Without a switch of its own it wanted to run all the time. So what it did not get is taken out
   * whole, be it a limit of the group or another virtual machine that kept it waiting. */
  if (own == 0) return (int64_t)off;
  if (recorder->has_run_delay) return delay;
  /* Else shared among forced and own switches by their numbers. */
  return (int64_t)(off * (double)forced / (double)(forced + own));
}

void arb_recorder_account(ArbRecorder *recorder, int64_t now) {
  int saved_errno = errno;
  int64_t gap = now - recorder->last_ticks;
  int64_t removed =
      (int64_t)((double)forced_nanoseconds(recorder, now) * recorder->ticks_per_nanosecond);
  if (removed > gap) removed = gap;
  recorder->removed_ticks += removed;
  recorder->last_ticks = now;
  if (recorder->lane != NULL && removed > 0) {
    int64_t sum = __atomic_load_n(&recorder->lane->removed_ticks, __ATOMIC_RELAXED);
    __atomic_store_n(&recorder->lane->removed_ticks, sum + removed, __ATOMIC_RELAXED);
  }
  /* The question itself. */
  arb_recorder_exclude(recorder);
  errno = saved_errno;
}

static void begin_time(ArbRecorder *recorder) {
  struct rusage usage;
  if (getrusage(RUSAGE_THREAD, &usage) == 0) {
    recorder->forced_switches = usage.ru_nivcsw;
    recorder->own_switches = usage.ru_nvcsw;
  }
  int64_t delay = read_run_delay();
  recorder->has_run_delay = delay >= 0;
  recorder->run_delay = delay;
  recorder->cpu_nanoseconds = read_cpu_nanoseconds();
  recorder->cpu_ticks = recorder->last_ticks = arb_read_tsc();
}

/* --- Lanes ------------------------------------------------------------------------------------ */

/* Takes lane `index` if it is free. */
static int take(ArbRecorder *recorder, ArbTraceSession *session, uint32_t index,
                ArbTraceSource source) {
  ArbTraceLane *lane = arb_trace_lane(session, index);
  /* Acquires what the reader reset before it freed the lane. */
  if (__atomic_load_n(&lane->use, __ATOMIC_ACQUIRE) != ARB_TRACE_LANE_FREE) return 0;
  int status = pthread_mutex_trylock(&lane->owner);
  if (status == EOWNERDEAD) {
    /* Its owner died before it had filled it in. */
    pthread_mutex_consistent(&lane->owner);
  } else if (status != 0) {
    return 0;
  }
  if (__atomic_load_n(&lane->use, __ATOMIC_ACQUIRE) != ARB_TRACE_LANE_FREE) {
    pthread_mutex_unlock(&lane->owner);
    return 0;
  }
  lane->head = lane->reach = lane->lost_count = 0;
  lane->removed_ticks = lane->waited_ticks = 0;
  lane->is_waiting = 0;
  lane->source = (uint32_t)source;
  lane->process = (int32_t)getpid();
  lane->thread = (int32_t)syscall(SYS_gettid);
  memset(lane->name, 0, sizeof lane->name);
  prctl(PR_GET_NAME, lane->name);
  lane->generation++;
  uint32_t used = __atomic_load_n(&session->lanes_used, __ATOMIC_RELAXED);
  while (used <= index && !__atomic_compare_exchange_n(&session->lanes_used, &used, index + 1, 0,
                                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  recorder->lane = lane;
  recorder->ring = arb_trace_ring(session, index);
  recorder->ring_mask = session->ring_events - 1;
  recorder->head = 0;
  recorder->room_until = session->ring_events;
  /* Releases the fields to the reader. */
  __atomic_store_n(&lane->use, ARB_TRACE_LANE_USED, __ATOMIC_RELEASE);
  return 1;
}

int64_t arb_recorder_attach(ArbRecorder *recorder, ArbTraceSession *session,
                            ArbTraceSource source) {
  int saved_errno = errno;
  memset(recorder, 0, sizeof *recorder);
  recorder->session = session;
  recorder->ticks_per_nanosecond = session->ticks_per_nanosecond;
  recorder->gap_ticks = (int64_t)(ARB_TRACE_GAP_NANOSECONDS * session->ticks_per_nanosecond);
  uint32_t lanes = session->lane_count;
  uint32_t first = __atomic_load_n(&session->next_lane, __ATOMIC_RELAXED);
  int is_taken = 0;
  for (uint32_t turn = 0; turn < lanes && !is_taken; turn++) {
    uint32_t index = (first + turn) % lanes;
    is_taken = take(recorder, session, index, source);
    if (is_taken) __atomic_store_n(&session->next_lane, (index + 1) % lanes, __ATOMIC_RELAXED);
  }
  if (is_taken) {
    begin_time(recorder);
  } else {
    __atomic_fetch_add(&session->refused_threads, 1, __ATOMIC_RELAXED);
  }
  errno = saved_errno;
  return is_taken ? 0 : -EUSERS;
}

void arb_recorder_detach(ArbRecorder *recorder) {
  ArbTraceLane *lane = recorder->lane;
  recorder->lane = NULL;
  if (lane == NULL) return;
  /* To the reader a lane that is used and has no owner is one to take in and free. */
  pthread_mutex_unlock(&lane->owner);
  arb_recorder_ring_bell(recorder);
}

/* --- Room ------------------------------------------------------------------------------------- */

static void wait_on(uint32_t *word, uint32_t expected, int64_t nanoseconds) {
  struct timespec limit = {0, nanoseconds};
  syscall(SYS_futex, word, FUTEX_WAIT, expected, &limit, NULL, 0);
}

void arb_recorder_ring_bell(ArbRecorder *recorder) {
  ArbTraceSession *session = recorder->session;
  if (session == NULL || __atomic_load_n(&session->is_sleeping, __ATOMIC_RELAXED) == 0) return;
  int saved_errno = errno;
  /* Releases nothing: the reader looks at every lane's head itself. */
  __atomic_fetch_add(&session->doorbell, 1, __ATOMIC_RELAXED);
  syscall(SYS_futex, &session->doorbell, FUTEX_WAKE, 1, NULL, NULL, 0);
  errno = saved_errno;
}

/* Whether somebody reads: the reader's thread lives, and has looked not long ago. */
static int is_read(ArbTraceSession *session) {
  if (__atomic_load_n(&session->is_ended, __ATOMIC_RELAXED) != 0) return 0;
  int status = pthread_mutex_trylock(&session->reader);
  if (status == 0 || status == EOWNERDEAD) {
    if (status == EOWNERDEAD) pthread_mutex_consistent(&session->reader);
    __atomic_store_n(&session->is_ended, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&session->reader);
    return 0;
  }
  int64_t beat = __atomic_load_n(&session->heartbeat_ticks, __ATOMIC_RELAXED);
  return arb_read_tsc() - beat < session->stale_ticks;
}

/* Looks how far the reader is. */
static int has_room(ArbRecorder *recorder) {
  /* Acquires the reader's use of the places up to its tail (arb_trace_reader_drain). */
  uint64_t tail = __atomic_load_n(&recorder->lane->tail, __ATOMIC_ACQUIRE);
  uint64_t pending = recorder->head - tail;
  if (pending > recorder->ring_mask) return 0;
  recorder->room_until = tail + recorder->ring_mask + 1;
  recorder->has_given_up = 0;
  return 1;
}

int arb_recorder_wait_for_room(ArbRecorder *recorder) {
  ArbTraceLane *lane = recorder->lane;
  if (lane == NULL) return 0;
  if (has_room(recorder)) return 1;
  int saved_errno = errno;
  int64_t began = arb_read_tsc();
  int64_t limit = recorder->session->wait_ticks_max;
  int is_there = 0;
  while (!recorder->has_given_up && is_read(recorder->session)) {
    uint32_t room = __atomic_load_n(&lane->room, __ATOMIC_RELAXED);
    /* Sequentially consistent on both sides: the reader stores its tail before it looks whether
     * somebody waits, this thread says so before it looks at the tail; one of them sees it. */
    __atomic_store_n(&lane->is_waiting, 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    arb_recorder_ring_bell(recorder);
    is_there = has_room(recorder);
    if (is_there || arb_read_tsc() - began > limit) break;
    wait_on(&lane->room, room, NAP_NANOSECONDS);
  }
  __atomic_store_n(&lane->is_waiting, 0, __ATOMIC_RELAXED);
  if (!is_there) {
    recorder->has_given_up = 1;
    arb_recorder_count_lost(recorder, 1);
  }
  arb_recorder_exclude(recorder);
  errno = saved_errno;
  return is_there;
}
