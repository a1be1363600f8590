/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "resolver.h"

#include <string.h>
#include <sys/uio.h>

/* Reads a page of a process; one that cannot be read is remembered as that for a while. */
static void refresh(
    ArbResolver *resolver, const ArbProcess *process, ArbPage *page, uint8_t *bytes, int is_new) {
  const struct iovec to = {resolver->fresh, ARB_PAGE_BYTES};
  /* The address is one of the other process. */
  const struct iovec from = {(void *)(uintptr_t)page->address, ARB_PAGE_BYTES};
  const ssize_t size = process_vm_readv(process->process, &to, 1, &from, 1, 0);
  const uint32_t is_readable = size == ARB_PAGE_BYTES;
  resolver->counts.page_count++;
  if (is_new || is_readable != page->is_readable ||
      (is_readable && memcmp(bytes, resolver->fresh, ARB_PAGE_BYTES) != 0)) {
    page->version = ++resolver->version;
    memcpy(bytes, resolver->fresh, ARB_PAGE_BYTES);
  }
  page->is_readable = is_readable;
}

const uint8_t *arb_page(
    ArbResolver *resolver, const ArbProcess *process, uint64_t address, int64_t now,
    uint64_t *version) {
  const uint32_t generation = process->generation;
  const size_t set = arb_set(address / ARB_PAGE_BYTES, generation, ARB_PAGE_SETS);
  ArbPage *pages = resolver->pages[set];
  size_t way = 0;
  int is_new = 1;
  for (size_t at = 0; at < ARB_WAYS; at++) {
    if (pages[at].generation == generation && pages[at].address == address) {
      way = at;
      is_new = 0;
      break;
    }
    if (pages[at].used < pages[way].used) way = at;
  }
  ArbPage *page = &pages[way];
  uint8_t *bytes = resolver->bytes[set][way];
  if (is_new || now - page->read_at >= ARB_FRESH_NANOSECONDS) {
    page->generation = generation;
    page->address = address;
    page->read_at = now;
    refresh(resolver, process, page, bytes, is_new);
  }
  page->used = ++resolver->clock;
  *version = page->version;
  return page->is_readable ? bytes : NULL;
}
