/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * GUPS in the form of the HeMem paper: options, hot sets, threads, and who watches them.
 */
#ifndef GUPS_H
#define GUPS_H

#include <stdint.h>
#include <stdio.h>

enum { THREADS_MAX = 256, BATCH = 4096 };

/* What is hot lies in pieces, of which a thread's part has a whole number. */
typedef enum { SHAPE_CLUSTERED, SHAPE_SCATTERED, SHAPE_UNIFORM } Shape;

/* Where the memory comes from. */
typedef enum { MEMORY_MMAP, MEMORY_MALLOC, MEMORY_SHARED } Memory;

typedef struct {
  uint64_t footprint; /* bytes, of all threads */
  uint64_t hot;       /* bytes, of all threads */
  uint64_t piece;     /* bytes; a power of two */
  uint64_t updates;   /* of each thread; 0: until the time is up */
  uint64_t seed;
  double seconds;
  double move_at;     /* seconds after the start; 0: never */
  unsigned threads;
  unsigned hot_percent;  /* of the updates */
  unsigned move_percent; /* of the hot set */
  Shape shape;
  Memory memory;
  int is_hot_last; /* it lies at the end of each thread's part, not at its start */
  const char *truth; /* path, or NULL */
} Options;

/* The hot pieces of a thread: an update draws a place in them. Never changed once it is seen. */
typedef struct {
  uint64_t places; /* elements in all pieces */
  uint32_t count;
  uint32_t pieces[];
} HotSet;

/* What one thread does; padded so that no two share a line. */
typedef struct {
  uint64_t *data;
  uint64_t elements;
  const HotSet *hot; /* replaced by the main thread: release, acquire */
  const Options *options;
  uint32_t *order;   /* all pieces in the order in which they become hot */
  uint64_t state;    /* of the generator */
  uint64_t sum;      /* what the elements must add up to */
  uint64_t done;     /* relaxed: updates so far */
  uint32_t next;     /* in `order` */
  unsigned number;
  int is_right;
  char pad[64];
} Worker;

/* Reads options; ends the program where they make no sense. */
void read_options(Options *options, int count, char **words);

/* Ends the program with a sentence. */
_Noreturn void fail(const char *sentence, const char *detail);

/* CLOCK_MONOTONIC. */
uint64_t now(void);

/* A hot set for a worker: the first one, or one in which a share is replaced by fresh pieces. */
const HotSet *first_hot_set(Worker *worker);
const HotSet *moved_hot_set(Worker *worker);

/* Appends what is hot from now on to the file of the truth. */
void tell_truth(FILE *file, const Worker *workers, unsigned count);

/* Fills a worker's part; makes its updates; adds its elements up and compares. */
void fill(Worker *worker);
void update(Worker *worker, const int *is_over);
void verify(Worker *worker);

/* `gups watch`: where the hot bytes of a running GUPS lie. Returns the exit code. */
int watch(int count, char **words);

#endif
