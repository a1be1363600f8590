/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * bytes (1|2) FILE: copies, moves and sets through libpmem or libpmem2, at the sizes and alignments
 * where code that cuts a store into pieces goes wrong, and compares the whole mapping with plain
 * memory that had the same done to it. Prints how many calls it made.
 */
#include "check.h"

#include <fcntl.h>
#include <libpmem.h>
#include <libpmem2.h>
#include <unistd.h>

#define MAPPED ((size_t)8 << 20)

typedef void *(*Copy)(void *, const void *, size_t, unsigned);
typedef void *(*Set)(void *, int, size_t, unsigned);
typedef void (*Range)(const void *, size_t);

static Copy copy = pmem_memcpy, move = pmem_memmove;
static Set set = pmem_memset;
static Range flush = pmem_flush, persist = pmem_persist;
static void (*drain)(void) = pmem_drain;
static char *mapped, *twin, *source;
static unsigned long calls;

static void map_with_pmem2(const char *path) {
  struct pmem2_config *configuration;
  struct pmem2_source *file;
  struct pmem2_map *map;
  int descriptor = open(path, O_RDWR | O_CREAT, 0600);
  CHECK(descriptor >= 0 && ftruncate(descriptor, MAPPED) == 0);
  CHECK(pmem2_config_new(&configuration) == 0);
  CHECK(pmem2_config_set_required_store_granularity(configuration, PMEM2_GRANULARITY_PAGE) == 0);
  CHECK(pmem2_source_from_fd(&file, descriptor) == 0);
  CHECK(pmem2_map_new(&map, configuration, file) == 0);
  mapped = pmem2_map_get_address(map);
  copy = pmem2_get_memcpy_fn(map);
  move = pmem2_get_memmove_fn(map);
  set = pmem2_get_memset_fn(map);
  flush = pmem2_get_flush_fn(map);
  persist = pmem2_get_persist_fn(map);
  drain = pmem2_get_drain_fn(map);
  CHECK(pmem2_get_memcpy_fn(map) == copy);
  CHECK(pmem2_deep_flush(map, mapped, 4096) == 0);
}

/* The bytes around what was stored; all of the mapping is compared at the end. */
static void compare(size_t offset, size_t size) {
  size_t start = offset < 4096 ? 0 : offset - 4096;
  CHECK(memcmp(mapped + start, twin + start, offset - start + size + 4096) == 0);
  calls++;
}

static void store_all(size_t size, size_t alignment) {
  static const unsigned flags[] = {0, PMEM_F_MEM_NODRAIN, PMEM_F_MEM_NONTEMPORAL,
                                   PMEM_F_MEM_TEMPORAL, PMEM_F_MEM_NOFLUSH};
  size_t at = 8192 + alignment, other = (size_t)4 << 20;
  unsigned flag = flags[(size + alignment) % 5];
  const char *from = source + (alignment * 7) % 64;
  CHECK(copy(mapped + at, from, size, flag) == mapped + at);
  memcpy(twin + at, from, size);
  compare(at, size);
  /* Overlap by all but 1, 63, 300 and 5000 bytes, up and down. */
  static const size_t shifts[] = {1, 63, 300, 5000};
  size_t shift = shifts[alignment % 4];
  CHECK(move(mapped + at + shift, mapped + at, size, flag) == mapped + at + shift);
  memmove(twin + at + shift, twin + at, size);
  compare(at, size + shift);
  CHECK(move(mapped + at - shift, mapped + at, size, flag) == mapped + at - shift);
  memmove(twin + at - shift, twin + at, size);
  compare(at - shift, size + shift);
  CHECK(set(mapped + other + alignment, (int)(size + alignment), size, flag) ==
        mapped + other + alignment);
  memset(twin + other + alignment, (int)(size + alignment), size);
  compare(other + alignment, size);
  flush(mapped + at, size);
  persist(mapped + at, size);
  drain();
}

static void check_variants(void) {
  CHECK(pmem_memcpy_persist(mapped + 5, source, 700) == mapped + 5);
  CHECK(pmem_memcpy_nodrain(mapped + 805, source, 700) == mapped + 805);
  CHECK(pmem_memmove_persist(mapped + 1005, mapped + 805, 700) == mapped + 1005);
  CHECK(pmem_memmove_nodrain(mapped + 705, mapped + 1005, 700) == mapped + 705);
  CHECK(pmem_memset_persist(mapped + 3000, 7, 700) == mapped + 3000);
  CHECK(pmem_memset_nodrain(mapped + 3300, 9, 700) == mapped + 3300);
  memcpy(twin + 5, source, 700);
  memcpy(twin + 805, source, 700);
  memmove(twin + 1005, twin + 805, 700);
  memmove(twin + 705, twin + 1005, 700);
  memset(twin + 3000, 7, 700);
  memset(twin + 3300, 9, 700);
  CHECK(pmem_msync(mapped, 8192) == 0);
  pmem_deep_flush(mapped, 8192);
  CHECK(pmem_deep_drain(mapped, 8192) == 0);
  CHECK(pmem_deep_persist(mapped, 8192) == 0);
  compare(0, 8192);
}

int main(int count, char **words) {
  static const size_t sizes[] = {0,    1,    63,   64,    65,    255,   256,    257,
                                 4095, 4096, 4097, 32767, 32768, 32769, 2 << 20};
  CHECK(count == 3);
  if (words[1][0] == '2') {
    map_with_pmem2(words[2]);
  } else {
    mapped = pmem_map_file(words[2], MAPPED, PMEM_FILE_CREATE, 0600, NULL, NULL);
  }
  CHECK(mapped != NULL);
  twin = calloc(1, MAPPED);
  source = malloc(MAPPED);
  CHECK(twin != NULL && source != NULL);
  for (size_t at = 0; at < MAPPED; at++) source[at] = (char)(at * 2654435761u >> 13);
  memcpy(twin, mapped, MAPPED);
  for (size_t place = 0; place < sizeof sizes / sizeof *sizes; place++) {
    for (size_t alignment = 0; alignment < 64; alignment++) store_all(sizes[place], alignment);
  }
  if (words[1][0] == '1') check_variants();
  CHECK(memcmp(mapped, twin, MAPPED) == 0);
  if (words[1][0] == '1') CHECK(pmem_unmap(mapped, MAPPED) == 0);
  printf("%lu calls\n", calls);
  return 0;
}
