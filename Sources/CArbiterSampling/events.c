/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "CArbiterSampling.h"

#include <asm/perf_regs.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Linux 6.0; older headers lack it. */
#define ARB_READ_LOST (1u << 4)

_Static_assert(ARB_RING_PAGE_BYTES >= sizeof(struct perf_event_mmap_page), "one page has it all");

/* The general registers, the instruction pointer and the flags. The kernel refuses the four data
 * segments. */
static uint64_t registers_of_interest(void) {
  uint64_t mask = 0;
  for (int number = PERF_REG_X86_AX; number <= PERF_REG_X86_FLAGS; number++) mask |= 1ull << number;
  for (int number = PERF_REG_X86_R8; number <= PERF_REG_X86_R15; number++) mask |= 1ull << number;
  return mask;
}

ArbFormat arb_event_format(const ArbSampledEvent *event) {
  ArbFormat format;
  memset(&format, 0, sizeof format);
  /* The period is not asked for: a software event that tells it reports every single event,
   * whatever its period is. It is fixed anyway. */
  format.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME;
  format.registers = registers_of_interest();
  format.period = event->period;
  switch (event->kind) {
    case ARB_EVENT_CLOCK:
      format.sample_type |= PERF_SAMPLE_REGS_USER;
      format.has = ARB_SAMPLE_REGISTERS;
      break;
    case ARB_EVENT_PAGE_FAULTS:
      format.sample_type |= PERF_SAMPLE_ADDR | PERF_SAMPLE_REGS_USER;
      format.has = ARB_SAMPLE_ADDRESS | ARB_SAMPLE_REGISTERS | ARB_SAMPLE_EXACT_IP;
      break;
    default:
      /* Registers as the processor recorded them with the instruction: it is asked to record any
       * only for those of the interrupt. Those of the thread are of the moment at which it was
       * stopped, some instructions later. */
      format.sample_type |= PERF_SAMPLE_ADDR | PERF_SAMPLE_REGS_INTR;
      format.has = ARB_SAMPLE_ADDRESS | ARB_SAMPLE_REGISTERS_AFTER;
  }
  return format;
}

static void fill_attributes(struct perf_event_attr *attributes, const ArbSampledEvent *event) {
  ArbFormat format = arb_event_format(event);
  switch (event->kind) {
    case ARB_EVENT_CLOCK:
      attributes->type = PERF_TYPE_SOFTWARE;
      attributes->config = PERF_COUNT_SW_CPU_CLOCK;
      break;
    case ARB_EVENT_PAGE_FAULTS:
      attributes->type = PERF_TYPE_SOFTWARE;
      attributes->config = PERF_COUNT_SW_PAGE_FAULTS;
      break;
    default:
      attributes->type = event->type;
      attributes->config = event->config;
      attributes->config1 = event->config1;
      attributes->config2 = event->config2;
      attributes->precise_ip = event->precise & 3;
  }
  attributes->sample_type = format.sample_type;
  if (format.sample_type & PERF_SAMPLE_REGS_INTR) {
    attributes->sample_regs_intr = format.registers;
  } else {
    attributes->sample_regs_user = format.registers;
  }
  attributes->sample_period = event->period;
  attributes->inherit = (event->flags & (ARB_EVENT_TO_THREADS | ARB_EVENT_TO_PROCESSES)) != 0;
  attributes->inherit_thread = (event->flags & ARB_EVENT_TO_PROCESSES) == 0 && attributes->inherit;
  attributes->enable_on_exec = (event->flags & ARB_EVENT_AT_EXEC) != 0;
  if (event->flags & ARB_EVENT_TELLS_TASKS) {
    attributes->task = 1;
    attributes->comm = 1;
    attributes->comm_exec = 1;
    attributes->mmap = 1;
    attributes->mmap_data = 1;
    attributes->mmap2 = 1;
  }
}

static int64_t open_event(struct perf_event_attr *attributes, int32_t thread, int32_t processor) {
  attributes->size = sizeof *attributes;
  attributes->disabled = 1;
  attributes->exclude_kernel = 1;
  attributes->exclude_hv = 1;
  attributes->sample_id_all = 1;
  /* All events of a ring must have one clock: the kernel refuses to mix them. */
  attributes->use_clockid = 1;
  attributes->clockid = CLOCK_MONOTONIC_RAW;
  long descriptor = syscall(
      SYS_perf_event_open, attributes, thread, processor, -1, PERF_FLAG_FD_CLOEXEC);
  return descriptor < 0 ? -(int64_t)errno : descriptor;
}

int64_t arb_sampling_open(const ArbSampledEvent *event, int32_t thread, int32_t processor) {
  struct perf_event_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  fill_attributes(&attributes, event);
  attributes.read_format = ARB_READ_LOST;
  int64_t descriptor = open_event(&attributes, thread, processor);
  if (descriptor != -EINVAL) return descriptor;
  attributes.read_format = 0;
  return open_event(&attributes, thread, processor);
}

int64_t arb_sampling_open_owner(int32_t processor) {
  struct perf_event_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_DUMMY;
  return open_event(&attributes, 0, processor);
}

int64_t arb_ring_map(ArbRing *ring, int descriptor, uint64_t bytes) {
  /* Writable: only then does the kernel look at the tail and keep what was not read. */
  void *page = mmap(
      NULL, ARB_RING_PAGE_BYTES + bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (page == MAP_FAILED) return -(int64_t)errno;
  ring->page = page;
  ring->data = (const uint8_t *)page + ARB_RING_PAGE_BYTES;
  ring->size = bytes;
  return 0;
}

void arb_ring_unmap(const ArbRing *ring) {
  munmap(ring->page, ARB_RING_PAGE_BYTES + ring->size);
}

int64_t arb_sampling_redirect(int descriptor, int owner) {
  return ioctl(descriptor, PERF_EVENT_IOC_SET_OUTPUT, owner) != 0 ? -(int64_t)errno : 0;
}

int64_t arb_sampling_switch(int descriptor, int is_on) {
  unsigned long request = is_on ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE;
  return ioctl(descriptor, request, 0) != 0 ? -(int64_t)errno : 0;
}

int64_t arb_sampling_identity(int descriptor, uint64_t *id) {
  return ioctl(descriptor, PERF_EVENT_IOC_ID, id) != 0 ? -(int64_t)errno : 0;
}

int64_t arb_sampling_lost(int descriptor) {
  /* The count, and what was lost where the event was opened to tell it. */
  uint64_t words[2];
  ssize_t size = read(descriptor, words, sizeof words);
  if (size < 0) return -(int64_t)errno;
  return size == (ssize_t)sizeof words ? (int64_t)words[1] : -EOPNOTSUPP;
}

int32_t arb_sampling_thread(void) { return (int32_t)syscall(SYS_gettid); }

int64_t arb_descriptors_read(uint64_t *soft, uint64_t *hard) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -(int64_t)errno;
  *soft = limit.rlim_cur;
  *hard = limit.rlim_max;
  return 0;
}

int64_t arb_descriptors_limit(uint64_t soft) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -(int64_t)errno;
  limit.rlim_cur = soft;
  return setrlimit(RLIMIT_NOFILE, &limit) != 0 ? -(int64_t)errno : 0;
}
