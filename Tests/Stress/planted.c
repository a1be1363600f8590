/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * One fault of each kind that the sanitizers are there for, so that their silence means something.
 *
 *   planted race|overflow|leak
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long shared;

static void *count(void *argument) {
  for (int turn = 0; turn < 100000; turn++) shared++;
  return argument;
}

static int race(void) {
  pthread_t threads[2];
  for (int index = 0; index < 2; index++) pthread_create(&threads[index], NULL, count, NULL);
  for (int index = 0; index < 2; index++) pthread_join(threads[index], NULL);
  return shared == 0;
}

static int overflow(void) {
  volatile char *memory = malloc(16);
  if (memory == NULL) return 1;
  for (int index = 0; index <= 16; index++) memory[index] = 1;
  int last = memory[15];
  free((void *)memory);
  return last != 1;
}

static int leak(void) {
  char *volatile lost = malloc(16);
  if (lost == NULL) return 1;
  lost = NULL;
  return 0;
}

int main(int argument_count, char **arguments) {
  const char *kind = argument_count > 1 ? arguments[1] : "";
  if (strcmp(kind, "race") == 0) return race();
  if (strcmp(kind, "overflow") == 0) return overflow();
  if (strcmp(kind, "leak") == 0) return leak();
  fprintf(stderr, "usage: planted race|overflow|leak\n");
  return 64;
}
