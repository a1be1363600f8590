/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A manager, and memory under its management. */
#include "migrate.h"

ArbTierHeader *header;
ArbTierSeat *seat;
ArbTierChunk *chunks;
char *memory;
uint64_t state_word;
double seconds;
const char *slow_path;
int is_raving;

void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  for (uint32_t each = 0; seat != NULL && !is_raving && each < seat->remark_count; each++)
    printf("; %s", seat->remarks[each % ARB_TIER_REMARK_COUNT]);
  printf("\n");
  fflush(stdout);
  _exit(1);
}

uint64_t next_random(uint64_t *word) {
  *word ^= *word << 13;
  *word ^= *word >> 7;
  *word ^= *word << 17;
  return *word;
}

double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* --- A manager and memory under its management --- */

uint32_t slot_count = SLOTS;

void join(uint32_t options) {
  void *page;
  int page_fd = (int)arb_tier_page_open(slot_count, CAPACITY, &page);
  if (page_fd < 0) fail("no page");
  header = page;
  header->options = options;
  header->fast_bytes = FAST * CHUNK;
  header->fast_free_bytes = (int64_t)header->fast_bytes;
  int slow = open(slow_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (slow < 0 || ftruncate(slow, (off_t)(slot_count * CHUNK)) != 0) fail("no slow file");
  int answer = arb_tier_join(page_fd, slow);
  if (answer == -EPERM) {
    printf("refused\n");
    exit(77);
  }
  if (answer != 0) fail("join: %d", answer);
  answer = arb_tier_start();
  if (answer != 0) fail("start: %d", answer);
  close(page_fd);
  close(slow);
  seat = arb_tier_seat(page, 0);
  chunks = arb_tier_chunks(page, (ArbTierSizes){slot_count, CAPACITY}, 0);
  if (seat->state != ARB_TIER_SEAT_TAKEN || arb_tier_seat_is_left(seat)) fail("no seat");
}

void adopt(int protection, ArbTierSharing sharing) {
  int flags = MAP_ANONYMOUS | (sharing == ARB_TIER_SHARED ? MAP_SHARED : MAP_PRIVATE);
  char *all = mmap(NULL, (CHUNKS + 1) * CHUNK, protection, flags, -1, 0);
  if (all == MAP_FAILED) fail("no memory");
  memory = (char *)(((uintptr_t)all + CHUNK - 1) / CHUNK * CHUNK);
  int64_t slow = arb_tier_adopt((uintptr_t)memory, CHUNKS * CHUNK, protection, sharing);
  if (slow != CHUNKS - FAST) fail("%ld chunks began slow", (long)slow);
  if (seat->fast_bytes != FAST * CHUNK || header->fast_free_bytes != 0) fail("budget at first");
}

ArbTierOutcome move(uint32_t chunk, uint64_t islands, ArbTierDestination destination) {
  ArbTierRequest request = {
      .ticket = next_random(&state_word), .generation = chunks[chunk].generation,
      .islands = islands, .chunk = chunk, .destination = destination};
  ArbTierOutcome outcome;
  arb_tier_move(&request, &outcome);
  if (outcome.ticket != request.ticket) fail("another ticket");
  return outcome;
}

void expect(ArbTierOutcome outcome, ArbTierStatus status, const char *what) {
  if (outcome.status != (uint32_t)status) fail("%s: status %u", what, outcome.status);
}

void check_books(void) {
  uint64_t fast = 0;
  uint32_t slots = 0;
  for (uint32_t each = 0; each < seat->chunk_high; each++) {
    if (chunks[each].address == 0) continue;
    fast += (64 - (uint64_t)__builtin_popcountll(chunks[each].slow_islands)) *
            ARB_TIER_ISLAND_BYTES;
    int has_slot = chunks[each].slot != ARB_TIER_NO_SLOT;
    if (has_slot != (chunks[each].slow_islands != 0)) fail("slot of chunk %u", each);
    slots += (uint32_t)has_slot;
  }
  if (fast != seat->fast_bytes) fail("%lu bytes are fast, not %lu", fast, seat->fast_bytes);
  if ((int64_t)(header->fast_bytes - fast) != header->fast_free_bytes) fail("free bytes");
  if (slots != header->slots_used) fail("%u slots are used, not %u", header->slots_used, slots);
}

void give(int64_t count) {
  header->fast_bytes += (uint64_t)count * CHUNK;
  header->fast_free_bytes += count * (int64_t)CHUNK;
}
