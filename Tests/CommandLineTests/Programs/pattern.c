/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Accesses of which a recording must show each, in order, whatever compiler made them.
 *
 *   pattern FILE
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arbiter_hooks.h"

#define BYTES (1 << 20)

struct record {
  uint64_t key;
  uint32_t number;
  uint16_t kind;
  uint8_t flag;
};

int main(int count, char **words) {
  if (count != 2) return 2;
  int file = open(words[1], O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, BYTES) != 0) return 1;
  char *map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  char *half = malloc(BYTES);
  if (map == MAP_FAILED || half == NULL) return 1;
  /* Neither the heap nor the stack is recorded. */
  memset(half, 1, BYTES);
  volatile uint64_t *numbers = (uint64_t *)map;
  for (int index = 0; index < 100; index++) numbers[index] = (uint64_t)index;
  volatile struct record *record = (struct record *)(map + 65536);
  record->key = 1;
  record->number = 2;
  record->kind = 3;
  record->flag = 4;
  uint64_t sum = 0;
  for (int index = 0; index < 50; index++) sum += numbers[index * 8];
  numbers[5000]++;
  /* The volatile count keeps the compiler from expanding the copy. */
  volatile size_t bytes = 300;
  memcpy(map + 131072, half, bytes);
  memset(map + 262144, (int)sum, bytes + 1);
  arbiter_record_flush(map, 64);
  arbiter_record_fence();
  if (arbiter_record_range(half, BYTES, "heap") == 0) {
    ((volatile char *)half)[77] = 1;
    arbiter_forget_range(half);
    ((volatile char *)half)[78] = 1;
  }
  munmap(map, BYTES);
  return 0;
}
