/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Plays a managed program and its manager in one process.
 *
 *   migrate CASE SLOW-FILE SEED SECONDS
 *
 * Compiled by the tests together with the library's own sources. Each case ends with exit code 0
 * and one line, or says what was wrong and ends with 1.
 */
#include "migrate.h"

static int is_stopping;

/* --- Writers that know what they wrote --- */

typedef struct {
  uint32_t number;
  uint64_t seed, stores;
  uint64_t *expected; /* of its word of each line */
} Writer;

static int is_untouched(uint64_t line) { return line / 64 % 7 == 3; }
static int is_for_kernel(uint64_t line) { return line / 64 % 7 == 5; }

static void *write_words(void *argument) {
  Writer *writer = argument;
  while (!__atomic_load_n(&is_stopping, __ATOMIC_RELAXED)) {
    uint64_t line = next_random(&writer->seed) % LINES;
    volatile uint64_t *word = (uint64_t *)(memory + line * 64) + writer->number;
    if (is_for_kernel(line)) continue;
    if (*word != writer->expected[line]) fail("line %lu lost a store", line);
    if (is_untouched(line)) continue;
    *word = writer->expected[line] = next_random(&writer->seed);
    writer->stores++;
  }
  return NULL;
}

static int channel[2];

static void *feed(void *unused) {
  char block[4096];
  for (uint32_t turn = 0; !__atomic_load_n(&is_stopping, __ATOMIC_RELAXED); turn++) {
    memset(block, (int)turn, sizeof block);
    if (write(channel[1], block, sizeof block) < 0) break;
  }
  close(channel[1]);
  return unused;
}

/* The kernel's own stores, into pages of their own. */
static void *drain(void *argument) {
  uint64_t *count = argument, seed = 77;
  for (uint32_t turn = 0;; turn++) {
    uint64_t page = next_random(&seed) % (CHUNKS * CHUNK / 4096 / 7) * 7 + 5;
    char *place = memory + page * 4096;
    size_t had = 0;
    while (had < 4096) {
      ssize_t got = read(channel[0], place + had, 4096 - had);
      if (got < 0) fail("read(2) into a chunk: %s", strerror(errno));
      if (got == 0) return NULL;
      had += (size_t)got;
    }
    for (size_t at = 0; at < 4096; at++)
      if (place[at] != (char)turn) fail("read(2) lost a byte");
    ++*count;
  }
}

static void check_words(const Writer *writer) {
  for (uint64_t line = 0; line < LINES; line++)
    if (!is_for_kernel(line) &&
        ((uint64_t *)(memory + line * 64))[writer->number] != writer->expected[line])
      fail("line %lu is not what was written", line);
}

static void hammer(uint32_t options, ArbTierSharing sharing) {
  join(options);
  adopt(PROT_READ | PROT_WRITE, sharing);
  give(4);
  Writer writers[2];
  pthread_t threads[4];
  uint64_t reads = 0, moved = 0, copied = 0;
  if (pipe(channel) != 0) fail("no pipe");
  for (uint32_t each = 0; each < 2; each++) {
    writers[each] = (Writer){each, state_word + each + 1, 0, calloc(LINES, 8)};
    pthread_create(&threads[each], NULL, write_words, &writers[each]);
  }
  pthread_create(&threads[2], NULL, feed, NULL);
  pthread_create(&threads[3], NULL, drain, &reads);
  for (double end = now() + seconds; now() < end;) {
    uint64_t choice = next_random(&state_word), islands = UINT64_MAX;
    if ((choice >> 40 & 3) == 0) islands = next_random(&state_word) & next_random(&state_word);
    ArbTierOutcome outcome =
        move((uint32_t)(choice % CHUNKS), islands, (ArbTierDestination)(choice >> 50 & 1));
    if (outcome.status != ARB_TIER_MOVED && outcome.status != ARB_TIER_FULL)
      fail("status %u", outcome.status);
    moved += outcome.status == ARB_TIER_MOVED;
    copied += outcome.bytes_copied;
    if (moved % 32 == 0) check_books();
  }
  __atomic_store_n(&is_stopping, 1, __ATOMIC_RELAXED);
  for (int each = 0; each < 4; each++) pthread_join(threads[each], NULL);
  check_words(&writers[0]);
  check_words(&writers[1]);
  check_books();
  give(CHUNKS);
  if (arb_tier_home((uintptr_t)memory, CHUNKS * CHUNK) != 0) fail("home");
  check_words(&writers[0]);
  check_words(&writers[1]);
  check_books();
  if (moved < 20 || writers[0].stores == 0 || reads == 0) fail("too little was done");
  printf(
      "%lu migrations, %lu MiB, %lu stalls, %lu stores, %lu reads\n", moved, copied >> 20,
      seat->counts.stalls, writers[0].stores + writers[1].stores, reads);
}

/* --- First stores while their pages move --- */

static void *touch_all(void *chunk) {
  for (uint64_t at = 0; at < CHUNK; at += 4096) {
    *(volatile uint64_t *)((char *)chunk + at) = at + 1;
    /* Slowly, so that it lasts longer than the move. */
    for (double end = now() + 2e-5; now() < end;) {}
  }
  return NULL;
}

/* A page that nobody has touched has no entry to protect: its first store must not be lost. */
static void fresh(void) {
  join(0);
  header->fast_free_bytes = (int64_t)(header->fast_bytes = 2 * CHUNKS * CHUNK);
  uint64_t stalls = 0, turns = 0;
  double end = now() + seconds;
  for (; now() < end || turns < 20 || (stalls == 0 && turns < 2000); turns++) {
    char *all = mmap(
        NULL, 2 * CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *chunk = (char *)(((uintptr_t)all + CHUNK - 1) / CHUNK * CHUNK);
    if (all == MAP_FAILED) fail("no memory");
    if (arb_tier_adopt((uintptr_t)chunk, CHUNK, PROT_READ | PROT_WRITE, ARB_TIER_PRIVATE) != 0)
      fail("adopt");
    pthread_t thread;
    pthread_create(&thread, NULL, touch_all, chunk);
    ArbTierOutcome outcome = move(0, UINT64_MAX, ARB_TIER_TO_SLOW);
    expect(outcome, ARB_TIER_MOVED, "away");
    stalls += outcome.stall_count;
    pthread_join(thread, NULL);
    for (uint64_t at = 0; at < CHUNK; at += 8)
      if (*(uint64_t *)(chunk + at) != (at % 4096 == 0 ? at + 1 : 0)) fail("byte %lu", at);
    arb_tier_release_begin((uintptr_t)all, 2 * CHUNK);
    munmap(all, 2 * CHUNK);
    arb_tier_unlock();
    check_books();
  }
  if (stalls == 0) fail("no first store met a move in %lu turns", turns);
  printf("%lu chunks, %lu stalls\n", turns, stalls);
}

static void in_private(void) { hammer(0, ARB_TIER_PRIVATE); }
static void in_huge(void) { hammer(ARB_TIER_HUGE, ARB_TIER_PRIVATE); }
static void in_shared(void) { hammer(0, ARB_TIER_SHARED); }

static const struct {
  const char *name;
  void (*body)(void);
} cases[] = {
    {"private", in_private},    {"huge", in_huge},          {"shared", in_shared},
    {"no-room", no_room},       {"no-slot", no_slot},       {"no-memory", no_memory},
    {"cut-file", cut_file},     {"unseen", unseen},         {"descriptors", descriptors},
    {"ranges", ranges},         {"fresh", fresh},           {"pool-bound", pool_bound},
    {"pool-bytes", pool_bytes}, {"pool-fork", pool_fork},   {"pool-unmap", pool_unmap},
    {"pool-back", pool_back},   {"between", between},
};

int main(int count, char **arguments) {
  if (count != 5) fail("migrate CASE SLOW-FILE SEED SECONDS");
  slow_path = arguments[2];
  state_word = strtoull(arguments[3], NULL, 10) * 2 + 1;
  seconds = strtod(arguments[4], NULL);
  signal(SIGPIPE, SIG_IGN);
  size_t which = 0;
  while (which < sizeof cases / sizeof cases[0] && strcmp(cases[which].name, arguments[1]) != 0)
    which++;
  if (which == sizeof cases / sizeof cases[0]) fail("no case %s", arguments[1]);
  cases[which].body();
  printf("ok\n");
  fflush(stdout);
  /* Mover and watcher end with the process. */
  _exit(0);
}
