/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "decode.h"

#include <dlfcn.h>
#include <stdlib.h>

/* dlsym's object pointer as a function pointer, the way POSIX describes. */
#define ARB_FIND(library, pointer, name) (*(void **)(&(pointer)) = dlsym(library, name))

/* Debug information is never wanted; libdw's own search would go as far as servers. */
static int no_debug_information(
    Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base, const char *file,
    const char *link, GElf_Word checksum, char **found) {
  (void)module, (void)user, (void)name, (void)base, (void)file, (void)link, (void)checksum;
  (void)found;
  return -1;
}

static int load_zydis(ArbDecoder *decoder, const char *name) {
  __typeof__(ZydisDecoderInit) *begin = NULL;
  __typeof__(ZydisDecoderEnableMode) *enable = NULL;
  __typeof__(ZydisGetVersion) *version = NULL;
  decoder->zydis = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (decoder->zydis == NULL) return 0;
  ARB_FIND(decoder->zydis, begin, "ZydisDecoderInit");
  ARB_FIND(decoder->zydis, enable, "ZydisDecoderEnableMode");
  ARB_FIND(decoder->zydis, version, "ZydisGetVersion");
  ARB_FIND(decoder->zydis, decoder->decode_full, "ZydisDecoderDecodeFull");
  ARB_FIND(decoder->zydis, decoder->decode_length, "ZydisDecoderDecodeInstruction");
  ARB_FIND(decoder->zydis, decoder->enclosing, "ZydisRegisterGetLargestEnclosing");
  if (!begin || !enable || !version || !decoder->decode_full || !decoder->decode_length ||
      !decoder->enclosing) {
    return 0;
  }
  /* Its structures are those of the headers within one major and minor version alone. */
  if (ZYDIS_VERSION_MAJOR(version()) != ZYDIS_VERSION_MAJOR(ZYDIS_VERSION) ||
      ZYDIS_VERSION_MINOR(version()) != ZYDIS_VERSION_MINOR(ZYDIS_VERSION)) {
    return 0;
  }
  const ZydisMachineMode mode = ZYDIS_MACHINE_MODE_LONG_64;
  return ZYAN_SUCCESS(begin(&decoder->full, mode, ZYDIS_STACK_WIDTH_64)) &&
         ZYAN_SUCCESS(begin(&decoder->lengths, mode, ZYDIS_STACK_WIDTH_64)) &&
         ZYAN_SUCCESS(enable(&decoder->lengths, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_TRUE));
}

static int load_libdw(ArbDecoder *decoder, const char *name) {
  ArbUnwind *unwind = &decoder->unwind;
  void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return 0;
  ARB_FIND(library, unwind->begin, "dwfl_begin");
  ARB_FIND(library, unwind->end, "dwfl_end");
  ARB_FIND(library, unwind->report_begin, "dwfl_report_begin");
  ARB_FIND(library, unwind->report_end, "dwfl_report_end");
  ARB_FIND(library, unwind->report_process, "dwfl_linux_proc_report");
  ARB_FIND(library, unwind->module_at, "dwfl_addrmodule");
  ARB_FIND(library, unwind->unwind_table, "dwfl_module_eh_cfi");
  ARB_FIND(library, unwind->frame_at, "dwarf_cfi_addrframe");
  ARB_FIND(library, unwind->frame_info, "dwarf_frame_info");
  ARB_FIND(library, unwind->callbacks.find_elf, "dwfl_linux_proc_find_elf");
  unwind->callbacks.find_debuginfo = no_debug_information;
  decoder->libdw = library;
  return unwind->begin && unwind->end && unwind->report_begin && unwind->report_end &&
         unwind->report_process && unwind->module_at && unwind->unwind_table &&
         unwind->frame_at && unwind->frame_info && unwind->callbacks.find_elf;
}

ArbDecoder *arb_decoder_make(const ArbDecodeNames *names) {
  ArbDecoder *decoder = calloc(1, sizeof *decoder);
  if (decoder == NULL) return NULL;
  if (names->zydis == NULL || !load_zydis(decoder, names->zydis)) {
    arb_decoder_free(decoder);
    return NULL;
  }
  if (names->libdw != NULL && !load_libdw(decoder, names->libdw) && decoder->libdw != NULL) {
    dlclose(decoder->libdw);
    decoder->libdw = NULL;
  }
  return decoder;
}

void arb_decoder_free(ArbDecoder *decoder) {
  if (decoder == NULL) return;
  if (decoder->libdw != NULL) dlclose(decoder->libdw);
  if (decoder->zydis != NULL) dlclose(decoder->zydis);
  free(decoder);
}

int arb_decoder_knows_starts(const ArbDecoder *decoder) {
  return decoder->libdw != NULL;
}
