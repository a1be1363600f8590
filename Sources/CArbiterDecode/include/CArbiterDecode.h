/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * From a sample of a thread to the access to memory that it stands for: instructions are decoded by
 * Zydis, starts of functions come from unwind tables through libdw. Both are found at run time.
 *
 * What cannot be told, and is said instead of guessed:
 *  - operands relative to FS or GS, unless the thread's FS base is passed in;
 *  - gathers, scatters, and bit strings with their offset in a register: the width alone is known,
 *    so they resolve where the sample carries an address;
 *  - stores under a mask count with their full width: an upper bound;
 *  - what compares or searches (cmps, scas) may stop early: one element, whatever its count.
 */
#ifndef CARBITERDECODE_H
#define CARBITERDECODE_H

#include <stddef.h>
#include <stdint.h>

#include "sample.h"

/* How the access was found. */
enum {
  ARB_FOUND_NOTHING, /* no access could be told */
  ARB_FOUND_AT_IP,   /* the sampled instruction */
  ARB_FOUND_STRING,  /* a string instruction, its extent from its count register */
  ARB_FOUND_BEFORE,  /* an instruction shortly before, whose address registers still hold */
  ARB_FOUND_AFTER,   /* the next one in a straight line, whose address registers already hold */
};

/* An access to memory. */
typedef struct {
  uint64_t address; /* the lowest byte */
  uint64_t byte_count;
  uint32_t found;  /* ARB_FOUND_... */
  uint8_t is_store;
  uint8_t is_load;
  uint8_t is_non_temporal;
  uint8_t is_atomic;
} ArbAccess;

/* Why a sample gave no access. */
enum {
  ARB_REASON_NONE,         /* it gave one */
  ARB_REASON_NO_ACCESS,    /* none at the instruction nor near it */
  ARB_REASON_THREAD_LOCAL, /* relative to FS or GS */
  ARB_REASON_VECTOR,       /* its address depends on what samples do not carry */
  ARB_REASON_OVERWRITTEN,  /* the registers of its address do not hold any more */
  ARB_REASON_NO_CODE,      /* the code could not be read: no permission, or the process is gone */
  ARB_REASON_NOT_CODE,     /* the bytes are no instruction */
  ARB_REASON_NOT_64_BIT,   /* the process runs 32-bit code */
  ARB_REASON_NO_REGISTERS, /* the sample carries neither registers nor an address */
  ARB_REASON_COUNT
};

/* Accesses of one instruction, at most: copies load and store. */
#define ARB_ACCESS_MAX 2

/* The libraries, their names as dlopen takes them; NULL leaves one out. */
typedef struct {
  const char *zydis;
  const char *libdw;
} ArbDecodeNames;

/* What an instruction needs beside its bytes. */
typedef struct {
  const uint64_t *registers; /* ARB_REGISTER_COUNT of them */
  uint64_t flags;
  uint64_t fs_base; /* 0: not known */
} ArbMachineState;

/* What a resolver did so far. */
typedef struct {
  uint64_t decoded_count;  /* places in code that were decoded, not found in the table */
  uint64_t start_count;    /* of those, where an unwind table told a start to decode from */
  uint64_t page_count;     /* pages of code that were read */
  uint64_t reasons[ARB_REASON_COUNT]; /* samples by ARB_REASON_... */
} ArbResolverCounts;

typedef struct ArbDecoder ArbDecoder;
typedef struct ArbResolver ArbResolver;

/* Loads the libraries; NULL where Zydis is missing (or memory). Without libdw it works and knows no
 * starts of functions. */
ArbDecoder *arb_decoder_make(const ArbDecodeNames *names);
void arb_decoder_free(ArbDecoder *decoder);
int arb_decoder_knows_starts(const ArbDecoder *decoder);

/* The accesses of the instruction whose bytes begin at `code` and which lies at `ip`; never reads
 * beyond `count` bytes. Returns how many there are, 0 with the reason set. */
int arb_decode_at(
    const ArbDecoder *decoder, const uint8_t *code, size_t count, uint64_t ip,
    const ArbMachineState *state, ArbAccess accesses[ARB_ACCESS_MAX], uint32_t *reason);

/* Code around a sample. `start` is the address of an instruction at or before `ip`, such as the
 * start of its function; 0 where none is known. */
typedef struct {
  const uint8_t *bytes;
  size_t count;
  uint64_t address; /* of the first byte */
  uint64_t start;
} ArbCode;

/* The access for which a clock's sample at `ip` stands, from code that the caller holds. */
int arb_decode_around(
    const ArbDecoder *decoder, const ArbCode *code, uint64_t ip, const ArbMachineState *state,
    ArbAccess accesses[ARB_ACCESS_MAX], uint32_t *reason);

/* A resolver reads the code of the sampled processes and remembers what it decoded, both in tables
 * of fixed size. For one thread at a time. NULL where memory is missing. */
ArbResolver *arb_resolver_make(const ArbDecoder *decoder);
void arb_resolver_free(ArbResolver *resolver);

/* The accesses for which a sample stands. A sample with an address keeps it, and the instruction
 * gives width and kind; where the instruction loads and stores at two places and registers do not
 * tell which of them it was, both kinds are set. Without an exact instruction it tells nothing. Of
 * a repeated string whose registers are those behind it, what counts is what lies between the
 * address and where its pointer had got: all where the processor tells the first element's address,
 * one element where it tells the last one's. `fs_base` is 0 where it is not known. */
int arb_resolve(
    ArbResolver *resolver, const ArbSample *sample, uint64_t fs_base,
    ArbAccess accesses[ARB_ACCESS_MAX], uint32_t *reason);

/* Forgets the code of a process: it ended, or mapped, unmapped or executed something. */
void arb_resolver_forget(ArbResolver *resolver, int32_t process);
void arb_resolver_counts(const ArbResolver *resolver, ArbResolverCounts *counts);

#endif
