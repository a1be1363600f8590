/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Stores to mapped memory until it is killed, so that others can see who does it.
 *
 * store_loop FILE BYTES
 *
 * Maps the file or device, makes a file as long as that, and prints its own process number once
 * everything is mapped. It rests between rounds: others want the processor too.
 *
 * The loop begins with its store: QEMU takes a timer's interrupts only where a jump leads to.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 8 };

int main(int count, char **words) {
  if (count != 3) return 64;
  size_t bytes = strtoull(words[2], NULL, 10);
  int file = open(words[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  struct stat facts;
  if (file < 0 || fstat(file, &facts) != 0) return 1;
  if (S_ISREG(facts.st_mode) && posix_fallocate(file, 0, (off_t)bytes) != 0) return 1;
  volatile uint64_t *memory =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
  if (memory == MAP_FAILED) return 1;
  printf("%d\n", (int)getpid());
  fflush(stdout);
  for (uint64_t round = 1;; round++) {
    for (size_t word = 0; word < bytes / sizeof *memory; word++) memory[word] = round;
    struct timespec rest = {0, 5000000};
    if (round % ROUNDS == 0) nanosleep(&rest, NULL);
  }
}
