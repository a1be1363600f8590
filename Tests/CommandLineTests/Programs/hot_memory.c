/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Maps memory, counts into random words of its first part for a while, and adds everything up.
 *
 *   hot_memory MIB HOT_MIB SECONDS
 *
 * Prints "right" where the words hold as many counts as were made, else "wrong". */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int count, char **words) {
  if (count != 4) return 64;
  uint64_t length = strtoull(words[1], NULL, 10) << 20;
  uint64_t hot = (strtoull(words[2], NULL, 10) << 20) / sizeof(uint64_t);
  double end = seconds() + atof(words[3]);
  uint64_t *memory =
      mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || hot == 0) return 1;
  uint64_t made = 0, state = 1;
  for (uint64_t word = 0; word < length / sizeof(uint64_t); word += 512, made++) memory[word]++;
  while (seconds() < end) {
    for (int round = 0; round < 100000; round++, made++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      memory[(state >> 33) % hot]++;
    }
  }
  uint64_t found = 0;
  for (uint64_t word = 0; word < length / sizeof(uint64_t); word++) found += memory[word];
  puts(found == made ? "right" : "wrong");
  return found != made;
}
