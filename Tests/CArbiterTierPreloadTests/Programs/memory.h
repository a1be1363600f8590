/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the programs of these tests share: random numbers by seed, contents, and a checksum. */
#ifndef MEMORY_H
#define MEMORY_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* System calls that nobody stands in front of. */
#include "../../../Sources/CArbiterTierPreload/raw.h"

#define MIB(count) ((uint64_t)(count) << 20)
#define PAGES(bytes) ((uint64_t)(bytes) & ~4095ull)
#define UP(bytes) PAGES((uint64_t)(bytes) + 4095)
#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, strerror(errno));  \
      _exit(1);                                                                     \
    }                                                                               \
  } while (0)

typedef struct {
  char *bytes;
  uint64_t count;
} Block;

static uint64_t random_state, checksum;

static inline void seed(uint64_t value) { random_state = value; }

static inline uint64_t draw(void) { /* splitmix64 */
  uint64_t word = (random_state += 0x9e3779b97f4a7c15ull);
  word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9ull;
  word = (word ^ word >> 27) * 0x94d049bb133111ebull;
  return word ^ word >> 31;
}

static inline Block make_at(void *place, uint64_t bytes, int flags) {
  char *memory = mmap(place, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
  CHECK(memory != MAP_FAILED);
  return (Block){memory, bytes};
}

static inline Block make(uint64_t bytes, int flags) { return make_at(NULL, bytes, flags); }

/* One word in each 512 bytes. */
static inline void fill(Block block, uint64_t value) {
  for (uint64_t at = 64; at + 8 <= block.count; at += 512)
    *(volatile uint64_t *)(block.bytes + at) = value += 0x9e3779b97f4a7c15ull;
}

static inline uint64_t read_all(Block block) {
  uint64_t sum = 0;
  for (uint64_t at = 64; at + 8 <= block.count; at += 512)
    sum = (sum << 7 | sum >> 57) ^ *(volatile uint64_t *)(block.bytes + at);
  return sum;
}

static inline void note(Block block) {
  checksum = (checksum << 9 | checksum >> 55) ^ (read_all(block) + block.count);
}

/* Lets some migrations happen. */
static inline void pause_briefly(void) { usleep(300); }

/* What a program can do, by name. */
typedef struct {
  const char *name;
  void (*body)(void);
} Mode;

/* Does what `words` name: a mode, a seed and a number of rounds. Prints what memory held. */
static inline int run_modes(const Mode *modes, size_t mode_count, int count, char **words) {
  if (count != 4) return 64;
  seed(strtoull(words[2], NULL, 10));
  for (size_t mode = 0; mode < mode_count; mode++) {
    if (strcmp(modes[mode].name, words[1]) != 0) continue;
    for (long round = strtol(words[3], NULL, 10); round > 0; round--) modes[mode].body();
    printf("%016lx\n", checksum);
    return 0;
  }
  return 64;
}

#endif
