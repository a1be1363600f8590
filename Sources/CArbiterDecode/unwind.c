/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Starts of instructions from unwind tables. A row of such a table begins at an instruction, and
 * the first row of a function at its first one; decoding forward from there is certain.
 */
#include "resolver.h"

#include <stdlib.h>

/* Rows are followed back until there is room for ARB_BEFORE_MAX instructions. */
#define ARB_ROOM_BEFORE (ARB_BEFORE_MAX * ARB_INSTRUCTION_MAX)
#define ARB_ROW_MAX 16

static void end_session(const ArbUnwind *unwind, ArbSession *session) {
  if (session->dwfl != NULL) unwind->end(session->dwfl);
  *session = (ArbSession){0};
}

static Dwfl *begin_session(const ArbUnwind *unwind, int32_t process) {
  Dwfl *dwfl = unwind->begin(&unwind->callbacks);
  if (dwfl == NULL) return NULL;
  unwind->report_begin(dwfl);
  const int refused = unwind->report_process(dwfl, process);
  if (unwind->report_end(dwfl, NULL, NULL) != 0 || refused != 0) {
    unwind->end(dwfl);
    return NULL;
  }
  return dwfl;
}

static ArbSession *session_of(ArbResolver *resolver, const ArbProcess *process) {
  const ArbUnwind *unwind = &resolver->decoder->unwind;
  ArbSession *oldest = &resolver->sessions[0];
  for (size_t at = 0; at < ARB_SESSION_MAX; at++) {
    ArbSession *session = &resolver->sessions[at];
    if (session->generation == process->generation) return session;
    if (session->used < oldest->used) oldest = session;
  }
  end_session(unwind, oldest);
  oldest->generation = process->generation;
  oldest->dwfl = begin_session(unwind, process->process);
  return oldest;
}

/* The row of the unwind table with an address, made absolute; 0 without one. */
static int row_at(
    const ArbUnwind *unwind, Dwarf_CFI *table, Dwarf_Addr bias, uint64_t address, uint64_t *begin,
    uint64_t *end) {
  Dwarf_Frame *frame = NULL;
  Dwarf_Addr low = 0;
  Dwarf_Addr high = 0;
  if (unwind->frame_at(table, address - bias, &frame) != 0) return 0;
  const int answer = unwind->frame_info(frame, &low, &high, NULL);
  free(frame);
  *begin = low + bias;
  *end = high + bias;
  return answer >= 0 && *begin <= address && address < *end;
}

uint64_t arb_unwind_start(ArbResolver *resolver, const ArbProcess *process, uint64_t ip) {
  const ArbUnwind *unwind = &resolver->decoder->unwind;
  if (resolver->decoder->libdw == NULL) return 0;
  ArbSession *session = session_of(resolver, process);
  session->used = ++resolver->clock;
  if (session->dwfl == NULL) return 0;
  Dwfl_Module *module = unwind->module_at(session->dwfl, ip);
  if (module == NULL) return 0;
  Dwarf_Addr bias = 0;
  Dwarf_CFI *table = unwind->unwind_table(module, &bias);
  if (table == NULL) return 0;
  uint64_t start = 0;
  uint64_t address = ip;
  for (int row = 0; row < ARB_ROW_MAX; row++) {
    uint64_t begin, end;
    if (!row_at(unwind, table, bias, address, &begin, &end)) break;
    /* The row before this one has to touch it. */
    if (start != 0 && end != start) break;
    start = begin;
    if (ip - start >= ARB_ROOM_BEFORE || start == 0) break;
    address = start - 1;
  }
  return start;
}

void arb_unwind_forget(ArbResolver *resolver, uint32_t generation) {
  if (generation == 0) return;
  for (size_t at = 0; at < ARB_SESSION_MAX; at++) {
    ArbSession *session = &resolver->sessions[at];
    if (session->generation == generation) end_session(&resolver->decoder->unwind, session);
  }
}
