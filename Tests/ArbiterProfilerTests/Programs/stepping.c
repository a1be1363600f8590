/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * stepping FILE: runs known kernels one instruction at a time and writes, before each instruction,
 * its registers and which bytes of a buffer the one before has changed. Then it prints its number
 * and waits half a minute to be looked into, or until it is killed.
 *
 * The changed bytes come from comparing memory: nothing here decodes anything.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

#define BUFFER_BYTES 4096
#define STEP_MAX 60000

typedef struct {
  uint64_t kernel; /* counted from 1 */
  uint64_t width;  /* of its stores */
  uint64_t ip;
  uint64_t flags;
  uint64_t registers[16];
  uint64_t changed; /* address of the first byte, 0 for none */
  uint64_t changed_count;
} Step;

static uint8_t buffer[BUFFER_BYTES] __attribute__((aligned(64)));
static uint8_t shadow[BUFFER_BYTES];
static Step steps[STEP_MAX];
static size_t step_count;
static uint64_t kernel, width;
static uint64_t seed = 88172645463325252;

static void on_step(int signal, siginfo_t *info, void *context) {
  static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                REG_R12, REG_R13, REG_R14, REG_R15};
  const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  (void)signal, (void)info;
  if (step_count == STEP_MAX) return;
  Step *step = &steps[step_count++];
  step->kernel = kernel;
  step->width = width;
  step->ip = (uint64_t)registers[REG_RIP];
  step->flags = (uint64_t)registers[REG_EFL];
  for (int at = 0; at < 16; at++) step->registers[at] = (uint64_t)registers[order[at]];
  if (memcmp(buffer, shadow, BUFFER_BYTES) == 0) return;
  int first = 0, last = BUFFER_BYTES - 1;
  while (buffer[first] == shadow[first]) first++;
  while (buffer[last] == shadow[last]) last--;
  step->changed = (uint64_t)(uintptr_t)&buffer[first];
  step->changed_count = (uint64_t)(last - first + 1);
  memcpy(shadow, buffer, BUFFER_BYTES);
}

/* The trap flag: one trap behind every instruction. */
static inline void begin(uint64_t bytes) {
  kernel++;
  width = bytes;
  __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
}

static inline void end(void) {
  __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
}

static inline uint64_t next_random(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  return *state ^= *state << 17;
}

__attribute__((noinline)) static void random_words(uint64_t *words, int count) {
  uint64_t state = seed;
  for (int at = 0; at < count; at++) {
    const uint64_t value = next_random(&state);
    *(volatile uint64_t *)&words[value % (BUFFER_BYTES / 8)] = value;
  }
  seed = state;
}

__attribute__((noinline)) static void random_bytes(uint8_t *bytes, int count) {
  uint64_t state = seed;
  for (int at = 0; at < count; at++) {
    const uint64_t value = next_random(&state);
    *(volatile uint8_t *)&bytes[value % BUFFER_BYTES] = (uint8_t)(value >> 32);
  }
  seed = state;
}

__attribute__((noinline)) static void modify_words(uint64_t *words, int count) {
  uint64_t state = seed;
  for (int at = 0; at < count; at++) {
    volatile uint64_t *word = &words[next_random(&state) % (BUFFER_BYTES / 8)];
    const uint64_t old = *word;
    *word = old * 5 + state;
  }
  seed = state;
}

__attribute__((noinline)) static void add_in_place(uint32_t *words, int count) {
  for (int at = 0; at < count; at++) {
    __asm__ volatile("addl %1, %0" : "+m"(words[at * 7 % 1024]) : "r"(0x1010101 + at) : "cc");
  }
}

typedef struct {
  uint16_t low;
  uint16_t high;
  uint32_t rest[3];
} Record;

__attribute__((noinline)) static void fields(Record *records, int count) {
  for (int at = 0; at < count; at++) {
    volatile Record *record = &records[at * 5 % (BUFFER_BYTES / 16)];
    record->low = (uint16_t)(at * 257 + 1);
    record->high = (uint16_t)(at * 263 + 3);
  }
}

__attribute__((noinline)) static void past_the_caches(uint64_t *words, int count) {
  for (int at = 0; at < count; at++) {
    const uint64_t value = 0x0123456789abcdef * (uint64_t)(at + 1);
    __asm__ volatile("movnti %1, %0" : "=m"(words[at * 3 % 512]) : "r"(value));
  }
}

__attribute__((noinline)) static void vectors(uint8_t *bytes, int count) {
  for (int at = 0; at < count; at++) {
    const uint64_t value = 0x9e3779b97f4a7c15 * (uint64_t)(at + 1);
    __asm__ volatile(
        "movq %1, %%xmm0; punpcklqdq %%xmm0, %%xmm0; movups %%xmm0, %0"
        : "=m"(*(uint8_t(*)[16])(bytes + at * 48 % 4080))
        : "r"(value)
        : "xmm0");
  }
}

__attribute__((noinline)) static void fill(uint8_t *bytes, uint64_t count, int value) {
  __asm__ volatile("rep stosb" : "+D"(bytes), "+c"(count) : "a"(value) : "memory");
}

__attribute__((noinline)) static void fill_down(uint64_t *last, uint64_t count, uint64_t value) {
  __asm__ volatile("std; rep stosq; cld" : "+D"(last), "+c"(count) : "a"(value) : "memory", "cc");
}

int main(int count, char **arguments) {
  struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
  if (count != 2 || sigaction(SIGTRAP, &action, NULL) != 0) return 64;
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  begin(8), random_words((uint64_t *)buffer, 100), end();
  begin(1), random_bytes(buffer, 100), end();
  begin(8), modify_words((uint64_t *)buffer, 100), end();
  begin(4), add_in_place((uint32_t *)buffer, 100), end();
  begin(2), fields((Record *)buffer, 100), end();
  begin(8), past_the_caches((uint64_t *)buffer, 100), end();
  begin(16), vectors(buffer, 80), end();
  begin(1), fill(buffer + 100, 500, 0x5a), end();
  begin(8), fill_down((uint64_t *)buffer + 400, 100, seed), end();
  FILE *file = fopen(arguments[1], "wb");
  if (file == NULL) return 73;
  const size_t written = fwrite(steps, sizeof *steps, step_count, file);
  if (fclose(file) != 0 || written != step_count) return 74;
  printf("%d\n", (int)getpid());
  fclose(stdout);
  sleep(30);
  return 0;
}
