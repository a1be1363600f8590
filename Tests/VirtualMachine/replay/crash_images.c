/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0 */
#include "crash_images.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_BYTES 64
#define CPU_COUNT_MAX 16

/* A store of which it is not yet certain that it arrived before everything that follows. */
struct store {
  uint8_t at, size;
  bool is_nt, is_promised;
  uint64_t value;
};

/* A line and its stores, oldest first. The bytes before them are in `image`. */
struct line {
  struct store *stores;
  uint64_t first_index; /* how many stores to this line were settled before */
  uint32_t count, room;
  uint32_t place; /* in the list of lines with stores, plus 1; 0 where it is not in it */
};

/* What a fence of a processor will promise: stores below an index, or the one at it. */
struct promise {
  uint32_t line;
  bool is_single;
  uint64_t index;
};

struct promises {
  struct promise *items;
  size_t count, room;
};

struct medium {
  size_t byte_count, line_count, log_count;
  uint64_t images_per_cut, random, cut_count;
  uint8_t *image; /* what has certainly arrived; changed and restored for each image */
  struct line *lines;
  uint32_t *unsettled; /* lines with stores */
  uint32_t unsettled_count;
  uint8_t (*saved)[LINE_BYTES];
  uint64_t *seen; /* hashes of the images of this cut */
  struct promises promises[CPU_COUNT_MAX];
  uint64_t acknowledged[LOG_COUNT_MAX];
  struct tally tally;
};

enum choice { CHOICE_NONE, CHOICE_ALL, CHOICE_SOME };

struct medium *medium_make(
    size_t byte_count, unsigned int log_count, uint64_t images_per_cut, uint64_t seed) {
  struct medium *medium = calloc(1, sizeof *medium);
  if (medium == NULL) return NULL;
  medium->byte_count = byte_count;
  medium->line_count = byte_count / LINE_BYTES;
  medium->log_count = log_count;
  medium->images_per_cut = images_per_cut;
  medium->random = seed;
  medium->image = calloc(1, byte_count);
  medium->lines = calloc(medium->line_count, sizeof *medium->lines);
  medium->unsettled = calloc(medium->line_count, sizeof *medium->unsettled);
  medium->saved = calloc(medium->line_count, sizeof *medium->saved);
  medium->seen = calloc(images_per_cut, sizeof *medium->seen);
  if (medium->image == NULL || medium->lines == NULL || medium->unsettled == NULL ||
      medium->saved == NULL || medium->seen == NULL) {
    medium_free(medium);
    return NULL;
  }
  return medium;
}

void medium_free(struct medium *medium) {
  if (medium->lines != NULL) {
    for (size_t at = 0; at < medium->line_count; at++) free(medium->lines[at].stores);
  }
  for (size_t cpu = 0; cpu < CPU_COUNT_MAX; cpu++) free(medium->promises[cpu].items);
  free(medium->image);
  free(medium->lines);
  free(medium->unsettled);
  free(medium->saved);
  free(medium->seen);
  free(medium);
}

static uint64_t random_next(struct medium *medium) {
  medium->random += 0x9e3779b97f4a7c15ULL;
  return arb_mix(medium->random);
}

/* Grows a list to hold one more; ends the program without memory, where nothing can go on. */
static void *grown(void *items, size_t count, size_t room, size_t size) {
  if (count < room) return items;
  void *more = realloc(items, (room == 0 ? 8 : 2 * room) * size);
  if (more == NULL) abort();
  return more;
}

static size_t room_for(size_t count, size_t room) {
  return count < room ? room : room == 0 ? 8 : 2 * room;
}

static void promise_add(struct promises *list, struct promise promise) {
  list->items = grown(list->items, list->count, list->room, sizeof *list->items);
  list->room = room_for(list->count, list->room);
  list->items[list->count++] = promise;
}

/* Settling. */

static void store_put(const struct store *store, uint8_t *line) {
  memcpy(line + store->at, &store->value, store->size);
}

/* Moves the promised stores at the head of a line to the image. */
static void line_settle(struct medium *medium, uint32_t number) {
  struct line *line = &medium->lines[number];
  uint32_t done = 0;
  while (done < line->count && line->stores[done].is_promised) {
    store_put(&line->stores[done++], medium->image + (size_t)number * LINE_BYTES);
  }
  if (done == 0) return;
  memmove(line->stores, line->stores + done, (line->count - done) * sizeof *line->stores);
  line->count -= done;
  line->first_index += done;
  if (line->count == 0) {
    uint32_t last = medium->unsettled[--medium->unsettled_count];
    medium->unsettled[line->place - 1] = last;
    medium->lines[last].place = line->place;
    line->place = 0;
  }
}

static void promise_keep(struct medium *medium, struct promise promise) {
  struct line *line = &medium->lines[promise.line];
  for (uint32_t at = 0; at < line->count; at++) {
    uint64_t index = line->first_index + at;
    if (promise.is_single ? index == promise.index : index < promise.index) {
      line->stores[at].is_promised = true;
    }
  }
  line_settle(medium, promise.line);
}

/* Events. */

static void store_add(
    struct medium *medium, unsigned int cpu, uint32_t offset, struct store store) {
  uint32_t number = offset / LINE_BYTES;
  struct line *line = &medium->lines[number];
  store.at = (uint8_t)(offset % LINE_BYTES);
  if (store.is_nt) {
    promise_add(
        &medium->promises[cpu],
        (struct promise){number, true, line->first_index + line->count});
  }
  line->stores = grown(line->stores, line->count, line->room, sizeof store);
  line->room = (uint32_t)room_for(line->count, line->room);
  line->stores[line->count++] = store;
  if (line->place == 0) {
    medium->unsettled[medium->unsettled_count++] = number;
    line->place = medium->unsettled_count;
  }
}

/* Splits a store where 8 aligned bytes end: beyond them nothing arrives as a whole. */
static bool stores_add(struct medium *medium, const struct arb_event *event) {
  if (event->size == 0 || event->size > 8 ||
      (uint64_t)event->offset + event->size > medium->byte_count) {
    return false;
  }
  bool is_nt = event->kind == ARB_EVENT_STORE_NT;
  uint8_t head = (uint8_t)(8 - event->offset % 8);
  if (head > event->size) head = event->size;
  store_add(
      medium, event->cpu, event->offset,
      (struct store){.size = head, .is_nt = is_nt, .value = event->value});
  if (head < event->size) {
    store_add(
        medium, event->cpu, event->offset + head,
        (struct store){.size = (uint8_t)(event->size - head),
                       .is_nt = is_nt,
                       .value = event->value >> (8 * head)});
  }
  *(is_nt ? &medium->tally.stores_nt : &medium->tally.stores) += 1;
  return true;
}

static bool write_back(struct medium *medium, const struct arb_event *event) {
  uint32_t number = event->offset / LINE_BYTES;
  if (number >= medium->line_count) return false;
  struct line *line = &medium->lines[number];
  struct promise promise = {number, false, line->first_index + line->count};
  medium->tally.write_backs++;
  if (event->kind == ARB_EVENT_FLUSH) {
    promise_keep(medium, promise);
  } else {
    promise_add(&medium->promises[event->cpu], promise);
  }
  return true;
}

static void fence(struct medium *medium, unsigned int cpu) {
  medium_cut(medium);
  struct promises *list = &medium->promises[cpu];
  for (size_t at = 0; at < list->count; at++) promise_keep(medium, list->items[at]);
  list->count = 0;
  medium->tally.fences++;
}

bool medium_apply(struct medium *medium, const struct arb_event *event) {
  if (event->cpu >= CPU_COUNT_MAX) return false;
  switch (event->kind) {
    case ARB_EVENT_STORE:
    case ARB_EVENT_STORE_NT:
      return stores_add(medium, event);
    case ARB_EVENT_WRITE_BACK:
    case ARB_EVENT_FLUSH:
      return write_back(medium, event);
    case ARB_EVENT_FENCE:
      fence(medium, event->cpu);
      return true;
    case ARB_EVENT_ACKNOWLEDGED:
      if (event->offset >= medium->log_count) return false;
      medium->acknowledged[event->offset] = event->value;
      medium->tally.acknowledged++;
      return true;
    default:
      return false;
  }
}

/* Images. */

/* Puts what arrived of a line by choice over what has certainly arrived. */
static void line_choose(struct medium *medium, uint32_t number, enum choice choice) {
  const struct line *line = &medium->lines[number];
  uint8_t *bytes = medium->image + (size_t)number * LINE_BYTES;
  uint32_t evicted = choice == CHOICE_ALL ? line->count : 0;
  if (choice == CHOICE_SOME) {
    /* A third of the lines not at all, a third whole, a third evicted between two stores. */
    uint64_t draw = random_next(medium);
    uint32_t kind = (uint32_t)(draw % 3);
    evicted = kind == 0 ? 0 : kind == 1 ? line->count : (uint32_t)(draw / 3 % (line->count + 1));
  }
  for (uint32_t at = 0; at < line->count; at++) {
    const struct store *store = &line->stores[at];
    bool has_arrived = at < evicted;
    if (store->is_nt && choice == CHOICE_SOME) has_arrived = random_next(medium) & 1;
    if (store->is_promised || has_arrived) store_put(store, bytes);
  }
}

static void violation(struct medium *medium, const char *what, uint64_t log, uint64_t number) {
  struct tally *tally = &medium->tally;
  if (tally->violations++ > 0) return;
  tally->first_cut = tally->cuts;
  snprintf(
      tally->first, sizeof tally->first, "%s (log %" PRIu64 ", number %" PRIu64 ", acknowledged "
      "%" PRIu64 ")", what, log, number, medium->acknowledged[log]);
}

static void image_check(struct medium *medium) {
  size_t log_bytes = medium->byte_count / medium->log_count;
  for (size_t log = 0; log < medium->log_count; log++) {
    const uint8_t *start = medium->image + log * log_bytes;
    uint64_t count = arb_log_count(start);
    if (count < medium->acknowledged[log]) {
      violation(medium, "an acknowledged record is lost", log, count);
      return;
    }
    /* A program appends one at a time, so that no later count can have been stored. */
    if (count > medium->acknowledged[log] + 1) {
      violation(medium, "a count that was never stored", log, count);
      return;
    }
    uint64_t broken = arb_log_first_broken(start, log_bytes, log);
    if (broken != 0) {
      violation(medium, "a counted record is not whole", log, broken);
      return;
    }
  }
}

/* Whether the image was not seen at this cut before. */
static bool image_is_new(struct medium *medium, uint64_t seen_count) {
  uint64_t hash = 0;
  for (uint32_t at = 0; at < medium->unsettled_count; at++) {
    const uint8_t *bytes = medium->image + (size_t)medium->unsettled[at] * LINE_BYTES;
    for (size_t word = 0; word < LINE_BYTES; word += 8) {
      uint64_t value;
      memcpy(&value, bytes + word, sizeof value);
      hash = arb_mix(hash ^ value);
    }
  }
  for (uint64_t at = 0; at < seen_count; at++) {
    if (medium->seen[at] == hash) return false;
  }
  medium->seen[seen_count] = hash;
  return true;
}

static void lines_choose(struct medium *medium, enum choice choice) {
  for (uint32_t at = 0; at < medium->unsettled_count; at++) {
    uint32_t number = medium->unsettled[at];
    memcpy(medium->saved[at], medium->image + (size_t)number * LINE_BYTES, LINE_BYTES);
    line_choose(medium, number, choice);
  }
}

static void lines_restore(struct medium *medium) {
  for (uint32_t at = 0; at < medium->unsettled_count; at++) {
    size_t number = medium->unsettled[at];
    memcpy(medium->image + number * LINE_BYTES, medium->saved[at], LINE_BYTES);
  }
}

void medium_cut(struct medium *medium) {
  uint64_t seen_count = 0;
  medium->tally.cuts++;
  for (uint64_t image = 0; image < medium->images_per_cut; image++) {
    enum choice choice = image == 0 ? CHOICE_NONE : image == 1 ? CHOICE_ALL : CHOICE_SOME;
    lines_choose(medium, choice);
    if (image_is_new(medium, seen_count)) {
      seen_count++;
      medium->tally.images++;
      image_check(medium);
    }
    lines_restore(medium);
  }
}

uint64_t medium_difference(struct medium *medium, const uint8_t *bytes) {
  uint64_t differing = 0;
  lines_choose(medium, CHOICE_ALL);
  for (size_t line = 0; line < medium->line_count; line++) {
    const uint8_t *ours = medium->image + line * LINE_BYTES;
    differing += memcmp(ours, bytes + line * LINE_BYTES, LINE_BYTES) != 0;
  }
  lines_restore(medium);
  return differing;
}

const struct tally *medium_tally(const struct medium *medium) { return &medium->tally; }
