/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "CArbiter.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Values of linux/mempolicy.h, which is not among the C library's headers. */
enum { POLICY_LOCAL = 4, MOVE_OWN = 1 << 1, MOVE_ALL = 1 << 2 };

static int64_t answer(int64_t value) { return value < 0 ? -(int64_t)errno : value; }

int64_t arb_pages_move(
    int process, size_t count, const uint64_t *addresses, const int32_t *nodes, int32_t *status,
    int moves_shared) {
  return answer(syscall(
      SYS_move_pages, process, count, addresses, nodes, status,
      moves_shared ? MOVE_ALL : MOVE_OWN));
}

/* The kernel looks at the permission before it looks at the pages, of which there are none. */
int64_t arb_pages_may_move_shared(void) {
  return answer(syscall(SYS_move_pages, 0, 0, NULL, NULL, NULL, MOVE_ALL));
}

/* One more than the highest node that fits: the kernel takes one off. */
#define NODE_BITS (sizeof(((ArbMemoryPolicy *)0)->nodes) * 8 + 1)

int64_t arb_memory_policy_local(ArbMemoryPolicy *before) {
  memset(before, 0, sizeof *before);
  int64_t code = answer(
      syscall(SYS_get_mempolicy, &before->mode, before->nodes, NODE_BITS - 1, NULL, 0));
  if (code < 0) return code;
  return answer(syscall(SYS_set_mempolicy, POLICY_LOCAL, NULL, 0));
}

int64_t arb_memory_policy_restore(const ArbMemoryPolicy *before) {
  int has_nodes = 0;
  for (size_t word = 0; word < 16; word++) has_nodes |= before->nodes[word] != 0;
  return answer(syscall(
      SYS_set_mempolicy, before->mode, has_nodes ? before->nodes : NULL,
      has_nodes ? NODE_BITS : 0));
}
