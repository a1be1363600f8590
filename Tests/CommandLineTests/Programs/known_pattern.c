/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Stores to two regions in a known ratio, so that an account of it can be judged.
 *
 * known_pattern PATTERN MIB_OF_A MIB_OF_B SHARE_OF_A SECONDS
 *
 * Every step picks region A with a probability of SHARE_OF_A percent and a random place in it; with
 * sizes in the same ratio every line is equally hot. The regions are memory files called `a` and
 * `b`, and all their pages are there before the first step. A size of 0 is 16 KiB.
 *
 * Prints the share of bytes that went to A. The exit code is 0.
 */
#define _GNU_SOURCE
#include <emmintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { SOURCE_BYTES = 4 << 20, STEPS = 4096 };

static uint64_t state = 0x9E3779B97F4A7C15ull;

static inline uint64_t draw(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state * 0x2545F4914F6CDD1Dull;
}

/* Below `bound`, by the high bits of a product. */
static inline uint64_t below(uint64_t bound) {
  return (uint64_t)(((unsigned __int128)draw() * bound) >> 64);
}

typedef struct {
  char *base;
  uint64_t bytes;
} Region;

static Region make(const char *name, uint64_t mebibytes) {
  Region region = {NULL, mebibytes == 0 ? 16384 : mebibytes << 20};
  int descriptor = memfd_create(name, MFD_CLOEXEC);
  if (descriptor < 0 || ftruncate(descriptor, (off_t)region.bytes) != 0) exit(1);
  region.base = mmap(NULL, region.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (region.base == MAP_FAILED) exit(1);
  return region;
}

/* Touches the pages of both in turns, in the ratio of their sizes: memory that is a little slower
 * or faster, as a host may hand it out, then falls to both alike. */
static void populate(const Region *a, const Region *b) {
  uint64_t done_a = 0, done_b = 0;
  while (done_a < a->bytes || done_b < b->bytes) {
    if (done_a < a->bytes && (done_b >= b->bytes || done_a * b->bytes <= done_b * a->bytes)) {
      a->base[done_a] = 1;
      done_a += 4096;
    } else {
      b->base[done_b] = 1;
      done_b += 4096;
    }
  }
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void store_word(char *place) { *(volatile uint64_t *)place = state; }
static void add_word(char *place) { *(volatile uint64_t *)place += 1; }
static void store_line_around(char *place) {
  for (int part = 0; part < 4; part++) {
    _mm_stream_si128((__m128i *)place + part, _mm_set1_epi64x((long long)state));
  }
}

static char source[SOURCE_BYTES];

/* Blocks of 4 KiB to 1 MiB, or the region where it is smaller. */
static uint64_t block(const Region *region, uint64_t *place) {
  uint64_t bytes = 4096ull << below(9);
  if (bytes > region->bytes) bytes = region->bytes;
  *place = below((region->bytes - bytes) / 64 + 1) * 64;
  return bytes;
}

static uint64_t step(const char *pattern, const Region *region) {
  uint64_t place;
  switch (pattern[0]) {
  case 's': /* store */
    store_word(region->base + below(region->bytes / 8) * 8);
    return 8;
  case 'r': /* rmw */
    add_word(region->base + below(region->bytes / 8) * 8);
    return 8;
  case 'n': /* nt */
    store_line_around(region->base + below(region->bytes / 64) * 64);
    return 64;
  case 'f': { /* fill */
    uint64_t bytes = block(region, &place);
    memset(region->base + place, (int)state, bytes);
    return bytes;
  }
  default: { /* copy */
    uint64_t bytes = block(region, &place);
    memcpy(region->base + place, source, bytes);
    return bytes;
  }
  }
}

int main(int count, char **words) {
  if (count != 6) return 64;
  Region regions[2] = {make("a", strtoull(words[2], NULL, 10)),
                       make("b", strtoull(words[3], NULL, 10))};
  populate(&regions[0], &regions[1]);
  uint64_t share = strtoull(words[4], NULL, 10);
  double end = now() + atof(words[5]);
  uint64_t stored[2] = {0, 0};
  memset(source, 1, sizeof source);
  /* Blocks take long: the clock is asked after as many bytes as words would make. */
  while (now() < end) {
    uint64_t bytes = 0;
    for (int turn = 0; turn < STEPS && bytes < 16u << 20; turn++) {
      /* By an index and no branch: a branch is guessed wrong mostly where it leads to the rarer
       * region, whose stores would then wait alone while those of the other overlap. */
      size_t chosen = below(100) >= share;
      uint64_t moved = step(words[1], &regions[chosen]);
      stored[chosen] += moved;
      bytes += moved;
    }
  }
  printf("%.2f\n", 100.0 * (double)stored[0] / (double)(stored[0] + stored[1]));
  return 0;
}
