/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   refusals FOLDER     everything that must be refused, and what must be left as it was
 */
#include <arbiter.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int failures;

static void expect(int holds, const char *what) {
  if (holds) return;
  failures++;
  fprintf(stderr, "not so: %s\n", what);
}

int main(int count, char **arguments) {
  if (count < 2) return 64;
  char path[512], missing[512];
  snprintf(path, sizeof path, "%s/region", arguments[1]);
  snprintf(missing, sizeof missing, "%s/none/region", arguments[1]);
  arbiter_error error;
  arbiter_options options = ARBITER_OPTIONS;

  options.scheme = (arbiter_scheme)99;
  expect(arbiter_open(&options, &error) == NULL, "a scheme that does not exist is refused");
  expect(error.code == ARBITER_INVALID_ARGUMENT && strstr(error.message, "99"), "with its number");
  options = (arbiter_options)ARBITER_OPTIONS;
  options.profile = "no-such-device";
  expect(arbiter_open(&options, &error) == NULL, "a profile that does not exist is refused");
  expect(strstr(error.message, "optane-100-256g") != NULL, "with those that do");
  options = (arbiter_options)ARBITER_OPTIONS;
  options.struct_bytes = 1 << 20;
  expect(arbiter_open(&options, NULL) == NULL, "options of a senseless size are refused");
  options.struct_bytes = offsetof(arbiter_options, permit_count);
  options.scheme = ARBITER_SCHEME_LOCK;
  arbiter_runtime *old = arbiter_open(&options, &error);
  expect(old != NULL && arbiter_scheme_in_force(old) == ARBITER_SCHEME_LOCK,
         "options of an older version are taken");
  arbiter_close(old);

  options = (arbiter_options)ARBITER_OPTIONS;
  options.thread_count_max = 1;
  arbiter_runtime *runtime = arbiter_open(&options, &error);
  if (runtime == NULL) return 1;
  expect(arbiter_map(runtime, missing, 4096, 0, &error) == NULL, "a missing folder is refused");
  expect(error.code == ARBITER_NOT_FOUND && strstr(error.message, missing), "with its name");
  expect(arbiter_map(runtime, path, 4096, ARBITER_MAP_EXISTING, &error) == NULL,
         "a missing file is refused where it must exist");
  expect(access(path, F_OK) != 0, "and is not made");
  expect(arbiter_map(runtime, path, 0, 0, &error) == NULL, "nothing is no region");
  arbiter_region *region = arbiter_map(runtime, path, 1 << 20, 0, &error);
  if (region == NULL) return 1;
  expect(error.code == ARBITER_OK && error.message[0] == 0, "success says nothing");
  arbiter_thread *thread = arbiter_attach(region, &error);
  if (thread == NULL) return 1;
  expect(arbiter_attach(region, &error) == NULL && error.code == ARBITER_RESOURCE_LIMIT,
         "a second gate is refused where there is room for one");

  unsigned char *memory = arbiter_address(region);
  size_t size = arbiter_size(region);
  unsigned char byte = 1;
  memory[0] = memory[size - 1] = 42;
  expect(arbiter_write(thread, memory - 1, &byte, 1, 0) == ARBITER_INVALID_ARGUMENT, "below");
  expect(arbiter_write(thread, memory + size, &byte, 1, 0) == ARBITER_INVALID_ARGUMENT, "above");
  expect(arbiter_write(thread, memory + size - 1, &byte, 2, 0) == ARBITER_INVALID_ARGUMENT,
         "across the end");
  expect(arbiter_write(thread, memory + 1, &byte, SIZE_MAX, 0) == ARBITER_INVALID_ARGUMENT,
         "around the end of memory");
  expect(arbiter_fill(thread, memory + size - 1, 0, 2, 0) == ARBITER_INVALID_ARGUMENT, "fill");
  expect(arbiter_flush(thread, memory + size, 1) == ARBITER_INVALID_ARGUMENT, "flush");
  expect(arbiter_persist(thread, memory - 1, 1) == ARBITER_INVALID_ARGUMENT, "persist");
  expect(arbiter_store_u64(thread, (uint64_t *)(void *)(memory + 4), 7, 0) ==
             ARBITER_INVALID_ARGUMENT,
         "a word across two words");
  expect(memory[0] == 42 && memory[size - 1] == 42, "what was refused stored nothing");
  expect(arbiter_write(thread, memory + size, &byte, 0, 0) == ARBITER_OK, "nothing, at the end");
  expect(arbiter_store_u64(thread, (uint64_t *)(void *)(memory + 8), 7, ARBITER_PERSIST) ==
             ARBITER_OK,
         "an aligned word");
  expect(arbiter_persist_deeply(region, memory, size, &error) == ARBITER_OK, "deeply");
  expect(arbiter_persist_deeply(region, memory + size, 1, &error) == ARBITER_INVALID_ARGUMENT,
         "not beyond");

  unsigned char copy[64];
  expect(arbiter_read_checked(region, copy, memory, sizeof copy, &error) == ARBITER_OK &&
             copy[0] == 42 && copy[8] == 7,
         "a checked read reads");
  expect(truncate(path, 4096) == 0, "the file is cut short");
  expect(arbiter_read_checked(region, copy, memory + 8192, sizeof copy, &error) ==
             ARBITER_TRUNCATED,
         "a checked read says so");
  expect(strstr(error.message, "region") != NULL, "with the name of the file");
  for (int number = 1; number < SIGRTMIN; number++) {
    struct sigaction action;
    if (sigaction(number, NULL, &action) != 0) continue;
    /* What was ignored when the program started is its starter's business. */
    if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) continue;
    fprintf(stderr, "signal %d: ", number);
    expect(0, "no signal handler is installed");
  }

  arbiter_statistics statistics = {.struct_bytes = sizeof statistics};
  expect(arbiter_read_statistics(runtime, &statistics) == ARBITER_OK, "statistics");
  expect(statistics.thread_count == 1 && statistics.store_count == 1, "count what was stored");
  expect(isnan(statistics.write_amplification), "what nothing counts is no number");
  expect(strcmp(statistics.counter_source, "unavailable") == 0, "and its source is none");
  statistics.struct_bytes = 16;
  statistics.stored_bytes = 12345;
  expect(arbiter_read_statistics(runtime, &statistics) == ARBITER_OK &&
             statistics.stored_bytes == 12345,
         "an older caller gets no more than it knows");
  statistics.struct_bytes = 3;
  expect(arbiter_read_statistics(runtime, &statistics) == ARBITER_INVALID_ARGUMENT, "3 bytes");
  arbiter_detach(thread);
  arbiter_detach(NULL);
  expect(arbiter_unmap(region, NULL) == ARBITER_OK && arbiter_unmap(NULL, NULL) == ARBITER_OK,
         "unmapping");
  arbiter_close(runtime);
  arbiter_close(NULL);
  return failures != 0;
}
