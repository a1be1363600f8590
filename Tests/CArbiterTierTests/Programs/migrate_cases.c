/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What fails and leaves all as it was, and what programs do to their memory. */
#include "migrate.h"

static void fill(void) {
  uint64_t seed = 5;
  for (uint64_t at = 0; at < CHUNKS * CHUNK; at += 8)
    *(uint64_t *)(memory + at) = next_random(&seed);
}

void check_filled(uint64_t first, uint64_t count) {
  uint64_t seed = 5;
  for (uint64_t at = 0; at < (first + count) * CHUNK; at += 8) {
    uint64_t word = next_random(&seed);
    if (at >= first * CHUNK && *(uint64_t *)(memory + at) != word) fail("byte %lu changed", at);
  }
}

void prepare(void) {
  join(0);
  adopt(PROT_READ | PROT_WRITE, ARB_TIER_PRIVATE);
  fill();
}

/* The slow file cannot be written. */
void no_room(void) {
  prepare();
  struct rlimit limit = {1 << 20, RLIM_INFINITY};
  setrlimit(RLIMIT_FSIZE, &limit);
  for (int turn = 0; turn < 3; turn++)
    expect(move(0, UINT64_MAX, ARB_TIER_TO_SLOW), ARB_TIER_FULL, "to a full file");
  check_books();
  if (seat->remark_count != 1) fail("%u remarks", seat->remark_count);
  limit.rlim_cur = RLIM_INFINITY;
  setrlimit(RLIMIT_FSIZE, &limit);
  expect(move(0, UINT64_MAX, ARB_TIER_TO_SLOW), ARB_TIER_MOVED, "with room again");
  check_filled(0, CHUNKS);
  check_books();
}

/* The device of the slow file is full: one line says so, whoever meets it. */
void full_device(void) {
  char folder[] = "full-XXXXXX";
  if (mkdtemp(folder) == NULL) fail("no folder");
  char size[32];
  snprintf(size, sizeof size, "size=%llu", (CHUNKS - FAST) * CHUNK + CHUNK / 2);
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("none", folder, "tmpfs", 0, size) != 0) {
    printf("refused\n");
    exit(77);
  }
  static char path[64];
  snprintf(path, sizeof path, "%s/slow", folder);
  slow_path = path;
  prepare();
  for (int turn = 0; turn < 3; turn++)
    for (uint32_t each = 0; each < FAST; each++)
      expect(move(each, UINT64_MAX, ARB_TIER_TO_SLOW), ARB_TIER_FULL, "to a full device");
  check_books();
  if (seat->remark_count != 1) fail("%u remarks", seat->remark_count);
  check_filled(0, CHUNKS);
}

/* No slot is left. */
void no_slot(void) {
  slot_count = CHUNKS - FAST + 1;
  prepare();
  expect(move(0, 1, ARB_TIER_TO_SLOW), ARB_TIER_MOVED, "to the last slot");
  expect(move(1, UINT64_MAX, ARB_TIER_TO_SLOW), ARB_TIER_FULL, "without a slot");
  check_filled(0, CHUNKS);
  check_books();
}

/* The process may map no more memory. */
void no_memory(void) {
  prepare();
  expect(move(0, UINT64_MAX, ARB_TIER_TO_SLOW), ARB_TIER_MOVED, "away");
  struct rlimit limit = {CHUNK, RLIM_INFINITY};
  setrlimit(RLIMIT_AS, &limit);
  expect(move(0, UINT64_MAX, ARB_TIER_TO_FAST), ARB_TIER_FULL, "without memory");
  check_filled(0, CHUNKS);
  check_books();
  if (arb_tier_home((uintptr_t)memory, CHUNK) == 0) fail("home without memory");
  check_filled(0, CHUNKS);
  limit.rlim_cur = RLIM_INFINITY;
  setrlimit(RLIMIT_AS, &limit);
  expect(move(0, UINT64_MAX, ARB_TIER_TO_FAST), ARB_TIER_MOVED, "with memory again");
  check_filled(0, CHUNKS);
  check_books();
}

/* The slow file is cut under slow chunks: what lies there is lost, and nothing else is. */
void cut_file(void) {
  prepare();
  if (truncate(slow_path, 0) != 0) fail("truncate");
  give(1);
  expect(move(CHUNKS - 1, UINT64_MAX, ARB_TIER_TO_FAST), ARB_TIER_FAILED, "from a cut file");
  expect(move(0, UINT64_MAX, ARB_TIER_TO_SLOW), ARB_TIER_FAILED, "to a cut file");
  if (seat->remark_count != 1) fail("%u remarks", seat->remark_count);
  check_filled(0, FAST);
  check_books();
}

/* Memory is unmapped, and other memory mapped, by instruction: nothing is put over it. */
void unseen(void) {
  prepare();
  char *place = memory + (CHUNKS - 1) * CHUNK;
  syscall(SYS_munmap, place, CHUNK);
  void *again = mmap(
      place, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  memset(again, 0x5a, CHUNK);
  expect(move(0, UINT64_MAX, ARB_TIER_TO_SLOW), ARB_TIER_MOVED, "room");
  expect(move(CHUNKS - 1, UINT64_MAX, ARB_TIER_TO_FAST), ARB_TIER_STALE, "mapped anew");
  for (uint64_t at = 0; at < CHUNK; at++)
    if (place[at] != 0x5a) fail("other memory was changed");
  syscall(SYS_munmap, memory + CHUNK, CHUNK);
  expect(move(1, UINT64_MAX, ARB_TIER_TO_SLOW), ARB_TIER_STALE, "unmapped");
  check_filled(2, CHUNKS - 3);
}

/* A program closes every descriptor it has, and opens others. */
void descriptors(void) {
  prepare();
  char name[] = "/tmp/arbiter-test-migrate-XXXXXX";
  for (int file = 3; file < 4096; file++) close(file);
  for (int turn = 0; turn < 20; turn++) dup(mkstemp(strcpy(name, "/tmp/arbiter-test-XXXXXX")));
  for (int turn = 0; turn < 4; turn++) {
    for (uint32_t each = 0; each < FAST; each++)
      expect(move(each, UINT64_MAX, ARB_TIER_TO_SLOW), ARB_TIER_MOVED, "away");
    for (uint32_t each = 0; each < FAST; each++)
      expect(move(each, UINT64_MAX, ARB_TIER_TO_FAST), ARB_TIER_MOVED, "back");
  }
  check_filled(0, CHUNKS);
  check_books();
}

/* Discarded memory reads as zero, cut memory comes home, unmapped memory gives all back. */
void ranges(void) {
  prepare();
  char *slow = memory + FAST * CHUNK;
  if (arb_tier_discard((uintptr_t)slow + 8192, CHUNK) != 0) fail("discard");
  for (uint64_t at = 8192; at < CHUNK + 8192; at++)
    if (slow[at] != 0) fail("byte %lu is not zero", at);
  check_filled(0, FAST);
  check_filled(FAST + 2, CHUNKS - FAST - 2);
  if (arb_tier_protect((uintptr_t)memory, CHUNK, PROT_READ) != 0) fail("protect");
  expect(move(0, UINT64_MAX, ARB_TIER_TO_SLOW), ARB_TIER_MOVED, "read-only, away");
  expect(move(0, UINT64_MAX, ARB_TIER_TO_FAST), ARB_TIER_MOVED, "read-only, back");
  check_filled(0, FAST);
  arb_tier_hold((uintptr_t)memory + CHUNK, CHUNK, ARB_TIER_HELD_LOCKED, 1);
  expect(move(1, UINT64_MAX, ARB_TIER_TO_SLOW), ARB_TIER_BUSY, "held");
  /* From the middle of the chunk before the last to the end. */
  uint64_t from = (CHUNKS - 2) * CHUNK + CHUNK / 2;
  arb_tier_release_begin((uintptr_t)memory + from, CHUNKS * CHUNK - from);
  munmap(memory + from, CHUNKS * CHUNK - from);
  arb_tier_unlock();
  if (arb_tier_overlaps((uintptr_t)memory + (CHUNKS - 2) * CHUNK, 2 * CHUNK)) fail("overlap");
  check_filled(FAST + 2, CHUNKS - FAST - 4);
  check_books();
  arb_tier_release_begin((uintptr_t)memory, CHUNKS * CHUNK);
  munmap(memory, CHUNKS * CHUNK);
  arb_tier_unlock();
  check_books();
  if (seat->fast_bytes != 0 || header->slots_used != 0) fail("something was kept");
}
