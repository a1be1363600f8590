/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Threads that the C library does not know, when the program gives up its rights. The kernel keeps
 * users and groups for each thread; the C library's setuid and its like tell all threads that it
 * knows to do the same. A thread of root's in the memory of a program that is no longer root's
 * would be a way back, so ours look at the process's first thread and do what it did. Capabilities
 * that a thread drops without a change of user are each thread's own, with the C library too. */
#define _GNU_SOURCE
#include "tier_state.h"

#include <fcntl.h>
#include <string.h>

#define LOOK_NS 200000000ll
#define GROUPS_MAX 256

typedef struct {
  uint32_t users[3], groups[3]; /* real, effective, saved */
  uint32_t others[GROUPS_MAX];
  int64_t other_count;
} Rights;

/* Reads numbers of a line such as "Uid:\t0\t0\t0\t0", at most so many. */
static int64_t read_numbers(const char *text, const char *name, uint32_t *numbers, int64_t most) {
  const char *at = strstr(text, name);
  int64_t count = 0;
  if (at == NULL) return -1;
  for (at += strlen(name); count < most; count++) {
    while (*at == ' ' || *at == '\t') at++;
    if (*at < '0' || *at > '9') break;
    for (numbers[count] = 0; *at >= '0' && *at <= '9'; at++)
      numbers[count] = numbers[count] * 10 + (uint32_t)(*at - '0');
  }
  return count;
}

/* 1 if the rights of the process's first thread could be read. */
static int read_first(Rights *rights) {
  char text[4096];
  int64_t file = arb_tier_call(
      SYS_openat, AT_FDCWD, (intptr_t) "/proc/self/status", O_RDONLY | O_CLOEXEC, 0, 0, 0);
  if (file < 0) return 0;
  int64_t count = arb_tier_call(SYS_read, file, (intptr_t)text, sizeof text - 1, 0, 0, 0);
  arb_tier_call(SYS_close, file, 0, 0, 0, 0, 0);
  if (count <= 0) return 0;
  text[count] = 0;
  /* Of a list that is longer, its beginning: fewer groups are fewer rights. */
  rights->other_count = read_numbers(text, "\nGroups:", rights->others, GROUPS_MAX);
  return read_numbers(text, "\nUid:", rights->users, 3) == 3 &&
         read_numbers(text, "\nGid:", rights->groups, 3) == 3 && rights->other_count >= 0;
}

static void read_own(Rights *rights) {
  uint32_t *users = rights->users, *groups = rights->groups;
  arb_tier_call(
      SYS_getresuid, (intptr_t)&users[0], (intptr_t)&users[1], (intptr_t)&users[2], 0, 0, 0);
  arb_tier_call(
      SYS_getresgid, (intptr_t)&groups[0], (intptr_t)&groups[1], (intptr_t)&groups[2], 0, 0, 0);
  rights->other_count = arb_tier_call(
      SYS_getgroups, GROUPS_MAX, (intptr_t)rights->others, 0, 0, 0, 0);
}

void arb_tier_follow_rights(int64_t *looked_ns) {
  if (!arb_tier_state.is_bare) return;
  int64_t now = arb_tier_now();
  if (now - *looked_ns < LOOK_NS) return;
  *looked_ns = now;
  Rights first, own;
  if (!read_first(&first)) return;
  read_own(&own);
  /* Groups before the user, who may not change them. What is refused is tried again. */
  if (first.other_count != own.other_count ||
      memcmp(first.others, own.others, (size_t)first.other_count * sizeof(uint32_t)) != 0)
    arb_tier_call(SYS_setgroups, first.other_count, (intptr_t)first.others, 0, 0, 0, 0);
  if (memcmp(first.groups, own.groups, sizeof own.groups) != 0)
    arb_tier_call(
        SYS_setresgid, first.groups[0], first.groups[1], first.groups[2], 0, 0, 0);
  if (memcmp(first.users, own.users, sizeof own.users) != 0)
    arb_tier_call(SYS_setresuid, first.users[0], first.users[1], first.users[2], 0, 0, 0);
}
