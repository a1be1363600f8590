/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Plays the manager of two tiers that has lost its mind: runs a program under the tier library and
 * moves random islands of random chunks, to and fro, for as long as the program lives.
 *
 *   shuffle FOLDER FAST_MIB SLOW_MIB SEED PRELOAD program args...
 *
 * The program's output and code pass through. At the end one line on stderr, of numbers that tests
 * read: seats that were taken, chunks that moved, refusals, homes, forks, whether all was frozen;
 * and remarks of the library, one line each. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "CArbiterTier.h"

static uint64_t state;
static void *page;
static ArbTierSizes sizes;
static uint64_t moved, busy, stale, full, failed, requests;
static uint64_t homes, forks, seats, frozen, stalls, placed, ticket;

static uint64_t draw(void) { /* splitmix64 */
  uint64_t word = (state += 0x9e3779b97f4a7c15ull);
  word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9ull;
  word = (word ^ word >> 27) * 0x94d049bb133111ebull;
  return word ^ word >> 31;
}

static void die(const char *what) {
  fprintf(stderr, "shuffle: %s: %s\n", what, strerror(errno));
  exit(70);
}

static void take(ArbTierSeat *seat) {
  ArbTierOutcome outcome;
  while (arb_tier_take_outcome(seat, &outcome)) {
    if (outcome.status == ARB_TIER_MOVED) moved++;
    if (outcome.status == ARB_TIER_BUSY) busy++;
    if (outcome.status == ARB_TIER_STALE) stale++;
    if (outcome.status == ARB_TIER_FULL) full++;
    if (outcome.status == ARB_TIER_FAILED) failed++;
  }
}

static void ask(uint32_t number) {
  ArbTierSeat *seat = arb_tier_seat(page, number);
  ArbTierChunk *chunks = arb_tier_chunks(page, sizes, number);
  uint32_t high = seat->chunk_high;
  take(seat);
  if (high == 0) return;
  for (int turn = 0; turn < 8; turn++) {
    uint32_t index = (uint32_t)(draw() % high);
    if (__atomic_load_n(&chunks[index].address, __ATOMIC_ACQUIRE) == 0) continue;
    uint64_t islands = draw() % 2 ? UINT64_MAX : draw() & draw();
    ArbTierRequest request = {.ticket = ticket++, .generation = chunks[index].generation,
                              .islands = islands, .chunk = index,
                              .destination = draw() % 2 ? ARB_TIER_TO_SLOW : ARB_TIER_TO_FAST};
    if (arb_tier_request(seat, &request) != 0) break;
    requests++;
  }
  arb_tier_ring_bell(seat);
}

static void sum(ArbTierSeat *seat) {
  seats++;
  homes += seat->counts.homes;
  forks += seat->counts.forks;
  stalls += seat->counts.stalls;
  placed += seat->counts.placed_slow;
  frozen += seat->is_frozen;
  uint32_t count = seat->remark_count;
  for (uint32_t each = count > ARB_TIER_REMARK_COUNT ? count - ARB_TIER_REMARK_COUNT : 0;
       each < count; each++)
    fprintf(stderr, "shuffle: remark: %.*s\n", (int)ARB_TIER_REMARK_BYTES,
            seat->remarks[each % ARB_TIER_REMARK_COUNT]);
}

/* One round over all seats. */
static void step(int slow) {
  ArbTierHeader *header = page;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  uint64_t nanoseconds = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
  __atomic_store_n(&header->heartbeat_ns, nanoseconds, __ATOMIC_RELAXED);
  for (uint32_t number = 0; number < ARB_TIER_SEAT_COUNT; number++) {
    ArbTierSeat *seat = arb_tier_seat(page, number);
    uint32_t is = __atomic_load_n(&seat->state, __ATOMIC_ACQUIRE);
    if (is == ARB_TIER_SEAT_TAKEN) ask(number);
    if ((is == ARB_TIER_SEAT_TAKEN || is == ARB_TIER_SEAT_LEFT) && arb_tier_seat_is_left(seat) &&
        !arb_tier_seat_forks_live(slow, number)) {
      take(seat);
      sum(seat);
      arb_tier_seat_clear(page, sizes, number);
    }
  }
}

static int make_slow(const char *folder, uint64_t bytes) {
  int file = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, (off_t)bytes) != 0) die(folder);
  return file;
}

int main(int count, char **words) {
  if (count < 7) return 64;
  uint64_t fast = strtoull(words[2], NULL, 10) << 20;
  sizes.slot_count = (uint32_t)(strtoull(words[3], NULL, 10) / 2);
  sizes.chunk_capacity = 65536;
  state = strtoull(words[4], NULL, 10);
  int memory = (int)arb_tier_page_open(sizes.slot_count, sizes.chunk_capacity, &page);
  if (memory < 0) die("page");
  ArbTierHeader *header = page;
  header->fast_bytes = fast;
  header->fast_free_bytes = (int64_t)fast;
  if (getenv("SHUFFLE_HUGE") != NULL) header->options |= ARB_TIER_HUGE;
  int slow = make_slow(words[1], (uint64_t)sizes.slot_count * ARB_TIER_CHUNK_BYTES);
  char value[128];
  snprintf(value, sizeof value, "/proc/%d/fd/%d:/proc/%d/fd/%d", getpid(), memory, getpid(), slow);
  step(slow);
  pid_t child = fork();
  if (child == 0) {
    setenv("ARBITER_TIER", value, 1);
    setenv("LD_PRELOAD", words[5], 1);
    execvp(words[6], &words[6]);
    die(words[6]);
  }
  signal(SIGINT, SIG_IGN);
  int status;
  while (waitpid(child, &status, WNOHANG) == 0) {
    step(slow);
    usleep(200);
  }
  for (int turn = 0; turn < 20; turn++) {
    step(slow);
    usleep(5000);
  }
  for (uint32_t number = 0; number < ARB_TIER_SEAT_COUNT; number++)
    if (arb_tier_seat(page, number)->state == ARB_TIER_SEAT_TAKEN)
      sum(arb_tier_seat(page, number));
  fprintf(stderr,
          "shuffle: seed=%s seats=%lu requests=%lu moved=%lu busy=%lu stale=%lu full=%lu "
          "failed=%lu homes=%lu forks=%lu frozen=%lu stalls=%lu placed=%lu used=%u free=%ld\n",
          words[4], seats, requests, moved, busy, stale, full, failed, homes, forks, frozen,
          stalls, placed, header->slots_used, header->fast_free_bytes);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
