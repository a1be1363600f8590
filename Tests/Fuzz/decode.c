/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer target: decodes any bytes as one instruction and as the code around a sample. The bytes
 * end where a page ends behind which nothing can be read: Zydis is not compiled with the sanitizer,
 * and would not be caught otherwise.
 *
 * Of an input, the first byte is the offset of the sample, the second that of a known start (0 for
 * none), the third gives flags; the registers are a pattern. Tests/Scripts/fuzz builds and runs it.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "CArbiterDecode.h"

#define PAGE 4096
#define BASE UINT64_C(0x400000)

static void require(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "decode: %s\n", what);
  abort();
}

static uint8_t *guarded_page(void) {
  uint8_t *memory =
      mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(memory != MAP_FAILED, "no memory");
  require(mprotect(memory + PAGE, PAGE, PROT_NONE) == 0, "no guard");
  return memory;
}

static void check(int count, const ArbAccess *accesses, uint32_t reason, int is_around) {
  require(count >= 0 && count <= ARB_ACCESS_MAX, "too many accesses");
  require((count > 0) == (reason == ARB_REASON_NONE), "the reason contradicts the count");
  require(reason < ARB_REASON_COUNT, "an unknown reason");
  for (int index = 0; index < count; index++) {
    const ArbAccess *access = &accesses[index];
    require(access->byte_count > 0, "an access of nothing");
    require(access->is_store || access->is_load, "an access that does nothing");
    require(access->found > ARB_FOUND_NOTHING, "found nowhere");
    require(is_around || access->found <= ARB_FOUND_STRING, "found elsewhere");
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static ArbDecoder *decoder;
  static uint8_t *page;
  if (decoder == NULL) {
    const ArbDecodeNames names = {"libZydis.so.4.0", NULL};
    decoder = arb_decoder_make(&names);
    require(decoder != NULL, "Debian's package libzydis4.0 is missing");
    page = guarded_page();
  }
  if (size < 4 || size - 3 > PAGE) return 0;
  const size_t count = size - 3;
  uint8_t *code = page + PAGE - count;
  memcpy(code, data + 3, count);
  uint64_t registers[ARB_REGISTER_COUNT];
  for (uint64_t at = 0; at < ARB_REGISTER_COUNT; at++) {
    registers[at] = data[2] & 1 ? UINT64_MAX - at : 0x10000 * (at + 1);
  }
  const ArbMachineState state = {
      registers, data[2] & 2 ? 0x400 : 0, data[2] & 4 ? 0x7f0000000000 : 0};
  ArbAccess accesses[ARB_ACCESS_MAX];
  uint32_t reason = ARB_REASON_COUNT;
  int found = arb_decode_at(decoder, code, count, BASE, &state, accesses, &reason);
  check(found, accesses, reason, 0);
  const ArbCode around = {code, count, BASE, data[1] == 0 ? 0 : BASE + data[1] - 1};
  found = arb_decode_around(decoder, &around, BASE + data[0], &state, accesses, &reason);
  check(found, accesses, reason, 1);
  return 0;
}
