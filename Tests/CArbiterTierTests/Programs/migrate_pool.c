/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The fast memory that demotions leave for promotions. */
#include "migrate.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Anonymous memory of this process that is there, in bytes: the pool is, as the chunks are. */
static uint64_t anonymous_bytes(void) {
  char text[4096] = "";
  int file = open("/proc/self/status", O_RDONLY);
  if (file < 0 || read(file, text, sizeof text - 1) <= 0) fail("no status");
  close(file);
  const char *line = strstr(text, "RssAnon:");
  if (line == NULL) fail("no RssAnon");
  return strtoull(line + strlen("RssAnon:"), NULL, 10) << 10;
}

/* 1 if so many bytes or fewer are left before long. */
static int falls_to(uint64_t bytes) {
  for (double end = now() + 30; now() < end; usleep(50000))
    if (anonymous_bytes() <= bytes) return 1;
  return 0;
}

static void move_all(uint32_t first, uint32_t end, ArbTierDestination destination) {
  for (uint32_t each = first; each < end; each++)
    expect(move(each, UINT64_MAX, destination), ARB_TIER_MOVED, "all");
}

/* Whether the kernel can move pages, so that there is a pool at all: chunks leave memory behind. */
static int has_pool(uint64_t before) { return anonymous_bytes() + FAST * CHUNK / 2 > before; }

/* The pool is never more than what is free, and is given back when nothing moves. */
void pool_bound(void) {
  const uint64_t noise = 1 << 20;
  prepare();
  uint64_t full = anonymous_bytes(), placing = seat->counts.placing_ns;
  /* Slots for the slow chunks were claimed in the adoption. */
  if (placing == 0) fail("placing took no time");
  move_all(0, FAST, ARB_TIER_TO_SLOW);
  if (seat->counts.placing_ns != placing) fail("a migration counts as placing");
  int is_pool = has_pool(full);
  if (anonymous_bytes() > full + noise) fail("%lu bytes, not %lu", anonymous_bytes(), full);
  for (int turn = 0; turn < 4; turn++) {
    move_all(0, FAST, ARB_TIER_TO_FAST);
    check_filled(0, CHUNKS);
    if (anonymous_bytes() > full + noise) fail("%lu bytes are fast", anonymous_bytes());
    move_all(0, FAST, ARB_TIER_TO_SLOW);
  }
  /* Others take what is free: all but one chunk goes. */
  header->fast_free_bytes -= FAST * CHUNK;
  if (!falls_to(full - (FAST - 1) * CHUNK + noise)) fail("more was kept than is free");
  header->fast_free_bytes += FAST * CHUNK;
  move_all(0, FAST, ARB_TIER_TO_FAST);
  move_all(0, FAST, ARB_TIER_TO_SLOW);
  if (is_pool != has_pool(full)) fail("nothing was kept again");
  if (!falls_to(full - FAST * CHUNK + noise)) fail("an idle pool stays");
  check_filled(0, CHUNKS);
  check_books();
}

/* Pieces go to other chunks, and in parts: nobody finds bytes that are not his. */
void pool_bytes(void) {
  prepare();
  char *sparse = memory + CHUNK;
  madvise(sparse, CHUNK, MADV_DONTNEED);
  sparse[CHUNK / 2] = 7;
  double end = now() + seconds;
  do {
    uint64_t islands = next_random(&state_word);
    uint32_t other = FAST + (uint32_t)(next_random(&state_word) % (CHUNKS - FAST));
    move_all(0, 3, ARB_TIER_TO_SLOW);
    expect(move(other, islands, ARB_TIER_TO_FAST), ARB_TIER_MOVED, "islands");
    expect(move(0, ~islands, ARB_TIER_TO_FAST), ARB_TIER_MOVED, "other islands");
    expect(move(0, islands, ARB_TIER_TO_FAST), ARB_TIER_MOVED, "the rest");
    check_books();
    check_filled(0, 1);
    check_filled(2, CHUNKS - 2);
    expect(move(other, UINT64_MAX, ARB_TIER_TO_SLOW), ARB_TIER_MOVED, "back");
    move_all(1, 3, ARB_TIER_TO_FAST);
    for (uint64_t at = 0; at < CHUNK; at++)
      if (sparse[at] != (at == CHUNK / 2 ? 7 : 0)) fail("byte %lu of the sparse chunk", at);
  } while (now() < end);
}

/* A fork does not inherit the pool, and what parent and child move stays theirs. */
void pool_fork(void) {
  prepare();
  uint64_t others = anonymous_bytes() - FAST * CHUNK;
  for (int turn = 0; turn < 6; turn++) {
    move_all(0, FAST, ARB_TIER_TO_SLOW);
    uint64_t fast = seat->fast_bytes;
    arb_tier_fork_prepare();
    pid_t child = fork();
    if (child == 0) {
      arb_tier_fork_child();
      if (anonymous_bytes() > others + fast + (2 << 20)) _exit(2);
      check_filled(0, CHUNKS);
      memset(memory, 0x5a, CHUNKS * CHUNK);
      _exit(0);
    }
    arb_tier_fork_parent();
    check_filled(0, CHUNKS);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) fail("fork");
    if (status != 0) fail("the child ended with %x", status);
    /* Chunks move again when the mover has seen the child's end. */
    for (uint32_t each = 0; each < FAST; each++)
      for (double end = now() + 30; chunks[each].held != 0 && now() < end;) usleep(10000);
    move_all(0, FAST, ARB_TIER_TO_FAST);
    check_filled(0, CHUNKS);
  }
  check_books();
}

/* Chunks leave memory behind and are unmapped; what is mapped next reads as zero. */
void pool_unmap(void) {
  prepare();
  uint64_t full = anonymous_bytes();
  move_all(0, FAST, ARB_TIER_TO_SLOW);
  arb_tier_release_begin((uintptr_t)memory, CHUNKS * CHUNK);
  munmap(memory, CHUNKS * CHUNK);
  arb_tier_unlock();
  check_books();
  for (int turn = 0; turn < 8; turn++) {
    char *again = mmap(NULL, 2 * CHUNK, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (uint64_t at = 0; at < 2 * CHUNK; at++)
      if (again[at] != 0) fail("byte %lu of new memory", at);
  }
  if (!falls_to(full - FAST * CHUNK + (1 << 20))) fail("the pool stays");
}

/* From now on no slot can be mapped over anything. */
static void refuse_slots(void) {
  const struct sock_filter refuse[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAP_SHARED | MAP_FIXED, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof refuse / sizeof *refuse, (struct sock_filter *)refuse};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
    fail("seccomp: %s", strerror(errno));
}

/* Adds one to all words, and takes it away again. */
static void store_all(void) {
  for (uint64_t at = 0; at < CHUNKS * CHUNK; at += 8) ++*(uint64_t *)(memory + at);
  for (uint64_t at = 0; at < CHUNKS * CHUNK; at += 8) --*(uint64_t *)(memory + at);
}

/* The slot cannot be mapped when the chunk's pages have left it already: they come back. */
void pool_back(void) {
  prepare();
  refuse_slots();
  for (uint32_t each = 0; each < FAST; each++)
    expect(move(each, UINT64_MAX, ARB_TIER_TO_SLOW), ARB_TIER_FULL, "without the slot's mapping");
  check_filled(0, CHUNKS);
  store_all();
  check_filled(0, CHUNKS);
  check_books();
}

/* Islands move home together, and what lies between cannot be slow again: it comes home too. */
void between(void) {
  prepare();
  give(CHUNKS);
  expect(move(0, UINT64_MAX, ARB_TIER_TO_SLOW), ARB_TIER_MOVED, "away");
  expect(move(0, 1ull << 40, ARB_TIER_TO_FAST), ARB_TIER_MOVED, "one island");
  check_filled(0, CHUNKS);
  refuse_slots();
  const uint64_t some = 0x8108000010010111ull; /* some lie near each other, one lies alone */
  ArbTierOutcome outcome = move(0, some & ~(1ull << 40), ARB_TIER_TO_FAST);
  expect(outcome, ARB_TIER_MOVED, "islands");
  if ((outcome.slow_islands & some) != 0) fail("%lx are slow", outcome.slow_islands);
  if ((outcome.slow_islands & 0x6) != 0) fail("what lies between is slow");
  if ((outcome.slow_islands & 0xf00000) != 0xf00000) fail("what lies apart is fast");
  check_filled(0, CHUNKS);
  store_all();
  check_filled(0, CHUNKS);
  check_books();
  if (arb_tier_home((uintptr_t)memory, CHUNK) != 0) fail("home");
  check_filled(0, CHUNKS);
  check_books();
}
