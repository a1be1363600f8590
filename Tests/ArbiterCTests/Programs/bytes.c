/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   bytes FILE SCHEME     writes, moves and fills at every size and alignment that may go wrong,
 *                         and compares with memmove and memset on plain memory, borders included
 */
#include <arbiter.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM (8u << 20)

static const size_t sizes[] = {0,   1,    7,    8,    63,    64,    65,    127,        255,
                               256, 257,  4095, 4096, 4097,  32767, 32768, 32769,      2u << 20};
static const uint32_t ways[] = {0, ARBITER_PERSIST, ARBITER_NON_TEMPORAL | ARBITER_PERSIST,
                                ARBITER_CACHED | ARBITER_PERSIST};

static unsigned long comparisons;

static int differs(const unsigned char *region, const unsigned char *plain, size_t from,
                   size_t count, const char *what, size_t size, size_t align) {
  comparisons++;
  if (memcmp(region + from, plain + from, count) == 0) return 0;
  fprintf(stderr, "%s of %zu bytes at alignment %zu differs\n", what, size, align);
  return 1;
}

int main(int count, char **arguments) {
  if (count < 3) return 64;
  arbiter_options options = ARBITER_OPTIONS;
  options.scheme = (arbiter_scheme)atoi(arguments[2]);
  options.permit_count = 2;
  arbiter_error error;
  arbiter_runtime *runtime = arbiter_open(&options, &error);
  arbiter_region *region = runtime ? arbiter_map(runtime, arguments[1], ROOM, 0, &error) : NULL;
  arbiter_thread *thread = region ? arbiter_attach(region, &error) : NULL;
  if (thread == NULL) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  if (arbiter_scheme_in_force(runtime) != options.scheme) return 2;
  unsigned char *memory = arbiter_address(region);
  unsigned char *plain = malloc(ROOM), *source = malloc(ROOM);
  for (size_t place = 0; place < ROOM; place++) source[place] = (unsigned char)(place * 31 + 7);
  memcpy(memory, source, ROOM);
  memcpy(plain, source, ROOM);
  int bad = 0;
  for (size_t index = 0; index < sizeof sizes / sizeof *sizes && !bad; index++) {
    size_t size = sizes[index];
    /* Two megabytes at every alignment would take minutes under a delay. */
    size_t step = size > 65536 ? 21 : 1;
    for (size_t align = 0; align < 64 && !bad; align += step) {
      uint32_t way = ways[(align + index) % 4];
      size_t at = 4096 + align, from = 3 * align % 64, border = 256;
      bad |= arbiter_write(thread, memory + at, source + from, size, way) != ARBITER_OK;
      memmove(plain + at, source + from, size);
      bad |= differs(memory, plain, at - border, size + 2 * border, "write", size, align);
      bad |= arbiter_fill(thread, memory + at, (int)align + 1, size, way) != ARBITER_OK;
      memset(plain + at, (int)align + 1, size);
      bad |= differs(memory, plain, at - border, size + 2 * border, "fill", size, align);
      /* Overlapping, upwards and downwards, by less than a line and by more than a block. */
      for (int shift = -300; shift <= 300; shift += 75) {
        size_t base = (2u << 20) + 8192 + align;
        bad |= arbiter_write(thread, memory + base + shift, memory + base, size, way) != ARBITER_OK;
        memmove(plain + base + shift, plain + base, size);
        bad |= differs(memory, plain, base - 1024, size + 2048, "move", size, align);
      }
      bad |= arbiter_flush(thread, memory + at, size) != ARBITER_OK;
      bad |= arbiter_persist(thread, memory + at, size) != ARBITER_OK;
      arbiter_drain(thread);
    }
  }
  bad |= memcmp(memory, plain, ROOM) != 0;
  arbiter_detach(thread);
  if (arbiter_unmap(region, &error) != ARBITER_OK) bad = 1;
  arbiter_close(runtime);
  printf("%lu comparisons\n", comparisons);
  return bad;
}
