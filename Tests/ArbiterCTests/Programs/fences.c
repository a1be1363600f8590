/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   fences FILE     writes with and without fences while a recording is asked for, and prints what
 *                   was recorded: S for a store, F for a fence
 */
#include <arbiter_handles.h>

#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments) {
  if (count < 2) return 64;
  arbiter_options options = ARBITER_OPTIONS;
  options.scheme = ARBITER_SCHEME_BASELINE;
  arbiter_error error;
  arbiter_runtime *runtime = arbiter_open(&options, &error);
  if (runtime == NULL) return 1;
  arbiter_region *region = arbiter_map(runtime, arguments[1], 65536, 0, &error);
  arbiter_thread *thread = region != NULL ? arbiter_attach(region, &error) : NULL;
  if (thread == NULL) return 2;
  char *base = arbiter_address(region);
  arbiter_write(thread, base, "before", 6, ARBITER_PERSIST);
  /* As a controller does. */
  arb_store(&thread->gate.set->recording, 7 << 16 | 100);
  arb_set_publish(thread->gate.set, ARB_WORD_RECORDING | 1ull << ARB_WORD_VERSION_SHIFT);
  arbiter_write(thread, base, "a", 1, 0);
  arbiter_write(thread, base, "b", 1, ARBITER_PERSIST);
  arbiter_fill(thread, base, 1, 10, 0);
  arbiter_drain(thread);
  arbiter_flush(thread, base, 64);
  arbiter_persist(thread, base, 64);
  arbiter_store_u64(thread, (uint64_t *)(void *)base, 1, ARBITER_PERSIST);
  uint64_t records = thread->gate.slot->counts.record_count;
  const ArbRecord *record = arb_page_records(thread->gate.page, thread->gate.slot_index);
  for (uint64_t index = 0; index < records; index++) putchar(record[index].lines == 0 ? 'F' : 'S');
  putchar('\n');
  arbiter_detach(thread);
  int status = arbiter_unmap(region, &error);
  arbiter_close(runtime);
  return status;
}
