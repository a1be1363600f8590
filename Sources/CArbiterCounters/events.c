/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "CArbiterCounters.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int64_t arb_event_open(const ArbEvent *event, int processor, int leader) {
  struct perf_event_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.size = sizeof attributes;
  attributes.type = event->type;
  attributes.config = event->config;
  attributes.config1 = event->config1;
  attributes.config2 = event->config2;
  /* No exclusion of kernel or user: units outside the cores refuse it. */
  attributes.read_format =
      PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
  long descriptor = syscall(
      SYS_perf_event_open, &attributes, -1, processor, leader, PERF_FLAG_FD_CLOEXEC);
  return descriptor < 0 ? -(int64_t)errno : descriptor;
}

int64_t arb_event_read_pair(int leader, ArbEventCounts *counts) {
  /* Count of values, time enabled, time running, values. */
  uint64_t words[5];
  ssize_t size = read(leader, words, sizeof words);
  if (size < 0) return -(int64_t)errno;
  if (size != (ssize_t)sizeof words || words[0] != 2) return -EBADMSG;
  counts->enabled_nanoseconds = words[1];
  counts->running_nanoseconds = words[2];
  counts->first = words[3];
  counts->second = words[4];
  return 0;
}
