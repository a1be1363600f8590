/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "gups.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] =
    "usage: gups [OPTIONS]            random updates, most of them to a part that is hot\n"
    "       gups watch TRUTH [OPTIONS] where the hot bytes of a running GUPS lie\n"
    "\n"
    "  --shape=clustered|scattered|uniform  scattered: hot pieces of 32 KiB everywhere\n"
    "  --footprint=SIZE  --hot=SIZE         of all threads (256MiB, an eighth)\n"
    "  --hot-share=PERCENT                  of the updates that go to what is hot (90)\n"
    "  --hot-at=start|end                   of each thread's part (end)\n"
    "  --move-at=SECONDS  --move=PERCENT    moves the hot set once, or a share of it (100)\n"
    "  --threads=N  --seconds=S  --seed=N   (2, 10, 1)\n"
    "  --updates=N                          of each thread, instead of seconds\n"
    "  --piece=SIZE                         a power of two (2MiB; scattered: 32KiB)\n"
    "  --memory=mmap|malloc|shared          where it comes from (mmap)\n"
    "  --truth=FILE                         gets the hot addresses, at the start and at each move\n"
    "\n"
    "watch:\n"
    "  --fast-nodes=N,...  by NUMA nodes; without it, memory of a file is slow\n"
    "  --goal=PERCENT      (95)   --interval=SECONDS   (0.25)\n"
    "\n"
    "Prints updates of each second, and whether all memory is as it must be: else the exit code\n"
    "is 1. Watching ends with the updates, and its exit code is 1 if a goal was missed.\n";

void fail(const char *sentence, const char *detail) {
  fprintf(stderr, "gups: error: %s%s%s\n", sentence, *detail ? ": " : "", detail);
  exit(2);
}

uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

static uint64_t size_of(const char *text) {
  char *end;
  double number = strtod(text, &end);
  static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
  for (unsigned unit = 0; end != text && number >= 0 && unit < 5; unit++) {
    if (strcmp(end, units[unit]) == 0) return (uint64_t)(number * (double)(1ull << (10 * unit)));
  }
  fail("not a size such as 512MiB", text);
}

/* The number of a word in a list that ends with NULL. */
static int choice(const char *text, const char *const *words) {
  for (int index = 0; words[index]; index++) {
    if (strcmp(text, words[index]) == 0) return index;
  }
  fail("not one of the words that are allowed there", text);
}

static double number_of(const char *text, double most) {
  char *end;
  double number = strtod(text, &end);
  if (end == text || *end || number < 0 || number > most) fail("not a number that fits", text);
  return number;
}

/* Whether a word is the option; then its value. */
static const char *value(const char *word, const char *name) {
  size_t length = strlen(name);
  return strncmp(word, name, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

static int read_sizes(Options *options, const char *word) {
  const char *text;
  if ((text = value(word, "--footprint"))) options->footprint = size_of(text);
  else if ((text = value(word, "--hot"))) options->hot = size_of(text);
  else if ((text = value(word, "--piece"))) options->piece = size_of(text);
  else if ((text = value(word, "--hot-share")))
    options->hot_percent = (unsigned)number_of(text, 100);
  else if ((text = value(word, "--move-at"))) options->move_at = number_of(text, 1e6);
  else if ((text = value(word, "--move"))) options->move_percent = (unsigned)number_of(text, 100);
  else return 0;
  return 1;
}

static int read_run(Options *options, const char *word) {
  static const char *const shapes[] = {"clustered", "scattered", "uniform", NULL};
  static const char *const memories[] = {"mmap", "malloc", "shared", NULL};
  static const char *const ends[] = {"start", "end", NULL};
  const char *text;
  if ((text = value(word, "--shape"))) options->shape = (Shape)choice(text, shapes);
  else if ((text = value(word, "--memory"))) options->memory = (Memory)choice(text, memories);
  else if ((text = value(word, "--hot-at"))) options->is_hot_last = choice(text, ends);
  else if ((text = value(word, "--threads"))) options->threads = (unsigned)number_of(text, 256);
  else if ((text = value(word, "--seconds"))) options->seconds = number_of(text, 1e6);
  else if ((text = value(word, "--updates"))) options->updates = (uint64_t)number_of(text, 1e15);
  else if ((text = value(word, "--seed"))) options->seed = (uint64_t)number_of(text, 9e15);
  else if ((text = value(word, "--truth"))) options->truth = text;
  else return 0;
  return 1;
}

/* Each thread has a whole number of pieces, and at least twice as many as are hot at once. */
static void check(Options *options) {
  uint64_t piece = options->piece;
  if (options->threads < 1) fail("there is no thread to run", "--threads");
  if (piece < 4096 || (piece & (piece - 1)) != 0) fail("not a power of two", "--piece");
  options->footprint -= options->footprint % (piece * options->threads);
  options->hot -= options->hot % (piece * options->threads);
  if (options->footprint == 0) fail("a thread has not a single piece", "--footprint");
  if (options->shape == SHAPE_UNIFORM) options->hot = options->hot_percent = 0;
  else if (options->hot == 0) fail("nothing of a thread's part is hot", "--hot");
  if (2 * options->hot > options->footprint) fail("more than half cannot be hot", "--hot");
}

void read_options(Options *options, int count, char **words) {
  *options = (Options){.footprint = 256ull << 20, .seconds = 10, .threads = 2, .hot_percent = 90,
                       .move_percent = 100, .is_hot_last = 1, .seed = 1};
  for (int index = 1; index < count; index++) {
    if (strcmp(words[index], "--help") == 0) {
      fputs(usage, stdout);
      exit(0);
    }
    if (read_sizes(options, words[index]) || read_run(options, words[index])) continue;
    fail("not an option (--help lists them)", words[index]);
  }
  if (options->hot == 0) options->hot = options->footprint / 8;
  if (options->piece == 0) {
    options->piece = options->shape == SHAPE_SCATTERED ? 32ull << 10 : 2ull << 20;
  }
  check(options);
}
