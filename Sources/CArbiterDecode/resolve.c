/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * From a sample to its accesses: the place from the table, or decoded anew.
 */
#include "resolver.h"

#include <stdlib.h>
#include <string.h>

/* Bytes ahead of a sample that the scan may look at. */
#define ARB_AHEAD ((ARB_AFTER_MAX + 1) * ARB_INSTRUCTION_MAX)

_Static_assert(
    ARB_STRAIGHT_MAX + ARB_AHEAD <= sizeof((ArbResolver *)0)->window, "room for all code");

ArbResolver *arb_resolver_make(const ArbDecoder *decoder) {
  ArbResolver *resolver = calloc(1, sizeof *resolver);
  if (resolver != NULL) resolver->decoder = decoder;
  return resolver;
}

void arb_resolver_free(ArbResolver *resolver) {
  if (resolver == NULL) return;
  for (size_t set = 0; set < ARB_PROCESS_SETS; set++) {
    for (size_t way = 0; way < ARB_WAYS; way++) {
      arb_process_forget(resolver, &resolver->processes[set][way]);
    }
  }
  free(resolver);
}

/* The newest version of the pages in which a place lies; 0 where one is gone. */
static uint64_t version_of(
    ArbResolver *resolver, const ArbProcess *process, const ArbKnownPlace *known, int64_t now) {
  uint64_t newest = 0;
  const uint64_t last = known->high / ARB_PAGE_BYTES;
  for (uint64_t page = known->low / ARB_PAGE_BYTES; page <= last; page++) {
    uint64_t version;
    if (arb_page(resolver, process, page * ARB_PAGE_BYTES, now, &version) == NULL) return 0;
    if (version > newest) newest = version;
  }
  return newest;
}

/* Copies code of a process, beginning with the page of `low`; returns the bytes that could be had
 * in one piece and hold `ip`, with `low` moved up past what could not. */
static size_t copy_code(
    ArbResolver *resolver, const ArbProcess *process, uint64_t *low, uint64_t end, uint64_t ip,
    int64_t now, uint64_t *newest) {
  size_t count = 0;
  *newest = 0;
  for (uint64_t at = *low; at < end;) {
    const uint64_t offset = at % ARB_PAGE_BYTES;
    uint64_t size = ARB_PAGE_BYTES - offset;
    uint64_t version;
    if (size > end - at) size = end - at;
    const uint8_t *bytes = arb_page(resolver, process, at - offset, now, &version);
    if (bytes != NULL) {
      memcpy(resolver->window + count, bytes + offset, size);
      count += size;
      if (version > *newest) *newest = version;
    } else if (at > ip) {
      break;
    } else {
      count = 0;
      *low = at + size;
    }
    at += size;
  }
  return *low <= ip && ip - *low < count ? count : 0;
}

/* Decodes a place anew. */
static uint32_t learn(
    ArbResolver *resolver, ArbProcess *process, ArbKnownPlace *known, uint64_t ip, int64_t now) {
  known->generation = 0;
  const ArbRange *range = arb_process_range(resolver, process, ip, now);
  if (process->reason != ARB_REASON_NONE) return process->reason;
  if (range == NULL) return ARB_REASON_NO_CODE;
  const uint64_t begin = range->begin;
  const uint64_t range_end = range->end;
  uint64_t start = arb_unwind_start(resolver, process, ip);
  if (start < begin || start > ip || ip - start > ARB_STRAIGHT_MAX) start = 0;
  uint64_t low = start != 0 && ip - start > ARB_VOTE_MAX ? start : ip - ARB_VOTE_MAX;
  if (low < begin || low > ip) low = begin;
  const uint64_t end = range_end - ip < ARB_AHEAD ? range_end : ip + ARB_AHEAD;
  const size_t count = copy_code(resolver, process, &low, end, ip, now, &known->version);
  if (count == 0) return ARB_REASON_NO_CODE;
  const ArbCode code = {resolver->window, count, low, start >= low ? start : 0};
  arb_place(resolver->decoder, &code, ip, &known->place);
  resolver->counts.decoded_count++;
  resolver->counts.start_count += code.start != 0;
  known->ip = ip;
  known->low = low;
  known->high = low + count - 1;
  known->checked_at = now;
  known->generation = process->generation;
  return ARB_REASON_NONE;
}

/* The place of a sample, from the table where it is known and its code still the same. */
static uint32_t find_place(
    ArbResolver *resolver, const ArbSample *sample, const ArbPlace **place) {
  const int64_t now = sample->time_nanoseconds;
  ArbProcess *process = arb_process(resolver, sample->process, now);
  if (process->reason != ARB_REASON_NONE) return process->reason;
  ArbKnownPlace *set =
      resolver->places[arb_set(sample->ip, process->generation, ARB_PLACE_SETS)];
  ArbKnownPlace *known = &set[0];
  int is_known = 0;
  for (size_t way = 0; way < ARB_WAYS; way++) {
    if (set[way].generation == process->generation && set[way].ip == sample->ip) {
      known = &set[way];
      is_known = 1;
      break;
    }
    if (set[way].used < known->used) known = &set[way];
  }
  known->used = ++resolver->clock;
  *place = &known->place;
  if (is_known && now - known->checked_at < ARB_FRESH_NANOSECONDS) return ARB_REASON_NONE;
  if (is_known && version_of(resolver, process, known, now) == known->version) {
    known->checked_at = now;
    return ARB_REASON_NONE;
  }
  return learn(resolver, process, known, sample->ip, now);
}

int arb_resolve(
    ArbResolver *resolver, const ArbSample *sample, uint64_t fs_base,
    ArbAccess accesses[ARB_ACCESS_MAX], uint32_t *reason) {
  const ArbPlace *place = NULL;
  int count = 0;
  if (!(sample->has & (ARB_SAMPLE_ADDRESS | ARB_SAMPLE_REGISTERS))) {
    *reason = ARB_REASON_NO_REGISTERS;
  } else {
    *reason = find_place(resolver, sample, &place);
  }
  if (*reason == ARB_REASON_NONE && sample->has & ARB_SAMPLE_ADDRESS) {
    /* What lies at an inexact address is another instruction, of another width. */
    *reason = ARB_REASON_NO_ACCESS;
    if (sample->has & ARB_SAMPLE_EXACT_IP) {
      count = arb_choose_addressed(place, sample, fs_base, accesses, reason);
    }
  } else if (*reason == ARB_REASON_NONE) {
    const ArbMachineState state = {sample->registers, sample->flags, fs_base};
    count = sample->has & ARB_SAMPLE_EXACT_IP
                ? arb_choose_at(place, &state, accesses, reason)
                : arb_choose(place, &state, accesses, reason);
  }
  resolver->counts.reasons[*reason]++;
  return count;
}

void arb_resolver_forget(ArbResolver *resolver, int32_t number) {
  ArbProcess *set = resolver->processes[arb_set((uint32_t)number, 0, ARB_PROCESS_SETS)];
  for (size_t way = 0; way < ARB_WAYS; way++) {
    ArbProcess *process = &set[way];
    if (process->generation != 0 && process->process == number) {
      arb_process_forget(resolver, process);
    }
  }
}

void arb_resolver_counts(const ArbResolver *resolver, ArbResolverCounts *counts) {
  *counts = resolver->counts;
}
