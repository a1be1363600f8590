/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Replays what the plug-in recorded of one form of append, cuts the power at every fence, and
 * checks each state in which the medium could be then.
 *
 *   replay LOG --bytes N --logs N --images N --seed N [--final FILE --final-offset N]
 *
 * --bytes         size of the area, which was empty when the recording began
 * --logs          logs in the area, of equal size
 * --images        images per cut: none evicted, all evicted, and the rest drawn with the seed
 * --final         the backing file of the NVDIMM: what the log says must be what is there at last
 *
 * Prints one line of what was found. Exit codes: 0 every image is right, 1 some is not, 64 usage,
 * 65 the recording is not one, or not whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "crash_images.h"

static _Noreturn void fail(int code, const char *what, const char *object) {
  fprintf(stderr, "replay: error: %s (%s)\n", what, object);
  exit(code);
}

struct options {
  const char *log, *final;
  uint64_t bytes, logs, images, seed, final_offset;
};

static uint64_t number_of(const char *word) {
  char *end;
  errno = 0;
  uint64_t value = strtoull(word, &end, 0);
  if (errno != 0 || *end != 0 || end == word) fail(64, "not a number", word);
  return value;
}

static struct options options_parse(int count, char **words) {
  struct options options = {.images = 8, .logs = 1, .seed = 1};
  for (int at = 1; at < count; at++) {
    if (words[at][0] != '-') {
      options.log = words[at];
      continue;
    }
    const char *name = words[at];
    if (at + 1 == count) fail(64, "needs a value", name);
    const char *value = words[++at];
    if (strcmp(name, "--final") == 0) {
      options.final = value;
    } else if (strcmp(name, "--bytes") == 0) {
      options.bytes = number_of(value);
    } else if (strcmp(name, "--logs") == 0) {
      options.logs = number_of(value);
    } else if (strcmp(name, "--images") == 0) {
      options.images = number_of(value);
    } else if (strcmp(name, "--seed") == 0) {
      options.seed = number_of(value);
    } else if (strcmp(name, "--final-offset") == 0) {
      options.final_offset = number_of(value);
    } else {
      fail(64, "unknown option", name);
    }
  }
  if (options.log == NULL) fail(64, "no recording was named", "LOG");
  if (options.bytes == 0 || options.bytes % 4096 != 0 || options.bytes > UINT32_MAX) {
    fail(64, "an area is whole pages, less than 4 GiB", "--bytes");
  }
  if (options.logs < 1 || options.logs > LOG_COUNT_MAX || options.images < 2) {
    fail(64, "out of range", "--logs or --images");
  }
  return options;
}

/* Compares what the recording adds up to with what the machine really left in the area. */
static void check_final(struct medium *medium, const struct options *options) {
  FILE *file = fopen(options->final, "rb");
  if (file == NULL || fseeko(file, (off_t)options->final_offset, SEEK_SET) != 0) {
    fail(65, strerror(errno), options->final);
  }
  uint8_t *there = malloc(options->bytes);
  if (there == NULL || fread(there, options->bytes, 1, file) != 1) {
    fail(65, "cannot read the area", options->final);
  }
  fclose(file);
  uint64_t differing = medium_difference(medium, there);
  if (differing != 0) {
    fprintf(stderr, "replay: error: %" PRIu64 " lines differ from the machine's memory\n",
            differing);
    exit(65);
  }
  free(there);
}

int main(int count, char **words) {
  struct options options = options_parse(count, words);
  FILE *file = fopen(options.log, "rb");
  if (file == NULL) fail(65, strerror(errno), options.log);
  struct arb_event event;
  if (fread(&event, sizeof event, 1, file) != 1 || event.kind != ARB_EVENT_HEAD ||
      event.value != ARB_LOG_MAGIC || event.offset != ARB_LOG_VERSION) {
    fail(65, "not a recording of this version", options.log);
  }
  struct medium *medium =
      medium_make((size_t)options.bytes, (unsigned int)options.logs, options.images, options.seed);
  if (medium == NULL) fail(70, "no memory", options.log);
  while (fread(&event, sizeof event, 1, file) == 1) {
    if (!medium_apply(medium, &event)) fail(65, "an event makes no sense", options.log);
  }
  if (!feof(file)) fail(65, "cannot read", options.log);
  fclose(file);
  medium_cut(medium);
  if (options.final != NULL) check_final(medium, &options);
  const struct tally *tally = medium_tally(medium);
  printf(
      "stores %" PRIu64 " non-temporal %" PRIu64 " write-backs %" PRIu64 " fences %" PRIu64
      " acknowledged %" PRIu64 " cuts %" PRIu64 " images %" PRIu64 " violations %" PRIu64,
      tally->stores, tally->stores_nt, tally->write_backs, tally->fences, tally->acknowledged,
      tally->cuts, tally->images, tally->violations);
  if (tally->violations > 0) {
    printf(" first at cut %" PRIu64 ": %s", tally->first_cut, tally->first);
  }
  printf("\n");
  int code = tally->violations == 0 ? 0 : 1;
  medium_free(medium);
  return code;
}
