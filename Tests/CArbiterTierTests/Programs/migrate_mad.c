/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A manager that has lost its mind: it writes over the page that the mover reads, all of it, all
 * the while. Memory may move or not, but nothing of it may be lost. */
#include "migrate.h"

static uint64_t generations[CAPACITY];

/* Ends of ranges, small numbers, what stands for a free slot, and any. */
static uint64_t odd_word(uint64_t *seed) {
  uint64_t word = next_random(seed);
  switch (word >> 60) {
    case 0: return 0;
    case 1: return UINT64_MAX;
    case 2: return word % 300;
    case 3: return word % 300 << 32 | word / 300 % 300;
    case 4: return ARB_TIER_SLOT_STALE | (uint64_t)ARB_TIER_SLOT_KEPT << 32;
    case 5: return word % ((uint64_t)1 << 47) & ~(CHUNK - 1);
    default: return word;
  }
}

static void write_over(void *start, uint64_t bytes, uint64_t *seed) {
  uint64_t *word = (uint64_t *)start + next_random(seed) % (bytes / 8);
  /* That nothing moves any more is for good, and would be the end of this test. */
  if ((char *)word == (char *)&seat->is_frozen - 4) return;
  __atomic_store_n(word, odd_word(seed), __ATOMIC_RELAXED);
}

/* A request as a manager in its right mind makes them, but for what it asks for. */
static void ask(uint64_t *seed) {
  uint64_t choice = next_random(seed);
  uint32_t chunk = (uint32_t)(choice % CHUNKS);
  ArbTierRequest request = {
      .ticket = choice, .generation = generations[chunk], .islands = next_random(seed),
      .chunk = choice >> 40 & 7 ? chunk : (uint32_t)next_random(seed),
      .destination = choice >> 50 & 1};
  arb_tier_request(seat, &request);
  arb_tier_ring_bell(seat);
}

static void *rave(void *argument) {
  uint64_t seed = *(uint64_t *)argument;
  uint32_t *slots = arb_tier_slots(header);
  while (__atomic_load_n(&is_raving, __ATOMIC_RELAXED)) {
    write_over(header, sizeof *header, &seed);
    write_over(seat, 256, &seed);
    write_over(seat, sizeof *seat, &seed);
    write_over(chunks, CAPACITY * sizeof *chunks, &seed);
    write_over(slots, slot_count * sizeof *slots, &seed);
    /* Else nothing at all would move. */
    header->fast_free_bytes = (int64_t)(next_random(&seed) % (8 * CHUNK));
    header->heartbeat_ns = 0;
    ask(&seed);
    for (double end = now() + 2e-5; now() < end;) {}
  }
  return NULL;
}

/* Memory that comes and goes: it begins as zero, and keeps what is written. */
static void come_and_go(uint64_t turn) {
  char *all = mmap(
      NULL, 3 * CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) fail("no memory");
  arb_tier_adopt((uintptr_t)all, 3 * CHUNK, PROT_READ | PROT_WRITE, ARB_TIER_PRIVATE);
  for (uint64_t at = 0; at < 3 * CHUNK; at += 4096) {
    uint64_t *word = (uint64_t *)(all + at);
    if (word[0] != 0 || word[1] != 0) fail("new memory is not zero at %lu", at);
    *word = at + turn;
  }
  for (uint64_t at = 0; at < 3 * CHUNK; at += 4096)
    if (*(uint64_t *)(all + at) != at + turn) fail("byte %lu of new memory", at);
  arb_tier_release_begin((uintptr_t)all, 3 * CHUNK);
  munmap(all, 3 * CHUNK);
  arb_tier_unlock();
}

/* A page that somebody could cut would be a signal to whoever reads it then. */
void unsealed(void) {
  uint64_t bytes = arb_tier_page_bytes(SLOTS, CAPACITY);
  int page_fd = memfd_create("page", MFD_CLOEXEC);
  if (page_fd < 0 || ftruncate(page_fd, (off_t)bytes) != 0) fail("no page");
  void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
  if (page == MAP_FAILED) fail("no page");
  arb_tier_page_make(page, SLOTS, CAPACITY);
  int slow = open(slow_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (slow < 0 || arb_tier_join(page_fd, slow) != -EINVAL) fail("an unsealed page was joined");
  if (arb_tier_is_joined()) fail("joined");
  /* Nothing is left behind that would keep it from another one. */
  join(0);
}

void mad(void) {
  join(0);
  adopt(PROT_READ | PROT_WRITE, ARB_TIER_PRIVATE);
  for (uint32_t each = 0; each < CHUNKS; each++) generations[each] = chunks[each].generation;
  Writer writers[2];
  start_writers(writers);
  pthread_t thread;
  uint64_t seed = state_word + 9, moved = 0;
  is_raving = 1;
  pthread_create(&thread, NULL, rave, &seed);
  for (double end = now() + seconds; now() < end;) {
    uint64_t choice = next_random(&state_word);
    uint32_t chunk = (uint32_t)(choice % CHUNKS);
    ArbTierRequest request = {
        .ticket = choice, .generation = generations[chunk], .chunk = chunk,
        .islands = choice >> 40 & 3 ? UINT64_MAX : next_random(&state_word),
        .destination = choice >> 50 & 1};
    ArbTierOutcome outcome;
    arb_tier_move(&request, &outcome);
    if (outcome.status == ARB_TIER_FAILED) fail("a move failed");
    moved += outcome.status == ARB_TIER_MOVED && outcome.bytes_copied != 0;
    if ((choice >> 44) % 8 == 0) come_and_go(choice >> 32);
  }
  __atomic_store_n(&is_raving, 0, __ATOMIC_RELAXED);
  pthread_join(thread, NULL);
  is_raving = 1; /* nobody has put the page in order */
  if (arb_tier_home((uintptr_t)memory, CHUNKS * CHUNK) != 0) fail("home");
  stop_writers(writers);
  if (moved < 20) fail("only %lu moved", moved);
  printf("%lu migrations\n", moved);
}
